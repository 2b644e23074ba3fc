import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkDescriptors, MemoryWatch } from "../../src/daemon/process-limits.ts";
import { inheritedSocket } from "../../src/daemon/supervisor.ts";
import type { LogFields, Logger } from "../../src/logger.ts";

class Lines implements Logger {
  readonly lines: string[] = [];
  debug(): void {}
  info(fields: LogFields, message: string): void {
    this.lines.push(`info ${message} ${JSON.stringify(fields)}`);
  }
  warn(fields: LogFields, message: string): void {
    this.lines.push(`warn ${message} ${JSON.stringify(fields)}`);
  }
  error(): void {}
}

test("uploads wait while too much memory is in use, and go on when it is well in bounds", () => {
  const logger = new Lines();
  const told: boolean[] = [];
  let bytes = 0;
  const setShort = (isShort: boolean): void => void told.push(isShort);
  using watch = new MemoryWatch(
    { logger, setShort, residentBytes: () => bytes },
    { limitBytes: 1_000 },
  );
  for (bytes of [900, 1_000, 1_001, 1_100, 950, 901, 899, 1_000, 5_000]) watch.look();
  expect(told).toEqual([true, false, true]);
  expect(logger.lines.map((line) => line.slice(0, 4))).toEqual(["warn", "info", "warn"]);
  watch.limitBytes = 0;
  watch.look();
  expect(told.at(-1)).toBe(false);
});

test("a process that may open few files says so (R-FS-12)", async () => {
  const directory = await mkdtemp(join(tmpdir(), "shoal-limits-"));
  const path = join(directory, "limits");
  const line = (soft: string): string =>
    `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${soft}  1048576  files\n`;
  const logger = new Lines();
  for (const soft of ["1024", "unlimited", "384"]) {
    await writeFile(path, line(soft));
    await checkDescriptors(logger, path);
  }
  await checkDescriptors(logger, join(directory, "none"));
  expect(logger.lines).toEqual([]);
  await writeFile(path, line("256"));
  await checkDescriptors(logger, path);
  expect(logger.lines).toHaveLength(1);
  await rm(directory, { recursive: true });
});

test("a socket is inherited only when it is meant for this process", () => {
  const own = { LISTEN_PID: String(process.pid) };
  expect(inheritedSocket({ ...own, LISTEN_FDS: "1" })).toBe(3);
  expect(inheritedSocket({ ...own, LISTEN_FDS: "0" })).toBeUndefined();
  expect(inheritedSocket({ ...own })).toBeUndefined();
  expect(inheritedSocket({ LISTEN_PID: "1", LISTEN_FDS: "1" })).toBeUndefined();
  expect(inheritedSocket({ LISTEN_FDS: "1" })).toBeUndefined();
});
