/** What a fetcher is given, and how it stands. Read and written by `Fetcher` and its owner. */
import type { PieceLayout } from "../content/layout.ts";
import type { PieceSet } from "../content/piece-set.ts";
import type { RangeMap } from "../job/ranges.ts";
import type { PeerClass } from "../policy/peer-class.ts";
import type { Validator } from "../ports/origin-port.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { ContentId, TransferId } from "../units.ts";
import type { PaceFlow } from "../pace/pace-flow.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import type { Urgency } from "./demand.ts";
import type { FileSources } from "./file-sources.ts";
import type { OriginRuns } from "./origin-runs.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { PieceLedger } from "./piece-ledger.ts";
import type { PieceRecord } from "./piece-record.ts";

export interface FetcherOptions {
  readonly transferId: TransferId;
  /** With a verified manifest; peers are used only then (R-MAN-01). */
  readonly contentId: ContentId | undefined;
  readonly layout: PieceLayout;
  readonly have: PieceSet;
  /** Bit map of missing pieces that the store looks for on this machine; it answers for each. */
  readonly reusable?: Uint8Array;
  /** Agrees with `have`; takes down where the others come from. */
  readonly record: PieceRecord;
  readonly sources: FileSources;
  /** Without a manifest, the one place the bytes are from. */
  readonly sourceUrl: string | undefined;
  readonly validator?: Validator;
  readonly acceptsRanges: boolean;
  /** The user has named the URL, and a publisher what it stands for: another file is another file. */
  readonly isAnnounced: boolean;
  /** Where the pieces lie, when only ranges of the remote file are wanted. */
  readonly rangeMap?: RangeMap;
  readonly urgency: Urgency;
  /** Whether peers may have the content from us now; what they may not, they are not told of. */
  readonly mayServe: () => boolean;
  /** A stream takes the pieces, and waits for each to be committed. */
  readonly isStreamed: boolean;
  /** Counted up as bytes come. */
  readonly bytes: FetchBytes;
  /** Counted up as bytes come from peers. */
  readonly receivedBytes: Record<PeerClass, number>;
}

export type FetchStatus =
  | { readonly name: "fetching" }
  | { readonly name: "complete" }
  /** What was stored cannot be continued and must be forgotten. */
  | { readonly name: "changed"; readonly because: ErrorInfo }
  | { readonly name: "failed"; readonly error: ErrorInfo; readonly transient: boolean };

/** Bytes received, by source, for snapshots. */
export interface FetchBytes {
  /** From the origin and its mirrors. */
  origin: number;
  cacheServers: number;
  peers: number;
  wasted: number;
  /** Found on this machine, not received. */
  reused: number;
}

/** What a fetcher works with, for those who explain what it does. */
export interface FetchParts {
  readonly contentId: ContentId | undefined;
  readonly sources: FileSources;
  readonly ledger: PieceLedger;
  readonly swarm: ContentSwarm;
  /** Absent: peers cannot be used. */
  readonly peers: PeerRequests | undefined;
  readonly origin: OriginRuns;
  readonly pace: PaceFlow;
}
