import { describe, expect, it } from "vitest";
import { errorInfo, ERRORS, ShoalError } from "../../src/registry/errors.ts";
import type { ErrorCode } from "../../src/registry/errors.ts";

const codes = Object.keys(ERRORS) as ErrorCode[];
/** The CLI's table: 1 failed to 10 refused by policy. */
const EXIT_CODES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

describe("the table of errors", () => {
  it.each(codes)("is complete for %s", (code) => {
    const row = ERRORS[code];
    expect(code).toMatch(/^ERR_[A-Z]+(_[A-Z]+)*$/);
    expect(row.message).toMatch(/^[A-Z][^\n]*[^.\n]$/); // details follow, so no full stop
    expect(row.remedy).toMatch(/^[A-Z].*\.$/);
    expect(EXIT_CODES).toContain(row.exitCode);
    expect(row.httpStatus).toBeGreaterThanOrEqual(400);
    expect(row.httpStatus).toBeLessThan(600);
  });
});

describe("a Shoal error", () => {
  it("has the sentence of its code, then the details", () => {
    expect(new ShoalError("ERR_DISK_FULL").message).toBe("The disk is full");
    expect(new ShoalError("ERR_DISK_FULL", "/data").message).toBe("The disk is full: /data");
  });

  it("is tested by its code and says what its row says", () => {
    const cause = new Error("ENOSPC");
    const error = new ShoalError("ERR_DISK_FULL", "/data", { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error.code).toBe("ERR_DISK_FULL");
    expect(error.name).toBe("ShoalError");
    expect(error.transient).toBe(true);
    expect(error.remedy).toBe(ERRORS.ERR_DISK_FULL.remedy);
    expect(error.cause).toBe(cause);
    expect(new ShoalError("ERR_USAGE").transient).toBe(false);
  });

  it("comes back from its plain form with the same text", () => {
    const info = errorInfo("ERR_JOB_STATE", "the job is cancelled");
    const error = ShoalError.from(info);
    expect({ code: error.code, message: error.message }).toEqual(info);
  });
});
