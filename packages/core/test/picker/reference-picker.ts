/**
 * The picker's rules written plainly: sets, counting, and a sort for every question. `Picker` is
 * property-tested against it, and the benchmark uses it for comparison.
 */
import type { PieceSet } from "../../src/content/piece-set.ts";

export class ReferencePicker {
  readonly #pieceCount: number;
  readonly #addressOf: (slot: number) => string;
  readonly #sources = new Map<number, Set<number>>();
  readonly #held = new Set<number>();
  readonly #requests = new Map<number, number>();
  /** Asked for or held once, and come back. */
  readonly #returned = new Set<number>();

  constructor(pieceCount: number, addressOf = (slot: number): string => String(slot)) {
    this.#pieceCount = pieceCount;
    this.#addressOf = addressOf;
  }

  get slots(): number[] {
    return [...this.#sources.keys()];
  }

  get missingCount(): number {
    return this.#pieceCount - this.#held.size;
  }

  get freeCount(): number {
    return this.#pieces().filter((piece) => this.#isFree(piece)).length;
  }

  addSource(slot: number, have: PieceSet): void {
    this.#sources.set(slot, new Set(have));
  }

  removeSource(slot: number): void {
    this.#sources.delete(slot);
  }

  sourceHas(slot: number, piece: number): void {
    this.#sources.get(slot)?.add(piece);
  }

  sourceLost(slot: number, piece: number): void {
    this.#sources.get(slot)?.delete(piece);
  }

  sourceCount(slot: number): number {
    return this.#sources.get(slot)?.size ?? 0;
  }

  has(slot: number, piece: number): boolean {
    return this.#sources.get(slot)?.has(piece) ?? false;
  }

  markHeld(piece: number): void {
    this.#held.add(piece);
  }

  markMissing(piece: number): void {
    if (this.#held.delete(piece)) this.#returned.add(piece);
  }

  markRequested(piece: number): void {
    this.#requests.set(piece, this.requestedCount(piece) + 1);
  }

  unmarkRequested(piece: number): void {
    this.#requests.set(piece, this.requestedCount(piece) - 1);
    if (this.#isFree(piece)) this.#returned.add(piece);
  }

  isHeld(piece: number): boolean {
    return this.#held.has(piece);
  }

  requestedCount(piece: number): number {
    return this.#requests.get(piece) ?? 0;
  }

  availability(piece: number): number {
    const byAddress = new Map<string, number>();
    for (const [slot, have] of this.#sources) {
      const address = this.#addressOf(slot);
      if (have.has(piece)) byAddress.set(address, (byAddress.get(address) ?? 0) + 1);
    }
    return byAddress.values().reduce((sum, count) => sum + Math.min(2, count), 0);
  }

  interesting(slot: number): boolean {
    return this.#pieces().some((piece) => this.has(slot, piece) && !this.isHeld(piece));
  }

  /** Every piece that may be picked for the source, the best first. */
  pickable(slot: number): number[] {
    return this.#pieces()
      .filter((piece) => this.#isFree(piece) && this.has(slot, piece))
      .sort((a, b) => this.rank(a) - this.rank(b));
  }

  /** What the order of picks is made from: availability, then pieces that came back. */
  rank(piece: number): number {
    return 2 * this.availability(piece) + (this.#returned.has(piece) ? 0 : 1);
  }

  /** Every piece that may be asked of the source a second time. */
  pickableInEndgame(slot: number): number[] {
    return this.#pieces().filter(
      (piece) => !this.isHeld(piece) && this.requestedCount(piece) === 1 && this.has(slot, piece),
    );
  }

  #isFree(piece: number): boolean {
    return !this.isHeld(piece) && this.requestedCount(piece) === 0;
  }

  #pieces(): number[] {
    return Array.from({ length: this.#pieceCount }, (_, piece) => piece);
  }
}
