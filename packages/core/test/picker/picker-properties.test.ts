/** `Picker` against the plain reference, over random lives of a transfer. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PieceSet } from "../../src/content/piece-set.ts";
import { Picker } from "../../src/picker/picker.ts";
import { Random } from "../../src/random.ts";
import { ReferencePicker } from "./reference-picker.ts";

const SLOTS = 6;

type Step =
  | {
      readonly do: "join";
      readonly slot: number;
      readonly bits: Uint8Array;
      readonly share: number;
    }
  | { readonly do: "leave"; readonly slot: number }
  | { readonly do: "has" | "lost"; readonly slot: number; readonly at: number }
  | { readonly do: "held" | "missing" | "request" | "unrequest"; readonly at: number }
  | { readonly do: "fetch"; readonly slot: number; readonly count: number }
  | { readonly do: "complete" | "pick"; readonly slot: number; readonly count: number };

const slot = fc.nat({ max: SLOTS - 1 });
const at = fc.nat();
const count = fc.integer({ min: 1, max: 20 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: joinStep() },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), slot }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("has", "lost"), slot, at }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("held", "missing", "request", "unrequest"),
      at,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("fetch" as const), slot, count }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("complete" as const), slot, count }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("pick" as const), slot, count }) },
);

/** Sources with no, few, many or all pieces. */
function joinStep(): fc.Arbitrary<Step> {
  return fc.record({
    do: fc.constant("join" as const),
    slot,
    bits: fc.uint8Array({ minLength: 1, maxLength: 20 }),
    share: fc.constantFrom(0, 10, 128, 250, 256),
  });
}

class Pair {
  readonly picker: Picker;
  readonly reference: ReferencePicker;
  readonly #pieceCount: number;
  readonly #out = new Uint32Array(200);

  constructor(pieceCount: number, seed: number) {
    this.#pieceCount = pieceCount;
    // All apart, all at one address, or three at each of two.
    const addressOf = (each: number): string => String([each, 0, each % 2][seed % 3]);
    this.picker = new Picker(pieceCount, new Random(seed), addressOf);
    this.reference = new ReferencePicker(pieceCount, addressOf);
  }

  apply(step: Step): void {
    const { picker, reference } = this;
    if (step.do === "join") return this.#join(step.slot, step.bits, step.share);
    if ("slot" in step && !reference.slots.includes(step.slot)) return;
    const piece = "at" in step ? step.at % this.#pieceCount : 0;
    switch (step.do) {
      case "leave":
        return this.#both((target) => target.removeSource(step.slot));
      case "has":
        return this.#both((target) => target.sourceHas(step.slot, piece));
      case "lost":
        return this.#both((target) => target.sourceLost(step.slot, piece));
      case "held":
        return this.#both((target) => target.markHeld(piece));
      case "missing":
        return this.#both((target) => target.markMissing(piece));
      case "request":
        if (reference.isHeld(piece) || reference.requestedCount(piece) === 2) return;
        return this.#both((target) => target.markRequested(piece));
      case "unrequest":
        if (reference.requestedCount(piece) === 0) return;
        return this.#both((target) => target.unmarkRequested(piece));
      case "fetch":
        return this.#fetch(step.slot, step.count);
      case "complete":
        for (let each = 0; each < this.#pieceCount; each++) {
          this.#both((target) => target.sourceHas(step.slot, each));
        }
        return;
      case "pick":
        this.checkPick(step.slot, step.count);
        this.checkEndgame(step.slot, step.count);
        picker.checkInvariants();
    }
  }

