/** What the benchmarks rest on, by counting steps: these numbers are the same on every machine. */
import { Picker, PieceSet, Random } from "@shoal/core";
import { describe, expect, it } from "vitest";
import { median } from "./measure.ts";
import { halfwaySwarm, newHaves } from "./picker-bench.ts";
import type { PickerBenchSize } from "./picker-bench.ts";

const SMALL: PickerBenchSize = { pieceCount: 1_000, peerCount: 50 };
const LARGE: PickerBenchSize = { pieceCount: 100_000, peerCount: 50 };

function stepsPerHave(size: PickerBenchSize): number {
  const picker = halfwaySwarm(size);
  const haves = newHaves(picker, size, 400);
  const before = picker.steps;
  for (let i = 0; i < haves.length; i += 2) picker.sourceHas(haves[i]!, haves[i + 1]!);
  return (picker.steps - before) / 400;
}

/** Steps of each of many picks by a whole swarm, with the pieces marked as requested. */
function stepsPerPick(size: PickerBenchSize): number[] {
  const picker = halfwaySwarm(size);
  const out = new Uint32Array(1);
  const steps: number[] = [];
  for (let i = 0; i < 300; i++) {
    const before = picker.steps;
    if (picker.pick(i % size.peerCount, 1, out) === 1) steps.push(picker.steps - before);
    picker.markRequested(out[0]!);
  }
  return steps;
}

describe("the picker's cost", () => {
  it("of a HAVE is at most two boundaries, however many pieces there are", () => {
    expect(stepsPerHave(SMALL)).toBeLessThanOrEqual(2);
    expect(stepsPerHave(LARGE)).toBeLessThanOrEqual(2);
    expect(stepsPerHave(LARGE)).toBeGreaterThan(1); // three quarters of the pieces are in the order
  });

  it("of a pick does not grow with the number of pieces", () => {
    const small = median(stepsPerPick(SMALL));
    const large = median(stepsPerPick(LARGE));
    expect(large).toBeLessThanOrEqual(4 * small + 4);
  });

  it("of a pick stays near a bitmap's length where a source has one free piece among many", () => {
    const { pieceCount } = LARGE;
    const picker = new Picker(pieceCount, new Random(5));
    for (let slot = 0; slot < 3; slot++) {
      const one = new PieceSet(pieceCount);
      for (let piece = slot; piece < pieceCount; piece += slot + 2) one.add(piece);
      picker.addSource(slot, one);
    }
    for (let piece = 0; piece < 8; piece++) picker.markHeld(piece);
    const out = new Uint32Array(1);
    picker.pick(0, 1, out);
    picker.addSource(3, new PieceSet(pieceCount));
    picker.sourceHas(3, 99_999);
    const before = picker.steps;
    for (let i = 0; i < 100; i++) expect(picker.pick(3, 1, out)).toBe(1);
    expect(out[0]).toBe(99_999);
    expect((picker.steps - before) / 100).toBeLessThan(pieceCount / 32 + 10);
  });

  it("of walking past a group without a hit is paid once", () => {
    const { pieceCount } = LARGE;
    const picker = new Picker(pieceCount, new Random(5));
    const rare = new PieceSet(pieceCount);
    const common = new PieceSet(pieceCount);
    for (let piece = 0; piece < pieceCount; piece++) (piece % 2 === 0 ? rare : common).add(piece);
    picker.addSource(0, rare);
    for (const slot of [1, 2]) picker.addSource(slot, common);
    for (let piece = 0; piece < 8; piece++) picker.markHeld(piece);
    const out = new Uint32Array(1);
    picker.pick(1, 1, out); // walks past every piece that only source 0 has
    const before = picker.steps;
    for (let i = 0; i < 100; i++) expect(picker.pick(1, 1, out)).toBe(1);
    expect((picker.steps - before) / 100).toBeLessThan(4);
  });
});
