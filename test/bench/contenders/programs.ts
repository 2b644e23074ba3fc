/**
 * Contenders that are programs which do their work and end: curl and aria2c. What they have used is
 * read until they are gone, so that the last hundredth of a second may be missing.
 */
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ProcessMeter, readUsage } from "../process-meter.ts";
import type { Usage } from "../process-meter.ts";
import { RUN_TIMEOUT_MS } from "../transfer.ts";
import type { Contender, Transfer } from "../transfer.ts";
import { LineProcess } from "./line-process.ts";
import type { Torrent } from "./torrent.ts";

const SAMPLE_MS = 10;

export function curl(url: string): Contender {
  return async ({ content, directories: [directory = ""], ready }) => {
    await ready();
    return run("curl", ["-sf", "-o", join(directory, content.name), url]);
  };
}

const ARIA2 = ["--no-conf", "-q", "--file-allocation=none"];

/** Four connections, as many as Shoal opens. */
export function aria2Http(url: string): Contender {
  return async ({ content, directories: [directory = ""], ready }) => {
    await ready();
    return run("aria2c", [
      ...ARIA2,
      "-x4",
      "-s4",
      "-k1M",
      "-d",
      directory,
      "-o",
      content.name,
      url,
    ]);
  };
}

const ARIA2_BITTORRENT = [
  ...ARIA2,
  "--enable-dht=false",
  "--enable-dht6=false",
  "--bt-enable-lpd=false",
  "--bt-tracker-interval=1",
  "--listen-port=40000-60000",
];

/** One peer to another; they find each other by the tracker. */
export function aria2BitTorrent({ path, tracker }: Torrent): Contender {
  return async ({ content, directories: [directory = ""], ready }) => {
    tracker.forget();
    const place = ["-d", dirname(content.path)];
    const seeding = ["--bt-seed-unverified=true", "--seed-ratio=0"];
    await using seed = new LineProcess("aria2c", [...ARIA2_BITTORRENT, ...seeding, ...place, path]);
    if (seed.pid === undefined) return undefined;
    await tracker.announced();
    await ready();
    const meter = await ProcessMeter.start(seed.pid);
    const downloading = ["--seed-time=0", "-d", directory];
    const transfer = await run("aria2c", [...ARIA2_BITTORRENT, ...downloading, path]);
    const { cpuMs, peakRssBytes } = await meter.read();
    return transfer && { ...transfer, uploaderCpuMs: cpuMs, uploaderRssBytes: peakRssBytes };
  };
}

/** The whole of a process is measured; `undefined` when there is no such program. */
async function run(name: string, args: readonly string[]): Promise<Transfer | undefined> {
  const startedAt = performance.now();
  await using program = new LineProcess(name, args);
  const { pid } = program;
  if (pid === undefined) return undefined;
  const ended = program.end(RUN_TIMEOUT_MS);
  let isRunning = true;
  const settled = ended.catch(() => {}).then(() => (isRunning = false));
  let used: Usage = { cpuMs: 0, peakRssBytes: 0 };
  while (isRunning) {
    used = (await readUsage(pid)) ?? used;
    await Promise.race([settled, delay(SAMPLE_MS)]);
  }
  await ended;
  const ms = performance.now() - startedAt;
  return { ms, downloaderCpuMs: used.cpuMs, downloaderRssBytes: used.peakRssBytes };
}
