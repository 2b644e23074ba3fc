/**
 * A file from one HTTP origin to disk: Shoal, curl and aria2, one after the other in every round,
 * so that a slow moment of the machine is everybody's. The figures to look at are the ratios.
 *
 * Shoal's time is the job's in a running agent, from its creation to the file in its place; that
 * of the others is the whole process's. CPU of Shoal is the agent's during the job.
 *
 * Writing to pages that nobody has used lately can cost many times more than to others: 0.2 to 3.6 s
 * for 1 GiB on the virtual machine where this was found, whose host probably takes free memory back.
 * So a file of the same size is written and removed right before each run, for everybody.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { MiB } from "@shoal/core";
import { TestSite } from "../integration/harness.ts";
import type { TestContent } from "../integration/harness.ts";
import { startNginx } from "../integration/web-servers.ts";
import { median } from "./measure.ts";
import type { Figure } from "./measure.ts";

interface Run {
  readonly ms: number;
  readonly cpuMs: number;
  readonly rssBytes?: number;
}

export interface OriginBenchOptions {
  readonly length: number;
  readonly rounds: number;
  /** The server's limit for each connection. */
  readonly rateBytesPerSec?: number;
}

/** Calls `ready` right before what is measured. */
type Contender = (path: string, ready: () => Promise<void>) => Promise<Run | undefined>;

export async function benchOrigin(options: OriginBenchOptions): Promise<Figure[]> {
  const { length, rounds, rateBytesPerSec } = options;
  await using site = await TestSite.create();
  const content = await site.publish("file.bin", length);
  const server = await startNginx(join(content.path, ".."), {
    ...(rateBytesPerSec !== undefined && { rateBytesPerSec }),
  });
  if (server === undefined) return [{ name: "nginx is not installed", value: NaN, unit: "ms" }];
  site.use(server);
  const url = `${server.url}/${content.name}`;
  const contenders: Record<string, Contender> = {
    shoal: (path, ready) => runShoal(site, { url, destination: path }, ready),
    "shoal, verified": (path, ready) =>
      runShoal(site, { url, destination: path, contentId: content.contentId }, ready),
    curl: async (path, ready) => {
      await ready();
      return runProgram("curl", ["-s", "-o", path, url]);
    },
    aria2c: async (path, ready) => {
      await ready();
      return runProgram("aria2c", [
        "-q",
        "-x4",
        "-s4",
        "--file-allocation=none",
        "-d/",
        "-o",
        path.slice(1),
        url,
      ]);
    },
  };
  const runs = await interleave(site, contenders, { rounds, length });
  return [...figuresOf(runs, length)];
}

async function interleave(
  site: TestSite,
  contenders: Readonly<Record<string, Contender>>,
  { rounds, length }: { rounds: number; length: number },
): Promise<Map<string, Run[]>> {
  const runs = new Map<string, Run[]>(Object.keys(contenders).map((name) => [name, []]));
  const all = Object.entries(contenders);
  for (let round = 0; round < rounds; round++) {
    // Everyone comes first once: what went before leaves the disk busy.
    for (const [name, contender] of rotated(all, round)) {
      const path = join(site.directory, `copy-${round}`);
      const run = await contender(path, () => touchMemory(site, length));
      await rm(path, { force: true });
      if (run !== undefined) runs.get(name)?.push(run);
    }
  }
  return runs;
}

function* figuresOf(runs: ReadonlyMap<string, readonly Run[]>, length: number): Generator<Figure> {
  const rates = new Map<string, number>();
  for (const [name, all] of runs) {
    if (all.length === 0) {
      yield { name: `${name} is not installed`, value: NaN, unit: "MiB/s" };
      continue;
    }
    const rate = (length / MiB) * (1_000 / median(all.map(({ ms }) => ms)));
    rates.set(name, rate);
    yield { name, value: rate, unit: "MiB/s" };
    const cpuSecPerGib = (median(all.map(({ cpuMs }) => cpuMs)) / length) * MiB * 1.024;
    yield { name: `${name}: CPU`, value: cpuSecPerGib, unit: "s/GiB" };
    const rss = median(all.map(({ rssBytes = 0 }) => rssBytes));
    if (rss > 0) yield { name: `${name}: peak memory`, value: rss / MiB, unit: "MiB" };
  }
  for (const ours of ["shoal", "shoal, verified"]) {
    for (const theirs of ["curl", "aria2c"]) {
      const value = (rates.get(ours) ?? NaN) / (rates.get(theirs) ?? NaN);
      yield { name: `${ours} / ${theirs}`, value, unit: "ratio" };
    }
  }
}

async function touchMemory(site: TestSite, length: number): Promise<void> {
  const path = join(site.directory, "touched");
  const file = await open(path, "w");
  const block = Buffer.alloc(MiB, 1);
  for (let at = 0; at < length; at += MiB) await file.write(block);
  await file.close();
  await rm(path);
}

async function runShoal(
  site: TestSite,
  file: { url: string; destination: string; contentId?: TestContent["contentId"] },
  ready: () => Promise<void>,
): Promise<Run> {
  const stateDirectory = await mkdtemp(join(site.directory, "state-"));
  await using agent = site.startAgent("bench", { stateDirectory, listen: [] });
  await agent.next("ready");
  await ready();
  agent.send({ type: "download", job: { files: [file] } });
  const { elapsedMs, cpuMs, maxRssBytes } = await agent.next("published", 120_000);
  return { ms: elapsedMs, cpuMs, rssBytes: maxRssBytes };
}

async function runProgram(name: string, args: readonly string[]): Promise<Run | undefined> {
  const startedAt = performance.now();
  const child = spawn(
    "/bin/sh",
    ["-c", `"$0" "$@"; code=$?; times >&2; exit $code`, name, ...args],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, "close")) as [number];
  if (code === 127) return undefined;
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${said}`);
  return { ms: performance.now() - startedAt, cpuMs: cpuOf(said) };
}

/** The second line of the shell's `times`: user and system time of its children. */
function cpuOf(said: string): number {
  const [, line = ""] = said.trim().split("\n").slice(-2);
  const times = line.matchAll(/(\d+)m([\d.]+)s/g);
  let ms = 0;
  for (const [, minutes, seconds] of times)
    ms += Number(minutes) * 60_000 + Number(seconds) * 1_000;
  return ms;
}

function rotated<Item>(items: readonly Item[], by: number): readonly Item[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
