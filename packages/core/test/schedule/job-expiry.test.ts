/** How long jobs live: age, grace, clock jumps, restarts, and what is remembered of those that are over. */
import { describe, expect, test } from "vitest";
import { JOB_STATES, LIMITS, parseJobRecord } from "@shoal/core";
import type { JobRecord, JobState } from "@shoal/core";
import { Harness, JOB_ID, manifestOf, pieces, request, URL_TEXT, WALL_AT } from "./harness.ts";
import { inState, OTHER_ID } from "./job-in-state.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const AGE_MS = 30 * DAY_MS;
const LIVE = JOB_STATES.filter((state) => state !== "acknowledged" && state !== "cancelled");
const STORED = JOB_STATES.filter((state) => state !== "connecting" && state !== "transferring");

/** The record of a job in the state, as a store would give it back. */
function recordIn(state: JobRecord["state"], changes: Partial<JobRecord> = {}): JobRecord {
  const h = inState[state]();
  const ended = h.take("endJob").at(-1)?.job;
  const saved = h.take("saveJob").findLast(({ job }) => job.jobId === JOB_ID)?.job;
  const record = parseJobRecord(JSON.parse(JSON.stringify({ ...(ended ?? saved), ...changes })));
  if (record === undefined) throw new Error(`the record of a job that is ${state} does not parse`);
  return record;
}

/** A job that waits for its user, for as long as it takes. */
function waiting(): Harness {
  const h = inState.suspended();
  h.answerStore();
  return h;
}

describe("a job that is not over", () => {
  test.each(LIVE)("is cancelled beyond 30 days, not at 30 days, while it is %s", (state) => {
    const h = inState[state]();
    h.answerStore();
    const values = { noProgressTimeoutMs: 90 * DAY_MS };
    h.run((scheduler) => scheduler.changeJob(JOB_ID, { type: "setJob", values }, h.now));
    h.now = AGE_MS - 1;
    h.advanceTo(AGE_MS);
    expect(h.job?.state).not.toBe("cancelled");
    h.take("endJob");
    h.advanceTo(AGE_MS + 1_000);
    expect(h.job).toMatchObject({ state: "cancelled", error: { code: "ERR_JOB_TOO_OLD" } });
    const record = h.take("endJob").find(({ job }) => job.jobId === JOB_ID)?.job;
    expect(record).toMatchObject({ state: "cancelled", error: { code: "ERR_JOB_TOO_OLD" } });
  });

  test("counts its age from its creation, whatever happened since", () => {
    const h = waiting();
    h.advanceTo(29 * DAY_MS);
    const values = { displayName: "still wanted" };
    h.run((scheduler) => scheduler.changeJob(JOB_ID, { type: "setJob", values }, h.now));
    h.verb("resume");
    h.verb("suspend");
    h.advanceTo(AGE_MS + 1_000);
    expect(h.job?.state).toBe("cancelled");
  });

  test("leaves nothing behind but its record when it grows too old", () => {
    const h = inState.transferred();
    h.answerStore();
    h.advanceTo(AGE_MS + 1_000);
    expect(h.takeOne("closeContent").outcome).toBe("discard");
  });

  test("fails the acknowledgement under way when it grows too old", () => {
    const h = inState.transferred();
    h.answerStore();
    const result = h.run((scheduler) => scheduler.applyVerb(JOB_ID, "acknowledge", h.now));
    h.advanceTo(AGE_MS + 1_000);
    const ticket = result.ok ? result.ticket : -1;
    expect(h.settlements(ticket)).toMatchObject([{ error: { code: "ERR_JOB_TOO_OLD" } }]);
  });

  test("has a creation in the future only if a clock was wrong, and then does not expire", () => {
    const jobs = [recordIn("suspended", { createdAt: WALL_AT + AGE_MS })];
    const h = new Harness({ jobs });
    h.advanceTo(2 * DAY_MS);
    expect(h.job?.state).toBe("suspended");
  });

  test("may be as old as the setting says", () => {
    const h = new Harness({ settings: { jobAgeMsMax: HOUR_MS } });
    h.create({ ...request(), startSuspended: true });
    h.advanceTo(HOUR_MS);
    expect(h.job?.state).toBe("suspended");
    h.advanceTo(HOUR_MS + 1_000);
    expect(h.job?.state).toBe("cancelled");
  });
});

