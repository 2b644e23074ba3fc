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
import { assert } from "../assert.ts";
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

/** Codes about pieces are among them; a code's number is its place. */
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
    const { shares, runs, runCount } = this.summary();
    const kept = runs.slice(0, LIMITS.sealedSharesMax);
    this.#sealed = { shares: withoutSmall(shares), runs: kept, runCount };
    this.#reasons = new Uint8Array();
    this.#from = new Uint16Array();
    this.#sources.length = 0;
    this.#indexes.clear();
  }

  /** Numbers alone until the end, since there may be 131,072 pieces, each a run of its own. */
  summary(): PieceSummary {
    if (this.#sealed !== undefined) return this.#sealed;
    const reasons = this.#reasons;
    const from = this.#from;
    const width = CODES.length + 1;
    const counts = new Uint32Array(this.#sources.length * width);
    const bytes = new Float64Array(counts.length);
    const runs: PieceRun[] = [];
    let runCount = 0;
    let before = -1;
    for (let piece = 0; piece < reasons.length; piece++) {
      const kind = reasons[piece] === 0 ? -1 : from[piece]! * width + reasons[piece]!;
      if (kind >= 0) {
        counts[kind]!++;
        bytes[kind]! += this.#layout.length(piece);
        if (kind !== before && ++runCount <= LIMITS.explainedRunsMax) {
          runs.push(this.#runAt(piece));
        }
      }
      before = kind;
    }
    return { shares: this.#sharesOf(counts, bytes), runs, runCount };
  }

  /** The longest run that begins with a piece that has an entry. */
  #runAt(firstPiece: PieceIndex): PieceRun {
    const reason = this.#reasons[firstPiece]!;
    const index = this.#from[firstPiece]!;
    let end = firstPiece;
    while (this.#reasons[end] === reason && this.#from[end] === index) end++;
    const source = this.#sources[index];
    const code = CODES[reason - 1];
    assert(source !== undefined && code !== undefined, "an entry has a source and a reason");
    return { firstPiece, pieceCount: end - firstPiece, source, code };
  }

  #sharesOf(counts: Uint32Array, bytes: Float64Array): SourceShare[] {
    const shares: SourceShare[] = [];
    for (const [index, source] of this.#sources.entries()) {
      for (const [at, code] of CODES.entries()) {
        const kind = index * (CODES.length + 1) + at + 1;
        const pieceCount = counts[kind]!;
        if (pieceCount > 0) shares.push({ source, code, pieceCount, bytes: bytes[kind]! });
      }
    }
    return shares.sort((a, b) => b.bytes - a.bytes);
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

/** The largest shares; what other peers have given is counted together, by reason. */
function withoutSmall(shares: readonly SourceShare[]): SourceShare[] {
  const kept = shares.slice(0, LIMITS.sealedSharesMax);
  const others = new Map<PieceReason, SourceShare>();
  for (const { source, code, ...share } of shares.slice(LIMITS.sealedSharesMax)) {
    // A file has few places, and this machine is one.
    if (source.kind !== "peer" && source.kind !== "otherPeers") {
      kept.push({ source, code, ...share });
      continue;
    }
    const before = others.get(code);
    others.set(code, {
      source: { kind: "otherPeers" },
      code,
      pieceCount: share.pieceCount + (before?.pieceCount ?? 0),
      bytes: share.bytes + (before?.bytes ?? 0),
    });
  }
  return [...kept, ...others.values()];
}

function keyOf(source: ExplainedSource): string {
  if (source.kind === "peer") return `peer ${source.peerId}`;
  return "host" in source ? `${source.kind} ${source.host}` : source.kind;
}
