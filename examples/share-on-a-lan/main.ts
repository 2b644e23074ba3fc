/** One agent fetches a file from its origin; the others get it from that agent, the origin gone. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, JobSnapshot } from "@shoal/agent";
import { describeFile, writeSidecar } from "@shoal/store";
import { serveFiles } from "../origin/serve-files.ts";

const directory = await mkdtemp(join(tmpdir(), "shoal-share-on-a-lan-"));
await using cleanup = new AsyncDisposableStack();
cleanup.defer(() => rm(directory, { recursive: true, force: true }));

const path = join(directory, "update.bin");
await writeFile(path, randomBytes(16 * 1024 * 1024));
const { bytes, contentId } = await describeFile(path);
const sidecar = await writeSidecar(path, bytes);
const origin = await serveFiles({ "update.bin": path, "update.bin.shoal": sidecar });
cleanup.use(origin);
const url = origin.urlOf("update.bin");

// On a real LAN leave out `listen`, and let mDNS introduce the agents instead of `peers`.
const start = async (name: string, peers: readonly string[] = []): Promise<Agent> => {
  const stateDirectory = join(directory, `state-${name}`);
  const listen = ["/ip4/127.0.0.1/tcp/0"];
  return cleanup.use(await startAgent({ stateDirectory, listen, peers, mdns: false }));
};
const download = async (agent: Agent, name: string): Promise<JobSnapshot> => {
  const destination = join(directory, `${name}.bin`);
  const job = await agent.jobs.createJob({ files: [{ url, contentId, destination }] });
  const snapshot = await job.transferred;
  await job.acknowledge();
  const isSame = (await readFile(path)).equals(await readFile(destination));
  if (!isSame) throw new Error(`${name} has a wrong file`);
  console.log(
    `${name}: ${snapshot.originBytes} bytes from the origin, ${snapshot.peerBytes} from peers`,
  );
  return snapshot;
};

const first = await start("first");
await download(first, "first");
await origin.close();
console.log("The origin has stopped.");
const others = await Promise.all(["second", "third"].map((name) => start(name, first.addresses)));
await Promise.all(others.map((agent, index) => download(agent, index === 0 ? "second" : "third")));
