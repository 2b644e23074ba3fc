/** Jobs and the network: loss and return, cost and cellular, and patience without progress. */
import { describe, expect, test } from "vitest";
import { NETWORK_COSTS, STANDARD_NETWORK_COSTS, USUAL_NETWORK } from "@shoal/core";
import type { JobRequest, JobState, NetworkCost, NetworkState } from "@shoal/core";
import { fetching, Harness, JOB_ID, pieces, request, URL_TEXT, WALL_AT } from "./harness.ts";
import { inState, OTHER_ID } from "./job-in-state.ts";

const OFFLINE: NetworkState = { ...USUAL_NETWORK, isOnline: false };
const CELLULAR: NetworkState = { ...USUAL_NETWORK, isCellular: true };
const HOUR_MS = 3_600_000;
const DOWN = { code: "ERR_ORIGIN_UNREACHABLE", message: "down" } as const;

function setNetwork(h: Harness, network: NetworkState): void {
  h.run((scheduler) => scheduler.setNetwork(network, h.now));
}

function setJob(h: Harness, values: object): void {
  const change = { type: "setJob", values } as const;
  const result = h.run((scheduler) => scheduler.changeJob(JOB_ID, change, h.now));
  if (!result.ok) throw new Error(result.error.message);
}

/** A job that waits for a probe, its store answered. */
function started(changes: Partial<JobRequest> = {}, settings = {}): Harness {
  const h = new Harness({ settings });
  h.create({ ...request(), ...changes });
  h.answerStore();
  return h;
}

function failProbe(h: Harness, kind: "transient" | "fatal" = "transient"): void {
  for (const { requestId, transferId } of h.take("probeOrigin")) {
    h.send({ type: "originFailed", requestId, transferId, failure: { kind, error: DOWN } });
  }
  h.answerStore();
}

describe("when the network is gone", () => {
  const moved: ReadonlyArray<readonly [JobState, JobState]> = [
    ["queued", "transientError"],
    ["connecting", "transientError"],
    ["transferring", "transientError"],
    ["transientError", "transientError"],
    ["suspended", "suspended"],
    ["error", "error"],
    ["transferred", "transferred"],
    ["acknowledged", "acknowledged"],
    ["cancelled", "cancelled"],
  ];
  test.each(moved)("a job that is %s comes to %s", (state, after) => {
    const h = inState[state]();
    setNetwork(h, OFFLINE);
    expect(h.job?.state).toBe(after);
    const isMoved = after === "transientError" && state !== after;
    expect(h.job?.error?.code === "ERR_NETWORK_DOWN").toBe(isMoved);
  });

  test("requests are withdrawn and the part file is kept", () => {
    const { h } = fetching(pieces("...."));
    const { requestId } = h.takeOne("fetchRange");
    setNetwork(h, OFFLINE);
    expect(h.takeOne("cancelOrigin").requestId).toBe(requestId);
    expect(h.takeOne("closeContent").outcome).toBe("keep");
  });

  test("no timer tries a job again, and its return does, for all that wait", () => {
    const h = inState.transientError();
    h.create({ ...request(), jobId: OTHER_ID, files: [file("/tmp/other")] });
    h.answerStore();
    setNetwork(h, OFFLINE);
    h.answerStore();
    h.advanceTo(h.now + 29_000);
    expect(h.scheduler.jobBrief(OTHER_ID)?.state).toBe("transientError");
    setNetwork(h, USUAL_NETWORK);
    expect(h.job?.state).toBe("connecting");
    expect(h.scheduler.jobBrief(OTHER_ID)?.state).toBe("connecting");
  });

  test("its return is of no use to a job that was suspended meanwhile", () => {
    const h = started();
    setNetwork(h, OFFLINE);
    h.verb("suspend");
    setNetwork(h, USUAL_NETWORK);
    expect(h.job?.state).toBe("suspended");
  });

  test("a job that is created or resumed waits in transientError at once", () => {
    const h = new Harness();
    setNetwork(h, OFFLINE);
    h.create(request());
    expect(h.job).toMatchObject({ state: "transientError", error: { code: "ERR_NETWORK_DOWN" } });
    expect(h.take("probeOrigin")).toEqual([]);
    h.verb("resume");
    expect(h.job).toMatchObject({ state: "transientError", error: { code: "ERR_NETWORK_DOWN" } });
  });

  test.each(["http://127.0.0.1:8080/file", "http://localhost/file", "http://[::1]/file"])(
    "a job for %s goes on",
    (url) => {
      const h = started({ files: [{ ...file("/tmp/file"), url }] });
      setNetwork(h, OFFLINE);
      expect(h.job?.state).toBe("connecting");
      expect(h.take("cancelOrigin")).toEqual([]);
    },
  );

  test("a job with a local and another URL waits", () => {
    const local = { ...file("/tmp/a"), url: "http://127.0.0.1/file" };
    const h = started({ files: [local, file("/tmp/b")] });
    setNetwork(h, OFFLINE);
    expect(h.job?.state).toBe("transientError");
  });

  test("jobs that failed for another reason are tried again, too, when it is back", () => {
    const h = inState.transientError();
    setNetwork(h, OFFLINE);
    expect(h.job?.error?.code).toBe("ERR_DISK_FULL");
    setNetwork(h, USUAL_NETWORK);
    expect(h.job?.state).toBe("connecting");
  });

  test("a job that fails for another reason just before is not tried in vain while it is", () => {
    const h = inState.transientError();
    h.answerStore();
    setNetwork(h, OFFLINE);
    h.advanceTo(h.now + 31_000);
    expect(h.job).toMatchObject({ state: "transientError", error: { code: "ERR_NETWORK_DOWN" } });
    expect(h.take("openContent")).toEqual([]);
  });
});

