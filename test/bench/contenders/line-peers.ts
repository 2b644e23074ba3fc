/**
 * Contenders that are driven by lines: libtorrent by the script beside this file, WebTorrent by the
 * other. A script says `ready PORT`, and is told `meet PORT…` for the transfer, at whose end it says
 * `done`, and before that `warm PORT…` for another that warms it up, at whose end it says `warm`.
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

/** A torrent and where its file is, or goes; those of the transfer, then those of the warm-up. */
type StartPeer = (role: "seed" | "get", places: readonly string[]) => LineProcess;

/** From peers, which transfer the torrent `warmUp` before, if it is given. */
export function libtorrent(torrent: Torrent, warmUp?: Torrent): Contender {
  return libtorrentWith([], torrent, warmUp);
}

/** From a peer and a web seed. */
export function libtorrentWithWebSeed(torrent: Torrent, url: string): Contender {
  return libtorrentWith(["--web-seed", url], torrent);
}

function libtorrentWith(webSeed: readonly string[], torrent: Torrent, warmUp?: Torrent): Contender {
  const script = fileURLToPath(new URL("libtorrent_peer.py", import.meta.url));
  const start: StartPeer = (role, places) =>
    new LineProcess(PYTHON, [script, ...(role === "get" ? webSeed : []), role, ...places]);
  return contender(start, torrent, warmUp);
}

/** `place`: the directory in whose `node_modules` it is; `undefined`: nowhere. */
export function webTorrent(
  torrent: Torrent,
  place: string | undefined,
  warmUp?: Torrent,
): Contender {
  if (place === undefined) return () => Promise.resolve(undefined);
  const script = fileURLToPath(new URL("webtorrent-peer.mjs", import.meta.url));
  const start: StartPeer = (role, places) =>
    new LineProcess(process.execPath, [script, place, role, ...places]);
  return contender(start, torrent, warmUp);
}

function contender(start: StartPeer, torrent: Torrent, warmTorrent?: Torrent): Contender {
  return async (turn: Turn): Promise<Transfer | undefined> => {
    const { content, directories, ready, warmUp } = turn;
    const placesOf = (copy: string, warmCopy: string | undefined): readonly string[] => [
      torrent.path,
      copy,
      ...(warmTorrent === undefined || warmCopy === undefined ? [] : [warmTorrent.path, warmCopy]),
    ];
    await using stack = new AsyncDisposableStack();
    const originals = placesOf(dirname(content.path), warmUp && dirname(warmUp.content.path));
    const seed = stack.use(start("seed", originals));
    const seedPort = await portOf(seed);
    if (seedPort === undefined) return undefined;
    const peers = directories.map((directory, index) =>
      stack.use(start("get", placesOf(directory, warmUp?.directories[index]))),
    );
    const ports = await Promise.all(peers.map(portOf));
    const fetch = async (verb: "warm" | "meet", said: string): Promise<void> => {
      for (const [index, peer] of peers.entries()) {
        peer.tell([verb, seedPort, ...ports.slice(0, index)].join(" "));
      }
      await Promise.all(peers.map((peer) => peer.hear([said], RUN_TIMEOUT_MS)));
    };
    if (warmTorrent !== undefined && warmUp !== undefined) await fetch("warm", "warm");
    await ready();
    const seedMeter = await ProcessMeter.start(seed.pid);
    const meters = await Promise.all(peers.map(({ pid }) => ProcessMeter.start(pid)));
    const startedAt = performance.now();
    await fetch("meet", "done");
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
