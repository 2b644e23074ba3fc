/**
 * Turns the bytes of a file, as they come from an origin in order, into pieces in pooled buffers.
 * Holds at most one buffer, from a piece's first byte to its last. Called for every network buffer:
 * the cost is one copy of the bytes and no allocation.
 */
import { assert, copyInto } from "@shoal/core";
import type { PieceBufferPool, PieceBytes, PieceIndex, PieceLayout } from "@shoal/core";

export interface PieceRun {
  readonly layout: PieceLayout;
  readonly firstPiece: PieceIndex;
  /** At least 1. */
  readonly pieceCount: number;
}

export class PieceFiller {
  readonly #run: PieceRun;
  readonly #pool: PieceBufferPool;
  readonly #onPiece: (piece: PieceIndex, bytes: PieceBytes) => void;
  #buffer: PieceBytes | undefined;
  #filled = 0;
  #isAbandoned = false;
  #piece: PieceIndex;
  #nextOffset: number;

  /** `startOffset`: where the first byte pushed lies in the content. Those before the run drop. */
  constructor(
    run: PieceRun & { readonly startOffset: number },
    deps: { pool: PieceBufferPool; onPiece: (piece: PieceIndex, bytes: PieceBytes) => void },
  ) {
    assert(run.pieceCount > 0, "a run has at least one piece");
    this.#run = run;
    this.#pool = deps.pool;
    this.#onPiece = deps.onPiece;
    this.#piece = run.firstPiece;
    this.#nextOffset = run.startOffset;
  }

  /** Where the next byte lies in the content. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  /** Whether every piece of the run has been handed out; never when abandoned. */
  get isComplete(): boolean {
    const end = this.#run.firstPiece + this.#run.pieceCount;
    return this.#piece === end && !this.#isAbandoned;
  }

  /** Takes the next bytes, which may be reused afterwards. Bytes after the run drop. */
  push(bytes: Uint8Array): void {
    let offset = 0;
    const first = this.#run.layout.start(this.#run.firstPiece);
    if (this.#nextOffset < first) offset = Math.min(first - this.#nextOffset, bytes.length);
    this.#nextOffset += offset;
    while (offset < bytes.length && !this.isComplete && !this.#isAbandoned) {
      this.#buffer ??= this.#pool.take(this.#run.layout.length(this.#piece));
      const target = this.#buffer.bytes;
      const length = Math.min(bytes.length - offset, target.length - this.#filled);
      const whole = length === bytes.length;
      copyInto(target, this.#filled, whole ? bytes : bytes.subarray(offset, offset + length));
      this.#filled += length;
      this.#nextOffset += length;
      offset += length;
      if (this.#filled === target.length) this.#handOut();
    }
    this.#nextOffset += bytes.length - offset;
  }

  /** Gives a partly filled buffer back and drops whatever is still pushed. */
  abandon(): void {
    this.#buffer?.release();
    this.#buffer = undefined;
    this.#isAbandoned = true;
  }

  #handOut(): void {
    const buffer = this.#buffer;
    assert(buffer !== undefined, "a whole piece has a buffer");
    this.#buffer = undefined;
    this.#filled = 0;
    this.#onPiece(this.#piece++, buffer);
  }
}
