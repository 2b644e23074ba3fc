/**
 * The sources of one content, by slot: which pieces each one has, and counts over those pieces that
 * `Picker` keeps right. Complete sources are only counted; partial ones are also kept in a list, for
 * loops over all that may have a piece. Sources of one address form a group, of which two at most
 * count for any piece, complete ones first: identities are free, and many of them could otherwise
 * make a piece look common (R-SCH-04).
 *
 * Knows bits and counts. Knows no ranks and no order. Called by `Picker`.
 */
import { assert, AssertionError } from "../assert.ts";
import type { PieceSet } from "../content/piece-set.ts";
import { Bitmap } from "./bitmap.ts";

export interface Source {
  readonly have: Bitmap;
  readonly group: SourceGroup;
  haveCount: number;
  /** Index in `partials`; `COMPLETE` for a source that has every piece. */
  partialIndex: number;
  /** Partial sources only: how many of its pieces are free (`setFree`), and how many not held. */
  freeCount: number;
  missingCount: number;
  /** Partial sources only: no free piece it has ranks lower than this. */
  rankMin: number;
}

/** The sources of one address. */
export interface SourceGroup {
  readonly address: string;
  readonly sources: Source[];
  seedCount: number;
}

const COMPLETE = -1;
/** R-SCH-04 */
const COUNTED_PER_GROUP_MAX = 2;

export function isSeed(source: Source): boolean {
  return source.partialIndex === COMPLETE;
}

/** How many partial sources of a group may count for a piece, beside its complete ones. */
export function partialsCountedMax({ seedCount }: SourceGroup): number {
  return Math.max(0, COUNTED_PER_GROUP_MAX - seedCount);
}

/** How many partial sources of a group count for a piece. A step per source of the group. */
function partialsCounted(group: SourceGroup, piece: number): number {
  const countedMax = partialsCountedMax(group);
  const { sources } = group;
  let count = 0;
  for (let i = 0; i < sources.length && count < countedMax; i++) {
    const source = sources[i]!;
    if (!isSeed(source) && source.have.has(piece)) count++;
  }
  return count;
}

/**
 * Adds `by` to the rank of each piece for every partial source of the group that counts for it.
 * False: the group has none. O(pieces × sources of the group).
 */
export function addCounted(group: SourceGroup, ranks: Uint32Array, by: 2 | -2): boolean {
  if (group.sources.length === group.seedCount) return false;
  for (let piece = 0; piece < ranks.length; piece++) {
    ranks[piece]! += by * partialsCounted(group, piece);
  }
  return true;
}

/** Whether a piece that the partial source has would count for less without it. */
export function isCounted(source: Source, piece: number): boolean {
  const { sources } = source.group;
  let room = partialsCountedMax(source.group);
  for (let i = 0; i < sources.length && room > 0; i++) {
    const other = sources[i]!;
    if (other !== source && !isSeed(other) && other.have.has(piece)) room--;
  }
  return room > 0;
}

function countedSeedsOf({ seedCount }: SourceGroup): number {
  return Math.min(seedCount, COUNTED_PER_GROUP_MAX);
}

export class SourceTable {
  /** In no order; read only. */
  readonly partials: Source[] = [];
  readonly #bySlot: Array<Source | undefined> = [];
  readonly #groups = new Map<string, SourceGroup>();
  #seedCount = 0;
  #countedSeeds = 0;
  #offering = 0;

  /** Complete sources that count. */
  get countedSeeds(): number {
    return this.#countedSeeds;
  }

  /** Whether a partial source has a free piece. */
  get hasOffering(): boolean {
    return this.#offering > 0;
  }

  get hasSeeds(): boolean {
    return this.#seedCount > 0;
  }

  /** The sources of an address; an empty group is not kept until a source is added to it. */
  group(address: string): SourceGroup {
    return this.#groups.get(address) ?? { address, sources: [], seedCount: 0 };
  }

  has(slot: number): boolean {
    return this.#bySlot[slot] !== undefined;
  }

  get(slot: number): Source {
    const source = this.#bySlot[slot];
    // Asked so often that even the text of an assertion would count.
    if (source === undefined) throw new AssertionError(`no source has slot ${slot}`);
    return source;
  }

