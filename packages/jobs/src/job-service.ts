/**
 * The job API as a service of plain values: what all three faces are built on, and what a transport
 * carries. `LocalJobService` answers it in the agent's own process, `connectJobService` over a
 * socket; one contract suite tests both.
 *
 * Everything given and returned is JSON, apart from the bytes of streams. Failures are
 * `ShoalError`s with the codes of docs/errors.md; a call that fails has changed nothing. A call
 * that changes something resolves when the change is durable.
 */
import type {
  Ban,
  JobChange,
  JobExplanation,
  JobFileSpec,
  JobId,
  JobRequest,
  JobSnapshot,
  JobState,
  JobSummary,
  OriginResponse,
  PlainVerb,
  ShoalError,
  VerbGuard,
  VerbOutcome,
} from "@shoal/core";

/** Who calls. Only its owner and administrators may see or change a job. */
export interface JobCaller {
  /** Owner of the jobs it creates; at most 256 characters. */
  readonly name: string;
  /** Sees all jobs, and is not held to the number of jobs per owner. */
  readonly isAdministrator: boolean;
}

/** A request without what the service adds: who asks. */
export type ServiceJobRequest = Omit<JobRequest, "owner" | "isAdministrator">;

/** Names one file of one job. */
export interface FileKey {
  readonly jobId: JobId;
  readonly fileIndex: number;
}

/** A file, and what a publisher has signed about it. */
export interface ServiceAnnouncement {
  /** Absolute. */
  readonly path: string;
  /** The signed announcement, in base64. */
  readonly signed: string;
}

/** Takes a file's bytes in order; rejecting fails the job with `ERR_SINK_FAILED`. */
export interface StreamTaker {
  /** `bytes` are valid until the promise settles. */
  write(bytes: Uint8Array): Promise<void>;
}

export interface ServiceWatcher {
  /**
   * The job's snapshot may differ from the one before; `state` is its present one. Never for jobs
   * the caller may not see. A watcher that is slow hears of the latest change only.
   */
  changed(jobId: JobId, state: JobState): void;
  /** Nothing more will be heard. */
  closed(error: ShoalError): void;
}

export interface JobService {
  /** Resolves to the job's id: that of an earlier job where the idempotency key names one. */
  createJob(request: ServiceJobRequest): Promise<JobId>;
  /** All jobs the caller may see, the oldest first; those that are over are among them. */
  list(): Promise<readonly JobSummary[]>;
  /** `undefined` when there is no such job. `ERR_ACCESS_DENIED` for somebody else's. */
  snapshot(jobId: JobId): Promise<JobSnapshot | undefined>;
  /**
   * Where the job's bytes came from and why, and why peers are not used: without secrets. As
   * `snapshot` otherwise.
   */
  explain(jobId: JobId): Promise<JobExplanation | undefined>;
  /** `guard`: the verb is refused with `ERR_JOB_STATE` where it does not hold. */
  applyVerb(jobId: JobId, verb: PlainVerb, guard?: VerbGuard): Promise<VerbOutcome>;
  changeJob(jobId: JobId, change: JobChange, guard?: VerbGuard): Promise<void>;
  /** What was asked for, the job's header fields included (R-API-13: for its owner alone). */
  fileSpec(file: FileKey): Promise<JobFileSpec | undefined>;
  /** What an origin answered last; `undefined` when none has in this run of the agent. */
  fileResponse(file: FileKey): Promise<OriginResponse | undefined>;
  /**
   * Gives the file's bytes to `taker` from the first on, as they are verified. The job's spec says
   * `toStream`. Resolves when it is attached; the returned function takes the stream away.
   */
  attachStream(file: FileKey, taker: StreamTaker): Promise<() => void>;
  /**
   * Offers a complete file of this machine to peers, and passes on a trusted publisher's word about
   * where it comes from. Both are the agent's, not a job's: `ERR_ACCESS_DENIED` for all but
   * administrators. Rejects with `ERR_FILE_UNREADABLE`, `ERR_MANIFEST_UNTRUSTED` and others.
   */
  announce(announcement: ServiceAnnouncement): Promise<void>;
  /** Peers and addresses that are refused. `ERR_ACCESS_DENIED` for who is no administrator. */
  bans(): Promise<readonly Ban[]>;
  /**
   * Lifts a ban, by the `subject` that `bans` gives, and forgets what led to it (R-BAN-05). False:
   * there is none. `ERR_ACCESS_DENIED` for who is no administrator.
   */
  removeBan(subject: string): Promise<boolean>;
  /** Until the returned function is called. */
  watch(watcher: ServiceWatcher): () => void;
  /** Rejects everything that waits with `ERR_AGENT_CLOSED`. Idempotent; jobs go on. */
  close(): void;
}
