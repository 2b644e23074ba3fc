/**
 * A set of pieces as a bit map. On the wire and on disk piece i is bit `7 - i % 8` of byte `i >> 3`
 * (most significant first, as in BitTorrent); spare bits of the last byte are zero.
 */
import { assertPiece } from "../assert.ts";
import type { PieceIndex } from "../units.ts";

export class PieceSet {
  readonly pieceCount: number;
  readonly #bytes: Uint8Array;
  #size = 0;

  constructor(pieceCount: number) {
    this.pieceCount = pieceCount;
    this.#bytes = new Uint8Array((pieceCount + 7) >> 3);
  }

  static full(pieceCount: number): PieceSet {
    const set = new PieceSet(pieceCount);
    set.#bytes.fill(0xff);
    if (pieceCount % 8 !== 0) set.#bytes[set.#bytes.length - 1] = 0xff << (8 - (pieceCount % 8));
    set.#size = pieceCount;
    return set;
  }

  /** Reads a bit map; `undefined` unless it has exactly the right length and no spare bits. */
  static fromBytes(pieceCount: number, bytes: Uint8Array): PieceSet | undefined {
    const set = new PieceSet(pieceCount);
    if (bytes.length !== set.#bytes.length) return undefined;
    const spare = pieceCount % 8;
    if (spare !== 0 && (bytes[bytes.length - 1]! & (0xff >> spare)) !== 0) return undefined;
    set.#bytes.set(bytes);
    for (let i = 0; i < bytes.length; i++) set.#size += POPULATION[bytes[i]!]!;
    return set;
  }

  /** How many pieces are in the set. */
  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size === this.pieceCount;
  }

  has(piece: PieceIndex): boolean {
    return (this.#bytes[piece >> 3]! & (0x80 >> (piece & 7))) !== 0;
  }

  /** Returns whether the set changed. */
  add(piece: PieceIndex): boolean {
    assertPiece(piece, this.pieceCount);
    if (this.has(piece)) return false;
    this.#bytes[piece >> 3]! |= 0x80 >> (piece & 7);
    this.#size++;
    return true;
  }

  /** Returns whether the set changed. */
  delete(piece: PieceIndex): boolean {
    assertPiece(piece, this.pieceCount);
    if (!this.has(piece)) return false;
    this.#bytes[piece >> 3]! &= ~(0x80 >> (piece & 7));
    this.#size--;
    return true;
  }

  clear(): void {
    this.#bytes.fill(0);
    this.#size = 0;
  }

  /** A copy of the bit map. */
  toBytes(): Uint8Array {
    return this.#bytes.slice();
  }

  *[Symbol.iterator](): Generator<PieceIndex> {
    for (let piece = 0; piece < this.pieceCount; piece++) {
      if (this.#bytes[piece >> 3] === 0) piece |= 7;
      else if (this.has(piece)) yield piece;
    }
  }
}

/** Bits set in each byte value. */
const POPULATION = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest > 0; rest >>= 1) count += rest & 1;
  return count;
});
