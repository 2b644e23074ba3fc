/**
 * What went wrong, as the user is told: one line with what, one with what to do; with `--json` one
 * object. The exit code is the error table's.
 */
import { ERRORS, ShoalError } from "@shoal/core";
import { escapeText } from "./escape-text.ts";

export const EXIT_CODES = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** What each exit code means. Those of errors are in the table of errors. */
const MEANINGS: Readonly<Record<number, string>> = {
  0: "done",
  1: "failed",
  2: "the command line, a setting or a file of yours is wrong",
  3: "not found",
  4: "the bytes are not the ones asked for",
  5: "network or origin",
  6: "took too long",
  7: "cancelled or unfinished",
  8: "disk, or too many of something",
  9: "no agent answers",
  10: "refused",
  11: "another agent has the state directory",
  130: "interrupted",
};

/** Every exit code that a command can have, in order. */
export function exitCodeRows(): ReadonlyArray<{ exitCode: number; meaning: string }> {
  const all = [...Object.values(EXIT_CODES), ...Object.values(ERRORS).map((row) => row.exitCode)];
  return [...new Set<number>(all)]
    .toSorted((a, b) => a - b)
    .map((exitCode) => ({ exitCode, meaning: MEANINGS[exitCode] ?? "failed" }));
}

/** The user, or the system, has asked the command to stop. */
export class Interruption extends Error {
  override readonly name = "Interruption";

  constructor() {
    super("Interrupted");
  }
}

/** A failure, and what the user should know in place of the usual remedy. */
export class NotedFailure extends Error {
  override readonly name = "NotedFailure";
  readonly note: string | undefined;

  constructor(cause: unknown, note: string | undefined) {
    super("the command failed", { cause });
    this.note = note;
  }
}

/** A failure in the form of `--json`. */
export interface FailureReport {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof Interruption) return EXIT_CODES.interrupted;
  return error instanceof ShoalError ? ERRORS[error.code].exitCode : EXIT_CODES.failed;
}

/** `note` takes the place of the table's remedy. */
export function reportOf(error: unknown, note?: string): FailureReport {
  if (error instanceof ShoalError) {
    const { code, message } = error;
    return { type: "error", code, message, remedy: note ?? error.remedy };
  }
  if (error instanceof Interruption) {
    const remedy = note ?? "Run the command again.";
    return { type: "error", code: "INTERRUPTED", message: error.message, remedy };
  }
  // Not an operating error: the trace is what a report of the bug needs.
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const remedy = "This is a bug in Shoal; please report it with the lines above.";
  return { type: "error", code: "INTERNAL", message, remedy };
}

/** The lines for people. Only an internal error has more than two. */
export function failureLines({ message, remedy }: FailureReport): string {
  const lines = message.split("\n").map(escapeText);
  return `shoal: ${endSentence(lines.join("\n"))}\n${escapeText(remedy)}\n`;
}

function endSentence(text: string): string {
  return /[.!?…)]$/.test(text) || text.includes("\n") ? text : `${text}.`;
}
