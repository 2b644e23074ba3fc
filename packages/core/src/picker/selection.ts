/**
 * Finds some of a source's free pieces: the first in the rarity order, or random ones. Each in two
 * ways with the same outcome: by walking the order, which is quick when the source has many of the
 * free pieces, and by intersecting bitmaps, which is quick when it has few.
 *
 * Knows the order and what is free. Knows no ranks and changes nothing. Called by `Picker`, which
 * knows how many free pieces the source has.
 */
import type { Random } from "../random.ts";
import type { PieceIndex } from "../units.ts";
import type { Bitmap } from "./bitmap.ts";
import type { RarityOrder } from "./rarity-order.ts";

/** More random pieces than this are drawn from a list, so that drawing stays linear. */
const DRAWN_BY_WALKING_MAX = 16;

export interface SelectionDeps {
  readonly order: RarityOrder;
  readonly free: Bitmap;
  /** Room for a list of all pieces; overwritten by every call. */
  readonly listed: Uint32Array;
  readonly random: Random;
}

/** What a source has, and how many of its free pieces are wanted. */
export interface Want {
  readonly have: Bitmap;
  /** Free pieces the source has. */
  readonly freeCount: number;
  /** At least 1, at most `freeCount`. */
  readonly limit: number;
  /** A place in the order before which the source has no piece. */
  readonly begin: number;
}

export class Selection {
  readonly #deps: SelectionDeps;
  readonly #pieceCount: number;
  #steps = 0;

  constructor(deps: SelectionDeps) {
    this.#deps = deps;
    this.#pieceCount = deps.listed.length;
  }

  /** Places and bits looked at so far, for benchmarks. */
  get steps(): number {
    return this.#steps;
  }

  /** Writes the first `limit` pieces in the order to `out`. Returns `limit`. */
  first(want: Want, out: Uint32Array): number {
    return this.#isScattered(want) ? this.#firstFound(want, out) : this.#walk(want, out);
  }

  /** Writes `limit` different random pieces to `out`. Returns `limit`. */
  some(want: Want, out: Uint32Array): number {
    return want.limit > DRAWN_BY_WALKING_MAX || this.#isScattered(want)
      ? this.#drawFound(want, out)
      : this.#draw(want, out);
  }

  /** Compares the steps a walk is expected to take with those of looking at all the pieces. */
  #isScattered({ freeCount, limit, begin }: Want): boolean {
    const walkSteps = (limit * (this.#deps.order.length - begin)) / freeCount;
    return walkSteps > this.#pieceCount / 32 + 2 * freeCount;
  }

  #walk({ have, limit, begin }: Want, out: Uint32Array): number {
    const { order } = this.#deps;
    let picked = 0;
    let place = begin;
    for (; picked < limit && place < order.length; place++) {
      const piece = order.at(place);
      if (have.has(piece)) out[picked++] = piece;
    }
    this.#steps += place - begin;
    return picked;
  }

  #firstFound({ have, limit }: Want, out: Uint32Array): number {
    const { order, listed } = this.#deps;
    const count = this.#listFree(have);
    let picked = 0;
    for (let i = 0; i < count; i++) {
      const piece = listed[i]!;
      const place = order.placeOf(piece);
      if (picked === limit && place > order.placeOf(out[picked - 1]!)) continue;
      let at = picked < limit ? picked++ : picked - 1;
      for (; at > 0 && order.placeOf(out[at - 1]!) > place; at--) out[at] = out[at - 1]!;
      out[at] = piece;
    }
    return picked;
  }

  /** From random places of the order on to the next piece that the source has. */
  #draw({ have, limit, begin }: Want, out: Uint32Array): number {
    const { order, random } = this.#deps;
    for (let picked = 0; picked < limit; picked++) {
      let place = begin + random.below(order.length - begin);
      while (!have.has(order.at(place)) || contains(out, picked, order.at(place))) {
        place = place + 1 === order.length ? begin : place + 1;
        this.#steps++;
      }
      out[picked] = order.at(place);
    }
    return limit;
  }

  #drawFound({ have, limit }: Want, out: Uint32Array): number {
    const { listed, random } = this.#deps;
    const count = this.#listFree(have);
    for (let picked = 0; picked < limit; picked++) {
      const drawn = picked + random.below(count - picked);
      out[picked] = listed[drawn]!;
      listed[drawn] = listed[picked]!;
    }
    return limit;
  }

  /** Lists the source's free pieces in `listed`. */
  #listFree(have: Bitmap): number {
    const count = have.intersect(this.#deps.free, this.#deps.listed);
    this.#steps += (this.#pieceCount >>> 5) + count;
    return count;
  }
}

function contains(pieces: Uint32Array, count: number, piece: PieceIndex): boolean {
  for (let i = 0; i < count; i++) if (pieces[i] === piece) return true;
  return false;
}
