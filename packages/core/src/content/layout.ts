/**
 * The piece layout of a content: where each piece begins and ends. All arithmetic between bytes and
 * pieces, and the rule of the shorter last piece, lives here and nowhere else.
 *
 *   fixed      |  64 KiB  |  64 KiB  |  64 KiB  | 3 |     one length, the last piece is shorter
 *   explicit   |  17 | 40      | 9 | 31    |   22   |     any lengths, for content-defined chunking
 *
 * Knows lengths and indexes. Knows neither digests nor bytes. Used by the manifest, the picker, the
 * scheduler, the store and the sources.
 */
import { assert, assertPiece } from "../assert.ts";
import { LIMITS } from "../registry/limits.ts";
import { KiB, MiB } from "../units.ts";
import type { ByteOffset, PieceIndex } from "../units.ts";

export type PieceBoundaries =
  | { readonly kind: "fixed"; readonly pieceLength: number }
  | { readonly kind: "explicit"; readonly lengths: Uint32Array };

export class PieceLayout {
  /** Bytes of the whole content. */
  readonly contentLength: number;
  readonly pieceCount: number;
  readonly boundaries: PieceBoundaries;
  /** Explicit layouts only: `#starts[i]` is where piece i begins; one more entry for the end. */
  readonly #starts: Float64Array | undefined;
  readonly #pieceLength: number;

  private constructor(contentLength: number, boundaries: PieceBoundaries) {
    this.contentLength = contentLength;
    this.boundaries = boundaries;
    if (boundaries.kind === "fixed") {
      this.#pieceLength = boundaries.pieceLength;
      this.pieceCount = Math.ceil(contentLength / boundaries.pieceLength);
      this.#starts = undefined;
      return;
    }
    const { lengths } = boundaries;
    this.#pieceLength = 0;
    this.pieceCount = lengths.length;
    this.#starts = new Float64Array(lengths.length + 1);
    let end = 0;
    for (let i = 0; i < lengths.length; i++) {
      end += lengths[i]!;
      this.#starts[i + 1] = end;
    }
    assert(end === contentLength, "explicit piece lengths must add up to the content length");
  }

  /** `pieceLength` in bytes, at least 1. An empty content has no pieces. */
  static fixed(contentLength: number, pieceLength: number): PieceLayout {
    assert(Number.isSafeInteger(contentLength) && contentLength >= 0, "content length");
    assert(Number.isSafeInteger(pieceLength) && pieceLength > 0, "piece length");
    return new PieceLayout(contentLength, { kind: "fixed", pieceLength });
  }

  /** `lengths` in bytes, each at least 1; kept, not copied. */
  static explicit(lengths: Uint32Array): PieceLayout {
    let total = 0;
    for (let i = 0; i < lengths.length; i++) {
      assert(lengths[i]! > 0, "an explicit piece cannot be empty");
      total += lengths[i]!;
    }
    return new PieceLayout(total, { kind: "explicit", lengths });
  }

  start(piece: PieceIndex): ByteOffset {
    assertPiece(piece, this.pieceCount);
    return this.#starts === undefined ? piece * this.#pieceLength : this.#starts[piece]!;
  }

  end(piece: PieceIndex): ByteOffset {
    assertPiece(piece, this.pieceCount);
    return this.#starts === undefined
      ? Math.min((piece + 1) * this.#pieceLength, this.contentLength)
      : this.#starts[piece + 1]!;
  }

  length(piece: PieceIndex): number {
    return this.end(piece) - this.start(piece);
  }

  /** The longest piece's length in bytes; 0 for an empty content. */
  get pieceLengthMax(): number {
    if (this.boundaries.kind === "fixed") return Math.min(this.#pieceLength, this.contentLength);
    return this.boundaries.lengths.reduce((max, length) => Math.max(max, length), 0);
  }

  /** The piece that holds the byte at `offset`, which must lie inside the content. */
  pieceAt(offset: ByteOffset): PieceIndex {
    assert(offset >= 0 && offset < this.contentLength, `offset ${offset}`);
    if (this.#starts === undefined) return Math.floor(offset / this.#pieceLength);
    let low = 0;
    let high = this.pieceCount - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Bytes of these pieces together. */
  bytesOf(pieces: { readonly size: number; has(piece: PieceIndex): boolean }): number {
    if (this.pieceCount === 0) return 0;
    const last = this.pieceCount - 1;
    if (this.#starts === undefined) {
      const missing = pieces.has(last) ? this.#pieceLength - this.length(last) : 0;
      return pieces.size * this.#pieceLength - missing;
    }
    let bytes = 0;
    for (let piece = 0; piece <= last; piece++) if (pieces.has(piece)) bytes += this.length(piece);
    return bytes;
  }

  /** How many whole pieces, at least one, fit into `bytes`, beginning with `first`. */
  piecesWithin(first: PieceIndex, bytes: number): number {
    const limit = this.start(first) + bytes;
    if (limit >= this.contentLength) return this.pieceCount - first;
    const last = this.pieceAt(limit);
    return Math.max(1, last - first);
  }
}

/**
 * The piece length for a content of `contentLength` bytes: a power of two that keeps the number of
 * pieces within about 200 to 4,000 (see the chunk count rule in docs/architecture.md), and never
 * above the manifest's limit of pieces.
 */
export function choosePieceLength(contentLength: number): number {
  if (contentLength <= 50 * MiB) return 256 * KiB;
  if (contentLength <= 200 * MiB) return 512 * KiB;
  let pieceLength = MiB;
  while (pieceLength < LIMITS.pieceLengthMax && contentLength / pieceLength > 4_096) {
    pieceLength *= 2;
  }
  return pieceLength;
}