describe("a job that is over", () => {
  test.each(["acknowledge", "cancel"] as const)("is remembered for 30 days after %s", (verb) => {
    const h = waiting();
    h.advanceTo(10 * DAY_MS);
    h.verb(verb);
    h.answerStore();
    expect(h.job?.endedAt).toBe(WALL_AT + 10 * DAY_MS);
    h.advanceTo(10 * DAY_MS + AGE_MS);
    expect(h.take("forgetJob")).toEqual([]);
    h.advanceTo(10 * DAY_MS + AGE_MS + 1_000);
    expect(h.takeOne("forgetJob").jobId).toBe(JOB_ID);
    expect(h.job).toBeUndefined();
    expect(h.verb("cancel")).toBe("ERR_JOB_NOT_FOUND");
  });

  test("that grew too old is remembered for 30 days more", () => {
    const h = waiting();
    h.advanceTo(AGE_MS + 1_000);
    h.answerStore();
    h.advanceTo(2 * AGE_MS);
    expect(h.job?.state).toBe("cancelled");
    h.advanceTo(2 * AGE_MS + HOUR_MS);
    expect(h.job).toBeUndefined();
  });

  test("may be forgotten before the store has answered, and its verb settles all the same", () => {
    const h = new Harness({ settings: { endedJobAgeMsMax: 0 } });
    h.create({ ...request(), startSuspended: true });
    const result = h.run((scheduler) => scheduler.applyVerb(JOB_ID, "cancel", h.now));
    h.advanceTo(2 * HOUR_MS);
    expect(h.takeOne("forgetJob").jobId).toBe(JOB_ID);
    h.answerStore();
    expect(h.settlements(result.ok ? result.ticket : -1)).toHaveLength(1);
  });

  test("goes, the oldest first, when there are too many", () => {
    const template = recordIn("cancelled");
    const jobs = Array.from({ length: LIMITS.jobsOverMax + 3 }, (_, i) => ({
      ...template,
      jobId: `00000000-0000-4000-8000-${String(i + 1).padStart(12, "0")}`,
      sequence: i + 1,
    }));
    const h = new Harness({ jobs });
    expect(h.take("forgetJob").map(({ jobId }) => jobId)).toEqual(
      jobs.slice(0, 3).map(({ jobId }) => jobId),
    );
    expect(h.scheduler.jobIds()).toHaveLength(LIMITS.jobsOverMax);
  });
});

describe("the clock (R-TIME-03)", () => {
  const old = (): JobRecord[] => [recordIn("suspended")];

  test("is not believed at once after a start: nothing expires for ten minutes", () => {
    const h = new Harness({ jobs: old(), wallAt: WALL_AT + 2 * AGE_MS });
    h.advanceTo(599_999);
    expect(h.job?.state).toBe("suspended");
    h.advanceTo(600_000);
    expect(h.job).toMatchObject({ state: "cancelled", error: { code: "ERR_JOB_TOO_OLD" } });
  });

  test("is set right in those ten minutes, and nothing is lost", () => {
    const h = new Harness({ jobs: old(), wallAt: WALL_AT + 400 * DAY_MS });
    h.advanceTo(300_000);
    h.wallAt = WALL_AT;
    h.advanceTo(2 * DAY_MS);
    expect(h.job?.state).toBe("suspended");
  });

  test("jumps ahead, and nothing expires for a day", () => {
    const h = waiting();
    h.advanceTo(HOUR_MS);
    h.wallAt = WALL_AT + 2 * AGE_MS;
    h.send({ type: "dialFailed", peerId: "nobody", reason: "" });
    h.advanceTo(HOUR_MS + DAY_MS - 1);
    expect(h.job?.state).toBe("suspended");
    h.advanceTo(HOUR_MS + DAY_MS + HOUR_MS);
    expect(h.job?.state).toBe("cancelled");
  });

  test("jumps ahead and back again within a day, and nothing expires", () => {
    const h = waiting();
    h.advanceTo(HOUR_MS);
    h.wallAt = WALL_AT + 2 * AGE_MS;
    h.advanceTo(12 * HOUR_MS);
    h.wallAt = WALL_AT;
    h.advanceTo(3 * DAY_MS);
    expect(h.job?.state).toBe("suspended");
  });

  test("jumps ahead during the look at ages itself, and nothing expires", () => {
    const h = waiting();
    h.wallAt = WALL_AT + 2 * AGE_MS;
    h.advanceTo(12 * HOUR_MS);
    expect(h.job?.state).toBe("suspended");
  });

  test("jumps back, and a job does not live for ever", () => {
    const h = waiting();
    h.advanceTo(DAY_MS);
    h.wallAt = WALL_AT - 10 * DAY_MS;
    h.advanceTo(AGE_MS + 10 * DAY_MS + HOUR_MS);
    expect(h.job?.state).toBe("cancelled");
  });
});

