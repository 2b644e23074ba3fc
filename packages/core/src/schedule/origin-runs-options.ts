/** What the origin's part of a transfer is given. Made by `Fetcher`, read by `OriginRuns`. */
import type { RangeMap } from "../job/ranges.ts";
import type { Validator } from "../ports/origin-port.ts";
import type { Random } from "../random.ts";
import type { Counters } from "../registry/counters.ts";
import type { Settings } from "../registry/settings.ts";
import type { Demand, Urgency } from "./demand.ts";
import type { FileSources } from "./file-sources.ts";
import type { OriginHosts } from "./origin-hosts.ts";
import type { Outbox } from "./outbox.ts";
import type { PeerTable } from "./peer-table.ts";

export interface OriginRunsDeps {
  readonly outbox: Outbox;
  readonly random: Random;
  readonly settings: Settings;
  readonly counters: Counters;
  readonly peers: PeerTable;
  readonly demand: Demand;
  readonly originHosts: OriginHosts;
}

export interface OriginRunsOptions {
  readonly transferId: number;
  readonly sources: FileSources;
  /** Without digests, the one place the bytes are from. */
  readonly sourceUrl: string | undefined;
  /** Pieces are checked by a manifest; without one, ranges may not be combined freely. */
  readonly verified: boolean;
  readonly validator?: Validator;
  readonly acceptsRanges: boolean;
  /** The user has named the URL, and a publisher what it stands for: another file is another file. */
  readonly isAnnounced: boolean;
  /** Where the pieces lie, when only ranges of the remote file are wanted. */
  readonly rangeMap?: RangeMap;
  readonly urgency: Urgency;
}
