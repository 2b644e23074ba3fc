/**
 * Reads the head of a response out of what the HTTP parser gives: fields by name for those who
 * interpret it, and the block as text for users who ask what an origin said. Bounded (R-HTTP-07).
 * Knows the parser's form; interprets nothing. Called by `exchange.ts`.
 */
import { LIMITS } from "@shoal/core";
import type { ResponseHead } from "./interpret-response.ts";
import type { RawFields } from "./response-parser.ts";

/** Nothing bounds a reason phrase, and nobody reads a long one. */
const REASON_LENGTH_MAX = 256;

export interface ReceivedHead extends ResponseHead {
  /**
   * Status line and fields as received, each line ended by CR LF, one character for each byte.
   * Lines that would exceed `LIMITS.responseHeaderBytesMax` are left out. The parser does not tell the version,
   * which is therefore always HTTP/1.1.
   */
  readonly block: string;
}

/** `undefined` when there are too many fields. */
export function readHead(
  status: number,
  reason: string,
  texts: RawFields,
): ReceivedHead | undefined {
  if (texts.length > 2 * LIMITS.responseFieldsMax) return undefined;
  const fields = new Map<string, string[]>();
  const lines = [`HTTP/1.1 ${status} ${reason.slice(0, REASON_LENGTH_MAX)}`];
  for (let i = 0; i + 1 < texts.length; i += 2) {
    const name = texts[i] ?? "";
    const value = texts[i + 1] ?? "";
    lines.push(`${name}: ${value}`);
    const values = fields.get(name.toLowerCase());
    if (values === undefined) fields.set(name.toLowerCase(), [value]);
    else values.push(value);
  }
  return { status, fields, block: blockOf(lines) };
}

function blockOf(lines: readonly string[]): string {
  let block = "";
  for (const line of lines) {
    const next = `${line}\r\n`;
    if (block.length + next.length <= LIMITS.responseHeaderBytesMax) block += next;
  }
  return block;
}
