/**
 * The picker at full size: pieces × peers, with the swarm half-way through a download. Costs are per
 * call; `plain` is the reference implementation that the picker is tested against, at the same size.
 */
import { Picker, PieceSet, Random } from "@shoal/core";
import { ReferencePicker } from "../../packages/core/test/picker/reference-picker.ts";
import { medianUs } from "./measure.ts";
import type { Figure } from "./measure.ts";

/** Plain sets take too much memory for more. */
const PLAIN_PEERS = 20;

export interface PickerBenchSize {
  readonly pieceCount: number;
  readonly peerCount: number;
}

/** A swarm in mid-download: every peer has a random share of the pieces, we hold every fourth. */
export function halfwaySwarm({ pieceCount, peerCount }: PickerBenchSize): Picker {
  const random = new Random(42);
  const picker = new Picker(pieceCount, random);
  for (let slot = 0; slot < peerCount; slot++) {
    picker.addSource(slot, randomSet(pieceCount, (slot + 1) / (peerCount + 1), random));
  }
  for (let piece = 0; piece < pieceCount; piece += 4) picker.markHeld(piece);
  picker.pick(0, 1, new Uint32Array(1)); // sorts
  return picker;
}

/** HAVEs that are news: `count` pairs of slot and piece, in random order. */
export function newHaves(picker: Picker, size: PickerBenchSize, count: number): Uint32Array {
  const random = new Random(7);
  const pairs = new Uint32Array(2 * count);
  const chosen = new Set<number>();
  while (chosen.size < count) {
    const slot = random.below(size.peerCount);
    const piece = random.below(size.pieceCount);
    const key = slot * size.pieceCount + piece;
    if (picker.has(slot, piece) || chosen.has(key)) continue;
    pairs[2 * chosen.size] = slot;
    pairs[2 * chosen.size + 1] = piece;
    chosen.add(key);
  }
  return pairs;
}

export function benchPicker(size: PickerBenchSize): Figure[] {
  return [
    { name: "HAVE", value: haveUs(size), unit: "us", target: 0.5 },
    { name: "pick 1", value: pickUs(size, 1), unit: "us", target: 5 },
    { name: "pick 8", value: pickUs(size, 8), unit: "us" },
    { name: "pick 1 and ask", value: askUs(size, 1), unit: "us", target: 5 },
    { name: "pick 8 and ask", value: askUs(size, 8), unit: "us" },
    { name: "pick 1 from scattered pieces", value: scatteredPickUs(size), unit: "us" },
    { name: "pick from an idle peer", value: idlePickUs(size), unit: "us" },
    { name: "request to held", value: lifeUs(size), unit: "us" },
    { name: "bitfield of 40 pieces", value: smallBitfieldUs(size), unit: "us" },
    { name: "bitfield of half the pieces", value: bitfieldMs(size), unit: "ms" },
    { name: "bitfield and sorting anew", value: sortMs(size), unit: "ms" },
    { name: `plain: pick 1 (${PLAIN_PEERS} peers)`, value: plainPickMs(size), unit: "ms" },
  ];
}

function haveUs(size: PickerBenchSize): number {
  const picker = halfwaySwarm(size);
  const count = 2_000;
  const runs = 51;
  const pairs = newHaves(picker, size, runs * count);
  return medianUs({ runs, count }, (turn) => {
    for (let i = 2 * turn * count; i < 2 * (turn + 1) * count; i += 2) {
      picker.sourceHas(pairs[i]!, pairs[i + 1]!);
    }
  });
}

function pickUs(size: PickerBenchSize, wanted: number): number {
  const picker = halfwaySwarm(size);
  const out = new Uint32Array(wanted);
  const count = 2_000;
  return medianUs({ runs: 51, count }, () => {
    for (let i = 0; i < count; i++) picker.pick(i % size.peerCount, wanted, out);
  });
}

