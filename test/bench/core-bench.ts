/**
 * What core costs: the picker and claims at full size, manifests, digests, and whole swarms in
 * virtual time. All of `core` is measured in turns; `crowd` is one run of the largest simulation.
 */
import { parseCrowdFlags, runCrowd } from "@shoal/sim";
import { claimSwarm } from "../../packages/core/test/schedule/claim-swarm.ts";
import { digestSubjects, manifestSubjects } from "./content-bench.ts";
import { inUs, measureInTurns } from "./measure.ts";
import type { Figure, Subject } from "./measure.ts";
import { pickerSubjects } from "./picker-bench.ts";
import type { PickerBenchSize } from "./picker-bench.ts";

/** A quarter of the content, so that a turn takes seconds. */
const SWARM = "flash-crowd --peers 100 --length-mib 256 --seed 42";

export function benchCore(size: PickerBenchSize): Figure[] {
  const rows = [...pickerSubjects(size), claims(size), ...manifestSubjects(), ...digestSubjects()];
  return measureInTurns([...rows, simulatedSwarm()]);
}

/** A flash crowd as the `sim` command runs it. Figures: processor time, events, how good it is. */
export function benchCrowd({ peers }: { readonly peers: number }): Figure[] {
  const before = process.cpuUsage();
  const report = runCrowd(parseCrowdFlags(["flash-crowd", "--peers", `${peers}`, "--seed", "42"]));
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  const of = `${peers} agents`;
  return [
    { name: `processor time of ${of}`, value: seconds, unit: "s", target: 60 },
    { name: `engine events of ${of}`, value: report.events / seconds, unit: "events/s" },
    { name: `time of half of ${of} over the bound`, value: report.p50Ratio, unit: "ratio" },
    { name: `copies from the origin for ${of}`, value: report.originCopies, unit: "ratio" },
  ];
}

/** Claims of runs of 16 pieces, by members in turn, each told of first and again. */
function claims({ pieceCount, peerCount }: PickerBenchSize): Subject {
  const swarm = claimSwarm(pieceCount, peerCount);
  const count = 2_000;
  const run = (turn: number): void => {
    for (let i = 0; i < count; i++) {
      const first = (16 * (turn * count + (i >>> 1))) % pieceCount;
      swarm.claim(`peer ${(i >>> 1) % peerCount}`, first, 16, turn);
      swarm.isClaimed(first, turn);
    }
  };
  return { name: "claim of 16 pieces", runs: 51, count, run, figure: inUs };
}

/** Everything together: schedulers, engines, and the adapters and network that are simulated. */
function simulatedSwarm(): Subject {
  let events = 0;
  const run = (): void => {
    ({ events } = runCrowd(parseCrowdFlags(SWARM.split(" "))));
  };
  const figure = (us: number) => ({ value: (events * 1e6) / us, unit: "events/s" as const });
  return { name: "a simulated swarm of 100 agents", runs: 6, count: 1, run, figure };
}
