/**
 * How long small jobs take: one file of 1 KiB, 100 KiB or 10 MiB from a peer that is connected, or
 * that has to be dialled first; and 1,000 files of 10 KiB in one job, from an origin and from a peer
 * that has got them so. Times are those of the agent, from `createJob` on: to the first and to the
 * last verified piece, and until the files are in their places, which includes what the disk takes.
 */
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hash, randomBytes } from "node:crypto";
import { contentIdOf, encodeManifest, KiB, MiB } from "@shoal/core";
import { choosePieceLength, PieceLayout, SIDECAR_SUFFIX } from "@shoal/core";
import { Child } from "../../examples/main-job/child.ts";
import { LOOPBACK, TestSite } from "../integration/harness.ts";
import { startNginx } from "../integration/web-servers.ts";
import type { LatencyOrder, LatencyReport } from "./contenders/latency-agent.ts";
import { median } from "./measure.ts";
import type { Figure } from "./measure.ts";

type LatencyAgent = Child<LatencyOrder, LatencyReport>;
type Latency = Extract<LatencyReport, { type: "done" }>;

const LENGTHS = { "1 KiB": KiB, "100 KiB": 100 * KiB, "10 MiB": 10 * MiB };
/** Issue 7's, of a 1 KiB job from a peer that is connected, and of many files in one. */
const WARM_MS_MAX = 50;
const MANY_MS_MAX = 5_000;
const MANY_FILES = 1_000;
const MANY_LENGTH = 10 * KiB;
const TIMEOUT_MS = 120_000;

export async function benchLatency({ rounds }: { readonly rounds: number }): Promise<Figure[]> {
  return [...(await oneFile(rounds)), ...(await manyFiles(rounds))];
}

/** Each round has files of its own: what an agent has had once it need not fetch again. */
async function oneFile(rounds: number): Promise<Figure[]> {
  await using site = await TestSite.create();
  const seed = await startAgent(site);
  const { addresses } = await seed.next("ready");
  const warm = await startAgent(site);
  await warm.next("ready");
  warm.send({ type: "meet", addresses, wait: true });
  await warm.next("met");
  const latencies = new Map<string, Latency[]>();
  const add = (name: string, round: number, latency: Latency): void => {
    if (round === 0) return; // It warms up.
    latencies.set(name, [...(latencies.get(name) ?? []), latency]);
  };
  for (let round = 0; round <= rounds; round++) {
    for (const [label, length] of Object.entries(LENGTHS)) {
      const file = await publish(site, `${round}-${length}`, length);
      seed.send({ type: "share", path: file.path });
      await seed.next("shared");
      add(`${label} from a connected peer`, round, await download(warm, site, [file]));
      await using cold = await startAgent(site);
      await cold.next("ready");
      cold.send({ type: "meet", addresses, wait: false });
      add(`${label} from a peer to be dialled`, round, await download(cold, site, [file]));
    }
  }
  return [...latencies].flatMap(([name, all]) => [
    figure(`${name}: first piece`, all, "firstByteMs"),
    figure(`${name}: last piece`, all, "lastByteMs"),
    {
      ...figure(`${name}: in place`, all, "inPlaceMs"),
      ...(name.startsWith("1 KiB from a connected") && { target: WARM_MS_MAX }),
    },
  ]);
}

async function manyFiles(rounds: number): Promise<Figure[]> {
  await using site = await TestSite.create();
  const root = await site.makeDirectory("origin");
  const server = await startNginx(root);
  if (server === undefined) return [{ name: "nginx is not installed", value: NaN, unit: "s" }];
  const { url } = site.use(server);
  const files: Published[] = [];
  for (let i = 0; i < MANY_FILES; i++)
    files.push(await publish(site, `file-${i}`, MANY_LENGTH, root));
  const times: Record<"origin" | "peer", Latency[]> = { origin: [], peer: [] };
  for (let round = 0; round < rounds; round++) {
    const named = files.map((file) => ({ ...file, url: `${url}/${file.name}` }));
    await using first = await startAgent(site);
    const { addresses } = await first.next("ready");
    times.origin.push(await download(first, site, named));
    await using second = await startAgent(site);
    await second.next("ready");
    second.send({ type: "meet", addresses, wait: true });
    await second.next("met");
    times.peer.push(await download(second, site, files));
  }
  return Object.entries(times).map(([from, all]) => ({
    name: `${MANY_FILES} files of 10 KiB in one job, from the ${from}: in place`,
    value: median(all.map(({ inPlaceMs }) => inPlaceMs)) / 1_000,
    unit: "s",
    target: MANY_MS_MAX / 1_000,
  }));
}

interface Published {
  readonly name: string;
  readonly path: string;
  readonly contentId: string;
  readonly url?: string;
}

/** A file of random bytes, with its sidecar manifest beside it. */
async function publish(
  site: TestSite,
  name: string,
  length: number,
  directory = site.directory,
): Promise<Published> {
  const path = join(directory, name);
  const content = randomBytes(length);
  await writeFile(path, content);
  // Many files at once are described faster so than by a worker for each.
  const layout = PieceLayout.fixed(length, choosePieceLength(length));
  const digests: Uint8Array[] = [];
  for (let i = 0; i < layout.pieceCount; i++) {
    digests.push(sha256(content.subarray(layout.start(i), layout.start(i) + layout.length(i))));
  }
  const contentDigest = sha256(content);
  const files = [{ name, length, digest: contentDigest }];
  const pieceDigests = Buffer.concat(digests);
  const bytes = encodeManifest({ layout, pieceDigests, contentDigest, files, hints: {} });
  await writeFile(path + SIDECAR_SUFFIX, bytes);
  return { name, path, contentId: contentIdOf(bytes) };
}

async function startAgent(site: TestSite): Promise<LatencyAgent> {
  const stateDirectory = await mkdtemp(join(site.directory, "state-"));
  const script = new URL("contenders/latency-agent.ts", import.meta.url);
  const place = { stateDirectory, listen: [LOOPBACK], mdns: false, allowLoopbackPeers: true };
  const argument = { ...place, settings: { filesPerJobMax: MANY_FILES } };
  return site.use(new Child<LatencyOrder, LatencyReport>(script, { name: "agent", argument }));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash("sha256", bytes, "buffer");
}

let downloads = 0;

async function download(
  agent: LatencyAgent,
  site: TestSite,
  files: readonly Published[],
): Promise<Latency> {
  const directory = join(site.directory, `downloads-${++downloads}`);
  await mkdir(directory);
  const job = files.map(({ name, contentId, url }) => ({
    contentId,
    destination: join(directory, name),
    ...(url !== undefined && { url }),
  }));
  agent.send({ type: "download", job: { files: job } });
  return agent.next("done", TIMEOUT_MS);
}

function figure(
  name: string,
  all: readonly Latency[],
  field: "firstByteMs" | "lastByteMs" | "inPlaceMs",
): Figure {
  return { name, value: median(all.map((latency) => latency[field])), unit: "ms" };
}
