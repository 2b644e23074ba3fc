/** What a job looks like from outside: plain JSON, complete, valid at one instant. */
import type { JobPriority } from "../job/record.ts";
import type { JobState } from "../job/states.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { ContentId, JobId } from "../units.ts";

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
  readonly url?: string;
  readonly destination: string;
  readonly phase: FilePhase;
  /** Known once resolved, or when the job named it. */
  readonly contentId?: ContentId;
  /** Bytes of the whole file, once known. */
  readonly length?: number;
  /** Verified bytes on disk. */
  readonly transferredBytes: number;
  /** Bytes received in this run, by where they came from, including wasted ones. */
  readonly originBytes: number;
  readonly peerBytes: number;
  /** Bytes received in this run and thrown away. */
  readonly wastedBytes: number;
  /** How the bytes are checked: by piece digests, by one digest at the end, or not at all. */
  readonly integrity: "pieces" | "digest" | "none";
  /** Connected peers that take part in this content. */
  readonly peers: number;
}

export interface JobSnapshot {
  readonly jobId: JobId;
  readonly displayName: string;
  readonly priority: JobPriority;
  readonly state: JobState;
  /** Why the job is in `error` or `transientError`. */
  readonly error?: ErrorInfo;
  readonly files: readonly FileSnapshot[];
  /** Sums over files; `length` only when every file's length is known. */
  readonly length?: number;
  readonly transferredBytes: number;
  readonly originBytes: number;
  readonly peerBytes: number;
  readonly wastedBytes: number;
}

/** A verb's answer: refused at once, or a ticket that settles when the effect is durable. */
export type VerbResult =
  | { readonly ok: true; readonly ticket: number }
  | { readonly ok: false; readonly error: ErrorInfo };
