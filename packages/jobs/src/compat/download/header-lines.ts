/**
 * Header fields as callers write them: one per line, `Name: value` or, as Microsoft's own tests do,
 * `Name=value`. Which fields and characters are allowed is core's to say.
 */
import type { HeaderField } from "@shoal/core";
import { HResultError } from "../hresult-error.ts";

/** Lines end with CR LF, LF or CR; empty ones are left out. Throws `E_INVALIDARG`. */
export function parseHeaderLines(text: string): readonly HeaderField[] {
  const lines = text.split(/\r\n|\n|\r/).filter((line) => line !== "");
  return lines.map((line) => {
    // Neither sign can stand in a name, so the first of them ends it.
    const end = line.search(/[:=]/);
    if (end < 1) throw HResultError.of("E_INVALIDARG", "a header line is not Name: value");
    return [line.slice(0, end), line.slice(end + 1).trim()];
  });
}

export function formatHeaderLines(fields: readonly HeaderField[]): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
}