  checkAll(): void {
    const { picker, reference } = this;
    picker.checkInvariants();
    assert.equal(picker.missingCount, reference.missingCount);
    assert.equal(picker.freeCount, reference.freeCount);
    for (let piece = 0; piece < this.#pieceCount; piece++) {
      assert.equal(picker.availability(piece), reference.availability(piece));
      assert.equal(picker.isHeld(piece), reference.isHeld(piece));
      assert.equal(picker.requestedCount(piece), reference.requestedCount(piece));
    }
    for (const each of reference.slots) {
      assert.equal(picker.sourceCount(each), reference.sourceCount(each));
      const map = PieceSet.fromBytes(this.#pieceCount, picker.haveMap(each));
      assert.equal(picker.interesting(each), reference.interesting(each));
      for (let piece = 0; piece < this.#pieceCount; piece++) {
        assert.equal(picker.has(each, piece), reference.has(each, piece));
        assert.equal(map?.has(piece), reference.has(each, piece));
      }
      for (const wanted of [1, 8, this.#pieceCount]) this.checkPick(each, wanted);
      this.checkEndgame(each, this.#pieceCount);
    }
  }

  checkPick(each: number, wanted: number): number[] {
    const { reference } = this;
    const pickable = reference.pickable(each);
    const picked = [...this.#out.subarray(0, this.picker.pick(each, wanted, this.#out))];
    assert.equal(picked.length, Math.min(wanted, pickable.length));
    assert.equal(new Set(picked).size, picked.length);
    for (const piece of picked) assert.ok(pickable.includes(piece));
    if (this.#pieceCount - reference.missingCount >= 4) {
      const ranks = picked.map((piece) => reference.rank(piece));
      const best = pickable.slice(0, picked.length).map((piece) => reference.rank(piece));
      assert.deepEqual(ranks, best);
    }
    return picked;
  }

  checkEndgame(each: number, wanted: number): void {
    const pickable = this.reference.pickableInEndgame(each);
    const picked = [...this.#out.subarray(0, this.picker.pickEndgame(each, wanted, this.#out))];
    assert.equal(picked.length, Math.min(wanted, pickable.length));
    assert.equal(new Set(picked).size, picked.length);
    for (const piece of picked) assert.ok(pickable.includes(piece));
  }

  #fetch(each: number, wanted: number): void {
    for (const piece of this.checkPick(each, wanted)) {
      this.#both((target) => target.markRequested(piece));
      if (piece % 3 === 0) continue; // stays in flight
      this.#both((target) => target.unmarkRequested(piece));
      if (piece % 3 === 1) this.#both((target) => target.markHeld(piece));
    }
  }

  #join(each: number, bits: Uint8Array, share: number): void {
    const have = new PieceSet(this.#pieceCount);
    for (let piece = 0; piece < this.#pieceCount; piece++) {
      const draw = (bits[piece % bits.length]! * 7 + piece * 31) % 256;
      if (draw < share) have.add(piece);
    }
    this.#both((target) => target.addSource(each, have));
  }

  #both(change: (target: Picker | ReferencePicker) => void): void {
    change(this.picker);
    change(this.reference);
  }
}

describe("Picker against the plain reference", () => {
  it("agrees on every answer after any life of a transfer", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 150 }),
        fc.nat(),
        fc.array(step, { maxLength: 80, size: "max" }),
        (pieceCount, seed, steps) => {
          const pair = new Pair(pieceCount, seed);
          for (const each of steps) pair.apply(each);
          pair.checkAll();
          expect(pair.picker.missingCount).toBe(pair.reference.missingCount);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("agrees while HAVEs, picks and losses alternate without any bitfield", () => {
    const drip = fc.oneof(
      fc.record({ do: fc.constant("has" as const), slot, at }),
      fc.record({ do: fc.constant("fetch" as const), slot, count: fc.constant(1) }),
      fc.record({ do: fc.constant("lost" as const), slot, at }),
      fc.record({ do: fc.constantFrom("missing" as const, "unrequest" as const), at }),
    );
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(drip, { minLength: 100, maxLength: 300, size: "max" }),
        (seed, steps) => {
          const pair = new Pair(120, seed);
          const nothing = new Uint8Array(1);
          for (let each = 0; each < SLOTS; each++) {
            pair.apply({ do: "join", slot: each, bits: nothing, share: 0 });
          }
          for (let piece = 0; piece < 4; piece++) pair.apply({ do: "held", at: piece });
          for (const each of steps) pair.apply(each);
          pair.checkAll();
          expect(pair.picker.missingCount).toBe(pair.reference.missingCount);
        },
      ),
      { numRuns: 60 },
    );
  });
});
