/**
 * A job as it is stored: plain JSON, complete, without anything that belongs to one run. Every
 * value read back is validated like network input (R-DB-05), by `parseJobRecord`.
 */
import { ERRORS } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import { isByPeerClass } from "../policy/peer-class.ts";
import type { ByPeerClass } from "../policy/peer-class.ts";
import type { JobId, Millis, UnixMillis } from "../units.ts";
import { checkFileSpec, isFileSpecShape } from "./file-spec.ts";
import type { JobFileSpec } from "./file-spec.ts";
import { ANY_NETWORK_COST } from "./network.ts";
import { isBoolean, isCount, isList, isObject, isOneOf, isRecordOf, isText } from "./shape.ts";
import type { Check } from "./shape.ts";
import { JOB_STATES } from "./states.ts";
import type { JobState } from "./states.ts";

export const JOB_PRIORITIES = ["foreground", "high", "normal", "low"] as const;
export type JobPriority = (typeof JOB_PRIORITIES)[number];

/** A value that clients keep with a job; the agent does not look into it. */
export type JobAttribute = string | number | boolean;

/** Why a job is in `error` or `transientError`, and which file failed. */
export interface JobError extends ErrorInfo {
  readonly fileIndex?: number;
}

/** How far one file is. */
export interface JobFileRecord {
  readonly spec: JobFileSpec;
  /** All its bytes are here. */
  readonly isTransferred: boolean;
  /** It lies at its destination, or its stream has taken all of it. */
  readonly isPublished: boolean;
  /** The origin's `Last-Modified`. */
  readonly modifiedAt?: UnixMillis;
  /** Of a file of which only ranges are wanted: the length of all of it. */
  readonly remoteLength?: number;
  /** Bytes received in earlier runs, by where they came from. */
  readonly originBytes: number;
  readonly peerBytes: number;
  readonly wastedBytes: number;
  /** Absent: none. */
  readonly cacheServerBytes?: number;
  /** Of `peerBytes`, whose they were. Absent: nobody has counted. */
  readonly receivedBytes?: ByPeerClass;
}

/** What a job's creator chooses, and may change later. */
export interface JobValues {
  readonly displayName: string;
  readonly priority: JobPriority;
  /** Whether a destination that exists may be replaced at publication. */
  readonly overwrite: boolean;
  /** Absent: by priority (`noProgressForegroundMs`, `noProgressBackgroundMs`). 0: fail at once. */
  readonly noProgressTimeoutMs?: Millis;
  /** A set of `NETWORK_COSTS`. Absent: any for foreground jobs, the standard ones for others. */
  readonly networkCosts?: number;
  /** What it may fetch at most, of all sources together. Absent or 0: no limit of its own. */
  readonly rateBytesPerSec?: number;
  readonly allowsCellular: boolean;
  /** Forgotten when the agent starts anew, unless it is over. */
  readonly isVolatile: boolean;
  readonly attributes: Readonly<Record<string, JobAttribute>>;
}

export interface JobRecord extends JobValues {
  readonly jobId: JobId;
  /** Who created it. */
  readonly owner: string;
  /** Counts jobs, so that their order survives any clock (R-TIME-02). */
  readonly sequence: number;
  /**
   * The states that survive a restart; `connecting` and `transferring` are stored as `queued`,
   * because nothing is connected after one.
   */
  readonly state: Exclude<JobState, "connecting" | "transferring">;
  /** Whether it has ever left `suspended`. */
  readonly hasStarted: boolean;
  readonly createdAt: UnixMillis;
  readonly modifiedAt: UnixMillis;
  readonly transferredAt?: UnixMillis;
  /** When it was acknowledged or cancelled. */
  readonly endedAt?: UnixMillis;
  readonly files: readonly JobFileRecord[];
  readonly error?: JobError;
  readonly idempotency?: { readonly key: string; readonly fingerprint: string };
}

/** Whether the text is a UUID in lower case. */
export function isJobId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

export function isAttribute(value: unknown): value is JobAttribute {
  if (typeof value === "string") return value.length <= LIMITS.attributeLengthMax;
  return typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value));
}

export const isAttributes: Check = (value) =>
  isObject(value) &&
  Object.keys(value).length <= LIMITS.attributesPerJobMax &&
  Object.entries(value).every(
    ([name, attribute]) => name.length <= LIMITS.nameLengthMax && isAttribute(attribute),
  );

const LENGTH = isCount(LIMITS.contentLengthMax);
const NAME = isText(LIMITS.nameLengthMax);
const INSTANT = isCount(8.64e15);

const isErrorShape = isRecordOf(
  {
    code: (value) => typeof value === "string" && Object.hasOwn(ERRORS, value),
    message: isText(LIMITS.urlLengthMax),
  },
  { fileIndex: isCount(LIMITS.filesPerJobMax), originStatus: isCount(999) },
);

const isFileRecordShape = isRecordOf(
  {
    spec: isFileSpecShape,
    isTransferred: isBoolean,
    isPublished: isBoolean,
    originBytes: isCount(),
    peerBytes: isCount(),
    wastedBytes: isCount(),
  },
  {
    modifiedAt: INSTANT,
    remoteLength: LENGTH,
    cacheServerBytes: isCount(),
    receivedBytes: isByPeerClass,
  },
);

const isRecordShape = isRecordOf(
  {
    jobId: (value) => typeof value === "string" && isJobId(value),
    owner: NAME,
    sequence: isCount(),
    displayName: isText(LIMITS.displayNameLengthMax),
    priority: isOneOf(JOB_PRIORITIES),
    overwrite: isBoolean,
    allowsCellular: isBoolean,
    isVolatile: isBoolean,
    attributes: isAttributes,
    state: isOneOf(JOB_STATES.filter((name) => name !== "connecting" && name !== "transferring")),
    hasStarted: isBoolean,
    createdAt: INSTANT,
    modifiedAt: INSTANT,
    files: isList(isFileRecordShape, LIMITS.filesPerJobMax),
  },
  {
    noProgressTimeoutMs: isCount(),
    networkCosts: isCount(ANY_NETWORK_COST),
    rateBytesPerSec: isCount(),
    transferredAt: INSTANT,
    endedAt: INSTANT,
    error: isErrorShape,
    idempotency: isRecordOf({ key: NAME, fingerprint: NAME }),
  },
);

/** Checks a stored record; `undefined` when any part of it is not as written by this version. */
export function parseJobRecord(value: unknown): JobRecord | undefined {
  if (!isRecordShape(value)) return undefined;
  const record = value as JobRecord;
  return record.files.every(({ spec }) => checkFileSpec(spec) === undefined) ? record : undefined;
}
