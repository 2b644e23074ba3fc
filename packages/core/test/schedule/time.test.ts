/** Jumps of the wall clock, which waits of a job must not feel (threat model, section 17). */
import { describe, expect, test } from "vitest";
import { Harness, request } from "./harness.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Jumps of the wall clock that must not matter. */
const JUMPS = [0, 400 * DAY, -400 * DAY, HOUR, -1];

describe("a wait of a job", () => {
  test.each(JUMPS)(
    "fails after its timeout, though the wall clock jumps by %d ms (R-TIME-02)",
    (jump) => {
      const h = new Harness({ settings: { jobAgeMsMax: 365 * DAY } });
      h.create({ ...request(), noProgressTimeoutMs: 10_000 });
      h.advanceTo(5_000);
      h.wallAt += jump;
      h.advanceTo(9_999);
      expect(h.job?.state).toBe("connecting");
      h.advanceTo(10_000);
      expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_NO_PROGRESS" } });
    },
  );

  test("begins anew with resume", () => {
    const h = new Harness();
    h.create({ ...request(), noProgressTimeoutMs: 10_000 });
    h.advanceTo(10_000);
    h.verb("resume");
    h.advanceTo(19_999);
    expect(h.job?.state).toBe("connecting");
    h.verb("suspend");
    h.advanceTo(DAY);
    expect(h.job?.state).toBe("suspended");
  });

  test.each(JUMPS)(
    "is retried on time, though the wall clock jumps by %d ms (R-TIME-02)",
    (jump) => {
      const settings = { originFailuresMax: 1, jobAgeMsMax: 365 * DAY };
      const h = new Harness({ settings });
      h.create(request());
      h.failOrigin("probeOrigin", "transient");
      h.wallAt += jump;
      h.advanceTo(599_999);
      expect(h.take("probeOrigin")).toEqual([]);
      h.advanceTo(600_000);
      h.takeOne("probeOrigin");
    },
  );
});
