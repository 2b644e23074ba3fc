/**
 * The picker: which pieces next, for this source. Rarest first among free pieces, ties random.
 *
 * Knows which pieces each source claims, which we hold, and requests in flight; a source is a small
 * number, its slot. Called by the scheduler, one picker per transfer, with input it has checked.
 * Method: swarm-algorithms reference, section 2, over typed arrays.
 *
 *                  markRequested                  markHeld
 *   missing: free ---------------> in flight, 1 or 2 ---------> held
 *             ^     unmarkRequested      |                        |
 *             |--------------------------+        markMissing     |
 *             |---------------------------------------------------+
 *
 * Rank of a piece: 2 × (partial sources that have it) + (0 when it was asked for before and came
 * back, else 1). Complete sources are counted once, apart, so they change no rank. Of the sources
 * of one address two at most count for a piece (R-SCH-04).
 *
 * Cost, for M pieces and P partial sources: a HAVE or a loss moves one piece across two group
 * boundaries, whatever M is, and looks at the sources of its address. `mark…` touches a bit of each
 * partial source. A large bitfield makes the next pick sort anew, O(M + P). A pick costs a step per
 * piece it skips, or M/32 where the source has few free pieces; nothing when it has none.
 */
import { assert, assertPiece } from "../assert.ts";
import type { PieceSet } from "../content/piece-set.ts";
import type { Random } from "../random.ts";
import type { PieceIndex } from "../units.ts";
import { Bitmap } from "./bitmap.ts";
import { RarityOrder } from "./rarity-order.ts";
import { Selection } from "./selection.ts";
import { addCounted, isCounted, isSeed, partialsCountedMax, SourceTable } from "./source-table.ts";
import type { Source, SourceGroup } from "./source-table.ts";

/** Pieces held before rarity counts; until then any piece is good to have something to give. */
const COLD_START_PIECES = 4;
/** A bitfield of fewer pieces than this is applied piece by piece (libtorrent's figure). */
const FEW_PIECES = 50;
/** The lowest rank of a piece that some partial source has. */
const PARTIAL_RANK_MIN = 2;

/** A piece's state: requests in flight in the low bits, and whether we hold it. 0 is free. */
const REQUESTED = 0b011;
const REQUESTS_MAX = 2;
const HELD = 0b100;

export class Picker {
  readonly #pieceCount: number;
  readonly #random: Random;
  readonly #addressOf: (slot: number) => string;
  readonly #sources = new SourceTable();
  readonly #ranks: Uint32Array;
  readonly #states: Uint8Array;
  readonly #free: Bitmap;
  #freeCount: number;
  #missingCount: number;
  /** Pieces that are missing and requested. */
  readonly #inFlight: PieceIndex[] = [];
  readonly #order: RarityOrder;
  /** The order is out of date and is not kept up until the next pick. */
  #isDirty = true;
  readonly #selection: Selection;
  /** Room for a list of one source's pieces, used and done with inside one call. */
  readonly #listed: Uint32Array;

