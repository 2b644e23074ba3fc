/**
 * The picker at full size: pieces × peers, with the swarm half-way through a download. Costs are per
 * call; `plain` is the reference implementation that the picker is tested against, at the same size.
 */
import { Picker, PieceSet, Random } from "@shoal/core";
import { ReferencePicker } from "../../packages/core/test/picker/reference-picker.ts";
import { inMs, inUs } from "./measure.ts";
import type { Subject } from "./measure.ts";

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

/** Everything the picker does, at one size. */
export function pickerSubjects(size: PickerBenchSize): Subject[] {
  return [
    haves(size),
    picks(size, 1, { target: 5 }),
    picks(size, 8),
    asks(size, 1, { target: 5 }),
    asks(size, 8),
    scatteredPicks(size),
    idlePicks(size),
    lives(size),
    bitfields(size, "bitfield of 40 pieces", { share: 40 / size.pieceCount, sorts: false }),
    bitfields(size, "bitfield of half the pieces", { share: 0.5, sorts: false }),
    bitfields(size, "bitfield of half, and sorting anew", { share: 0.5, sorts: true }),
    drops(size, "drop of a peer", false),
    drops(size, "drop of a peer, and sorting anew", true),
    plainPicks(size),
  ];
}

function haves(size: PickerBenchSize): Subject {
  const picker = halfwaySwarm(size);
  const count = 2_000;
  const runs = 51;
  const pairs = newHaves(picker, size, runs * count);
  const run = (turn: number): void => {
    for (let i = 2 * turn * count; i < 2 * (turn + 1) * count; i += 2) {
      picker.sourceHas(pairs[i]!, pairs[i + 1]!);
    }
  };
  return { name: "HAVE", target: 0.5, runs, count, run, figure: inUs };
}

function picks(size: PickerBenchSize, wanted: number, target: { target?: number } = {}): Subject {
  const picker = halfwaySwarm(size);
  const out = new Uint32Array(wanted);
  const count = 2_000;
  const run = (): void => {
    for (let i = 0; i < count; i++) picker.pick(i % size.peerCount, wanted, out);
  };
  return { name: `pick ${wanted}`, ...target, runs: 51, count, run, figure: inUs };
}

/** A pick together with marking the pieces as requested, so that each pick finds others. */
function asks(size: PickerBenchSize, wanted: number, target: { target?: number } = {}): Subject {
  const picker = halfwaySwarm(size);
  const out = new Uint32Array(wanted);
  const count = 200;
  const run = (turn: number): void => {
    for (let i = 0; i < count; i++) {
      const picked = picker.pick((turn + i) % size.peerCount, wanted, out);
      for (let each = 0; each < picked; each++) picker.markRequested(out[each]!);
    }
  };
  return { name: `pick ${wanted} and ask`, ...target, runs: 51, count, run, figure: inUs };
}

/** Peers whose few free pieces are spread over the order, so that a walk would be long. */
function scatteredPicks(size: PickerBenchSize): Subject {
  const random = new Random(42);
  const picker = new Picker(size.pieceCount, random);
  for (let slot = 0; slot < size.peerCount; slot++) {
    picker.addSource(slot, randomSet(size.pieceCount, slot < 20 ? 0.0002 : 0.5, random));
  }
  for (let piece = 0; piece < 8; piece++) picker.markHeld(piece);
  const out = new Uint32Array(1);
  picker.pick(0, 1, out);
  const count = 200;
  const run = (): void => {
    for (let i = 0; i < count; i++) picker.pick(i % 20, 1, out);
  };
  return { name: "pick 1 from scattered pieces", runs: 51, count, run, figure: inUs };
}

function idlePicks(size: PickerBenchSize): Subject {
  const picker = halfwaySwarm(size);
  const held = new PieceSet(size.pieceCount);
  for (let piece = 0; piece < size.pieceCount; piece += 4) held.add(piece);
  picker.addSource(size.peerCount, held);
  const out = new Uint32Array(8);
  picker.pick(0, 1, out);
  const count = 10_000;
  const run = (): void => {
    for (let i = 0; i < count; i++) picker.pick(size.peerCount, 8, out);
  };
  return { name: "pick from an idle peer", runs: 21, count, run, figure: inUs };
}

/** markRequested, unmarkRequested and markHeld, as a piece that arrives causes them. */
function lives(size: PickerBenchSize): Subject {
  const picker = halfwaySwarm(size);
  const count = 200;
  const run = (turn: number): void => {
    for (let i = turn * count; i < (turn + 1) * count; i++) {
      const piece = 4 * i + 1;
      picker.markRequested(piece);
      picker.unmarkRequested(piece);
      picker.markHeld(piece);
    }
  };
  return { name: "request to held", runs: 51, count, run, figure: inUs };
}

/** A source that comes with some pieces; `sorts`: and what the next pick adds to that. */
function bitfields(
  size: PickerBenchSize,
  name: string,
  { share, sorts }: { readonly share: number; readonly sorts: boolean },
): Subject {
  const picker = halfwaySwarm(size);
  const set = randomSet(size.pieceCount, share, new Random(3));
  const out = new Uint32Array(1);
  const run = (turn: number): void => {
    picker.addSource(size.peerCount + turn, set);
    if (sorts) picker.pick(0, 1, out);
  };
  return { name, runs: 31, count: 1, run, figure: share < 0.5 ? inUs : inMs };
}

function drops(size: PickerBenchSize, name: string, sorts: boolean): Subject {
  const picker = halfwaySwarm(size);
  const out = new Uint32Array(1);
  const run = (turn: number): void => {
    picker.removeSource(size.peerCount - 1 - turn);
    if (sorts) picker.pick(0, 1, out);
  };
  return { name, runs: 31, count: 1, run, figure: inMs };
}

function plainPicks({ pieceCount }: PickerBenchSize): Subject {
  const random = new Random(42);
  const plain = new ReferencePicker(pieceCount);
  for (let slot = 0; slot < PLAIN_PEERS; slot++) {
    plain.addSource(slot, randomSet(pieceCount, (slot + 1) / (PLAIN_PEERS + 1), random));
  }
  const run = (): void => void plain.pickable(0);
  return { name: `plain: pick 1 (${PLAIN_PEERS} peers)`, runs: 2, count: 1, run, figure: inMs };
}

function randomSet(pieceCount: number, share: number, random: Random): PieceSet {
  const set = new PieceSet(pieceCount);
  for (let piece = 0; piece < pieceCount; piece++) {
    if (random.fraction() < share) set.add(piece);
  }
  return set;
}
