/**
 * Which pieces of a content are where on their way to durability:
 *
 *   written     in the file, may be lost by a power cut
 *   syncing     covered by a sync that has begun
 *   claimed     synced and committed: what the store may say it has (I-2)
 *
 * Knows sets. Does no I/O. Used by `PartContent`.
 */
import { assert, PieceSet } from "@shoal/core";
import type { PieceIndex } from "@shoal/core";

export class PieceClaims {
  readonly #claimed: PieceSet;
  readonly #written = new Set<PieceIndex>();
  #syncing: ReadonlySet<PieceIndex> = new Set();

  constructor(claimed: PieceSet) {
    this.#claimed = claimed;
  }

  get isFull(): boolean {
    return this.#claimed.isFull;
  }

  get hasWritten(): boolean {
    return this.#written.size > 0;
  }

  has(piece: PieceIndex): boolean {
    return this.#claimed.has(piece);
  }

  /** Whether the file has the piece, durably or not. */
  isWritten(piece: PieceIndex): boolean {
    return this.has(piece) || this.#written.has(piece) || this.#syncing.has(piece);
  }

  addWritten(piece: PieceIndex): void {
    this.#written.add(piece);
  }

  /** written -> syncing, for everything written so far. */
  beginSync(): readonly PieceIndex[] {
    assert(this.#syncing.size === 0, "one sync at a time");
    this.#syncing = new Set(this.#written);
    this.#written.clear();
    return [...this.#syncing];
  }

  /** The bit map to commit after the sync: what is claimed and what the sync covered. */
  bytesWithSynced(): Uint8Array {
    const next = PieceSet.fromBytes(this.#claimed.pieceCount, this.bytes());
    assert(next !== undefined, "a copy of a bit map is a bit map");
    for (const piece of this.#syncing) next.add(piece);
    return next.toBytes();
  }

  /** syncing -> claimed, after the commit. */
  claimSynced(): void {
    for (const piece of this.#syncing) this.#claimed.add(piece);
    this.#syncing = new Set();
  }

  /** written, syncing -> missing (R-FS-09). */
  forgetUnclaimed(): void {
    this.#written.clear();
    this.#syncing = new Set();
  }

  /** claimed -> missing. */
  lose(piece: PieceIndex): void {
    this.#claimed.delete(piece);
  }

  clear(): void {
    this.forgetUnclaimed();
    this.#claimed.clear();
  }

  /** Pieces that are not claimed. */
  missing(): PieceIndex[] {
    const pieces: PieceIndex[] = [];
    for (let piece = 0; piece < this.#claimed.pieceCount; piece++) {
      if (!this.#claimed.has(piece)) pieces.push(piece);
    }
    return pieces;
  }

  /** A copy of the bit map of claimed pieces. */
  bytes(): Uint8Array {
    return this.#claimed.toBytes();
  }

  /** No piece is counted twice. */
  checkInvariants(): void {
    for (const piece of this.#written) {
      assert(!this.#claimed.has(piece), `piece ${piece} is written and claimed`);
      assert(!this.#syncing.has(piece), `piece ${piece} is written and syncing`);
    }
    for (const piece of this.#syncing) {
      assert(!this.#claimed.has(piece), `piece ${piece} is syncing and claimed`);
    }
  }
}
