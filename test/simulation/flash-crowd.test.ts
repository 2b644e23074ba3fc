/**
 * The flash crowd as numbers with tolerances. Each run is given by the flags of the `sim` command,
 * and a failure prints them; times are virtual, so they are the same on a slow machine.
 */
import { parseCrowdFlags, runCrowd } from "@shoal/sim";
import type { CrowdReport } from "@shoal/sim";
import { describe, expect, it } from "vitest";
import { scale } from "../long.ts";

/** Runs the scenario and, when the checks fail, says how to see the same run again. */
function checkCrowd(flags: string, check: (report: CrowdReport) => void): void {
  const report = runFlags(flags);
  try {
    expect(report.unfinished).toEqual([]);
    check(report);
  } catch (error) {
    const replay = `pnpm sim flash-crowd ${flags} --json`;
    throw new Error(`Replay with: ${replay}\n${JSON.stringify(report)}`, { cause: error });
  }
}

function runFlags(flags: string): CrowdReport {
  return runCrowd(parseCrowdFlags(flags.split(" ")));
}

const PEERS = 10;
const SMALL = `--peers ${PEERS} --length-mib 64 --piece-kib 1024`;

describe("flash crowd", () => {
  it("is close to the bound for about one copy with four agents and 256 MiB", () => {
    checkCrowd("--peers 4 --length-mib 256 --piece-kib 1024 --seed 42", (report) => {
      expect(report.maxRatio).toBeLessThanOrEqual(1.2);
      expect(report.originCopies).toBeLessThanOrEqual(1.2);
    });
  });

  it("replays a seed event by event, and does something else for another", () => {
    const first = runFlags(`${SMALL} --seed 1`);
    const again = runFlags(`${SMALL} --seed 1`);
    const other = runFlags(`${SMALL} --seed 2`);
    expect(again).toEqual(first);
    expect(other.traceHash).not.toBe(first.traceHash);
  });

  it("completes at every seed, and never takes more of the origin than without peers", () => {
    for (let seed = 1; seed <= scale(8, 200); seed++) {
      const peers = 1 + ((seed * 7) % 13);
      const flags = `--peers ${peers} --length-mib 33 --piece-kib 512 --seed ${seed}`;
      checkCrowd(flags, (report) => {
        expect(report.originCopies).toBeLessThanOrEqual(peers);
      });
    }
  });
});

describe("flash crowd with something wrong", () => {
  it("completes beside a peer that sends corrupt pieces, and bans it (R-BAN-01)", () => {
    const honest = runFlags(`${SMALL} --seed 42`);
    checkCrowd(`${SMALL} --seed 42 --peer 0=corrupt`, (report) => {
      expect(report.corruptPieces).toBeGreaterThan(0);
      // The second corrupt piece ends it: nobody is fooled more often (R-SCH-07).
      expect(report.corruptPieces).toBeLessThanOrEqual(2 * (PEERS - 1));
      expect(report.bans).toBeGreaterThan(0);
      // The banned peer is left alone with the origin and takes a copy of its own.
      expect(report.originCopies).toBeLessThanOrEqual(2.2);
      expect(report.maxMs).toBeLessThanOrEqual(2.2 * honest.maxMs);
    });
  });

  it("completes beside peers that claim everything, stall, or are slow (R-SCH-04)", () => {
    checkCrowd(`${SMALL} --seed 42 --peer 1=claim --peer 4=stall --peer 7=slow`, (report) => {
      expect(report.originCopies).toBeLessThanOrEqual(PEERS);
    });
  });

  it("goes on among peers when the origin is gone for good after one copy has left it", () => {
    const gone = "--head-start-ms 8000 --trouble down@8000-1000000000";
    checkCrowd(`${SMALL} --seed 42 ${gone}`, (report) => {
      expect(report.originCopies).toBe(1);
    });
  });

  it("waits for an origin that answers 503, or nothing at all, for a while", () => {
    for (const trouble of ["503@100-5000", "silent@2000-7000", "down@100-5000"]) {
      checkCrowd(`${SMALL} --seed 42 --trouble ${trouble}`, (report) => {
        expect(report.completed).toBe(PEERS);
      });
    }
  });
});
