/**
 * A job as it is stored: plain JSON, complete, without anything that belongs to one run. Every
 * value read back is validated like network input (R-DB-05), by `parseJobRecord`.
 */
import { ERRORS } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import { parseSha256Hex } from "../hash/digest.ts";
import { parseContentId } from "../content/content-id.ts";
import type { ContentId, JobId } from "../units.ts";
import { checkDestination } from "./destination.ts";
import { JOB_STATES } from "./states.ts";
import type { JobState } from "./states.ts";

export const JOB_PRIORITIES = ["foreground", "high", "normal", "low"] as const;
export type JobPriority = (typeof JOB_PRIORITIES)[number];

/** One file of a job, as asked for. */
export interface JobFileSpec {
  /** Where the file comes from; absent: from peers alone, which needs a content id. */
  readonly url?: string;
  /** Absolute path the file is published under. */
  readonly destination: string;
  /** Pins the content (trust level T2). */
  readonly contentId?: ContentId;
  /** SHA-256 the file must have, as 64 lower-case hex digits (trust level T1). */
  readonly sha256?: string;
}

export interface JobRecord {
  readonly jobId: JobId;
  readonly displayName: string;
  readonly priority: JobPriority;
  /** Whether a destination that exists may be replaced at publication. */
  readonly overwrite: boolean;
  /**
   * The states that survive a restart; `connecting` and `transferring` are stored as `queued`,
   * because nothing is connected after one.
   */
  readonly state: Exclude<JobState, "connecting" | "transferring">;
  readonly files: readonly JobFileSpec[];
  /** Which files have all their bytes, and which lie at their destination; by file index. */
  readonly transferred: readonly boolean[];
  readonly published: readonly boolean[];
  readonly error?: ErrorInfo;
}

/** Whether the text is a UUID in lower case. */
export function isJobId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

/** Checks a stored record; `undefined` when any part of it is not as written by this version. */
export function parseJobRecord(value: unknown): JobRecord | undefined {
  if (!isObject(value)) return undefined;
  const { jobId, displayName, priority, overwrite, state, files, transferred, published } = value;
  if (typeof jobId !== "string" || !isJobId(jobId)) return undefined;
  if (typeof displayName !== "string" || displayName.length > LIMITS.displayNameLengthMax) {
    return undefined;
  }
  if (!isOneOf(priority, JOB_PRIORITIES) || typeof overwrite !== "boolean") return undefined;
  if (!isOneOf(state, JOB_STATES) || state === "connecting" || state === "transferring") {
    return undefined;
  }
  if (!Array.isArray(files) || files.length > LIMITS.filesPerJobMax) return undefined;
  const specs = files.map(parseFileSpec);
  if (!specs.every((spec) => spec !== undefined)) return undefined;
  if (!isFlags(transferred, specs.length) || !isFlags(published, specs.length)) return undefined;
  const error = value["error"] === undefined ? undefined : parseErrorInfo(value["error"]);
  if (value["error"] !== undefined && error === undefined) return undefined;
  return {
    jobId,
    displayName,
    priority,
    overwrite,
    state,
    files: specs,
    transferred,
    published,
    ...(error === undefined ? {} : { error }),
  };
}

function parseFileSpec(value: unknown): JobFileSpec | undefined {
  if (!isObject(value)) return undefined;
  const { url, destination, contentId, sha256 } = value;
  if (typeof destination !== "string" || checkDestination(destination) !== undefined) {
    return undefined;
  }
  if (url !== undefined && (typeof url !== "string" || url.length > LIMITS.urlLengthMax)) {
    return undefined;
  }
  if (url === undefined && contentId === undefined) return undefined;
  const id = typeof contentId === "string" ? parseContentId(contentId) : undefined;
  if (contentId !== undefined && id === undefined) return undefined;
  const digestOk = typeof sha256 === "string" && parseSha256Hex(sha256) !== undefined;
  if (sha256 !== undefined && !digestOk) return undefined;
  return {
    destination,
    ...(url === undefined ? {} : { url }),
    ...(id === undefined ? {} : { contentId: id }),
    ...(typeof sha256 === "string" ? { sha256 } : {}),
  };
}

function parseErrorInfo(value: unknown): ErrorInfo | undefined {
  if (!isObject(value)) return undefined;
  const { code, message } = value;
  if (typeof code !== "string" || !Object.hasOwn(ERRORS, code)) return undefined;
  if (typeof message !== "string" || message.length > LIMITS.urlLengthMax) return undefined;
  return { code: code as keyof typeof ERRORS, message };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOneOf<const T extends readonly string[]>(value: unknown, all: T): value is T[number] {
  return typeof value === "string" && all.includes(value);
}

function isFlags(value: unknown, count: number): value is boolean[] {
  return (
    Array.isArray(value) && value.length === count && value.every((v) => typeof v === "boolean")
  );
}
