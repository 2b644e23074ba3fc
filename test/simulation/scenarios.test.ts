/**
 * Every scenario as numbers with tolerances. A bound has what is reached today, which is asserted,
 * and beside it the target, where that is stricter: tighten the one towards the other. Each run is
 * given by the words of the `sim` command, and a failure prints them.
 */
import { hasBaseline, parseCrowdFlags, runBaseline, runCrowd, SCENARIOS } from "@shoal/sim";
import type { ScenarioName } from "@shoal/sim";
import { describe, expect, it } from "vitest";
import { scale } from "../long.ts";
import { check, reportOf } from "./crowd-bounds.ts";
import type { Bounds } from "./crowd-bounds.ts";

interface Row {
  readonly words: string;
  readonly bounds: Bounds;
}

/** Small enough for every test run: 256 pieces, 24 agents, one LAN where nothing else is said. */
const SMALL = "--peers 24 --length-mib 256 --piece-kib 1024";

const HEALTHY: Bounds = {
  p50Ratio: [1.06, 1.05],
  p99Ratio: [1.2, 1.2],
  maxRatio: [1.3, 1.3],
  originCopies: [1.03, 1.02],
  wasteShare: [0.015, 0.015],
  uploadGini: [0.34, 0.2],
};

const ROWS: Readonly<Record<ScenarioName, Row>> = {
  "flash-crowd": { words: SMALL, bounds: HEALTHY },
  staggered: {
    words: SMALL,
    bounds: { maxRatio: [1.05, 1.02], originCopies: [1.1, 1.02], wasteShare: [0.04, 0.015] },
  },
  unequal: {
    words: SMALL,
    bounds: { p99Ratio: [1.5, 1.5], originCopies: [2.2, 1.02], uploadGini: [0.2, 0.2] },
  },
  // Until the sites know of each other, each of them begins to take a copy of its own.
  sites: {
    words: SMALL,
    bounds: {
      p50Ratio: [1.1, 1.05],
      p99Ratio: [1.15, 1.15],
      originCopies: [1.1, 1.02],
      wanCopies: [1.05, 1.05],
      wanCopiesMax: [1.1, 1.1],
      wasteShare: [0.015, 0.015],
      bans: [0, 0],
    },
  },
  "nat-sites": {
    words: SMALL,
    bounds: {
      p99Ratio: [1.05, 1.05],
      wanCopies: [1.05, 1.05],
      originCopies: [3.05, 3.05],
      bans: [0, 0],
    },
  },
  churn: {
    words: SMALL,
    bounds: { p50Ratio: [1.12, 1.05], p99Ratio: [1.25, 1.25], originCopies: [1.1, 1.1] },
  },
  breaking: {
    words: SMALL,
    bounds: { p99Ratio: [1.3, 1.2], originCopies: [1.3, 1.1], wasteShare: [0.015, 0.015] },
  },
  // Ten seconds without an origin are ten seconds more, which is 0.39 of the bound.
  "origin-down": {
    words: SMALL,
    bounds: { maxRatio: [1.5, 1.45], originCopies: [1.1, 1.1] },
  },
  "origin-slow": {
    words: SMALL,
    bounds: { maxRatio: [1.45, 1.45], originCopies: [1.05, 1.02] },
  },
  "origin-429": {
    words: SMALL,
    bounds: { maxRatio: [1.5, 1.45], originCopies: [1.1, 1.02] },
  },
  // What the seed has not given away once comes from an origin that is slow.
  "seed-leaves": { words: SMALL, bounds: { originCopies: [0.35, 0.05], uploadGini: [0.2, 0.2] } },
  // Who is banned takes a copy of its own, and the origin's link is full of those meanwhile.
  corrupt: {
    words: SMALL,
    bounds: { maxRatio: [1.75, 1.3], honestCopies: [1.05, 1.05], wasteShare: [0.03, 0.03] },
  },
  // The same from the start: two liars alone have as many connections to the origin as the crew.
  liars: {
    words: SMALL,
    bounds: { maxRatio: [2, 1.3], honestCopies: [1.05, 1.05], wasteShare: [0.015, 0.015] },
  },
  stalling: {
    words: SMALL,
    bounds: { maxRatio: [1.4, 1.3], honestCopies: [1.25, 1.05], wasteShare: [0.015, 0.015] },
  },
  slow: {
    words: SMALL,
    bounds: { maxRatio: [1.4, 1.3], honestCopies: [1.25, 1.05], wasteShare: [0.02, 0.015] },
  },
  update: {
    words: SMALL,
    bounds: { originCopies: [0.13, 0.11], wasteShare: [0.015, 0.015] },
  },
  // A quarter of a copy of the other content crosses the origin's link, too.
  background: {
    words: SMALL,
    bounds: {
      p99Ratio: [1.4, 1.3],
      originCopies: [1.35, 1.27],
      besideBytesPerSec: [137_000, 131_072],
    },
  },
};

