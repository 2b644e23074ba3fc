/**
 * What callers hand in, read or refused with the documented code before anything happens (job-API
 * reference, sections 6, 13 and 14). Callers may not be written in TypeScript, so types count too.
 *
 * Knows values alone; what they mean for a job is core's to say. Called by the objects beside it.
 */
import { LIMITS, parseContentId } from "@shoal/core";
import type { JobFileSpec, JobRange } from "@shoal/core";
import { BG_LENGTH_TO_EOF, DO_UNKNOWN_FILE_SIZE, MAX_PATH } from "../constants/bits.ts";
import { parseGuid } from "../constants/guid.ts";
import { HResultError } from "../hresult-error.ts";

/** A URL, in characters (job-API reference, section 14). */
const REMOTE_NAME_LENGTH_MAX = 2_200;
const ULONG_MAX = 0xffff_ffff;

/** A text of at most `lengthMax` characters. Throws `E_INVALIDARG`. */
export function readText(value: unknown, name: string, lengthMax: number): string {
  if (typeof value !== "string") throw invalid(`${name} is not a text`);
  if (value.length > lengthMax) throw invalid(`${name} is too long`);
  return value;
}

/** An unsigned 32-bit number. Throws `E_INVALIDARG`. */
export function readUlong(value: unknown, name: string): number {
  if (!Number.isInteger(value) || Number(value) < 0 || Number(value) > ULONG_MAX) {
    throw invalid(`${name} is not an unsigned 32-bit number`);
  }
  return Number(value);
}

/** An unsigned 64-bit number; `undefined` for anything else. */
export function readU64(value: unknown): bigint | undefined {
  if (typeof value !== "bigint" && !Number.isSafeInteger(value)) return undefined;
  const number = BigInt(value as bigint | number);
  return number >= 0n && number <= BG_LENGTH_TO_EOF ? number : undefined;
}

/** A GUID in upper case. Throws `E_INVALIDARG`. */
export function readGuid(value: unknown, name: string): string {
  const guid = parseGuid(value);
  if (guid === undefined) throw invalid(`${name} is not a GUID`);
  return guid;
}

/** A length in bytes; `undefined` for "unknown". Throws `E_INVALIDARG`. */
export function readFileSize(value: unknown): number | undefined {
  const length = readU64(value);
  if (length === DO_UNKNOWN_FILE_SIZE) return undefined;
  if (length === undefined || length > BigInt(LIMITS.contentLengthMax)) {
    throw invalid("the size is not one that a file can have");
  }
  return Number(length);
}

/** Fully qualified, not too long, one file only. Throws `E_INVALIDARG`. */
export function readLocalName(value: unknown): string {
  const name = readText(value, "the local name", MAX_PATH);
  if (name === "") throw invalid("the local name is empty");
  if (/[*?]/.test(name)) throw invalid("the local name has a wildcard");
  return name;
}

/** RFC 3986, section 2: nothing is escaped here, so all that is there must be legal. */
const URL_TEXT = /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;

/** Throws `E_INVALIDARG`. */
export function readRemoteName(value: unknown): string {
  const url = readText(value, "the remote name", REMOTE_NAME_LENGTH_MAX);
  if (!URL_TEXT.test(url)) throw invalid("the remote name is not a legal URL");
  const path = url.replace(/[?#].*$/, "");
  if (path.split("/").some((segment) => segment.length > MAX_PATH)) {
    throw invalid("a segment of the remote name is too long");
  }
  return url;
}

/** Throws `E_INVALIDARG` for what is no array of ranges, `DO_E_INVALID_RANGE` for impossible ones. */
export function readRanges(value: unknown): readonly JobRange[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid("the ranges are not an array");
  // Not `map`, which passes over holes.
  return Array.from(value, readRange);
}

function readRange(value: unknown): JobRange {
  const { InitialOffset, Length } = Object(value) as Readonly<Record<string, unknown>>;
  const offset = readU64(InitialOffset);
  const length = readU64(Length);
  if (offset === undefined || length === undefined) {
    throw invalid("a range has unsigned 64-bit numbers");
  }
  const longest = BigInt(LIMITS.contentLengthMax);
  if (offset > longest) throw HResultError.of("DO_E_INVALID_RANGE", "its offset");
  if (length === BG_LENGTH_TO_EOF) return { offset: Number(offset) };
  if (length > longest) throw HResultError.of("DO_E_INVALID_RANGE", "its length");
  return { offset: Number(offset), length: Number(length) };
}

/** What both ways of adding a file take. Throws as the readers above do. */
export function readFile(file: {
  readonly fileId: unknown;
  readonly remoteUrl: unknown;
  readonly ranges: unknown;
}): JobFileSpec {
  const fileId = readText(file.fileId, "the file id", LIMITS.nameLengthMax);
  if (fileId === "") throw invalid("the file id is empty");
  const url = file.remoteUrl === null ? undefined : readRemoteName(file.remoteUrl);
  const ranges = readRanges(file.ranges);
  // Ranges of a content cannot be verified by its pieces; then the id is just a name.
  const contentId = ranges.length === 0 ? parseContentId(fileId) : undefined;
  return {
    fileId,
    ...(url === undefined ? {} : { url }),
    ...(ranges.length === 0 ? {} : { ranges }),
    ...(contentId === undefined ? {} : { contentId }),
  };
}

export function invalid(details: string): HResultError {
  return HResultError.of("E_INVALIDARG", details);
}
