/**
 * One file between peers, disk to disk: to one downloader, to four at a time, and to one that has an
 * origin besides, a tenth as fast as the peer.
 */
import { MiB } from "@shoal/core";
import { TestSite } from "../integration/harness.ts";
import { aria2BitTorrent } from "./contenders/programs.ts";
import { libtorrent, libtorrentWithWebSeed, webTorrent } from "./contenders/line-peers.ts";
import { shoalMixed, shoalPeers } from "./contenders/shoal.ts";
import { makeTorrent } from "./contenders/torrent.ts";
import type { Figure } from "./measure.ts";
import { compare, transferFigures, transferInTurns } from "./transfer.ts";
import type { Comparison, Contenders, Contest } from "./transfer.ts";

export interface PeersBenchOptions {
  readonly length: number;
  readonly rounds: number;
  /** A directory in whose `node_modules` WebTorrent is installed. */
  readonly webtorrent?: string | undefined;
}

/** Issue 7's: what must be reached, not the goal. */
const PAIR: readonly Comparison[] = [
  { ours: "shoal", theirs: "libtorrent", rate: 1.5, cpu: 0.75 },
  { ours: "shoal, noise", theirs: "libtorrent", rate: 1 },
  { ours: "shoal", theirs: "libtorrent, just started", rate: 1.5, cpu: 0.75 },
  { ours: "shoal, just started", theirs: "libtorrent, just started" },
  { ours: "shoal", theirs: "aria2c", rate: 2.5 },
  { ours: "shoal", theirs: "webtorrent", rate: 3 },
];
const FANOUT: readonly Comparison[] = [
  { ours: "shoal", theirs: "libtorrent", rate: 1 },
  { ours: "shoal", theirs: "libtorrent, just started", rate: 1 },
  { ours: "shoal, just started", theirs: "libtorrent, just started" },
];
const MIXED: readonly Comparison[] = [{ ours: "shoal", theirs: "libtorrent" }];
const FANOUT_DOWNLOADERS = 4;
const ORIGIN_SHARE = 0.1;

/** Of the warm-up: it shares no piece with what is measured. */
const WARM_UP_FIRST_COUNT = 2 ** 31;

/** One uploader, one downloader. */
export async function benchPair(options: PeersBenchOptions): Promise<Figure[]> {
  await using site = await TestSite.create();
  const contest = await contestOf(site, options);
  const contenders = {
    shoal: shoalPeers("both"),
    "shoal, noise": shoalPeers("noise"),
    "shoal, just started": shoalPeers("both", true),
  };
  const { torrent, warmUp, libtorrents } = await torrentsOf(contest);
  const others: Contenders =
    torrent === undefined
      ? ABSENT
      : {
          ...libtorrents,
          aria2c: aria2BitTorrent(torrent),
          webtorrent: webTorrent(torrent, options.webtorrent, warmUp),
        };
  const runs = await transferInTurns({ ...contenders, ...others }, contest);
  return [...transferFigures(runs, options), ...compare(runs, PAIR)];
}

/** One uploader, four downloaders that may help each other; the last of them counts. */
export async function benchFanout(options: PeersBenchOptions): Promise<Figure[]> {
  await using site = await TestSite.create();
  const contest = await contestOf(site, options);
  const { libtorrents } = await torrentsOf(contest);
  const all = { ...contest, downloaders: FANOUT_DOWNLOADERS };
  const ours = { shoal: shoalPeers("both"), "shoal, just started": shoalPeers("both", true) };
  const runs = await transferInTurns({ ...ours, ...libtorrents }, all);
  return [...transferFigures(runs, options), ...compare(runs, FANOUT)];
}

async function contestOf(site: TestSite, { length, rounds }: PeersBenchOptions) {
  const content = await site.publish("file.bin", length);
  const warmUp = await site.publish("warm-up.bin", length, WARM_UP_FIRST_COUNT);
  return { site, content, warmUp, rounds } satisfies Contest;
}

async function torrentsOf({ site, content, warmUp: other = content }: Contest) {
  const torrent = await makeTorrent(site, content);
  const warmUp = await makeTorrent(site, other);
  const libtorrents: Contenders =
    torrent === undefined
      ? ABSENT
      : {
          libtorrent: libtorrent(torrent, warmUp),
          "libtorrent, just started": libtorrent(torrent),
        };
  return { torrent, warmUp, libtorrents };
}

/** One peer, and an origin that sends a tenth of what the peer has just been seen to. */
export async function benchMixed(options: PeersBenchOptions): Promise<Figure[]> {
  await using site = await TestSite.create();
  const content = await site.publish("file.bin", options.length);
  const peerAlone = shoalPeers("both");
  const alone = await transferInTurns({ alone: peerAlone }, { site, content, rounds: 1 });
  const [{ ms } = { ms: NaN }] = alone.get("alone") ?? [];
  const rateBytesPerSec = ORIGIN_SHARE * (options.length / (ms / 1_000));
  const { url } = await site.serve(content, { rateBytesPerSec });
  const torrent = await makeTorrent(site, content);
  const others: Contenders =
    torrent === undefined ? ABSENT : { libtorrent: libtorrentWithWebSeed(torrent, url) };
  const contest = { site, content, rounds: options.rounds };
  const contenders = { shoal: shoalMixed(url), "shoal, peer alone": peerAlone, ...others };
  const runs = await transferInTurns(contenders, contest);
  const shaped = {
    name: "the origin's limit",
    value: rateBytesPerSec / MiB,
    unit: "MiB/s",
  } as const;
  const withoutOrigin = { ours: "shoal", theirs: "shoal, peer alone", rate: 1 };
  return [shaped, ...transferFigures(runs, options), ...compare(runs, [withoutOrigin, ...MIXED])];
}

const ABSENT: Contenders = { "mktorrent, which makes the others' torrents,": absent };

function absent(): Promise<undefined> {
  return Promise.resolve(undefined);
}
