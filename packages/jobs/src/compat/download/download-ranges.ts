/**
 * The ranges callers start a download with, as the job machine takes them (download-API reference,
 * sections 4, 6 and 10). Whether they overlap or are too many is the machine's to say.
 */
import type { JobRange } from "@shoal/core";
import { DO_LENGTH_TO_EOF } from "../constants/download.ts";
import { HResultError } from "../hresult-error.ts";
import type { DO_DOWNLOAD_RANGE, DO_DOWNLOAD_RANGES_INFO } from "./download-types.ts";

/**
 * `undefined` where no ranges are named. Throws `E_INVALIDARG` for what is not of the declared
 * types, and `DO_E_INVALID_RANGE` for bytes no file has.
 */
export function parseRanges(
  info: DO_DOWNLOAD_RANGES_INFO | null | undefined,
): readonly JobRange[] | undefined {
  if (info === null || info === undefined) return undefined;
  const { RangeCount: count, Ranges: ranges } = info;
  if (count === 0) return undefined;
  if (!Array.isArray(ranges) || !Number.isInteger(count) || count < 0 || count > ranges.length) {
    throw HResultError.of("E_INVALIDARG", "RangeCount and Ranges do not agree");
  }
  // Not `map`, which passes over holes.
  return Array.from(ranges.slice(0, count), parseRange);
}

/** Whether the ranges are the one that means "all of it". */
export function isWholeFile(ranges: readonly JobRange[]): boolean {
  return ranges.length === 1 && ranges[0]?.offset === 0 && ranges[0].length === undefined;
}

function parseRange(range: DO_DOWNLOAD_RANGE): JobRange {
  const { Offset: offset, Length: length } = range ?? {};
  if (typeof offset !== "bigint" || typeof length !== "bigint") {
    throw HResultError.of("E_INVALIDARG", "a range has two bigints");
  }
  const max = BigInt(Number.MAX_SAFE_INTEGER);
  const isEndless = length === DO_LENGTH_TO_EOF;
  if (offset < 0n || offset > max || length < 1n || (!isEndless && length > max)) {
    throw HResultError.of("DO_E_INVALID_RANGE", `${length} bytes at ${offset}`);
  }
  return { offset: Number(offset), ...(isEndless ? {} : { length: Number(length) }) };
}
