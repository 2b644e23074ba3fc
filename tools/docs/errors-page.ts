/** The page about error codes and exit codes, made from core's error table. */
import { ERRORS } from "@shoal/core";
import type { ErrorRow } from "@shoal/core";
import { code, pageHead, table } from "./markdown.ts";

/** What the command line's exit codes mean, whether or not an error has them. */
const EXIT_CODES: Readonly<Record<number, string>> = {
  0: "success",
  1: "failed",
  2: "usage",
  3: "not found",
  4: "integrity",
  5: "network or origin",
  6: "timeout",
  7: "cancelled or unfinished",
  8: "disk or quota",
  9: "no agent answers",
  10: "refused by policy",
  11: "an agent runs already",
  130: "interrupted",
};

export function errorsPage(): string {
  const errors = Object.entries<ErrorRow>(ERRORS);
  const rows = errors.map(([name, error]) => [
    code(name),
    `${error.message}.`,
    error.remedy,
    error.transient ? "yes" : "no",
    String(error.httpStatus),
    exitText(error.exitCode),
  ]);
  const exits = Object.entries(EXIT_CODES).map(([exitCode, meaning]) => {
    const names = errors.filter(([, error]) => error.exitCode === Number(exitCode));
    return [exitCode, meaning, names.map(([name]) => code(name)).join(", ")];
  });
  return (
    pageHead("Errors", "packages/core/src/registry/errors.ts") +
    "Test `error.code`; messages may change and end with what happened to what. A transient error\n" +
    "may succeed if tried again without the user.\n\n" +
    table(["code", "message", "what to do", "transient", "HTTP", "exit code"], rows) +
    "## Exit codes\n\n" +
    table(["exit code", "meaning", "errors"], exits)
  );
}

function exitText(exitCode: number): string {
  const meaning = EXIT_CODES[exitCode];
  if (meaning === undefined) throw new Error(`exit code ${exitCode} has no meaning in the table`);
  return `${exitCode} (${meaning})`;
}
