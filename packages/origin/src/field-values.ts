/**
 * Parsers for the values of response header fields. Knows text only. Every parser takes any text,
 * never throws, and answers `undefined` to what it does not understand to the letter: numbers are
 * decimal digits without sign or white space, at most 2^53-1 (R-HTTP-10). Called by
 * `interpret-response.ts`.
 */
import { LIMITS, parseHttpDate } from "@shoal/core";
import type { Millis, Validator } from "@shoal/core";

/** Longest validator that is kept; longer ones count as absent. */
const VALIDATOR_LENGTH_MAX = 1_024;

/** A whole number in decimal digits. */
export function parseDecimal(text: string): number | undefined {
  if (!/^[0-9]{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** What a `Content-Range` says, in HTTP's inclusive form turned into a half-open range. */
export type ContentRange =
  /** `bytes x-y/T`; `total` is absent for `bytes x-y/*`. */
  | {
      readonly kind: "satisfied";
      readonly start: number;
      readonly end: number;
      readonly total?: number;
    }
  /** A range that does not exist, with the total only. */
  | { readonly kind: "unsatisfied"; readonly total: number };

/** Refuses units other than bytes, empty or reversed ranges, and those that exceed their total. */
export function parseContentRange(text: string): ContentRange | undefined {
  const match = /^bytes (?:([0-9]+)-([0-9]+)|(\*))\/([0-9]+|\*)$/i.exec(text);
  if (match === null) return undefined;
  const [, first = "", last = "", star, totalText = ""] = match;
  const total = parseDecimal(totalText);
  if (total === undefined && totalText !== "*") return undefined;
  if (star !== undefined) return total === undefined ? undefined : { kind: "unsatisfied", total };
  const start = parseDecimal(first);
  const lastByte = parseDecimal(last);
  if (start === undefined || lastByte === undefined || lastByte < start) return undefined;
  const end = lastByte + 1;
  if (!Number.isSafeInteger(end)) return undefined;
  if (total === undefined) return { kind: "satisfied", start, end };
  return end > total ? undefined : { kind: "satisfied", start, end, total };
}

/** A strong `ETag` with its quotes. A weak or malformed one is `undefined` (R-HTTP-11). */
export function parseStrongEtag(text: string): string | undefined {
  if (text.length > VALIDATOR_LENGTH_MAX) return undefined;
  return /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(text) ? text : undefined;
}

/** `Last-Modified` as sent: an opaque mark, kept when it has a sensible length. */
export function parseLastModified(text: string): string | undefined {
  return text === "" || text.length > VALIDATOR_LENGTH_MAX ? undefined : text;
}

/**
 * The validator in a response's header as text, lines ended by CR LF (R-HTTP-11). A field that
 * stands twice says nothing.
 */
export function validatorInText(header: string): Validator {
  const only = (name: string): string => {
    const lines = header.split("\r\n").filter((line) => line.toLowerCase().startsWith(`${name}:`));
    return lines.length === 1 ? (lines[0]?.slice(name.length + 1).trim() ?? "") : "";
  };
  const [etag, lastModified] = [
    parseStrongEtag(only("etag")),
    parseLastModified(only("last-modified")),
  ];
  return { ...(etag && { etag }), ...(lastModified && { lastModified }) };
}

/**
 * `Retry-After` as a wait, whether sent as seconds or as a date, between 0 and
 * `LIMITS.retryAfterMsMax` (R-HTTP-09). `nowEpochMs` is the time the date is compared with.
 */
export function parseRetryAfter(text: string, nowEpochMs: number): Millis | undefined {
  const seconds = /^[0-9]+$/.test(text) ? Number(text) : undefined;
  const at = parseHttpDate(text);
  const waitMs = seconds === undefined ? (at ?? Number.NaN) - nowEpochMs : seconds * 1_000;
  if (Number.isNaN(waitMs)) return undefined;
  return Math.min(Math.max(0, waitMs), LIMITS.retryAfterMsMax);
}