describe("after a restart", () => {
  const after: Readonly<Record<JobRecord["state"], JobState>> = {
    queued: "connecting",
    suspended: "suspended",
    error: "error",
    transientError: "connecting",
    transferred: "transferred",
    acknowledged: "acknowledged",
    cancelled: "cancelled",
  };

  test.each(STORED as ReadonlyArray<JobRecord["state"]>)("a job that was %s", (state) => {
    const record = recordIn(state);
    const h = new Harness({ jobs: [record] });
    expect(h.job?.state).toBe(after[state]);
    expect(h.job).toMatchObject({ createdAt: record.createdAt, displayName: "test" });
    const isFailed = state === "error";
    expect(h.job?.error?.code).toBe(isFailed ? "ERR_ORIGIN_NOT_FOUND" : undefined);
    h.verb("resume");
    expect(h.verb("cancel")).toBe(h.job?.endedAt === record.endedAt ? "ERR_JOB_STATE" : undefined);
  });

  test.each(["connecting", "transferring"] as const)("a job that was %s is queued", (state) => {
    const saved = inState[state]().take("saveJob").at(-1)?.job;
    expect(saved?.state).toBe("queued");
  });

  test.each(STORED as ReadonlyArray<JobRecord["state"]>)("a volatile job that was %s", (state) => {
    const isOver = state === "acknowledged" || state === "cancelled";
    const h = new Harness({ jobs: [recordIn(state, { isVolatile: true })] });
    expect(h.job?.state).toBe(isOver ? state : undefined);
    const ended = h.take("endJob").map(({ job }) => job.jobId);
    expect(ended).toEqual(isOver ? [] : [JOB_ID]);
    for (const jobId of ended) h.send({ type: "jobEnded", jobId, undeletedCount: 0 });
    expect([...h.take("probeOrigin"), ...h.take("openContent")]).toEqual([]);
  });

  test("a volatile job that goes does not make others begin without what they have stored", () => {
    const { length, ...manifest } = manifestOf(4);
    const content = { jobId: JOB_ID, fileIndex: 0, length, storedBytes: length / 2, manifest };
    const files = [fileRecord("/tmp/other")];
    const gone = recordIn("suspended", { jobId: OTHER_ID, sequence: 9, files, isVolatile: true });
    const h = new Harness({ jobs: [recordIn("transientError"), gone], resumable: [content] });
    h.takeOne("openContent");
    expect([...h.take("fetchManifest"), ...h.take("probeOrigin")]).toEqual([]);
  });

  test("the destination of a volatile job is free", () => {
    const h = new Harness({ jobs: [recordIn("suspended", { isVolatile: true })] });
    h.create({ ...request(), jobId: OTHER_ID });
    expect(h.scheduler.jobBrief(OTHER_ID)?.state).toBe("connecting");
  });

  test("a transferred job is acknowledged by opening what is stored and publishing it", () => {
    const record = recordIn("transferred");
    const manifest = inState.transferred();
    const { length = 0 } = manifest.job ?? {};
    const key = { validatorKey: `${length} "a"` };
    const resumable = [{ jobId: JOB_ID, fileIndex: 0, length, storedBytes: length, ...key }];
    const h = new Harness({ jobs: [record], resumable });
    expect(h.job).toMatchObject({ transferredBytes: length, length });
    h.verb("acknowledge");
    const { transferId, spec } = h.takeOne("openContent");
    expect(spec).toMatchObject({ destination: "/tmp/file", validatorKey: key.validatorKey });
    const have = pieces("1".repeat(spec.layout.pieceCount)).toBytes();
    h.send({ type: "contentOpened", transferId, have });
    h.send({ type: "contentVerified", transferId: h.takeOne("verifyContent").transferId });
    h.answerStore();
    h.answerStore();
    expect(h.job).toMatchObject({
      state: "acknowledged",
      originBytes: record.files[0]?.originBytes,
    });
  });

  test("the jobs keep their order and new ones follow", () => {
    const jobs = [
      recordIn("suspended", { sequence: 4 }),
      recordIn("suspended", {
        jobId: OTHER_ID,
        sequence: 9,
        files: [fileRecord("/tmp/other")],
      }),
    ];
    const h = new Harness({ jobs });
    const third = "00000000-0000-4000-8000-000000000003";
    h.create({ ...request(), jobId: third, files: [{ url: URL_TEXT, destination: "/tmp/c" }] });
    expect(h.scheduler.jobIds()).toEqual([JOB_ID, OTHER_ID, third]);
    expect(h.takeOne("saveJob").job.sequence).toBe(10);
  });
});

