/**
 * Drawn cases. In `availability` each digit is the number of partial sources that have the piece at
 * that place; in `have` a star is a piece we hold.
 */
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../src/assert.ts";
import { PieceSet } from "../../src/content/piece-set.ts";
import { Picker } from "../../src/picker/picker.ts";
import { Random } from "../../src/random.ts";

/** The source picks are made for in drawn cases; it has every piece. */
const ASKED = 100;

function draw(availability: string, have = "", seed = 1): Picker {
  const picker = new Picker(availability.length, new Random(seed));
  const digits = Array.from(availability).map(Number);
  const most = Math.max(...digits);
  for (let slot = 0; slot < most; slot++) {
    picker.addSource(slot, pieces(digits.map((digit) => (digit > slot ? "*" : " ")).join("")));
  }
  picker.addSource(ASKED, PieceSet.full(availability.length));
  Array.from(have).forEach((mark, piece) => {
    if (mark === "*") picker.markHeld(piece);
  });
  return picker;
}

function pieces(stars: string): PieceSet {
  const set = new PieceSet(stars.length);
  Array.from(stars).forEach((mark, piece) => {
    if (mark === "*") set.add(piece);
  });
  return set;
}

function sorted(list: readonly number[]): number[] {
  return [...list].sort((a, b) => a - b);
}

function pick(picker: Picker, slot = ASKED, count = 100): number[] {
  const out = new Uint32Array(count);
  return [...out.subarray(0, picker.pick(slot, count, out))];
}

function endgame(picker: Picker, slot = ASKED, count = 100): number[] {
  const out = new Uint32Array(count);
  return [...out.subarray(0, picker.pickEndgame(slot, count, out))];
}

describe("the order of picks", () => {
  it("takes the rarest piece first", () => {
    expect(pick(draw("13204444", "    ****"))).toEqual([3, 0, 2, 1]);
  });

  it("never picks a piece that is held", () => {
    expect(pick(draw("132044444", " *   ****"))).toEqual([3, 0, 2, 4]);
  });

  it("skips pieces the source lacks", () => {
    const picker = draw("13204444", "    ****");
    picker.addSource(7, pieces(" *  ** *"));
    expect(pick(picker, 7)).toEqual([1]);
  });

  it("gives no more than asked for, nor than there is room for", () => {
    const picker = draw("13204444", "    ****");
    expect(pick(picker, ASKED, 2)).toEqual([3, 0]);
    expect(picker.pick(ASKED, 10, new Uint32Array(1))).toBe(1);
    expect(picker.pick(ASKED, 0, new Uint32Array(1))).toBe(0);
  });

  it("does not pick what is requested", () => {
    const picker = draw("13204444", "    ****");
    picker.markRequested(3);
    expect(pick(picker)).toEqual([0, 2, 1]);
    expect(picker.freeCount).toBe(3);
    expect(picker.missingCount).toBe(4);
  });

  it("puts a piece that came back before untouched ones of equal availability", () => {
    for (let seed = 0; seed < 20; seed++) {
      const picker = draw("22122222", "    ****", seed);
      picker.markRequested(1);
      picker.unmarkRequested(1);
      expect(pick(picker, ASKED, 2)).toEqual([2, 1]);
    }
  });

  it("puts a corrupt piece that became missing before untouched ones", () => {
    const picker = draw("22122222", "*   ****");
    picker.markMissing(0);
    expect(pick(picker, ASKED, 2)).toEqual([2, 0]);
  });

  it("follows a HAVE, a loss and a departure at once", () => {
    const picker = draw("11100000", "   *****");
    pick(picker); // from here on the order is kept up step by step
    picker.addSource(1, pieces("*       "));
    picker.sourceHas(1, 1);
    expect(pick(picker)[0]).toBe(2);
    picker.sourceLost(1, 1);
    picker.sourceHas(1, 2);
    expect(pick(picker)[0]).toBe(1);
    picker.removeSource(1);
    picker.checkInvariants();
    expect([0, 1, 2].map((piece) => picker.availability(piece))).toEqual([2, 2, 2]);
  });

  it("draws ties at random", () => {
    const firsts = new Map<number, number>();
    for (let seed = 0; seed < 800; seed++) {
      const [first] = pick(draw("11110000", "    ****", seed));
      firsts.set(first!, (firsts.get(first!) ?? 0) + 1);
    }
    for (let piece = 0; piece < 4; piece++) expect(firsts.get(piece)).toBeGreaterThan(140);
  });

  it("keeps ties random when HAVEs move pieces between groups", () => {
    const firsts = new Map<number, number>();
    for (let seed = 0; seed < 800; seed++) {
      const picker = draw("000000000", "     ****", seed);
      picker.addSource(1, pieces("    *    "));
      pick(picker);
      for (const piece of [0, 1, 2, 3]) picker.sourceHas(1, piece);
      const [first] = pick(picker, 1, 1);
      firsts.set(first!, (firsts.get(first!) ?? 0) + 1);
    }
    for (let piece = 0; piece < 5; piece++) expect(firsts.get(piece)).toBeGreaterThan(100);
  });
});

