/**
 * How close crowds of ten, a hundred and a thousand agents come to the bound, each with 1 GiB in
 * 256 pieces: alike, with a fifth of them leaving, and with uplinks of which one is ten times
 * another. Says what processor time the largest took, which is the machine's affair.
 */
import type { CrowdReport } from "@shoal/sim";
import { describe, expect, it } from "vitest";
import { isLong, scale } from "../long.ts";
import { check } from "./crowd-bounds.ts";
import type { Bounds } from "./crowd-bounds.ts";

const HEALTHY: Bounds = {
  p50Ratio: [1.05, 1.05],
  p99Ratio: [1.2, 1.2],
  maxRatio: [1.3, 1.3],
  originCopies: [1.02, 1.02],
  wasteShare: [0.015, 0.015],
  uploadGini: [0.2, 0.2],
};

const CHURNING: Bounds = { originCopies: [1.1, 1.1] };

/** Runs in virtual time, on machines that may be busy with others. */
const MINUTES_FEW = { timeout: 5 * 60_000 };
const MINUTES_MANY = { timeout: 30 * 60_000 };

/** Runs the scenario within its bounds, and says what it took. */
function runWithin(words: string, bounds: Bounds): CrowdReport {
  const before = process.cpuUsage();
  const report = check(words, bounds);
  const { user, system } = process.cpuUsage(before);
  const seconds = ((user + system) / 1e6).toFixed(1);
  console.log(`${words}: ${report.events} events in ${seconds} s of processor time`);
  return report;
}

describe("a healthy crowd", () => {
  for (const peers of [10, 100]) {
    it(`of ${peers} agents comes close to the bound for about one copy`, MINUTES_FEW, () => {
      const report = runWithin(`flash-crowd --peers ${peers} --seed 42`, HEALTHY);
      expect(report.completed).toBe(peers);
    });
  }

  it.skipIf(!isLong)("of 1,000 agents does so too", MINUTES_MANY, () => {
    expect(runWithin("flash-crowd --peers 1000 --seed 42", HEALTHY).completed).toBe(1_000);
  });
});

describe("a crowd of which a fifth leaves and comes back", () => {
  for (const peers of [10, 100]) {
    it(`takes about one copy for ${peers} agents`, MINUTES_FEW, () => {
      const report = runWithin(`churn --peers ${peers} --seed 42`, CHURNING);
      expect(report.departures).toBe(peers / 5);
    });
  }

  it.skipIf(!isLong)("takes about one copy for 1,000 agents", MINUTES_MANY, () => {
    expect(runWithin("churn --peers 1000 --seed 42", CHURNING).departures).toBe(200);
  });
});

/** Their slices are many, so a short run has them fetch an eighth of the bytes. */
const UNEQUAL = scale(
  "unequal --peers 100 --length-mib 128 --piece-kib 1024 --seed 42",
  "unequal --peers 100 --seed 42",
);

describe("a crowd with unequal uplinks", () => {
  it("of 100 agents is done within half more than the bound", MINUTES_FEW, () => {
    expect(runWithin(UNEQUAL, { p99Ratio: [1.5, 1.5] }).completed).toBe(100);
  });
});
