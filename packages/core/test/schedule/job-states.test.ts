import { describe, expect, test } from "vitest";
import { JOB_STATES, JOB_VERB_TABLE, JOB_VERBS } from "@shoal/core";
import type { JobState } from "@shoal/core";
import { fetching, Harness, JOB_ID, pieces, request } from "./harness.ts";

const OTHER_ID = "00000000-0000-4000-8000-000000000002";
const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "404" } as const;

/** A harness whose job has come to the state by events, not by force. */
const inState: Readonly<Record<JobState, () => Harness>> = {
  queued() {
    const h = new Harness({ settings: { activeJobsMax: 1 } });
    const { files, ...rest } = request();
    h.create({ ...rest, jobId: OTHER_ID, files: [{ ...files[0], destination: "/tmp/other" }] });
    h.create(request());
    return h;
  },
  connecting() {
    const h = new Harness();
    h.create(request());
    return h;
  },
  transferring() {
    const { h } = fetching(pieces("...."));
    const range = h.takeOne("fetchRange");
    const { requestId, transferId } = range;
    h.send({ type: "rangePiece", requestId, transferId, piece: 0, bufferId: 1 });
    h.storeAll();
    return h;
  },
  suspended() {
    const h = new Harness();
    h.create({ ...request(), startSuspended: true });
    return h;
  },
  error() {
    const h = inState.connecting();
    const { requestId, transferId } = h.takeOne("probeOrigin");
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "fatal", error } });
    return h;
  },
  transientError() {
    const { h } = fetching(pieces("...."));
    const { transferId } = h.takeOne("fetchRange");
    const full = { code: "ERR_DISK_FULL", message: "full" } as const;
    h.send({ type: "contentFailed", transferId, error: full });
    return h;
  },
  transferred() {
    const { h } = fetching(pieces("1111"));
    h.send({ type: "contentVerified", transferId: h.takeOne("verifyContent").transferId });
    return h;
  },
  acknowledged() {
    const h = inState.transferred();
    h.verb("acknowledge");
    h.send({ type: "contentPublished", transferId: h.takeOne("publishContent").transferId });
    return h;
  },
  cancelled() {
    const h = inState.connecting();
    h.verb("cancel");
    return h;
  },
};

/** Verbs whose state follows only when the disk has answered. */
function finish(h: Harness): void {
  for (const { transferId } of h.take("closeContent"))
    h.send({ type: "contentClosed", transferId });
  for (const { transferId } of h.take("publishContent")) {
    h.send({ type: "contentPublished", transferId });
  }
}

describe.each(JOB_STATES)("a job that is %s", (state) => {
  test("is in that state", () => {
    expect(inState[state]().job?.state).toBe(state);
  });

  test.each(JOB_VERBS)("%s does what the table says", (verb) => {
    const h = inState[state]();
    const allowed = JOB_VERB_TABLE[state][verb];
    const refusal = h.verb(verb);
    finish(h);
    // A job that is queued is picked as soon as there is a place.
    const isPicked = allowed === "queued" && state !== "queued";
    expect(refusal).toBe(allowed === undefined ? "ERR_JOB_STATE" : undefined);
    expect(h.job?.state).toBe(isPicked ? "connecting" : (allowed ?? state));
  });
});

test("an unknown job refuses every verb", () => {
  for (const verb of JOB_VERBS)
    expect(new Harness().verb(verb, OTHER_ID)).toBe("ERR_JOB_NOT_FOUND");
});

test("a job without files cannot be resumed", () => {
  const h = new Harness();
  h.create({ ...request(), files: [], startSuspended: true });
  expect(h.verb("resume")).toBe("ERR_JOB_STATE");
});

test("a full disk is tried again by itself, soon (R-FS-11)", () => {
  const h = inState.transientError();
  const { transferId } = h.takeOne("closeContent");
  h.send({ type: "contentClosed", transferId });
  h.advanceTo(31_000);
  expect(h.job?.state).toBe("connecting");
  h.takeOne("openContent");
});

test("no progress for too long ends in error, counted from the first transient error", () => {
  const settings = { noProgressTimeoutMs: 60_000, originFailuresMax: 1 };
  const { h } = fetching(pieces("."), { settings });
  for (let tries = 0; tries < 5 && h.job?.state !== "error"; tries++) {
    for (const { requestId, transferId } of h.take("fetchRange")) {
      const down = { code: "ERR_ORIGIN_UNREACHABLE", message: "down" } as const;
      const failure = { kind: "transient", error: down } as const;
      h.send({ type: "originFailed", requestId, transferId, failure });
    }
    h.advanceTo(h.now + 5_000);
    for (const { transferId } of h.take("closeContent"))
      h.send({ type: "contentClosed", transferId });
    h.advanceTo(h.now + 700_000);
    for (const { transferId } of h.take("openContent")) {
      h.send({ type: "contentOpened", transferId, have: Uint8Array.of(0) });
    }
  }
  expect(h.job?.error?.code).toBe("ERR_NO_PROGRESS");
});

test("two live jobs cannot have one destination (R-FS-03)", () => {
  const h = new Harness();
  h.create(request());
  const result = h.scheduler.createJob({ ...request(), jobId: OTHER_ID }, 0);
  expect(result).toMatchObject({ ok: false, error: { code: "ERR_DESTINATION_INVALID" } });
  expect(h.scheduler.jobIds()).toEqual([JOB_ID]);
});