  /** `addressOf` is asked when a source comes. Default: no two sources share an address. */
  constructor(pieceCount: number, random: Random, addressOf: (slot: number) => string = String) {
    this.#pieceCount = pieceCount;
    this.#random = random;
    this.#addressOf = addressOf;
    this.#ranks = new Uint32Array(pieceCount).fill(1);
    this.#states = new Uint8Array(pieceCount);
    this.#free = new Bitmap(pieceCount);
    for (let piece = 0; piece < pieceCount; piece++) this.#free.add(piece);
    this.#freeCount = this.#missingCount = pieceCount;
    this.#order = new RarityOrder(pieceCount, random);
    this.#listed = new Uint32Array(pieceCount);
    this.#selection = new Selection({
      order: this.#order,
      free: this.#free,
      listed: this.#listed,
      random,
    });
  }

  /** Pieces that are not held. */
  get missingCount(): number {
    return this.#missingCount;
  }

  /** Pieces that are not held and not requested. */
  get freeCount(): number {
    return this.#freeCount;
  }

  /** Boundaries crossed and places looked at so far; the cost of the work, for benchmarks. */
  get steps(): number {
    return this.#order.steps + this.#selection.steps;
  }

  /** How many sources have the piece, complete ones included, and two at most of one address. */
  availability(piece: PieceIndex): number {
    return this.#sources.countedSeeds + (this.#ranks[piece]! >>> 1);
  }

  isHeld(piece: PieceIndex): boolean {
    return (this.#states[piece]! & HELD) !== 0;
  }

  /** Requests in flight for the piece. */
  requestedCount(piece: PieceIndex): number {
    return this.#states[piece]! & REQUESTED;
  }

  has(slot: number, piece: PieceIndex): boolean {
    return this.#sources.get(slot).have.has(piece);
  }

  hasSource(slot: number): boolean {
    return this.#sources.has(slot);
  }

  /** What the source has, as `PieceSet.toBytes` gives it. */
  haveMap(slot: number): Uint8Array {
    return this.#sources.get(slot).have.toBytes((this.#pieceCount + 7) >> 3);
  }

  /** How many pieces the source has. */
  sourceCount(slot: number): number {
    return this.#sources.get(slot).haveCount;
  }

  /** Whether some source has a piece that is neither held nor requested. O(1). */
  hasFreeOffer(): boolean {
    return this.#freeCount > 0 && (this.#sources.hasSeeds || this.#sources.hasOffering);
  }

  /** Whether the source has a piece that we do not hold. O(1). */
  interesting(slot: number): boolean {
    const source = this.#sources.get(slot);
    return (isSeed(source) ? this.#missingCount : source.missingCount) > 0;
  }

  /** A source has come, or says anew what it has. `have` is copied. */
  addSource(slot: number, have: PieceSet): void {
    assert(have.pieceCount === this.#pieceCount, "a source's pieces must be those of the content");
    if (this.#sources.has(slot)) this.removeSource(slot);
    const group = this.#sources.group(this.#addressOf(slot));
    const add = (): Source => this.#sources.add(slot, have, group);
    if (have.isFull) return this.#changeSeeds(group, add);
    const source = add();
    this.#countPieces(source);
    this.#changeRanks(source, 2);
  }

  removeSource(slot: number): void {
    const source = this.#sources.get(slot);
    const remove = (): void => this.#sources.remove(slot);
    if (isSeed(source)) return this.#changeSeeds(source.group, remove);
    this.#changeRanks(source, -2);
    remove();
  }

  /** A HAVE. Does nothing when the source has the piece already. */
  sourceHas(slot: number, piece: PieceIndex): void {
    assertPiece(piece, this.#pieceCount);
    const source = this.#sources.get(slot);
    if (source.have.has(piece)) return;
    source.haveCount++;
    if (source.haveCount === this.#pieceCount) {
      this.#changeSeeds(source.group, () => {
        source.have.add(piece);
        this.#sources.makeSeed(source);
      });
      return;
    }
    source.have.add(piece);
    if (isCounted(source, piece)) this.#changeRank(piece, 2);
    const state = this.#states[piece]!;
    if ((state & HELD) === 0) source.missingCount++;
    if (state !== 0) return;
    this.#sources.setFree(source, source.freeCount + 1);
    source.rankMin = Math.min(source.rankMin, this.#ranks[piece]!);
  }

  /** A source turned out not to have the piece. Does nothing when it never said so. */
  sourceLost(slot: number, piece: PieceIndex): void {
    assertPiece(piece, this.#pieceCount);
    const source = this.#sources.get(slot);
    if (!source.have.has(piece)) return;
    source.haveCount--;
    if (isSeed(source)) {
      this.#changeSeeds(source.group, () => {
        source.have.delete(piece);
        this.#sources.makePartial(source);
      });
      this.#countPieces(source);
      return;
    }
    const didCount = isCounted(source, piece);
    source.have.delete(piece);
    const state = this.#states[piece]!;
    if ((state & HELD) === 0) source.missingCount--;
    if (state === 0) this.#sources.setFree(source, source.freeCount - 1);
    if (didCount) this.#changeRank(piece, -2);
  }

  /** missing -> held: verified, or on its way to the disk. Does nothing when it is held already. */
  markHeld(piece: PieceIndex): void {
    assertPiece(piece, this.#pieceCount);
    const state = this.#states[piece]!;
    if ((state & HELD) !== 0) return;
    if (state === 0) this.#leaveFree(piece);
    else this.#leaveInFlight(piece);
    this.#states[piece] = state | HELD;
    this.#missingCount--;
    for (const source of this.#sources.partials) if (source.have.has(piece)) source.missingCount--;
  }

  /** held -> missing: corrupt or lost. Does nothing when it is missing already. */
  markMissing(piece: PieceIndex): void {
    assertPiece(piece, this.#pieceCount);
    const state = this.#states[piece]!;
    if ((state & HELD) === 0) return;
    this.#states[piece] = state & REQUESTED;
    this.#missingCount++;
    for (const source of this.#sources.partials) if (source.have.has(piece)) source.missingCount++;
    if (state === HELD) this.#enterFree(piece);
    else this.#inFlight.push(piece);
  }

  /** One more request for a missing piece is in flight; two at most. */
  markRequested(piece: PieceIndex): void {
    assertPiece(piece, this.#pieceCount);
    const state = this.#states[piece]!;
    assert(state < REQUESTS_MAX, "the piece is held, or asked of two sources already");
    if (state === 0) {
      this.#leaveFree(piece);
      this.#inFlight.push(piece);
    }
    this.#states[piece] = state + 1;
  }

  /** A request has ended in any way. */
  unmarkRequested(piece: PieceIndex): void {
    assertPiece(piece, this.#pieceCount);
    assert(this.requestedCount(piece) > 0, "the piece is not requested");
    if (--this.#states[piece]! !== 0) return;
    this.#leaveInFlight(piece);
    this.#enterFree(piece);
  }

  /**
   * Writes up to `count` free pieces that the source has to `out`, rarest first, ties random; any
   * of them at random until four pieces are held. Returns how many. Picking changes nothing: the
   * caller marks what it asks for.
   */
  pick(slot: number, count: number, out: Uint32Array): number {
    const source = this.#sources.get(slot);
    const freeCount = isSeed(source) ? this.#freeCount : source.freeCount;
    const limit = Math.min(count, freeCount, out.length);
    if (limit === 0) return 0;
    this.#sortAnew();
    const begin = isSeed(source) ? 0 : this.#order.startOf(source.rankMin);
    const want = { have: source.have, freeCount, limit, begin };
    const heldCount = this.#pieceCount - this.#missingCount;
    if (heldCount < COLD_START_PIECES) return this.#selection.some(want, out);
    const picked = this.#selection.first(want, out);
    source.rankMin = this.#ranks[out[0]!]!;
    return picked;
  }

  /**
   * Writes up to `count` missing pieces that the source has and that are requested exactly once to
   * `out`, in random order; returns how many. The caller leaves out what it asked of this source.
   */
  pickEndgame(slot: number, count: number, out: Uint32Array): number {
    const { have } = this.#sources.get(slot);
    const limit = Math.min(count, out.length);
    const pieces = this.#inFlight;
    let picked = 0;
    for (let i = 0; i < pieces.length && picked < limit; i++) {
      const other = i + this.#random.below(pieces.length - i);
      const piece = pieces[other]!;
      pieces[other] = pieces[i]!;
      pieces[i] = piece;
      if (this.#states[piece] === 1 && have.has(piece)) out[picked++] = piece;
    }
    return picked;
  }

  /** Compares every count and index with what it is made from. O(M × P): for tests. */
  checkInvariants(): void {
    const isFree = this.#states.map((state) => (state === 0 ? 1 : 0));
    const isHeld = this.#states.map((state) => ((state & HELD) === 0 ? 0 : 1));
    this.#sources.checkInvariants(isFree, isHeld);
    let freeCount = 0;
    let missingCount = 0;
    for (let piece = 0; piece < this.#pieceCount; piece++) {
      freeCount += isFree[piece]!;
      missingCount += 1 - isHeld[piece]!;
      assert(this.#free.has(piece) === (isFree[piece] === 1), `piece ${piece}: free bit`);
      const isInFlight = isFree[piece] === 0 && isHeld[piece] === 0;
      assert(this.#inFlight.includes(piece) === isInFlight, `piece ${piece}: in flight`);
      const owners = this.#sources.partials.filter(({ have }) => have.has(piece));
      const counted = this.#sources.partialsCounted(piece);
      assert(this.#ranks[piece]! >>> 1 === counted, `piece ${piece}: availability`);
      if (this.#isDirty || isFree[piece] === 0) continue;
      for (const { rankMin } of owners) assert(rankMin <= this.#ranks[piece]!, "lowest rank");
    }
    assert(freeCount === this.#freeCount, "free pieces must be counted");
    assert(missingCount === this.#missingCount, "missing pieces must be counted");
    assert(this.#inFlight.length === missingCount - freeCount, "no piece is in flight twice");
    if (this.#isDirty) return;
    assert(this.#order.length === this.#freeCount, "every free piece must be in the order");
    this.#order.checkInvariants(this.#ranks, this.#states);
  }

  /** Sets the counts of a source that is new among the partial ones. */
  #countPieces(source: Source): void {
    this.#sources.setFree(source, source.have.intersect(this.#free, this.#listed));
    source.missingCount = source.freeCount;
    for (const piece of this.#inFlight) if (source.have.has(piece)) source.missingCount++;
    source.rankMin = rankMinOf(source);
  }

  /**
   * A partial source came or left: each of its pieces changes rank. When they are many the order is
   * given up instead, because sorting anew is cheaper than moving each.
   */
  #changeRanks(source: Source, by: 2 | -2): void {
    const count = source.have.intersect(source.have, this.#listed);
    if (count >= Math.min(FEW_PIECES, this.#pieceCount / 2)) this.#isDirty = true;
    for (let i = 0; i < count; i++) {
      const piece = this.#listed[i]!;
      if (isCounted(source, piece)) this.#changeRank(piece, by);
    }
  }

  #changeRank(piece: PieceIndex, by: 2 | -2): void {
    const rank = this.#ranks[piece]!;
    this.#ranks[piece] = rank + by;
    if (this.#isDirty || this.#states[piece] !== 0) return;
    if (by > 0) {
      this.#order.raise(piece, rank, rank + by);
      return;
    }
    this.#order.lower(piece, rank, rank + by);
    for (const source of this.#sources.partials)
      source.rankMin = Math.min(source.rankMin, rank + by);
  }

  /** Complete sources of a group come or go, so its partial ones count for more pieces or fewer. */
  #changeSeeds(group: SourceGroup, change: () => void): void {
    const hadPartials = addCounted(group, this.#ranks, -2);
    change();
    const hasPartials = addCounted(group, this.#ranks, 2);
    if (hadPartials || hasPartials) this.#isDirty = true;
  }

  #sortAnew(): void {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    this.#order.rebuild(this.#ranks, this.#states);
    for (const source of this.#sources.partials) source.rankMin = rankMinOf(source);
  }

  #enterFree(piece: PieceIndex): void {
    const rank = this.#ranks[piece]! & ~1; // it was asked for before
    this.#ranks[piece] = rank;
    this.#freeCount++;
    this.#free.add(piece);
    if (!this.#isDirty) this.#order.insert(piece, rank);
    for (const source of this.#sources.partials) {
      if (!source.have.has(piece)) continue;
      this.#sources.setFree(source, source.freeCount + 1);
      source.rankMin = Math.min(source.rankMin, rank);
    }
  }

  #leaveFree(piece: PieceIndex): void {
    this.#freeCount--;
    this.#free.delete(piece);
    if (!this.#isDirty) this.#order.remove(piece, this.#ranks[piece]!);
    for (const source of this.#sources.partials) {
      if (source.have.has(piece)) this.#sources.setFree(source, source.freeCount - 1);
    }
  }

  #leaveInFlight(piece: PieceIndex): void {
    const pieces = this.#inFlight;
    pieces[pieces.indexOf(piece)] = pieces[pieces.length - 1]!;
    pieces.pop();
  }
}

/** No piece of a partial source ranks lower, whether the source counts for it or not. */
function rankMinOf({ group }: Source): number {
  return partialsCountedMax(group) === 0 ? 0 : PARTIAL_RANK_MIN;
}
