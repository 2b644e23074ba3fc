import { describe, expect, test } from "vitest";
import { Harness, JOB_ID, request } from "./harness.ts";

const HOUR_MS = 3_600_000;
const NEW_ID = "00000000-0000-4000-8000-000000000002";

/** A job that was under way when its agent crashed, in an agent that starts in safe mode. */
function afterCrashes(): Harness {
  const before = new Harness();
  before.create(request());
  const jobs = before.take("saveJob").map(({ job }) => job);
  return new Harness({ jobs: jobs.slice(-1), holdsJobs: true });
}

const stateOf = (h: Harness, jobId = JOB_ID): string | undefined =>
  h.run((scheduler) => scheduler.jobBrief(jobId)?.state);

describe("an agent in safe mode (R-PROC-04)", () => {
  test("leaves the jobs of earlier runs queued, however long it runs", () => {
    const h = afterCrashes();
    expect(stateOf(h)).toBe("queued");
    h.run((scheduler) =>
      scheduler.setNetwork({ isOnline: true, isCellular: false, cost: "unrestricted" }, h.now),
    );
    h.advanceTo(2 * HOUR_MS);
    expect(stateOf(h)).toBe("queued");
  });

  test("runs a job again when it is resumed, and new ones as ever", () => {
    const h = afterCrashes();
    expect(h.verb("resume")).toBeUndefined();
    expect(stateOf(h)).not.toBe("queued");
    h.create({ ...request({ destination: "/elsewhere/f" }), jobId: NEW_ID });
    expect(stateOf(h, NEW_ID)).not.toBe("queued");
  });

  test("takes no peers and gives none anything, and says why", () => {
    const h = new Harness();
    h.run((scheduler) => scheduler.setMachine({ isSafeMode: true }, h.now));
    const { partners, mayServe, reasons } = h.run((scheduler) => scheduler.peering);
    expect({ partners, mayServe }).toEqual({ partners: "none", mayServe: false });
    expect(reasons).toEqual(["safeMode"]);
  });

  test("short of memory, uploads nothing and still takes", () => {
    const h = new Harness();
    h.run((scheduler) => scheduler.setMachine({ isShortOfMemory: true }, h.now));
    const { partners, mayServe, reasons } = h.run((scheduler) => scheduler.peering);
    expect({ partners, mayServe, reasons }).toEqual({
      partners: "all",
      mayServe: false,
      reasons: ["memoryShort"],
    });
  });
});
