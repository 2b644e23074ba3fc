/** Verbs that meet stores, streams and earlier runs at moments when these are busy with others. */
import { describe, expect, test } from "vitest";
import type { JobFileSpec, ResumableContent, VerbResult } from "@shoal/core";
import { fetching, Harness, JOB_ID, manifestOf, pieces, request, WALL_AT } from "./harness.ts";
import { inState } from "./job-in-state.ts";

const ETAG = { etag: '"1"' };
const LENGTH = 600_000;

function ticketOf(result: VerbResult): number {
  if (!result.ok) throw new Error(result.error.code);
  return result.ticket;
}

/** A job of the files, not started yet. */
function suspended(files: readonly JobFileSpec[]): Harness {
  const h = new Harness();
  h.create({ ...request(), files, startSuspended: true });
  return h;
}

describe("a store without room for a while", () => {
  test("answers the newest save of a job, and the verbs before it settle too (R-DB-02)", () => {
    const h = inState.connecting();
    const tickets = (["suspend", "resume"] as const).map((verb) =>
      ticketOf(h.run((scheduler) => scheduler.applyVerb(JOB_ID, verb, h.now))),
    );
    const newest = h.take("saveJob").at(-1)!;
    h.send({ type: "jobSaved", jobId: JOB_ID, revision: newest.revision });
    for (const ticket of tickets) expect(h.settlements(ticket)).toHaveLength(1);
  });

  test("answers only the end of a job, and the verbs before it settle too (R-DB-02)", () => {
    const h = inState.connecting();
    const tickets = (["suspend", "cancel"] as const).map((verb) =>
      ticketOf(h.run((scheduler) => scheduler.applyVerb(JOB_ID, verb, h.now))),
    );
    h.send({ type: "jobEnded", jobId: JOB_ID, undeletedCount: 0 });
    for (const ticket of tickets) expect(h.settlements(ticket)).toHaveLength(1);
  });

  test("that turns out to be no store at all fails the verbs that wait for it (R-DB-02)", () => {
    const h = inState.connecting();
    const tickets = (["suspend", "cancel"] as const).map((verb) =>
      ticketOf(h.run((scheduler) => scheduler.applyVerb(JOB_ID, verb, h.now))),
    );
    const error = { code: "ERR_STATE_UNUSABLE", message: "disk I/O error" } as const;
    h.send({ type: "stateFailed", error });
    for (const ticket of tickets) expect(h.settlements(ticket)).toMatchObject([{ error }]);
    h.send({ type: "jobEnded", jobId: JOB_ID, undeletedCount: 0 });
    for (const ticket of tickets) expect(h.settlements(ticket)).toHaveLength(1);
  });

  test("that turns out to be no store at all fails the acknowledgement under way", () => {
    const h = inState.transferred();
    h.answerStore();
    const ticket = ticketOf(
      h.run((scheduler) => scheduler.applyVerb(JOB_ID, "acknowledge", h.now)),
    );
    const error = { code: "ERR_STATE_UNUSABLE", message: "disk I/O error" } as const;
    h.send({ type: "stateFailed", error });
    expect(h.settlements(ticket)).toMatchObject([{ error }]);
    expect(h.job?.state).toBe("transferred");
  });

  test("that cannot keep a new job leaves nothing of it, and keeps those it has (R-DB-02)", () => {
    const h = inState.connecting();
    h.answerStore();
    const other = "00000000-0000-4000-8000-000000000002";
    const again = { ...request({ destination: "/tmp/other" }), jobId: other };
    const ticket = ticketOf(h.run((scheduler) => scheduler.createJob(again, h.now)));
    const error = { code: "ERR_STATE_UNUSABLE", message: "read-only" } as const;
    h.send({ type: "stateFailed", error });
    expect(h.settlements(ticket)).toMatchObject([{ error }]);
    expect(h.scheduler.jobIds()).toEqual([JOB_ID]);
    expect(h.job?.state).toBe("connecting");
    expect(h.refusal({ ...again, jobId: other })).toBeUndefined();
    h.verb("cancel", other);
    h.send({ type: "stateFailed", error });
    expect(h.scheduler.jobIds()).toEqual([JOB_ID]);
  });

  test("answers a save of one job, and no verb on another settles by it", () => {
    const h = inState.connecting();
    const ticket = ticketOf(h.run((scheduler) => scheduler.applyVerb(JOB_ID, "suspend", h.now)));
    h.send({ type: "jobSaved", jobId: "00000000-0000-4000-8000-000000000002", revision: 99 });
    expect(h.settlements(ticket)).toEqual([]);
  });
});

describe("what an earlier run stored", () => {
  const [before, after] = [manifestOf(3), manifestOf(4)];
  const stored: ResumableContent = {
    jobId: JOB_ID,
    fileIndex: 0,
    length: before.length,
    storedBytes: 65_536,
    manifest: { contentId: before.contentId, bytes: before.bytes },
  };

  function restarted(change: Partial<JobFileSpec>): Harness {
    const h = suspended([{ url: "https://origin.test/file", destination: "/tmp/file" }]);
    expect(h.change({ type: "setFile", fileIndex: 0, values: change })).toBeUndefined();
    return new Harness({ jobs: [h.savedRecord()], resumable: [stored] });
  }

  test("is not taken for the content that the file has been pinned to since", () => {
    const h = restarted({ contentId: after.contentId });
    h.verb("resume");
    expect(h.take("openContent")).toEqual([]);
    expect(h.takeOne("fetchManifest").place).toBe("sidecar");
    expect(h.job?.files[0]?.contentId).toBe(after.contentId);
  });

  test("is not believed where the file has been given piece hashes since", () => {
    const pieceHashes = { url: "https://origin.test/hashes", sha256: "0".repeat(64) };
    const h = restarted({ pieceHashes });
    h.verb("resume");
    expect(h.take("openContent")).toEqual([]);
    expect(h.takeOne("fetchManifest").url).toBe(pieceHashes.url);
  });

  test("is continued where the file is pinned to it", () => {
    const h = restarted({ contentId: before.contentId });
    h.verb("resume");
    expect(h.takeOne("openContent").spec.manifest?.contentId).toBe(before.contentId);
  });
});

