/**
 * The free pieces in order of rarity, in groups of equal rank, in random order inside a group:
 *
 *   places   | 7 2 | 5 | | 9 1 4 | 3 |     free pieces
 *   group      0     1  2   3      4       a piece's rank, lowest first
 *   ends         2   3  3     6    7       #ends[group]: the place after the group's last
 *
 * A piece moves to a neighbouring group by changing places with the piece at the boundary, and then
 * with a random member of its new group, which keeps ties random. So a move costs one step per
 * boundary crossed, however many pieces there are.
 *
 * Knows pieces and ranks. Knows nothing of sources, or why a rank is what it is. Called by `Picker`.
 */
import { assert } from "../assert.ts";
import type { Random } from "../random.ts";
import type { PieceIndex } from "../units.ts";

export class RarityOrder {
  readonly #random: Random;
  readonly #places: Uint32Array;
  /** Back-index: the place of each piece; without meaning for pieces that are not in the order. */
  readonly #placeOf: Uint32Array;
  #ends = new Uint32Array(16);
  #groupCount = 0;
  #length = 0;
  #steps = 0;

  constructor(pieceCount: number, random: Random) {
    this.#random = random;
    this.#places = new Uint32Array(pieceCount);
    this.#placeOf = new Uint32Array(pieceCount);
  }

  get length(): number {
    return this.#length;
  }

  /** Boundaries crossed so far: the cost of all moves, for benchmarks. */
  get steps(): number {
    return this.#steps;
  }

  /** The piece at a place in [0, length). */
  at(place: number): PieceIndex {
    return this.#places[place]!;
  }

  /** The place of a piece that is in the order. */
  placeOf(piece: PieceIndex): number {
    return this.#placeOf[piece]!;
  }

  /** The place where the pieces of `rank` or more begin. */
  startOf(rank: number): number {
    if (rank === 0) return 0;
    return rank > this.#groupCount ? this.#length : this.#ends[rank - 1]!;
  }

  insert(piece: PieceIndex, rank: number): void {
    this.#ensureGroup(rank);
    let hole = this.#length++;
    for (let group = this.#groupCount - 1; group > rank; group--) {
      hole = this.#shift(this.#ends[group - 1]!, hole);
      this.#ends[group]!++;
      this.#steps++;
    }
    this.#ends[rank]!++;
    this.#put(piece, hole, rank);
  }

  remove(piece: PieceIndex, rank: number): void {
    let hole = this.placeOf(piece);
    for (let group = rank; group < this.#groupCount; group++) {
      hole = this.#shift(--this.#ends[group]!, hole);
      this.#steps++;
    }
    this.#length--;
  }

  /** Moves a piece from a rank to a higher one. */
  raise(piece: PieceIndex, rank: number, higher: number): void {
    this.#ensureGroup(higher);
    let hole = this.placeOf(piece);
    for (let group = rank; group < higher; group++) {
      hole = this.#shift(--this.#ends[group]!, hole);
      this.#steps++;
    }
    this.#put(piece, hole, higher);
  }

  /** Moves a piece from a rank to a lower one. */
  lower(piece: PieceIndex, rank: number, lower: number): void {
    let hole = this.placeOf(piece);
    for (let group = rank - 1; group >= lower; group--) {
      hole = this.#shift(this.#ends[group]!++, hole);
      this.#steps++;
    }
    this.#put(piece, hole, lower);
  }

  /**
   * Builds the order anew from all pieces whose `isOut` is 0, ranked by `ranks`: a counting sort
   * that shuffles each group as it fills it. O(pieces + groups).
   */
  rebuild(ranks: Uint32Array, isOut: Uint8Array): void {
    let rankMax = 0;
    for (let piece = 0; piece < ranks.length; piece++) {
      if (isOut[piece] === 0 && ranks[piece]! > rankMax) rankMax = ranks[piece]!;
    }
    this.#ends.fill(0);
    this.#groupCount = 0;
    this.#length = 0;
    this.#ensureGroup(rankMax);
    for (let piece = 0; piece < ranks.length; piece++) {
      if (isOut[piece] === 0) this.#ends[ranks[piece]!]!++;
    }
    // From counts to starts; filling a group then moves its start to its end.
    for (let group = 0; group <= rankMax; group++) {
      const count = this.#ends[group]!;
      this.#ends[group] = this.#length;
      this.#length += count;
    }
    const starts = this.#ends.slice();
    for (let piece = 0; piece < ranks.length; piece++) {
      if (isOut[piece] !== 0) continue;
      const rank = ranks[piece]!;
      const start = starts[rank]!;
      const end = this.#ends[rank]!++;
      const place = start + this.#random.below(end + 1 - start);
      this.#shift(place, end);
      this.#places[place] = piece;
      this.#placeOf[piece] = place;
    }
  }

  checkInvariants(ranks: Uint32Array, isOut: Uint8Array): void {
    let place = 0;
    for (let group = 0; group < this.#groupCount; group++) {
      const end = this.#ends[group]!;
      assert(end >= place && end <= this.#length, "groups must lie one after the other");
      for (; place < end; place++) {
        const piece = this.#places[place]!;
        assert(this.#placeOf[piece] === place, `the back-index of piece ${piece} is wrong`);
        assert(ranks[piece] === group, `piece ${piece} is in the wrong group`);
        assert(isOut[piece] === 0, `piece ${piece} is in the order though it is not free`);
      }
    }
    assert(place === this.#length, "the groups must cover the order");
  }

  /**
   * Moves the piece at `from` into the hole at `to`, and returns the new hole. In an empty group
   * the two are one place, and what stands there is stale.
   */
  #shift(from: number, to: number): number {
    if (from === to) return from;
    const piece = this.#places[from]!;
    this.#places[to] = piece;
    this.#placeOf[piece] = to;
    return from;
  }

  /** Puts a piece at a random place of its group; the hole must lie in the group. */
  #put(piece: PieceIndex, hole: number, rank: number): void {
    const start = this.startOf(rank);
    const place = start + this.#random.below(this.#ends[rank]! - start);
    this.#shift(place, hole);
    this.#places[place] = piece;
    this.#placeOf[piece] = place;
  }

  #ensureGroup(rank: number): void {
    if (rank < this.#groupCount) return;
    if (rank >= this.#ends.length) {
      const grown = new Uint32Array(2 * (rank + 1));
      grown.set(this.#ends);
      this.#ends = grown;
    }
    this.#ends.fill(this.#length, this.#groupCount, rank + 1);
    this.#groupCount = rank + 1;
  }
}
