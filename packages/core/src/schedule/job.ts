/**
 * One job: what was asked, how far it is, and its state by the tables of `job/states.ts`. Holds the
 * facts; what follows from them is `JobTable`'s.
 */
import type { JobRecord } from "../job/record.ts";
import type { JobFileSpec, JobPriority } from "../job/record.ts";
import type { JobRequest } from "../job/request.ts";
import { isActiveState, JOB_FACT_TABLE } from "../job/states.ts";
import type { JobFact, JobState } from "../job/states.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { JobId, Millis } from "../units.ts";
import type { FetchBytes } from "./fetcher.ts";
import type { Resolution } from "./resolver.ts";
import type { FileSnapshot, JobSnapshot } from "./snapshot.ts";
import type { Transfer } from "./transfer.ts";

/** One file of a job. */
export interface JobFile {
  readonly spec: JobFileSpec;
  transferred: boolean;
  published: boolean;
  /** What was found out about the content; kept so that a resumed job need not ask again. */
  resolution: Resolution | undefined;
  transfer: Transfer | undefined;
  /** Bytes received by transfers that have ended. */
  readonly received: FetchBytes;
  /** Stored bytes when the last transfer ended. */
  storedBytes: number;
}

export class Job {
  readonly jobId: JobId;
  readonly displayName: string;
  readonly priority: JobPriority;
  readonly overwrite: boolean;
  readonly files: readonly JobFile[];
  state: JobState;
  error: ErrorInfo | undefined;
  /** In `transientError`: when the job is queued again. */
  retryAt: Millis = Infinity;
  /** Since the first transient error without a verified byte after it. */
  stuckSince: Millis | undefined;
  /** The verb `acknowledge` is under way; publication takes a while. */
  acknowledgeTicket: number | undefined;

  constructor(record: Omit<JobRecord, "state">, state: JobState) {
    this.jobId = record.jobId;
    this.displayName = record.displayName;
    this.priority = record.priority;
    this.overwrite = record.overwrite;
    this.state = state;
    this.error = record.error;
    this.files = record.files.map((spec, index) => ({
      spec,
      transferred: record.transferred[index] === true,
      published: record.published[index] === true,
      resolution: undefined,
      transfer: undefined,
      received: { origin: 0, peers: 0, wasted: 0 },
      storedBytes: 0,
    }));
  }

  static from(request: JobRequest): Job {
    const none = request.files.map(() => false);
    const record = { ...request, transferred: none, published: none };
    return new Job(record, request.startSuspended ? "suspended" : "queued");
  }

  /** Takes a fact by the table; returns whether the state changed. */
  apply(fact: JobFact): boolean {
    const next = JOB_FACT_TABLE[this.state][fact];
    if (next === undefined || next === this.state) return false;
    this.state = next;
    return true;
  }

  get allTransferred(): boolean {
    return this.files.every((file) => file.transferred);
  }

  toRecord(): JobRecord {
    return {
      jobId: this.jobId,
      displayName: this.displayName,
      priority: this.priority,
      overwrite: this.overwrite,
      state: storedState(this.state),
      files: this.files.map((file) => file.spec),
      transferred: this.files.map((file) => file.transferred),
      published: this.files.map((file) => file.published),
      ...(this.error === undefined ? {} : { error: this.error }),
    };
  }

  snapshot(): JobSnapshot {
    const files = this.files.map(fileSnapshot);
    const sum = (pick: (file: FileSnapshot) => number): number =>
      files.reduce((total, file) => total + pick(file), 0);
    const isLengthKnown = files.every((file) => file.length !== undefined);
    return {
      jobId: this.jobId,
      displayName: this.displayName,
      priority: this.priority,
      state: this.state,
      ...(this.error === undefined ? {} : { error: this.error }),
      files,
      ...(isLengthKnown ? { length: sum((file) => file.length ?? 0) } : {}),
      transferredBytes: sum((file) => file.transferredBytes),
      originBytes: sum((file) => file.originBytes),
      peerBytes: sum((file) => file.peerBytes),
      wastedBytes: sum((file) => file.wastedBytes),
    };
  }
}

function storedState(state: JobState): JobRecord["state"] {
  return state === "connecting" || state === "transferring" ? "queued" : state;
}

function fileSnapshot(file: JobFile): FileSnapshot {
  const { spec, transfer, received } = file;
  const now = transfer?.bytes;
  const resolution = transfer?.resolution ?? file.resolution;
  const contentId = resolution?.manifest?.contentId ?? transfer?.contentId ?? spec.contentId;
  const length = resolution?.layout.contentLength;
  const doneBytes = file.transferred ? (length ?? file.storedBytes) : file.storedBytes;
  return {
    ...(spec.url === undefined ? {} : { url: spec.url }),
    destination: spec.destination,
    phase: filePhase(file),
    ...(contentId === undefined ? {} : { contentId }),
    ...(length === undefined ? {} : { length }),
    transferredBytes: Math.max(doneBytes, transfer?.storedBytes ?? 0),
    originBytes: received.origin + (now?.origin ?? 0),
    peerBytes: received.peers + (now?.peers ?? 0),
    wastedBytes: received.wasted + (now?.wasted ?? 0),
    integrity: integrityOf(file, resolution),
    peers: transfer?.memberCount ?? 0,
  };
}

function filePhase(file: JobFile): FileSnapshot["phase"] {
  if (file.published) return "published";
  return file.transferred ? "transferred" : (file.transfer?.phase ?? "waiting");
}

function integrityOf(file: JobFile, resolution: Resolution | undefined): FileSnapshot["integrity"] {
  if (resolution?.manifest !== undefined) return "pieces";
  return file.spec.sha256 === undefined ? "none" : "digest";
}

/** Whether the job's transfers may run, or it waits for its turn. */
export function isRunnable(job: Job): boolean {
  return isActiveState(job.state) || job.state === "queued";
}