/** The seeds of a scenario; long runs try more. */
const SEEDS = scale([42], [42, 7, 1_001]);

describe("a scenario keeps its bounds", () => {
  for (const name of Object.keys(SCENARIOS) as ScenarioName[]) {
    const { words, bounds } = ROWS[name];
    it(`${name}: ${SCENARIOS[name].help}`, () => {
      for (const seed of SEEDS) {
        expect(check(`${name} ${words} --seed ${seed}`, bounds).unfinished).toEqual([]);
      }
    });
  }

  it("has no target that is weaker than what is asserted", () => {
    for (const { bounds } of Object.values(ROWS)) {
      for (const [now, target] of Object.values(bounds)) expect(target).toBeLessThanOrEqual(now);
    }
  });
});

describe("a scenario does what it says", () => {
  it("takes as long as HTTP alone when there is nobody else", () => {
    const alone = "flash-crowd --peers 1 --from-arrival --length-mib 256 --piece-kib 1024";
    const report = check(alone, { maxRatio: [1.02, 1.02] });
    expect(report.originCopies).toBe(1);
  });

  it("finds nine tenths of an update on the agents' own disks", () => {
    const report = check(`update ${SMALL} --seed 42`, {});
    expect(report.reusedShare).toBeGreaterThan(0.85);
    expect(report.reusedShare).toBeLessThan(0.95);
  });

  it("lets a fifth of the agents leave, and has them all complete", () => {
    const report = check(`churn ${SMALL} --seed 42`, {});
    expect(report.departures).toBe(5);
  });

  it("bans whoever sends corrupt pieces or claims what it lacks (R-BAN-01)", () => {
    for (const name of ["corrupt", "liars"]) {
      expect(check(`${name} ${SMALL} --seed 42`, {}).bans).toBeGreaterThan(0);
    }
  });

  it("gives the same report for the same words, of ours and of the baseline", () => {
    const words = "nat-sites --peers 9 --length-mib 32 --piece-kib 512 --seed 5".split(" ");
    for (const run of [runCrowd, runBaseline]) {
      expect(run(parseCrowdFlags(words))).toEqual(run(parseCrowdFlags(words)));
    }
  });
});

describe("beside agents by the documented rules of Delivery Optimization", () => {
  it("takes fewer copies of the origin, and less time, where all start at once", () => {
    const words = `flash-crowd ${SMALL} --seed 42`;
    const [ours, documented] = [reportOf(words), runBaseline(parseCrowdFlags(words.split(" ")))];
    expect(documented.unfinished).toEqual([]);
    expect(ours.originCopies).toBeLessThan(documented.originCopies);
    expect(ours.p99Ms).toBeLessThan(documented.p99Ms);
  });

  it("is not compared where the baseline knows nothing of what happens", () => {
    const known = Object.keys(SCENARIOS).filter((name) => hasBaseline(parseCrowdFlags([name])));
    expect(known).toContain("flash-crowd");
    expect(known).toContain("sites");
    expect(known).not.toContain("churn");
    expect(known).not.toContain("corrupt");
  });
});