describe("what a network costs", () => {
  const costs = Object.keys(NETWORK_COSTS) as NetworkCost[];

  test.each(costs)("a job whose set has %s alone uses only such networks", (cost) => {
    const h = started({ networkCosts: NETWORK_COSTS[cost] });
    for (const now of costs) {
      setNetwork(h, { ...USUAL_NETWORK, cost: now });
      const isAllowed = now === cost;
      expect(h.job?.state).toBe(isAllowed ? "connecting" : "transientError");
      expect(h.job?.error?.code).toBe(isAllowed ? undefined : "ERR_NETWORK_COST");
    }
  });

  test.each(costs)(
    "by default only foreground jobs pay for %s where it is no standard one",
    (cost) => {
      const network = { ...USUAL_NETWORK, cost };
      const foreground = started({ priority: "foreground" });
      setNetwork(foreground, network);
      expect(foreground.job?.state).toBe("connecting");
      const background = started();
      setNetwork(background, network);
      const isStandard = (NETWORK_COSTS[cost] & STANDARD_NETWORK_COSTS) !== 0;
      expect(background.job?.state).toBe(isStandard ? "connecting" : "transientError");
    },
  );

  test("a changed set holds at once, in both directions", () => {
    const h = started();
    setJob(h, { networkCosts: NETWORK_COSTS.roaming });
    expect(h.job).toMatchObject({ state: "transientError", error: { code: "ERR_NETWORK_COST" } });
    setJob(h, { networkCosts: null });
    expect(h.job?.state).toBe("connecting");
  });

  test("a job that becomes a foreground one is freed", () => {
    const h = started();
    setNetwork(h, { ...USUAL_NETWORK, cost: "roaming" });
    expect(h.job?.state).toBe("transientError");
    setJob(h, { priority: "foreground" });
    expect(h.job?.state).toBe("connecting");
  });

  test("a change that frees nothing leaves the wait for a retry as it is", () => {
    const h = started({}, { originFailuresMax: 1 });
    failProbe(h);
    expect(h.job?.state).toBe("transientError");
    setJob(h, { networkCosts: NETWORK_COSTS.unrestricted });
    expect(h.job?.state).toBe("transientError");
  });

  test("a cellular network is for jobs that allow it", () => {
    const h = started({ allowsCellular: false });
    setNetwork(h, CELLULAR);
    expect(h.job).toMatchObject({
      state: "transientError",
      error: { code: "ERR_NETWORK_CELLULAR" },
    });
    setJob(h, { allowsCellular: true });
    expect(h.job?.state).toBe("connecting");
    setJob(h, { allowsCellular: false });
    expect(h.job?.state).toBe("transientError");
    setNetwork(h, USUAL_NETWORK);
    expect(h.job?.state).toBe("connecting");
  });

  test("a reason to wait that takes the place of another is shown", () => {
    const h = started({ networkCosts: NETWORK_COSTS.unrestricted });
    setNetwork(h, OFFLINE);
    expect(h.job?.error?.code).toBe("ERR_NETWORK_DOWN");
    setNetwork(h, { ...USUAL_NETWORK, cost: "roaming" });
    expect(h.job?.error?.code).toBe("ERR_NETWORK_COST");
    setNetwork(h, OFFLINE);
    expect(h.job?.error?.code).toBe("ERR_NETWORK_DOWN");
  });
});

