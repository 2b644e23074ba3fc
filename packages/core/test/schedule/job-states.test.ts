/** What happens to jobs by itself, apart from the tables: retries, patience, destinations. */
import { expect, test } from "vitest";
import { fetching, Harness, JOB_ID, pieces, request } from "./harness.ts";
import { inState, OTHER_ID } from "./job-in-state.ts";

test("a full disk is tried again by itself, soon (R-FS-11)", () => {
  const h = inState.transientError();
  h.close();
  h.advanceTo(31_000);
  expect(h.job?.state).toBe("connecting");
  h.takeOne("openContent");
});

test("no progress for too long ends in error, however often the job is tried again", () => {
  const settings = { noProgressBackgroundMs: 60_000, originFailuresMax: 1 };
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
  expect(result).toMatchObject({ ok: false, error: { code: "ERR_DESTINATION_TAKEN" } });
  expect(h.scheduler.jobIds()).toEqual([JOB_ID]);
});