describe("sources of one address (R-SCH-04)", () => {
  /** Slots 0 to 9 share an address; the others have one each. */
  const crowd = (slot: number): string => (slot < 10 ? "crowd" : String(slot));

  it("count as two at most, so that many identities make no piece look common", () => {
    const picker = new Picker(8, new Random(1), crowd);
    for (let piece = 4; piece < 8; piece++) picker.markHeld(piece);
    for (let slot = 0; slot < 10; slot++) picker.addSource(slot, pieces("*       "));
    for (const slot of [10, 11, 12]) picker.addSource(slot, pieces(" **     "));
    picker.addSource(ASKED, PieceSet.full(8));
    expect([0, 1, 2, 3].map((piece) => picker.availability(piece))).toEqual([3, 4, 4, 1]);
    expect(pick(picker, ASKED, 2)).toEqual([3, 0]);
    for (let slot = 0; slot < 9; slot++) picker.removeSource(slot);
    expect(picker.availability(0)).toBe(2);
    picker.checkInvariants();
  });

  it("count as two at most when some of them say they are complete", () => {
    const picker = new Picker(8, new Random(1), crowd);
    for (let slot = 0; slot < 3; slot++) picker.addSource(slot, PieceSet.full(8));
    for (let slot = 3; slot < 6; slot++) picker.addSource(slot, pieces("*       "));
    expect([picker.availability(0), picker.availability(1)]).toEqual([2, 2]);
    for (let slot = 0; slot < 3; slot++) picker.sourceLost(slot, 0);
    expect([picker.availability(0), picker.availability(1)]).toEqual([2, 2]);
    for (let slot = 1; slot < 6; slot++) picker.removeSource(slot);
    expect([picker.availability(0), picker.availability(1)]).toEqual([0, 1]);
    picker.checkInvariants();
  });
});

