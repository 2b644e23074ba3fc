/**
 * Where each piece of one file came from, and why: three bytes a piece while the file may change,
 * a short summary once it is published. A piece has an entry from the moment its bytes are handed to
 * the store until they prove corrupt or are lost, and never two.
 *
 *   note ──▶ entry ──corrupt, lost, begun anew: forget──▶ none
 *   unsealed ──seal──▶ sealed (the summary alone; notes are ignored)
 *
 * Decides nothing. Written by `PieceLedger` and `OriginRuns`, read by `explainJob`.
 */
import type { PieceLayout } from "../content/layout.ts";
import type { PieceSet } from "../content/piece-set.ts";
import { LIMITS } from "../registry/limits.ts";
import { REASONS } from "../registry/reasons.ts";
import type { PieceReason } from "../registry/reasons.ts";
import type { PeerId, PieceIndex } from "../units.ts";

/** Who delivered a piece. */
export type ExplainedSource =
  /** `host` is host and port, without anything that may be secret (R-LOG-01). */
  | { readonly kind: "origin" | "mirror" | "cacheServer"; readonly host: string }
  | { readonly kind: "peer"; readonly peerId: PeerId; readonly address: string }
  /** Peers beyond those that are told apart. */
  | { readonly kind: "otherPeers" }
  /** Nobody: it was on this machine. */
  | { readonly kind: "thisMachine" };

/** What came from one source for one reason. */
export interface SourceShare {
  readonly source: ExplainedSource;
  readonly code: PieceReason;
  readonly pieceCount: number;
  readonly bytes: number;
}

/** Pieces in a row with one source and one reason. */
export interface PieceRun {
  readonly firstPiece: PieceIndex;
  readonly pieceCount: number;
  readonly source: ExplainedSource;
  readonly code: PieceReason;
}

export interface PieceSummary {
  /** The largest first. */
  readonly shares: readonly SourceShare[];
  /** The first of them, at most `explainedRunsMax`. */
  readonly runs: readonly PieceRun[];
  /** How many runs there are. */
  readonly runCount: number;
}

const CODES = Object.keys(REASONS) as PieceReason[];
const THIS_MACHINE: ExplainedSource = { kind: "thisMachine" };

export class PieceRecord {
  readonly #layout: PieceLayout;
  /** Per piece: 0 for none, else one more than the reason's place in the table. */
  #reasons: Uint8Array;
  /** Per piece, for those that have a reason: an index of `#sources`. */
  #from: Uint16Array;
  readonly #sources: ExplainedSource[] = [];
  readonly #indexes = new Map<string, number>();
  #sealed: PieceSummary | undefined;

  constructor(layout: PieceLayout) {
    this.#layout = layout;
    this.#reasons = new Uint8Array(layout.pieceCount);
    this.#from = new Uint16Array(layout.pieceCount);
  }

  /** Whether it is a record of pieces that lie so, and can be written to. */
  fits({ pieceCount, contentLength }: PieceLayout): boolean {
    const { pieceCount: ownCount, contentLength: ownLength } = this.#layout;
    const isSame = pieceCount === ownCount && contentLength === ownLength;
    return isSame && this.#sealed === undefined;
  }

  /** Makes the record agree with what is held, of which some may have come before it began. */
  agree(have: PieceSet, code: "alreadyHere" | "beforeRestart"): void {
    for (let piece = 0; piece < this.#layout.pieceCount; piece++) {
      if (!have.has(piece)) this.forget(piece);
      else if (!this.has(piece)) this.noteHere(piece, code);
    }
  }

  has(piece: PieceIndex): boolean {
    return (this.#reasons[piece] ?? 0) > 0;
  }

  note(piece: PieceIndex, source: ExplainedSource, code: PieceReason): void {
    if (piece >= this.#reasons.length) return;
    this.#from[piece] = this.#indexOf(source);
    this.#reasons[piece] = CODES.indexOf(code) + 1;
  }

  noteHere(piece: PieceIndex, code: "reused" | "alreadyHere" | "beforeRestart"): void {
    this.note(piece, THIS_MACHINE, code);
  }

  forget(piece: PieceIndex): void {
    if (piece < this.#reasons.length) this.#reasons[piece] = 0;
  }

  /** unsealed -> sealed: nothing of the file changes any more. */
  seal(): void {
    if (this.#sealed !== undefined) return;
    this.#sealed = this.summary();
    this.#reasons = new Uint8Array();
    this.#from = new Uint16Array();
  }

  summary(): PieceSummary {
    if (this.#sealed !== undefined) return this.#sealed;
    const shares = new Map<number, { source: ExplainedSource } & SourceShareCount>();
    const runs: PieceRun[] = [];
    let runCount = 0;
    for (let piece = 0; piece < this.#reasons.length;) {
      const first = piece;
      const reason = this.#reasons[first]!;
      const from = this.#from[first]!;
      let bytes = 0;
      while (this.#reasons[piece] === reason && (reason === 0 || this.#from[piece] === from)) {
        bytes += this.#layout.length(piece++);
      }
      const source = this.#sources[from];
      const code = CODES[reason - 1];
      if (source === undefined || code === undefined) continue;
      const pieceCount = piece - first;
      const share = shares.get(from * 256 + reason) ?? { source, code, pieceCount: 0, bytes: 0 };
      share.pieceCount += pieceCount;
      share.bytes += bytes;
      shares.set(from * 256 + reason, share);
      if (runCount++ >= LIMITS.explainedRunsMax) continue;
      runs.push({ firstPiece: first, pieceCount, source, code });
    }
    const bySize = [...shares.values()].sort((a, b) => b.bytes - a.bytes);
    return { shares: bySize, runs, runCount };
  }

  #indexOf(source: ExplainedSource): number {
    const key = keyOf(source);
    const known = this.#indexes.get(key);
    if (known !== undefined) return known;
    if (source.kind === "peer" && this.#sources.length >= LIMITS.explainedSourcesMax) {
      return this.#indexOf({ kind: "otherPeers" });
    }
    // What else belongs to a place may be secret.
    const kept = "host" in source ? { kind: source.kind, host: source.host } : source;
    const index = this.#sources.push(kept) - 1;
    this.#indexes.set(key, index);
    return index;
  }
}

interface SourceShareCount {
  readonly code: PieceReason;
  pieceCount: number;
  bytes: number;
}

function keyOf(source: ExplainedSource): string {
  if (source.kind === "peer") return `peer ${source.peerId}`;
  return "host" in source ? `${source.kind} ${source.host}` : source.kind;
}