/** A pick together with marking the pieces as requested, so that each pick finds others. */
function askUs(size: PickerBenchSize, wanted: number): number {
  const picker = halfwaySwarm(size);
  const out = new Uint32Array(wanted);
  const count = 200;
  return medianUs({ runs: 51, count }, (turn) => {
    for (let i = 0; i < count; i++) {
      const picked = picker.pick((turn + i) % size.peerCount, wanted, out);
      for (let each = 0; each < picked; each++) picker.markRequested(out[each]!);
    }
  });
}

/** Peers whose few free pieces are spread over the order, so that a walk would be long. */
function scatteredPickUs(size: PickerBenchSize): number {
  const random = new Random(42);
  const picker = new Picker(size.pieceCount, random);
  for (let slot = 0; slot < size.peerCount; slot++) {
    picker.addSource(slot, randomSet(size.pieceCount, slot < 20 ? 0.0002 : 0.5, random));
  }
  for (let piece = 0; piece < 8; piece++) picker.markHeld(piece);
  const out = new Uint32Array(1);
  picker.pick(0, 1, out);
  const count = 200;
  return medianUs({ runs: 51, count }, () => {
    for (let i = 0; i < count; i++) picker.pick(i % 20, 1, out);
  });
}

function idlePickUs(size: PickerBenchSize): number {
  const picker = halfwaySwarm(size);
  const held = new PieceSet(size.pieceCount);
  for (let piece = 0; piece < size.pieceCount; piece += 4) held.add(piece);
  picker.addSource(size.peerCount, held);
  const out = new Uint32Array(8);
  picker.pick(0, 1, out);
  const count = 10_000;
  return medianUs({ runs: 21, count }, () => {
    for (let i = 0; i < count; i++) picker.pick(size.peerCount, 8, out);
  });
}

/** markRequested, unmarkRequested and markHeld, as a piece that arrives causes them. */
function lifeUs(size: PickerBenchSize): number {
  const picker = halfwaySwarm(size);
  const count = 200;
  return medianUs({ runs: 51, count }, (turn) => {
    for (let i = turn * count; i < (turn + 1) * count; i++) {
      const piece = 4 * i + 1;
      picker.markRequested(piece);
      picker.unmarkRequested(piece);
      picker.markHeld(piece);
    }
  });
}

function smallBitfieldUs(size: PickerBenchSize): number {
  const picker = halfwaySwarm(size);
  const set = randomSet(size.pieceCount, 40 / size.pieceCount, new Random(3));
  return medianUs({ runs: 51, count: 1 }, (turn) => picker.addSource(size.peerCount + turn, set));
}

function bitfieldMs(size: PickerBenchSize): number {
  const picker = halfwaySwarm(size);
  const set = randomSet(size.pieceCount, 0.5, new Random(3));
  const run = (turn: number): void => picker.addSource(size.peerCount + turn, set);
  return medianUs({ runs: 31, count: 1 }, run) / 1_000;
}

function sortMs(size: PickerBenchSize): number {
  const picker = halfwaySwarm(size);
  const set = randomSet(size.pieceCount, 0.5, new Random(3));
  const out = new Uint32Array(1);
  const run = (turn: number): void => {
    picker.addSource(size.peerCount + turn, set);
    picker.pick(0, 1, out);
  };
  return medianUs({ runs: 31, count: 1 }, run) / 1_000;
}

function plainPickMs({ pieceCount }: PickerBenchSize): number {
  const random = new Random(42);
  const plain = new ReferencePicker(pieceCount);
  for (let slot = 0; slot < PLAIN_PEERS; slot++) {
    plain.addSource(slot, randomSet(pieceCount, (slot + 1) / (PLAIN_PEERS + 1), random));
  }
  return medianUs({ runs: 1, count: 1 }, () => void plain.pickable(0)) / 1_000;
}

function randomSet(pieceCount: number, share: number, random: Random): PieceSet {
  const set = new PieceSet(pieceCount);
  for (let piece = 0; piece < pieceCount; piece++) {
    if (random.fraction() < share) set.add(piece);
  }
  return set;
}