describe("the cold start", () => {
  it("picks at random until four pieces are held", () => {
    const picksCommon = (have: string): boolean => {
      for (let seed = 0; seed < 50; seed++) {
        if (pick(draw("0999999999", have, seed), ASKED, 1)[0] !== 0) return true;
      }
      return false;
    };
    expect(picksCommon("       ***")).toBe(true);
    expect(picksCommon("      ****")).toBe(false);
  });

  it("picks different pieces, and all of them when asked", () => {
    const picker = draw("0123456789");
    expect(sorted(pick(picker))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(new Set(pick(picker, ASKED, 6)).size).toBe(6);
  });
});

describe("complete sources", () => {
  it("count for every piece", () => {
    const picker = draw("1320");
    expect([0, 1, 2, 3].map((piece) => picker.availability(piece))).toEqual([2, 4, 3, 1]);
    picker.removeSource(ASKED);
    expect([0, 1, 2, 3].map((piece) => picker.availability(piece))).toEqual([1, 3, 2, 0]);
  });

  it("are folded when HAVEs complete them and unfolded when they lose a piece", () => {
    const picker = draw("1320");
    picker.sourceHas(0, 3);
    expect(picker.sourceCount(0)).toBe(4);
    expect([0, 1, 2, 3].map((piece) => picker.availability(piece))).toEqual([2, 4, 3, 2]);
    picker.checkInvariants();
    picker.sourceLost(0, 1);
    expect([0, 1, 2, 3].map((piece) => picker.availability(piece))).toEqual([2, 3, 3, 2]);
    expect(picker.has(0, 1)).toBe(false);
    picker.checkInvariants();
  });

  it("of a content with one piece come and go", () => {
    const picker = new Picker(1, new Random(1));
    picker.addSource(0, new PieceSet(1));
    picker.sourceHas(0, 0);
    expect(pick(picker, 0)).toEqual([0]);
    picker.sourceLost(0, 0);
    expect(pick(picker, 0)).toEqual([]);
    picker.checkInvariants();
  });

  it("of an empty content have nothing to give", () => {
    const picker = new Picker(0, new Random(1));
    picker.addSource(0, new PieceSet(0));
    expect(pick(picker, 0)).toEqual([]);
    expect(picker.interesting(0)).toBe(false);
    picker.checkInvariants();
  });
});

describe("interest", () => {
  it("is in sources that have a piece we do not hold, requested or not", () => {
    const picker = draw("0000", "**  ");
    picker.addSource(1, pieces("**  "));
    picker.addSource(2, pieces("*** "));
    expect([1, 2, ASKED].map((slot) => picker.interesting(slot))).toEqual([false, true, true]);
    picker.markRequested(2);
    expect(picker.interesting(2)).toBe(true);
    picker.markHeld(2);
    expect(picker.interesting(2)).toBe(false);
  });

  it("costs no steps where nothing is to be had", () => {
    const picker = new Picker(10_000, new Random(1));
    const few = new PieceSet(10_000);
    few.add(5);
    picker.addSource(0, few);
    picker.addSource(1, PieceSet.full(10_000));
    for (const piece of [1, 2, 3, 4, 5]) picker.markHeld(piece);
    pick(picker, 1, 1);
    const before = picker.steps;
    for (let i = 0; i < 100; i++) expect(pick(picker, 0)).toEqual([]);
    expect(picker.steps).toBe(before);
  });
});

describe("endgame", () => {
  it("offers missing pieces that are requested exactly once (R-SCH-05)", () => {
    const picker = draw("00000", "*    ");
    for (const piece of [1, 2, 2, 3]) picker.markRequested(piece);
    expect(sorted(endgame(picker))).toEqual([1, 3]);
    picker.markHeld(3);
    expect(endgame(picker)).toEqual([1]);
  });

  it("offers only what the source has, in random order", () => {
    const firsts = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const picker = draw("00000", "", seed);
      picker.addSource(1, pieces("*** *"));
      for (const piece of [0, 1, 3]) picker.markRequested(piece);
      expect(sorted(endgame(picker, 1))).toEqual([0, 1]);
      firsts.add(endgame(picker, 1, 1)[0]!);
    }
    expect(sorted([...firsts])).toEqual([0, 1]);
  });

  it("keeps a corrupt piece in the race while its second request is in flight", () => {
    const picker = draw("0000");
    picker.markRequested(0);
    picker.markRequested(0);
    picker.unmarkRequested(0);
    picker.markHeld(0);
    picker.markMissing(0);
    expect(endgame(picker)).toEqual([0]);
    picker.unmarkRequested(0);
    expect(pick(picker)).toContain(0);
    picker.checkInvariants();
  });
});

describe("mistakes of the caller", () => {
  const mistakes: ReadonlyArray<readonly [string, (picker: Picker) => void]> = [
    ["a piece past the end", (picker) => picker.sourceHas(ASKED, 4)],
    ["a piece before the start", (picker) => picker.markHeld(-1)],
    ["a slot nobody has", (picker) => picker.sourceHas(3, 0)],
    ["pieces of another content", (picker) => picker.addSource(1, new PieceSet(5))],
    ["a request of a held piece", (picker) => picker.markRequested(0)],
    ["a third request of a piece", (picker) => [1, 1, 1].forEach((p) => picker.markRequested(p))],
    ["the end of a request that was not made", (picker) => picker.unmarkRequested(1)],
  ];
  it.each(mistakes)("are refused: %s", (_, mistake) => {
    const picker = draw("0000", "*   ");
    expect(() => mistake(picker)).toThrow(AssertionError);
  });
});