describe("without progress", () => {
  test("a job that transfers fails after its own time", () => {
    const h = started({ noProgressTimeoutMs: 60_000 });
    h.advanceTo(59_999);
    expect(h.job?.state).toBe("connecting");
    h.advanceTo(60_000);
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_NO_PROGRESS" } });
    expect(h.takeOne("saveJob").job).toMatchObject({ state: "error" });
  });

  test.each([
    ["foreground", HOUR_MS],
    ["normal", 24 * HOUR_MS],
  ] as const)("a %s job that names no time has %d ms", (priority, timeoutMs) => {
    const h = started({ priority });
    expect(h.job?.noProgressTimeoutMs).toBe(timeoutMs);
    h.advanceTo(timeoutMs - 1);
    expect(h.job?.state).toBe("connecting");
    h.advanceTo(timeoutMs);
    expect(h.job?.error?.code).toBe("ERR_NO_PROGRESS");
  });

  test("a job that waits for the network fails with its last reason told", () => {
    const h = started({ noProgressTimeoutMs: 60_000 });
    h.advanceTo(10_000);
    setNetwork(h, OFFLINE);
    h.advanceTo(59_999);
    expect(h.job?.state).toBe("transientError");
    h.advanceTo(60_000);
    expect(h.job?.state).toBe("error");
    expect(h.job?.error?.message).toContain("There is no network");
  });

  test("a byte begins the time anew", () => {
    const { h } = fetching(pieces("...."), { settings: { noProgressBackgroundMs: 60_000 } });
    const { requestId, transferId } = h.takeOne("fetchRange");
    h.advanceTo(50_000);
    h.send({ type: "rangePiece", requestId, transferId, piece: 0, bufferId: 1 });
    h.storeAll();
    h.advanceTo(109_999);
    expect(h.job?.state).toBe("transferring");
    h.advanceTo(110_000);
    expect(h.job?.error?.code).toBe("ERR_NO_PROGRESS");
  });

  test("a return of the network does not", () => {
    const h = started({ noProgressTimeoutMs: 60_000 });
    for (let at = 7_000; at < 60_000; at += 7_000) {
      h.advanceTo(at);
      setNetwork(h, OFFLINE);
      h.answerStore();
      setNetwork(h, USUAL_NETWORK);
      expect(h.job?.state).toBe("connecting");
    }
    h.advanceTo(60_000);
    expect(h.job?.error?.code).toBe("ERR_NO_PROGRESS");
  });

  test("time in which a job was queued or suspended does not count", () => {
    const h = started({ noProgressTimeoutMs: 60_000 });
    h.advanceTo(50_000);
    h.verb("suspend");
    h.answerStore();
    h.advanceTo(HOUR_MS);
    h.verb("resume");
    h.advanceTo(HOUR_MS + 59_999);
    expect(h.job?.state).toBe("connecting");
    h.advanceTo(HOUR_MS + 60_000);
    expect(h.job?.state).toBe("error");
    const queued = inState.queued();
    queued.advanceTo(HOUR_MS);
    expect(queued.job?.state).toBe("queued");
  });

  test("a job that has waited in the queue for longer than its time is tried, not given up", () => {
    const h = new Harness({ settings: { activeJobsMax: 1, originFailuresMax: 1 } });
    h.create({ ...request(), noProgressTimeoutMs: 2 * HOUR_MS });
    h.advanceTo(HOUR_MS / 2);
    failProbe(h);
    h.create({ ...request(), jobId: OTHER_ID, files: [file("/tmp/other")] });
    h.advanceTo(5 * HOUR_MS);
    expect(h.job?.state).toBe("queued");
    h.verb("cancel", OTHER_ID);
    h.advanceTo(6 * HOUR_MS);
    expect(h.job?.state).toBe("connecting");
    h.advanceTo(7 * HOUR_MS);
    expect(h.job?.error?.code).toBe("ERR_NO_PROGRESS");
  });

  test.each([
    ["back", -400 * 24 * HOUR_MS],
    ["ahead", 400 * 24 * HOUR_MS],
  ])("a wall clock set %s changes nothing (R-TIME-02)", (_, jumpMs) => {
    const h = started({ noProgressTimeoutMs: 60_000 });
    h.advanceTo(30_000);
    h.wallAt = WALL_AT + jumpMs;
    h.advanceTo(59_999);
    expect(h.job?.state).toBe("connecting");
    h.advanceTo(60_000);
    expect(h.job?.error?.code).toBe("ERR_NO_PROGRESS");
  });

  test("a changed time holds at once", () => {
    const h = started();
    h.advanceTo(60_000);
    setJob(h, { noProgressTimeoutMs: 61_000 });
    h.advanceTo(60_999);
    expect(h.job?.state).toBe("connecting");
    h.advanceTo(61_000);
    expect(h.job?.state).toBe("error");
  });

  test("and without patience a transient failure is final, with its own code (R-TIME-05)", () => {
    const h = started({ noProgressTimeoutMs: 0 }, { originFailuresMax: 1 });
    h.advanceTo(HOUR_MS);
    expect(h.job?.state).toBe("connecting");
    failProbe(h);
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_ORIGIN_UNREACHABLE" } });
  });

  test("without patience a network that may not be used is final, too", () => {
    const h = started({ noProgressTimeoutMs: 0 });
    h.advanceTo(10_000);
    setNetwork(h, OFFLINE);
    h.advanceTo(10_001);
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_NETWORK_DOWN" } });
  });

  test("a job that failed so is tried anew, with all its time, when it is resumed", () => {
    const h = started({ noProgressTimeoutMs: 60_000 });
    h.advanceTo(60_000);
    h.answerStore();
    h.verb("resume");
    expect(h.job?.error).toBeUndefined();
    h.advanceTo(119_999);
    expect(h.job?.state).toBe("connecting");
    h.advanceTo(120_000);
    expect(h.job?.state).toBe("error");
  });

  test("a job whose last file is there is not given up while it waits to be acknowledged", () => {
    const h = inState.transferred();
    h.advanceTo(48 * HOUR_MS);
    expect(h.job?.state).toBe("transferred");
  });
});

function file(destination: string): { readonly url: string; readonly destination: string } {
  return { url: URL_TEXT, destination };
}
