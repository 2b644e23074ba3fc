import { ERRORS, ShoalError } from "@shoal/core";
import type { ErrorCode } from "@shoal/core";
import { expect, test } from "vitest";
import { escapeText } from "../../src/cli/escape-text.ts";
import { exitCodeOf, failureLines, Interruption, reportOf } from "../../src/cli/failure.ts";

test("every error has the exit code of the table", () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    expect(exitCodeOf(new ShoalError(code))).toBe(ERRORS[code].exitCode);
  }
  expect(exitCodeOf(new Interruption())).toBe(130);
  expect(exitCodeOf(new TypeError("x is not a function"))).toBe(1);
});

test("a failure is one line with what happened and one with what to do", () => {
  const report = reportOf(new ShoalError("ERR_DIRECTORY_MISSING", "/nowhere"));
  expect(failureLines(report)).toBe(
    "shoal: The destination directory does not exist: /nowhere.\n" +
      "Create the directory and try again.\n",
  );
  const noted = reportOf(new ShoalError("ERR_TIMEOUT"), "Something is kept.");
  expect(noted).toEqual({
    type: "error",
    code: "ERR_TIMEOUT",
    message: "The time allowed has passed",
    remedy: "Something is kept.",
  });
});

test("a bug shows where it is", () => {
  const report = reportOf(new TypeError("x is not a function"));
  expect(failureLines(report)).toMatch(/^shoal: TypeError: x is not a function\n {4}at /);
});

test("text from elsewhere cannot command the terminal or turn its direction (R-API-07)", () => {
  expect(escapeText("a\u001b[31mb\r\n\u009b2J\u202Ec\u2066d\uD800")).toBe(
    "a\\u001b[31mb\\u000d\\u000a\\u009b2J\\u202ec\\u2066d\uFFFD",
  );
  expect(escapeText("Grüße — 文件.iso 👩‍🔬")).toBe("Grüße — 文件.iso 👩‍🔬");
  const report = reportOf(new ShoalError("ERR_URL_INVALID", "x\u001b[2J"));
  expect(failureLines(report)).not.toContain("\u001b");
});

test("escaped JSON is the same JSON", () => {
  const value = { name: "a\u202Eb\u009bc\nd" };
  const line = escapeText(JSON.stringify(value));
  expect(line).not.toMatch(/[\u202e\u009b\n]/);
  expect(JSON.parse(line)).toEqual(value);
});
