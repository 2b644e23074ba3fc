/**
 * Hours of trouble in virtual time, with the invariants of every agent checked after every event. A
 * failure names its seed, and `pnpm sim soak --minutes M --seed N` is the same run.
 */
import { runSoak } from "@shoal/sim";
import { describe, expect, it } from "vitest";
import { scale } from "../long.ts";

const MINUTES = scale(2, 120);

describe("eight agents in trouble", () => {
  for (const seed of scale([1, 2], [1, 2, 3, 4])) {
    it(`complete every job and publish nothing wrong in ${MINUTES} minutes of seed ${seed}`, () => {
      const report = runSoak({ seed, minutes: MINUTES });
      expect(report.jobs).toBeGreaterThan(10);
      expect(report.completed + report.cancelled + report.lost).toBe(report.jobs);
      expect(report.departures + report.troubles).toBeGreaterThan(0);
    });
  }

  it("do the same again for the same seed", () => {
    const again = { seed: 3, minutes: 1 };
    expect(runSoak(again)).toEqual(runSoak(again));
  });
});