describe("a file that nothing identifies at its origin", () => {
  test("is still there after a restart once it is complete", () => {
    const h = new Harness();
    h.create(request());
    h.probe(LENGTH);
    const { transferId, spec } = h.takeOne("openContent");
    h.send({ type: "contentOpened", transferId, have: pieces("...").toBytes() });
    h.deliverRange(h.takeOne("fetchRange"));
    h.commit([0, 1, 2]);
    h.verify();
    const { validatorKey } = spec;
    const place = { jobId: JOB_ID, fileIndex: 0 };
    const content = { ...place, length: LENGTH, storedBytes: LENGTH, validatorKey: validatorKey! };
    const again = new Harness({ jobs: [h.savedRecord()], resumable: [content] });
    again.verb("acknowledge");
    expect(again.take("probeOrigin")).toEqual([]);
    expect(again.takeOne("openContent").spec.validatorKey).toBe(validatorKey);
    expect(validatorKey).toBeDefined();
  });

  test("is begun anew by whoever resumes it before that (R-HTTP-13)", () => {
    const h = new Harness();
    h.create(request());
    h.probe(LENGTH);
    const { transferId, spec } = h.takeOne("openContent");
    h.send({ type: "contentOpened", transferId, have: pieces("...").toBytes() });
    h.verb("suspend");
    h.close();
    h.verb("resume");
    expect(h.takeOne("openContent").spec.validatorKey).not.toBe(spec.validatorKey);
    const content = { jobId: JOB_ID, fileIndex: 0, length: LENGTH, storedBytes: 262_144 };
    const again = new Harness({
      jobs: [h.savedRecord()],
      resumable: [{ ...content, validatorKey: spec.validatorKey! }],
      wallAt: WALL_AT + 1,
    });
    again.probe(LENGTH);
    expect(again.takeOne("openContent").spec.validatorKey).not.toBe(spec.validatorKey);
  });
});

describe("a file that had a stream", () => {
  test("and gets a destination instead gives nothing more to the stream, nor fails with it", () => {
    const h = suspended([{ url: "http://origin.test/file", toStream: true }]);
    h.attachSink();
    const values = { destination: "/tmp/file", toStream: null };
    expect(h.change({ type: "setFile", fileIndex: 0, values })).toBeUndefined();
    h.verb("resume");
    h.probe(LENGTH, ETAG);
    h.open(pieces("..."));
    h.sinkFailed("its reader has gone");
    expect(h.job?.state).toBe("connecting");
    for (const range of h.take("fetchRange")) h.deliverRange(range);
    h.commit([0, 1, 2]);
    expect(h.take("readPiece")).toEqual([]);
    h.verify();
    expect(h.job?.state).toBe("transferred");
  });

  test("is not given to a second one once the first has taken all of it", () => {
    const h = suspended([{ url: "http://origin.test/file", toStream: true }]);
    h.attachSink();
    h.verb("resume");
    h.probe(0, ETAG);
    h.open(pieces(""));
    h.verify();
    expect(h.job?.state).toBe("transferred");
    h.sinkFailed("it is closed, as it should be");
    expect(h.attachSink()).toBe("ERR_JOB_STATE");
  });
});

describe("an acknowledgement of a part that fails", () => {
  test("takes nothing back of what the rest of the job has stored", () => {
    const { h } = fetching(pieces("11.."));
    h.verb("acknowledge");
    expect(h.takeOne("closeContent").outcome).toBe("keep");
  });

  test("leaves a job that is suspended after a restart, too", () => {
    const files = ["a", "b"].map((name) => ({
      url: `http://origin.test/${name}`,
      destination: `/tmp/${name}`,
    }));
    const h = new Harness();
    h.create({ ...request(), files });
    h.probe(0, ETAG);
    h.open(pieces(""));
    h.verify();
    h.verb("acknowledge");
    const { transferId } = h.takeOne("publishContent");
    const error = { code: "ERR_DESTINATION_EXISTS", message: "there" } as const;
    h.send({ type: "publishFailed", transferId, error });
    expect(h.job?.state).toBe("suspended");
    expect(h.savedRecord().state).toBe("suspended");
  });
});

test("a job that got over an error and is suspended later does not show the error", () => {
  const h = inState.transientError();
  h.close();
  h.verb("suspend");
  expect(h.job?.error?.code).toBe("ERR_DISK_FULL");
  const again = inState.transientError();
  again.close();
  again.advanceTo(again.scheduler.pollDeadline());
  again.open(pieces("...."));
  const { requestId, transferId } = again.take("fetchRange").at(-1)!;
  again.send({ type: "rangePiece", requestId, transferId, piece: 0, bufferId: 1 });
  again.storeAll();
  expect(again.job?.state).toBe("transferring");
  again.verb("suspend");
  expect(again.job?.error).toBeUndefined();
});
