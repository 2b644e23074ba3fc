/** What becomes of a job whose disk reports errors again and again (R-FS-09). */
import { describe, expect, test } from "vitest";
import type { ErrorInfo } from "@shoal/core";
import type { Harness } from "./harness.ts";
import { fetching, pieces } from "./harness.ts";

const RETRY_MS = 600_000;
const error = { code: "ERR_DISK_IO", message: "EIO" } as const;

/** The disk fails the transfer that is open, and the store has closed it. */
function fail(h: Harness, transferId: number, how: ErrorInfo = error): void {
  h.send({ type: "contentFailed", transferId, error: how });
  h.send({ type: "contentClosed", transferId });
}

/** Waits for the next try; returns the transfer that is opened for it. */
function retried(h: Harness): number {
  h.take("openContent");
  h.advanceTo(h.now + RETRY_MS);
  return h.takeOne("openContent").transferId;
}

describe("errors of the disk", () => {
  test("are waited out twice, and the third in a row fails the job (R-FS-09)", () => {
    const { h } = fetching(pieces("...."));
    fail(h, h.takeOne("fetchRange").transferId);
    expect(h.job).toMatchObject({ state: "transientError", error });
    fail(h, retried(h));
    expect(h.job).toMatchObject({ state: "transientError", error });
    fail(h, retried(h));
    expect(h.job).toMatchObject({ state: "error", error });
  });

  test("begin to count anew when somebody resumes the job, and when something is committed", () => {
    const { h } = fetching(pieces("...."));
    const { transferId } = h.takeOne("fetchRange");
    fail(h, transferId);
    fail(h, retried(h));
    h.verb("suspend");
    h.verb("resume");
    fail(h, h.takeOne("openContent").transferId);
    expect(h.job?.state).toBe("transientError");
    fail(h, retried(h));
    const open = retried(h);
    h.send({ type: "piecesCommitted", transferId: open, pieces: [0] });
    fail(h, open);
    expect(h.job?.state).toBe("transientError");
  });

  test("are none while no file can be opened: that is waited out for as long (R-FS-12)", () => {
    const { h } = fetching(pieces("...."));
    const none = { code: "ERR_DESCRIPTORS_EXHAUSTED", message: "EMFILE" } as const;
    fail(h, h.takeOne("fetchRange").transferId, none);
    for (let tries = 0; tries < 20; tries++) fail(h, retried(h), none);
    expect(h.job).toMatchObject({ state: "transientError", error: none });
  });
});
