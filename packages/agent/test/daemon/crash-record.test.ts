import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isCrashLoop, recordCrash } from "../../src/daemon/crash-record.ts";

const MINUTE_MS = 60_000;
const NOW = 1_800_000_000_000;

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "shoal-crash-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const crashAt = (...minutesAgo: number[]): void => {
  for (const ago of minutesAgo) recordCrash(directory, new Error("x"), NOW - ago * MINUTE_MS);
};

describe("crashes (R-PROC-04)", () => {
  test("are a loop from five in ten minutes on", () => {
    expect(isCrashLoop(directory, NOW)).toBe(false);
    crashAt(60, 30, 11, 9, 8, 7, 1);
    expect(isCrashLoop(directory, NOW)).toBe(false);
    crashAt(0);
    expect(isCrashLoop(directory, NOW)).toBe(true);
    expect(isCrashLoop(directory, NOW + 3 * MINUTE_MS)).toBe(false);
  });

  test("of the future, after the clock was set back, are none", () => {
    crashAt(-1, -2, -3, -4, -5);
    expect(isCrashLoop(directory, NOW)).toBe(false);
  });

  test("are read past a line that a crash has cut off, and past anything else", () => {
    crashAt(1, 1, 1);
    appendFileSync(join(directory, "crashes"), '{"at":18000\n[]\n\u0000\n{"at":"x","fault":""}\n');
    crashAt(1, 1);
    expect(isCrashLoop(directory, NOW)).toBe(true);
  });

  test("take a bounded file, for its owner alone", () => {
    writeFileSync(join(directory, "crashes"), "x".repeat(100_000), { mode: 0o600 });
    crashAt(1, 1, 1, 1, 1);
    const { size, mode } = statSync(join(directory, "crashes"));
    expect(size).toBeLessThan(20_000);
    expect(mode & 0o777).toBe(0o600);
    expect(isCrashLoop(directory, NOW)).toBe(true);
  });

  test("that cannot be written down stop nothing", () => {
    expect(() => recordCrash(join(directory, "none"), new Error("x"), NOW)).not.toThrow();
  });
});

const MODULE = new URL("../../src/daemon/crash-record.ts", import.meta.url).href;

test.each([
  ["an error", "setTimeout(() => { throw new Error('lost') })"],
  ["a rejection", "void Promise.reject(new Error('lost'))"],
  [
    "an error, and another while it is logged",
    "throws = true; setTimeout(() => { throw new Error('lost') })",
  ],
])("%s that nobody has caught is logged once, written down, and ends the process", (_, fault) => {
  const script = `
    import { guardAgainstCrashes } from ${JSON.stringify(MODULE)};
    let throws = false;
    const log = (error) => { console.log("logged", error.message); if (throws) throw error; };
    guardAgainstCrashes(process, { stateDirectory: ${JSON.stringify(directory)}, log });
    setInterval(() => {}, 1_000);
    ${fault}`;
  const args = ["--conditions=shoal-source", "--input-type=module", "-e", script];
  const { status, stdout } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    timeout: 20_000,
  });
  expect({ status, stdout }).toEqual({ status: 1, stdout: "logged lost\n" });
  const lines = readFileSync(join(directory, "crashes"), "utf8").trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ fault: expect.stringContaining("lost") });
});
