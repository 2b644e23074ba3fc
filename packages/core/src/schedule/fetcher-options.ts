/** What a fetcher is given, and how it stands. Read and written by `Fetcher` and its owner. */
import type { PieceLayout } from "../content/layout.ts";
import type { PieceSet } from "../content/piece-set.ts";
import type { RangeMap } from "../job/ranges.ts";
import type { Validator } from "../ports/origin-port.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { ContentId, TransferId } from "../units.ts";
import type { Urgency } from "./demand.ts";
import type { FileSources } from "./file-sources.ts";

export interface FetcherOptions {
  readonly transferId: TransferId;
  /** With a verified manifest; peers are used only then (R-MAN-01). */
  readonly contentId: ContentId | undefined;
  readonly layout: PieceLayout;
  readonly have: PieceSet;
  /** Bit map of missing pieces that the store looks for on this machine; it answers for each. */
  readonly reusable?: Uint8Array;
  readonly sources: FileSources;
  /** Without a manifest, the one place the bytes are from. */
  readonly sourceUrl: string | undefined;
  readonly validator?: Validator;
  readonly acceptsRanges: boolean;
  /** Where the pieces lie, when only ranges of the remote file are wanted. */
  readonly rangeMap?: RangeMap;
  readonly urgency: Urgency;
  /** Whether peers may have the content from us now; what they may not, they are not told of. */
  readonly mayServe: () => boolean;
  /** Counted up as bytes come. */
  readonly bytes: FetchBytes;
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
