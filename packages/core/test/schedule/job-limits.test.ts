/** How many jobs, files and ranges there may be, idempotency keys, and what acknowledging comes to. */
import { describe, expect, test } from "vitest";
import type { ErrorCode, JobRequest, VerbResult } from "@shoal/core";
import { Harness, JOB_ID, pieces, request, URL_TEXT, WALL_AT } from "./harness.ts";
import { inState, OTHER_ID } from "./job-in-state.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A suspended job of its own id and destination. */
function numbered(number: number, changes: Partial<JobRequest> = {}): JobRequest {
  const jobId = `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
  const files = [{ url: URL_TEXT, destination: `/tmp/${number}` }];
  return { ...request(), jobId, files, startSuspended: true, ...changes };
}

function create(h: Harness, job: JobRequest): VerbResult {
  return h.run((scheduler) => scheduler.createJob(job, h.now));
}

function codeOf(result: VerbResult): string | undefined {
  return result.ok ? undefined : result.error.code;
}

function ticketOf(result: VerbResult): number {
  if (!result.ok) throw new Error(result.error.message);
  return result.ticket;
}

describe("limits", () => {
  test("one owner has 60 jobs, others have theirs, and administrators more", () => {
    const h = new Harness();
    for (let i = 1; i <= 60; i++) expect(codeOf(create(h, numbered(i)))).toBeUndefined();
    expect(codeOf(create(h, numbered(61)))).toBe("ERR_JOB_LIMIT_OWNER");
    expect(codeOf(create(h, numbered(62, { owner: "another" })))).toBeUndefined();
    expect(codeOf(create(h, numbered(63, { isAdministrator: true })))).toBeUndefined();
  });

  test("the machine has 300 jobs, whoever asks", () => {
    const h = new Harness();
    for (let i = 1; i <= 300; i++) {
      expect(codeOf(create(h, numbered(i, { owner: `owner ${i}` })))).toBeUndefined();
    }
    expect(codeOf(create(h, numbered(301, { owner: "new" })))).toBe("ERR_JOB_LIMIT");
    expect(codeOf(create(h, numbered(302, { isAdministrator: true })))).toBe("ERR_JOB_LIMIT");
    expect(h.scheduler.jobIds()).toHaveLength(300);
  });

  test.each(["cancel", "acknowledge"] as const)(
    "a job gives its place back by %s, once",
    (verb) => {
      const h = new Harness({ settings: { jobsMax: 1 } });
      for (let i = 1; i <= 5; i++) {
        const { jobId } = numbered(i);
        expect(codeOf(create(h, numbered(i)))).toBeUndefined();
        expect(codeOf(create(h, numbered(i + 1)))).toBe("ERR_JOB_LIMIT");
        expect(h.verb(verb, jobId)).toBeUndefined();
        expect(h.verb(verb, jobId)).toBe("ERR_JOB_STATE");
      }
    },
  );

  test("a job that grows too old gives its place back", () => {
    const h = new Harness({ settings: { jobsMax: 1, jobAgeMsMax: HOUR_MS } });
    create(h, numbered(1));
    h.advanceTo(HOUR_MS + 1_000);
    expect(codeOf(create(h, numbered(2)))).toBeUndefined();
    expect(codeOf(create(h, numbered(3)))).toBe("ERR_JOB_LIMIT");
  });

  test("a limit counts jobs of earlier runs, but not those that are over", () => {
    const earlier = new Harness();
    for (const i of [1, 2, 3]) create(earlier, numbered(i));
    const jobs = earlier.take("saveJob").map(({ job }) => job);
    for (const { jobId } of jobs.slice(0, 2)) earlier.verb("cancel", jobId);
    const over = earlier.take("endJob").map(({ job }) => job);
    const h = new Harness({ jobs: [...over, ...jobs.slice(2)], settings: { jobsPerOwnerMax: 2 } });
    expect(codeOf(create(h, numbered(4)))).toBeUndefined();
    expect(codeOf(create(h, numbered(5)))).toBe("ERR_JOB_LIMIT_OWNER");
  });

  test("a job has 200 files, whether they come at once or later", () => {
    const h = new Harness();
    const files = Array.from({ length: 201 }, (_, i) => ({ destination: `/tmp/file-${i}` }));
    expect(codeOf(create(h, numbered(1, { files })))).toBe("ERR_FILE_LIMIT");
    expect(codeOf(create(h, numbered(1, { files: files.slice(1) })))).toBeUndefined();
    const { jobId } = numbered(1);
    const change = { type: "addFiles", files: files.slice(0, 1) } as const;
    const result = h.run((scheduler) => scheduler.changeJob(jobId, change, 0));
    expect(codeOf(result)).toBe("ERR_FILE_LIMIT");
    expect(h.scheduler.jobSnapshot(jobId, 0)?.fileCount).toBe(200);
  });

  test("a file has 500 ranges, whether they come at once or later", () => {
    const h = new Harness();
    const ranges = Array.from({ length: 501 }, (_, i) => ({ offset: i * 2, length: 1 }));
    const files = (count: number): JobRequest["files"] => [
      { url: URL_TEXT, destination: "/tmp/file", ranges: ranges.slice(0, count) },
    ];
    expect(codeOf(create(h, { ...numbered(1), files: files(501) }))).toBe("ERR_RANGE_LIMIT");
    expect(codeOf(create(h, { ...numbered(1), files: files(500) }))).toBeUndefined();
    const { jobId } = numbered(1);
    for (const change of [
      { type: "addRanges", fileIndex: 0, ranges: ranges.slice(500) },
      { type: "setFile", fileIndex: 0, values: { ranges } },
    ] as const) {
      const result = h.run((scheduler) => scheduler.changeJob(jobId, change, 0));
      expect(codeOf(result)).toBe("ERR_RANGE_LIMIT");
    }
  });

  const refused: ReadonlyArray<readonly [string, Partial<JobRequest>, ErrorCode]> = [
    ["no files, that is to start", { files: [], startSuspended: false }, "ERR_JOB_EMPTY"],
    ["an id that is in use", { jobId: JOB_ID }, "ERR_USAGE"],
    ["an id that is none", { jobId: "../../etc" }, "ERR_USAGE"],
    ["a long name", { displayName: "a".repeat(257) }, "ERR_USAGE"],
    ["an empty idempotency key", { idempotencyKey: "" }, "ERR_USAGE"],
    ["a relative destination", { files: [{ destination: "a" }] }, "ERR_DESTINATION_INVALID"],
    ["a taken destination", { files: [{ destination: "/tmp/file" }] }, "ERR_DESTINATION_TAKEN"],
    ["another scheme", { files: [{ url: "ftp://a/b" }] }, "ERR_URL_INVALID"],
    ["a password in a URL", { files: [{ url: "http://a:b@c/d" }] }, "ERR_URL_INVALID"],
    ["two sinks", { files: [{ destination: "/tmp/b", toStream: true }] }, "ERR_SINK_TAKEN"],
  ];
  test.each(refused)("a job with %s is refused and leaves nothing behind", (_, changes, code) => {
    const h = inState.suspended();
    h.answerStore();
    expect(codeOf(create(h, numbered(9, changes)))).toBe(code);
    expect(h.scheduler.jobIds()).toEqual([JOB_ID]);
    expect(h.take("saveJob")).toEqual([]);
    expect(codeOf(create(h, numbered(9)))).toBeUndefined();
  });
});

describe("an idempotency key (R-API-14)", () => {
  const keyed = (number: number, changes: Partial<JobRequest> = {}): JobRequest =>
    numbered(number, {
      files: [{ destination: "/tmp/keyed" }],
      idempotencyKey: "once",
      ...changes,
    });

  test("names the job that the first request created, and settles when that is durable", () => {
    const h = new Harness();
    const first = create(h, keyed(1));
    const second = create(h, keyed(2));
    expect(second).toMatchObject({ ok: true, jobId: keyed(1).jobId });
    expect(h.scheduler.jobIds()).toHaveLength(1);
    expect(h.settlements(ticketOf(second))).toEqual([]);
    h.answerStore();
    for (const result of [first, second]) {
      expect(h.settlements(ticketOf(result))).toHaveLength(1);
    }
  });

  test("is refused with another request, and is another's of another owner", () => {
    const h = new Harness();
    create(h, keyed(1));
    expect(codeOf(create(h, keyed(2, { displayName: "else" })))).toBe("ERR_IDEMPOTENCY_CONFLICT");
    const files = [{ destination: "/tmp/another" }];
    expect(create(h, keyed(3, { owner: "another", files }))).toMatchObject({
      ok: true,
      jobId: keyed(3).jobId,
    });
  });

  test("is kept for 24 hours, by the wall clock", () => {
    const h = new Harness();
    create(h, keyed(1, { files: [] }));
    h.advanceTo(DAY_MS - 1);
    expect(create(h, keyed(2, { files: [] }))).toMatchObject({ jobId: keyed(1).jobId });
    h.advanceTo(DAY_MS);
    expect(create(h, keyed(3, { files: [] }))).toMatchObject({ jobId: keyed(3).jobId });
    expect(create(h, keyed(4, { files: [] }))).toMatchObject({ jobId: keyed(3).jobId });
  });

  test("of a job that is over still names it, and settles at once", () => {
    const h = new Harness();
    create(h, keyed(1));
    h.verb("cancel", keyed(1).jobId);
    h.answerStore();
    const again = create(h, keyed(2));
    expect(again).toMatchObject({ ok: true, jobId: keyed(1).jobId });
    expect(h.settlements(ticketOf(again))).toHaveLength(1);
  });

  test("survives a restart", () => {
    const earlier = new Harness();
    create(earlier, keyed(1));
    const jobs = earlier.take("saveJob").map(({ job }) => job);
    const h = new Harness({ jobs, wallAt: WALL_AT + HOUR_MS });
    expect(create(h, keyed(2))).toMatchObject({ ok: true, jobId: keyed(1).jobId });
    expect(codeOf(create(h, keyed(3, { priority: "low" })))).toBe("ERR_IDEMPOTENCY_CONFLICT");
  });

  test("that was used again after its time names the later job, however they are stored", () => {
    const earlier = new Harness();
    create(earlier, keyed(1, { files: [] }));
    earlier.advanceTo(DAY_MS);
    create(earlier, keyed(2, { files: [] }));
    const jobs = earlier.take("saveJob").map(({ job }) => job);
    for (const order of [jobs, jobs.toReversed()]) {
      const h = new Harness({ jobs: order, wallAt: WALL_AT + DAY_MS });
      expect(create(h, keyed(3, { files: [] }))).toMatchObject({ jobId: keyed(2).jobId });
      expect(h.scheduler.jobIds()).toEqual([keyed(1).jobId, keyed(2).jobId]);
    }
  });

  test("of a request that was refused names nothing", () => {
    const h = new Harness();
    expect(codeOf(create(h, keyed(1, { files: [{ destination: "x" }] })))).toBeDefined();
    expect(create(h, keyed(2))).toMatchObject({ ok: true, jobId: keyed(2).jobId });
  });

  test("is found though the limit of jobs is reached", () => {
    const h = new Harness({ settings: { jobsMax: 1 } });
    create(h, keyed(1));
    expect(create(h, keyed(2))).toMatchObject({ ok: true, jobId: keyed(1).jobId });
  });
});

describe("acknowledging", () => {
  /** A job of three empty files, of which the first `count` are transferred. */
  function transferredFiles(count: number): Harness {
    const h = new Harness();
    const names = ["a", "b", "c"];
    const files = names.map((name) => ({ url: URL_TEXT, destination: `/tmp/${name}` }));
    h.create({ ...request(), files });
    for (let i = 0; i < count; i++) transferNext(h);
    h.take("saveJob");
    return h;
  }

  function transferNext(h: Harness): void {
    const { requestId, transferId } = h.takeOne("probeOrigin");
    const found = { length: 0, validator: {}, acceptsRanges: true } as const;
    h.send({ type: "originProbed", requestId, transferId, ...found });
    h.open(pieces(""));
    h.send({ type: "contentVerified", transferId });
  }

  function acknowledge(h: Harness): number {
    return ticketOf(h.run((scheduler) => scheduler.applyVerb(JOB_ID, "acknowledge", h.now)));
  }

  const flags = (h: Harness): string[] | undefined => h.job?.files.map(({ phase }) => phase);

  test("a part of a job keeps exactly the files that are complete, and says so", () => {
    const h = transferredFiles(2);
    const ticket = acknowledge(h);
    for (let turn = 0; turn < 4; turn++) h.answerStore();
    expect(h.settlements(ticket)).toMatchObject([
      { outcome: { isPartial: true, undeletedCount: 0 } },
    ]);
    expect(flags(h)).toEqual(["published", "published", "waiting"]);
    expect(h.job?.state).toBe("acknowledged");
  });

  test("all of a job is no partial one", () => {
    const h = transferredFiles(3);
    const ticket = acknowledge(h);
    for (let turn = 0; turn < 4; turn++) h.answerStore();
    expect(h.settlements(ticket)).toMatchObject([{ outcome: { isPartial: false } }]);
    expect(flags(h)).toEqual(["published", "published", "published"]);
  });

  test("a job without a complete file keeps nothing, and is over", () => {
    const h = transferredFiles(0);
    const ticket = acknowledge(h);
    for (let turn = 0; turn < 4; turn++) h.answerStore();
    expect(h.settlements(ticket)).toMatchObject([{ outcome: { isPartial: true } }]);
    expect(h.take("publishContent")).toEqual([]);
    expect(h.job?.state).toBe("acknowledged");
  });

  test("small files are published side by side, in order, and the job is over after the last", () => {
    const h = transferredFiles(3);
    acknowledge(h);
    const order = h.take("publishContent").map(({ transferId }) => transferId);
    expect(order).toEqual([...order].toSorted((a, b) => a - b));
    expect(order).toHaveLength(3);
    for (const [index, transferId] of order.toReversed().entries()) {
      expect(h.take("endJob")).toEqual([]);
      h.send({ type: "contentPublished", transferId });
      expect(flags(h)?.filter((flag) => flag === "published")).toHaveLength(index + 1);
    }
    const { job } = h.takeOne("endJob");
    expect(job.state).toBe("acknowledged");
    expect(job.files.every(({ isPublished }) => isPublished)).toBe(true);
  });

  test("a failed publication leaves the job transferred, and what was published so far", () => {
    const h = transferredFiles(3);
    const ticket = acknowledge(h);
    const [first = NaN, second = NaN, third = NaN] = h
      .take("publishContent")
      .map(({ transferId }) => transferId);
    h.send({ type: "contentPublished", transferId: first });
    const error = { code: "ERR_DESTINATION_EXISTS", message: "there" } as const;
    h.send({ type: "publishFailed", transferId: second, error });
    expect(h.settlements(ticket)).toEqual([]);
    expect(flags(h)).toEqual(["published", "transferred", "transferred"]);
    // What was under way beside it ends first, as it would have.
    h.send({ type: "contentPublished", transferId: third });
    expect(h.settlements(ticket)).toMatchObject([{ error }]);
    expect(flags(h)).toEqual(["published", "transferred", "published"]);
    expect(h.job?.state).toBe("transferred");
    h.take("saveJob");
    const again = acknowledge(h);
    for (let turn = 0; turn < 4; turn++) h.answerStore();
    expect(h.settlements(again)).toMatchObject([{ outcome: { isPartial: false } }]);
    expect(h.job?.state).toBe("acknowledged");
  });

  test("a failed publication of a part leaves a job that can go on with the rest", () => {
    const h = transferredFiles(1);
    h.take("probeOrigin");
    const ticket = acknowledge(h);
    const { transferId } = h.takeOne("publishContent");
    const error = { code: "ERR_DESTINATION_EXISTS", message: "there" } as const;
    h.send({ type: "publishFailed", transferId, error });
    expect(h.settlements(ticket)).toMatchObject([{ error }]);
    expect(h.job?.state).toBe("suspended");
    h.answerStore();
    expect(h.verb("resume")).toBeUndefined();
    expect(h.job?.state).toBe("connecting");
    for (let i = 0; i < 2; i++) transferNext(h);
    expect(h.job?.state).toBe("transferred");
  });

  test("what could not be removed is told", () => {
    const h = inState.suspended();
    const ticket = ticketOf(h.run((scheduler) => scheduler.applyVerb(JOB_ID, "cancel", h.now)));
    h.takeOne("endJob");
    h.send({ type: "jobEnded", jobId: JOB_ID, undeletedCount: 2 });
    expect(h.settlements(ticket)).toMatchObject([{ outcome: { undeletedCount: 2 } }]);
  });

  test("a file that failed while the acknowledgement waits for it fails the verb", () => {
    const h = transferredFiles(3);
    const ticket = acknowledge(h);
    const [{ transferId } = { transferId: NaN }, ...others] = h.take("publishContent");
    const error = { code: "ERR_DISK_IO", message: "gone" } as const;
    h.send({ type: "contentFailed", transferId, error });
    for (const other of others) h.send({ type: "contentPublished", transferId: other.transferId });
    expect(h.settlements(ticket)).toMatchObject([{ error }]);
    expect(["transferred", "error"]).toContain(h.job?.state);
    h.answerStore();
    expect(h.verb("acknowledge")).toBeUndefined();
  });

  test("what befalls a served file later is nothing that the job's record tells", () => {
    const h = inState.transferred();
    h.verb("acknowledge");
    const { transferId } = h.takeOne("publishContent");
    h.send({ type: "contentPublished", transferId });
    h.answerStore();
    const before = h.job;
    h.send({ type: "contentFailed", transferId, error: { code: "ERR_DISK_IO", message: "gone" } });
    expect(h.take("saveJob")).toEqual([]);
    expect(h.takeOne("closeContent")).toMatchObject({ transferId, outcome: "keep" });
    expect(h.job).toMatchObject({ state: "acknowledged", modifiedAt: before?.modifiedAt });
  });

  test("a served file that fails after its job was forgotten is closed", () => {
    const h = inState.transferred();
    h.verb("acknowledge");
    const { transferId } = h.takeOne("publishContent");
    h.send({ type: "contentPublished", transferId });
    h.answerStore();
    h.advanceTo(31 * DAY_MS);
    h.send({ type: "contentFailed", transferId, error: { code: "ERR_DISK_IO", message: "gone" } });
    expect(h.takeOne("closeContent")).toMatchObject({ transferId, outcome: "keep" });
  });

  test("a second job may take the destinations as soon as the first is over", () => {
    const h = transferredFiles(1);
    acknowledge(h);
    const files = [{ url: URL_TEXT, destination: "/tmp/c" }];
    const second = { ...request(), jobId: OTHER_ID, files };
    expect(codeOf(create(h, second))).toBe("ERR_DESTINATION_TAKEN");
    for (let turn = 0; turn < 4; turn++) h.answerStore();
    expect(codeOf(create(h, second))).toBeUndefined();
  });
});
