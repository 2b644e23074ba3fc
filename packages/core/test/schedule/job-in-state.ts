/** Jobs in each of the nine states, for tests of what can be done with them. */
import type { JobState } from "@shoal/core";
import { fetching, Harness, pieces, request } from "./harness.ts";

export const OTHER_ID = "00000000-0000-4000-8000-000000000002";
const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "404" } as const;

/** A harness whose job has come to the state by events, not by force. */
export const inState: Readonly<Record<JobState, () => Harness>> = {
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