  /** Copies `have`. The counts of a partial source are the caller's to set. */
  add(slot: number, have: PieceSet, group: SourceGroup): Source {
    assert(!this.has(slot), `slot ${slot} is taken`);
    const source: Source = {
      have: new Bitmap(have.pieceCount),
      group,
      haveCount: have.size,
      partialIndex: COMPLETE,
      freeCount: 0,
      missingCount: 0,
      rankMin: 0,
    };
    source.have.load(have.toBytes());
    this.#bySlot[slot] = source;
    this.#groups.set(group.address, group);
    group.sources.push(source);
    this.#countSeed(group, 1);
    if (!have.isFull) this.makePartial(source);
    return source;
  }

  remove(slot: number): void {
    const source = this.get(slot);
    if (!isSeed(source)) this.makeSeed(source);
    const { group } = source;
    this.#countSeed(group, -1);
    group.sources.splice(group.sources.indexOf(source), 1);
    if (group.sources.length === 0) this.#groups.delete(group.address);
    this.#bySlot[slot] = undefined;
  }

  /** partial -> complete */
  makeSeed(source: Source): void {
    const last = this.partials.pop();
    if (last !== undefined && last !== source) {
      this.partials[source.partialIndex] = last;
      last.partialIndex = source.partialIndex;
    }
    this.setFree(source, 0);
    source.partialIndex = COMPLETE;
    this.#countSeed(source.group, 1);
  }

  /** complete -> partial */
  makePartial(source: Source): void {
    source.partialIndex = this.partials.length;
    this.partials.push(source);
    this.#countSeed(source.group, -1);
  }

  /** So many of a partial source's pieces are free. */
  setFree(source: Source, freeCount: number): void {
    if (source.freeCount > 0) this.#offering--;
    if (freeCount > 0) this.#offering++;
    source.freeCount = freeCount;
  }

  /** How many partial sources count for a piece, of all groups together. */
  partialsCounted(piece: number): number {
    let count = 0;
    for (const group of this.#groups.values()) count += partialsCounted(group, piece);
    return count;
  }

  /** Both tables by piece: 1 where it is so. O(pieces × sources). */
  checkInvariants(isFree: Uint8Array, isHeld: Uint8Array): void {
    const sources = this.#bySlot.filter((source) => source !== undefined);
    assert(sources.filter(isSeed).length === this.#seedCount, "complete sources must be counted");
    assert(this.partials.length === sources.length - this.#seedCount, "partial sources");
    const offering = this.partials.filter(({ freeCount }) => freeCount > 0);
    assert(offering.length === this.#offering, "sources with free pieces must be counted");
    let counted = 0;
    for (const group of this.#groups.values()) counted += countedSeedsOf(group);
    assert(counted === this.#countedSeeds, "complete sources that count");
    for (const { address, sources: members, seedCount } of this.#groups.values()) {
      assert(members.length > 0, `nobody is at ${address}`);
      assert(members.filter(isSeed).length === seedCount, "complete sources of a group");
    }
    for (const source of sources) {
      assert(source.group.sources.includes(source), "a source must be in its group");
      const counts = { have: 0, free: 0, missing: 0 };
      for (let piece = 0; piece < isFree.length; piece++) {
        if (!source.have.has(piece)) continue;
        counts.have++;
        counts.free += isFree[piece]!;
        counts.missing += 1 - isHeld[piece]!;
      }
      assert(source.haveCount === counts.have, "a source's pieces must be counted");
      assert(isSeed(source) === (counts.have === isFree.length), "complete sources are seeds");
      if (isSeed(source)) continue;
      assert(this.partials[source.partialIndex] === source, "a source must know its index");
      assert(source.freeCount === counts.free, "a source's free pieces must be counted");
      assert(source.missingCount === counts.missing, "a source's missing pieces must be counted");
    }
  }
  #countSeed(group: SourceGroup, by: 1 | -1): void {
    this.#seedCount += by;
    this.#countedSeeds -= countedSeedsOf(group);
    group.seedCount += by;
    this.#countedSeeds += countedSeedsOf(group);
  }
}
