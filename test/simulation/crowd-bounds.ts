/**
 * Runs of crowds and the bounds of their reports. A bound has what is reached today, which is
 * asserted, and beside it the target, where that is stricter. Called by the tests of scenarios and
 * of scale.
 */
import { parseCrowdFlags, runCrowd } from "@shoal/sim";
import type { CrowdReport } from "@shoal/sim";
import { expect } from "vitest";

type Figure = {
  [Name in keyof CrowdReport]: CrowdReport[Name] extends number ? Name : never;
}[keyof CrowdReport];

/** At most this: asserted now, and wanted. */
export type Bounds = Partial<Record<Figure, readonly [now: number, target: number]>>;

/** Runs are the same for the same words, so each is made once. */
const REPORTS = new Map<string, CrowdReport>();

/** The report of a run given by the words of the `sim` command. */
export function reportOf(words: string): CrowdReport {
  const known = REPORTS.get(words);
  const report = known ?? runCrowd(parseCrowdFlags(words.split(" ")));
  REPORTS.set(words, report);
  return report;
}

/** Fails, saying how to see the same run again, where a job is not done or a figure is too high. */
export function check(words: string, bounds: Bounds): CrowdReport {
  const report = reportOf(words);
  try {
    expect(report.unfinished).toEqual([]);
    const isOver = ([figure, [now]]: [string, readonly number[]]): boolean =>
      report[figure as Figure] > (now ?? 0);
    expect(Object.entries(bounds).filter(isOver)).toEqual([]);
    return report;
  } catch (error) {
    const replay = `node packages/sim/src/main.ts ${words}`;
    throw new Error(`Replay with: ${replay}\n${JSON.stringify(report)}`, { cause: error });
  }
}
