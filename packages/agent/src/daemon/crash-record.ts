/**
 * What an agent writes down when it ends by a fault of its own, and what the next one makes of it:
 * after five crashes in ten minutes it starts in safe mode (R-PROC-04). An end from outside leaves
 * no record.
 *
 *   fault ─▶ logged once ─▶ a line in STATE/crashes ─▶ exit code 1
 *
 * Knows one file and the clock. Called by `runDaemon`.
 */
import fs from "node:fs";
import { join } from "node:path";
import type { Millis, UnixMillis } from "@shoal/core";
import { isCount, isRecordOf, isText } from "@shoal/core";

/** R-PROC-04 */
const CRASHES_MAX = 5;
const CRASH_WINDOW_MS: Millis = 600_000;
/** So many bytes at the end of the file are looked at; it is begun anew when it is longer. */
const FILE_BYTES_MAX = 64 * 1024;
const FAULT_LENGTH_MAX = 4_096;

const FAILED = 1;

/** The part of `process` that is used. */
export interface FaultSource {
  on(event: "uncaughtException", listener: (error: unknown) => void): unknown;
  off(event: "uncaughtException", listener: (error: unknown) => void): unknown;
  exit(code: number): void;
}

function recordPath(stateDirectory: string): string {
  return join(stateDirectory, "crashes");
}

/** Whether too many agents have crashed on this state lately. */
export function isCrashLoop(stateDirectory: string, now: UnixMillis): boolean {
  const recent = readCrashes(stateDirectory).filter((at) => {
    const age = now - at;
    return age >= 0 && age < CRASH_WINDOW_MS;
  });
  return recent.length >= CRASHES_MAX;
}

const isCrash = isRecordOf({ at: isCount(), fault: isText(FAULT_LENGTH_MAX) });

/** When crashes were; a line that is not whole counts for nothing. */
export function readCrashes(stateDirectory: string): readonly UnixMillis[] {
  try {
    const text = fs.readFileSync(recordPath(stateDirectory), "utf8").slice(-FILE_BYTES_MAX);
    return text.split("\n").flatMap((line) => {
      const at = parseCrash(line);
      return at === undefined ? [] : [at];
    });
  } catch {
    return []; // None yet.
  }
}

function parseCrash(line: string): UnixMillis | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isCrash(value) ? (value as { at: UnixMillis }).at : undefined;
  } catch {
    return undefined;
  }
}

/** Writes a crash down, at once; a failure to do so is passed over, since the process ends. */
export function recordCrash(stateDirectory: string, error: unknown, now: UnixMillis): void {
  const fault = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const line = JSON.stringify({ at: now, fault: fault.slice(0, FAULT_LENGTH_MAX) });
  const path = recordPath(stateDirectory);
  try {
    const { size = 0 } = fs.statSync(path, { throwIfNoEntry: false }) ?? {};
    const flag = size > FILE_BYTES_MAX ? "w" : "a";
    const fd = fs.openSync(path, flag, 0o600);
    fs.writeSync(fd, `${line}\n`);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  } catch {
    // The disk may be what failed.
  }
}

/**
 * From now on a fault that nobody has caught is passed to `log`, written down, and ends the process
 * with code 1. Returns how to end that.
 */
export function guardAgainstCrashes(
  source: FaultSource,
  {
    stateDirectory,
    log,
  }: { readonly stateDirectory: string; readonly log: (error: unknown) => void },
): () => void {
  let hasCrashed = false;
  const onFault = (error: unknown): void => {
    if (hasCrashed) return source.exit(FAILED);
    hasCrashed = true;
    recordCrash(stateDirectory, error, Date.now());
    try {
      log(error);
    } finally {
      source.exit(FAILED);
    }
  };
  source.on("uncaughtException", onFault);
  return () => void source.off("uncaughtException", onFault);
}
