/**
 * The sources of one content, by slot: which pieces each one has, and counts over those pieces that
 * `Picker` keeps right. Complete sources are only counted; partial ones are also kept in a list, for
 * loops over all that may have a piece.
 *
 * Knows bits and counts. Knows no ranks and no order. Called by `Picker`.
 */
import { assert } from "../assert.ts";
import type { PieceSet } from "../content/piece-set.ts";
import { Bitmap } from "./bitmap.ts";

export interface Source {
  readonly have: Bitmap;
  haveCount: number;
  /** Index in `partials`; `COMPLETE` for a source that has every piece. */
  partialIndex: number;
  /** Partial sources only: how many of its pieces are free, and how many we do not hold. */
  freeCount: number;
  missingCount: number;
  /** Partial sources only: no free piece it has ranks lower than this. */
  rankMin: number;
}

const COMPLETE = -1;

export function isSeed(source: Source): boolean {
  return source.partialIndex === COMPLETE;
}

export class SourceTable {
  /** In no order; read only. */
  readonly partials: Source[] = [];
  readonly #bySlot: Array<Source | undefined> = [];
  #seedCount = 0;

  get seedCount(): number {
    return this.#seedCount;
  }

  has(slot: number): boolean {
    return this.#bySlot[slot] !== undefined;
  }

  get(slot: number): Source {
    const source = this.#bySlot[slot];
    assert(source !== undefined, `no source has slot ${slot}`);
    return source;
  }

  /** Copies `have`. The counts of a partial source are the caller's to set. */
  add(slot: number, have: PieceSet): Source {
    assert(!this.has(slot), `slot ${slot} is taken`);
    const source: Source = {
      have: new Bitmap(have.pieceCount),
      haveCount: have.size,
      partialIndex: COMPLETE,
      freeCount: 0,
      missingCount: 0,
      rankMin: 0,
    };
    source.have.load(have.toBytes());
    this.#bySlot[slot] = source;
    this.#seedCount++;
    if (!have.isFull) this.makePartial(source);
    return source;
  }

  remove(slot: number): void {
    const source = this.get(slot);
    if (!isSeed(source)) this.makeSeed(source);
    this.#seedCount--;
    this.#bySlot[slot] = undefined;
  }

  /** partial -> complete */
  makeSeed(source: Source): void {
    const last = this.partials.pop();
    if (last !== undefined && last !== source) {
      this.partials[source.partialIndex] = last;
      last.partialIndex = source.partialIndex;
    }
    source.partialIndex = COMPLETE;
    this.#seedCount++;
  }

  /** complete -> partial */
  makePartial(source: Source): void {
    source.partialIndex = this.partials.length;
    this.partials.push(source);
    this.#seedCount--;
  }

  /** Both tables by piece: 1 where it is so. O(pieces × sources). */
  checkInvariants(isFree: Uint8Array, isHeld: Uint8Array): void {
    const sources = this.#bySlot.filter((source) => source !== undefined);
    assert(sources.filter(isSeed).length === this.#seedCount, "complete sources must be counted");
    assert(this.partials.length === sources.length - this.#seedCount, "partial sources");
    for (const source of sources) {
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
}
