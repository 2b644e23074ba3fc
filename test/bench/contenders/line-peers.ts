/**
 * Contenders that are driven by lines: libtorrent by the script beside this file, WebTorrent by the
 * other. A script says `ready PORT` and `done`, and is told `meet PORT…`.
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ProcessMeter } from "../process-meter.ts";
import { RUN_TIMEOUT_MS } from "../transfer.ts";
import type { Contender, Transfer, Turn } from "../transfer.ts";
import { LineProcess } from "./line-process.ts";
import type { Torrent } from "./torrent.ts";

/** Debian's interpreter: its libtorrent is for no other. */
const PYTHON = "/usr/bin/python3";
const START_TIMEOUT_MS = 30_000;

type StartPeer = (role: "seed" | "get", directory: string) => LineProcess;

/** Alone from peers, or from a peer and a web seed that downloaders are told of. */
export function libtorrent({ path }: Torrent, webSeedUrl?: string): Contender {
  const script = fileURLToPath(new URL("libtorrent_peer.py", import.meta.url));
  return contender((role, directory) => {
    const webSeeds = role === "get" && webSeedUrl !== undefined ? [webSeedUrl] : [];
    return new LineProcess(PYTHON, [script, role, path, directory, ...webSeeds]);
  });
}

/** `place`: the directory in whose `node_modules` it is; `undefined`: nowhere. */
export function webTorrent({ path }: Torrent, place: string | undefined): Contender {
  if (place === undefined) return () => Promise.resolve(undefined);
  const script = fileURLToPath(new URL("webtorrent-peer.mjs", import.meta.url));
  return contender(
    (role, directory) => new LineProcess(process.execPath, [script, place, role, path, directory]),
  );
}

function contender(start: StartPeer): Contender {
  return async ({ content, directories, ready }: Turn): Promise<Transfer | undefined> => {
    await using stack = new AsyncDisposableStack();
    const seed = stack.use(start("seed", dirname(content.path)));
    const seedPort = await portOf(seed);
    if (seedPort === undefined) return undefined;
    const peers = directories.map((directory) => stack.use(start("get", directory)));
    const ports = await Promise.all(peers.map(portOf));
    await ready();
    const seedMeter = await ProcessMeter.start(seed.pid);
    const meters = await Promise.all(peers.map(({ pid }) => ProcessMeter.start(pid)));
    const startedAt = performance.now();
    for (const [index, peer] of peers.entries()) {
      peer.tell(["meet", seedPort, ...ports.slice(0, index)].join(" "));
    }
    await Promise.all(peers.map((peer) => peer.hear(["done"], RUN_TIMEOUT_MS)));
    const ms = performance.now() - startedAt;
    const used = await Promise.all(meters.map((meter) => meter.read()));
    const { cpuMs, peakRssBytes } = await seedMeter.read();
    return {
      ms,
      downloaderCpuMs: used.reduce((sum, usage) => sum + usage.cpuMs, 0) / used.length,
      downloaderRssBytes: Math.max(...used.map((usage) => usage.peakRssBytes)),
      uploaderCpuMs: cpuMs,
      uploaderRssBytes: peakRssBytes,
    };
  };
}

/** `undefined`: what the script needs is not installed. */
async function portOf(peer: LineProcess): Promise<string | undefined> {
  const [word, port] = await peer.hear(["ready", "absent"], START_TIMEOUT_MS);
  return word === "ready" ? port : undefined;
}
