/**
 * Flash crowd: N agents with empty disks start the same download at the same time; the only copy is
 * at an origin behind a slow link. The scenario of all others is this one with something else.
 *
 * Called by tests and by examples.
 */
import { runCrowd } from "./crowd.ts";
import type { CrowdOptions } from "./crowd-options.ts";
import type { CrowdReport } from "./crowd-report.ts";

/** Runs the scenario in virtual time. The same options give the same report. */
export function runFlashCrowd(options: Omit<CrowdOptions, "scenario">): CrowdReport {
  return runCrowd({ ...options, scenario: "flash-crowd" });
}