describe("instants", () => {
  test("`modifiedAt` moves with every verb, change and byte", () => {
    const h = inState.transferring();
    const seen = [h.job?.modifiedAt];
    const steps = [
      () => h.run((s) => s.changeJob(JOB_ID, { type: "setJob", values: {} }, h.now)),
      () => h.verb("suspend"),
      () => h.verb("resume"),
      () => h.answerStore(),
      () => h.verb("cancel"),
    ];
    for (const step of steps) {
      h.advanceTo(h.now + 1_000);
      step();
      seen.push(h.job?.modifiedAt);
    }
    expect(seen).toEqual([...new Set(seen)]);
    expect(seen.at(-1)).toBe(WALL_AT + 5_000);
  });

  test("`transferredAt` is when the last file was there, and stays", () => {
    const h = new Harness();
    h.create(request());
    const { requestId, transferId } = h.takeOne("probeOrigin");
    h.advanceTo(5_000);
    const found = { length: 0, validator: {}, acceptsRanges: true } as const;
    h.send({ type: "originProbed", requestId, transferId, ...found });
    h.open(pieces(""));
    h.send({ type: "contentVerified", transferId });
    expect(h.job?.transferredAt).toBe(WALL_AT + 5_000);
    expect(h.take("saveJob").at(-1)?.job.transferredAt).toBe(WALL_AT + 5_000);
    h.advanceTo(9_000);
    h.verb("suspend");
    h.verb("resume");
    expect(h.job).toMatchObject({ state: "transferred", transferredAt: WALL_AT + 5_000 });
    h.verb("acknowledge");
    h.answerStore();
    expect(h.job).toMatchObject({ transferredAt: WALL_AT + 5_000, endedAt: WALL_AT + 9_000 });
  });

  test("the file's own `modifiedAt` is the origin's, and is given to the published file", () => {
    const h = new Harness();
    h.create(request());
    const { requestId, transferId } = h.takeOne("probeOrigin");
    const lastModified = "Sun, 06 Nov 1994 08:49:37 GMT";
    const found = { length: 0, validator: { lastModified }, acceptsRanges: true } as const;
    h.send({ type: "originProbed", requestId, transferId, ...found });
    h.open(pieces(""));
    h.send({ type: "contentVerified", transferId });
    h.verb("acknowledge");
    expect(h.takeOne("publishContent").modifiedAt).toBe(Date.parse(lastModified));
    expect(h.job?.files[0]?.modifiedAt).toBe(Date.parse(lastModified));
  });
});

function fileRecord(destination: string): JobRecord["files"][number] {
  const counts = { originBytes: 0, peerBytes: 0, wastedBytes: 0 };
  const spec = { url: URL_TEXT, destination };
  return { spec, isTransferred: false, isPublished: false, ...counts };
}
