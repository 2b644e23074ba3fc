/** What a job looks like from outside: plain JSON, complete, valid at one instant. */
import type { JobRange } from "../job/ranges.ts";
import type { JobAttribute, JobError, JobPriority } from "../job/record.ts";
import type { ByPeerClass } from "../policy/peer-class.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { ContentId, JobId, Millis, UnixMillis } from "../units.ts";

export const FILE_PHASES = [
  /** Its turn has not come. */
  "waiting",
  /** Looking for the manifest, or for the length at the origin. */
  "resolving",
  /** The part file is being created, or re-verified after a restart. */
  "opening",
  "fetching",
  /** All pieces are there; the final check runs. */
  "verifying",
  /** Complete in its part file. */
  "transferred",
  /** At its destination. */
  "published",
] as const;
export type FilePhase = (typeof FILE_PHASES)[number];

export interface FileSnapshot {
  /** The caller's own name for the file. */
  readonly fileId?: string;
  readonly url?: string;
  /** Other places of the same bytes. */
  readonly mirrors?: readonly string[];
  /** The URL that has delivered last: the file's own, a mirror, or one at a cache server. */
  readonly deliveredBy?: string;
  /** Absent: it goes to a stream, or nobody has said yet where to. */
  readonly destination?: string;
  readonly toStream: boolean;
  readonly phase: FilePhase;
  /** Known once resolved, or when the job named it. */
  readonly contentId?: ContentId;
  /** Bytes of the whole file, or of its ranges together, once known. */
  readonly length?: number;
  /** What the job's creator said the length is. */
  readonly declaredLength?: number;
  readonly ranges?: readonly JobRange[];
  readonly mandatoryIntegrity?: boolean;
  /** Verified bytes on disk; of a stream, bytes it has taken. */
  readonly transferredBytes: number;
  /** Bytes received so far, by where they came from, including wasted ones. */
  readonly originBytes: number;
  readonly cacheServerBytes: number;
  readonly peerBytes: number;
  /** Bytes received and thrown away. */
  readonly wastedBytes: number;
  /** Bytes found in other contents on this machine in this run, and so not received. */
  readonly reusedBytes: number;
  /** Of `peerBytes`, whose they were; less of what came in the runs of older agents. */
  readonly receivedBytes: ByPeerClass;
  /** Bytes sent to peers in this run. */
  readonly sentBytes: ByPeerClass;
  /** Requests under way to the origin. */
  readonly originRequests: number;
  /** How the bytes are checked: by piece digests, by one digest at the end, or not at all. */
  readonly integrity: "pieces" | "digest" | "none";
  /** Connected peers that take part in this content. */
  readonly peers: number;
  /** Time in this run in which the file was being fetched. */
  readonly activeMs: Millis;
  /** The origin's `Last-Modified`. */
  readonly modifiedAt?: UnixMillis;
  /** The mode it is fetched in, by Delivery Optimization's number; absent before its first turn. */
  readonly downloadMode?: number;
}

/** What is there in one state only; told apart by `state`. */
export type JobStateFields =
  | {
      readonly state: "queued" | "connecting" | "transferring" | "transferred" | "acknowledged";
      readonly error?: undefined;
    }
  /** `error`: why it was in `error` or `transientError` before. */
  | { readonly state: "suspended"; readonly error?: JobError }
  | { readonly state: "error" | "transientError"; readonly error: JobError }
  /** `error`: why it was cancelled, where its user did not do it. */
  | { readonly state: "cancelled"; readonly error?: JobError };

/** A job without its files: what lists show. Plain JSON, valid at one instant. */
export type JobSummary = JobFacts & JobStateFields;

/** What a job shows in every state. */
export interface JobFacts {
  readonly jobId: JobId;
  readonly owner: string;
  readonly displayName: string;
  readonly priority: JobPriority;
  readonly overwrite: boolean;
  /** How often the job has changed its state in this run. */
  readonly stateChanges: number;
  /** Whether it has ever been started. */
  readonly hasStarted: boolean;
  readonly isVolatile: boolean;
  readonly createdAt: UnixMillis;
  /** The last change of a value, of the state, or of the bytes transferred. */
  readonly modifiedAt: UnixMillis;
  /** When it last became `transferred`. */
  readonly transferredAt?: UnixMillis;
  /** When it was acknowledged or cancelled. */
  readonly endedAt?: UnixMillis;
  readonly noProgressTimeoutMs: Millis;
  /** A set of `NETWORK_COSTS` that the job may use. */
  readonly networkCosts: number;
  /** What it may fetch at most; 0 is no limit. */
  readonly rateBytesPerSec: number;
  readonly allowsCellular: boolean;
  readonly attributes: Readonly<Record<string, JobAttribute>>;
  readonly fileCount: number;
  readonly transferredFileCount: number;
  /** Sums over files; `length` only when every file's length is known. */
  readonly length?: number;
  readonly transferredBytes: number;
  readonly originBytes: number;
  readonly cacheServerBytes: number;
  readonly peerBytes: number;
  readonly wastedBytes: number;
}

export type JobSnapshot = JobSummary & { readonly files: readonly FileSnapshot[] };

/** A verb's answer: refused at once, or a ticket that settles when the effect is durable. */
export type VerbResult =
  | { readonly ok: true; readonly ticket: number; readonly jobId: JobId }
  | { readonly ok: false; readonly error: ErrorInfo };

/** What a verb came to, apart from having worked. */
export interface VerbOutcome {
  /** `acknowledge`: some files were not complete and were dropped. */
  readonly isPartial: boolean;
  /** Part files that could not be removed; they are tried again later. */
  readonly undeletedCount: number;
}
