/**
 * One job: what was asked, how far it is, and its state by the tables of `job/states.ts`. Holds the
 * facts; what follows from them is `JobTable`'s and `JobRunner`'s.
 */
import { ANY_NETWORK_COST, isLocalUrl, STANDARD_NETWORK_COSTS } from "../job/network.ts";
import type { NetworkNeeds } from "../job/network.ts";
import type { JobError, JobRecord, JobValues } from "../job/record.ts";
import { isActiveState, JOB_FACT_TABLE } from "../job/states.ts";
import type { JobFact, JobState } from "../job/states.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { Settings } from "../registry/settings.ts";
import type { JobId, Millis, UnixMillis } from "../units.ts";
import type { Urgency } from "./demand.ts";
import { JobFile } from "./job-file.ts";
import type { JobFacts, JobSnapshot, JobStateFields, JobSummary } from "./snapshot.ts";

/** The verb `acknowledge` while it is under way. */
interface Acknowledging {
  readonly ticket: number;
  readonly isPartial: boolean;
  /** Why it is going to fail, once no file is being published any more. */
  error?: ErrorInfo;
}

/** What never changes in a job's life. */
type JobOrigin = Pick<
  JobRecord,
  "jobId" | "owner" | "sequence" | "createdAt" | "idempotency" | "endedAt"
>;

export class Job implements Urgency {
  readonly jobId: JobId;
  readonly owner: string;
  readonly sequence: number;
  readonly createdAt: UnixMillis;
  readonly idempotency: JobRecord["idempotency"];
  readonly files: JobFile[];
  values: JobValues;
  hasStarted: boolean;
  modifiedAt: UnixMillis;
  transferredAt: UnixMillis | undefined;
  endedAt: UnixMillis | undefined;
  error: JobError | undefined;
  /** In `transientError`: when the job is queued again; `Infinity` while it waits for the network. */
  retryAt: Millis = Infinity;
  /** Since when nothing has come, while the job transfers or would like to. */
  stuckSince: Millis | undefined;
  /** Errors of the disk since a piece of the job was last committed (R-FS-09). */
  diskFailureCount = 0;
  /** It waits for its owner's `resume` after crashes of the agent (R-PROC-04). */
  isHeld = false;
  /** The verb `acknowledge` is under way; publication takes a while. */
  acknowledging: Acknowledging | undefined;
  #state: JobState;
  #stateChanges = 0;

  constructor(record: JobRecord) {
    this.jobId = record.jobId;
    this.owner = record.owner;
    this.sequence = record.sequence;
    this.createdAt = record.createdAt;
    this.idempotency = record.idempotency;
    this.files = record.files.map((file) => new JobFile(file));
    this.values = valuesOf(record);
    this.hasStarted = record.hasStarted;
    this.modifiedAt = record.modifiedAt;
    this.transferredAt = record.transferredAt;
    this.endedAt = record.endedAt;
    this.error = record.error;
    this.#state = record.state;
  }

  get state(): JobState {
    return this.#state;
  }

  set state(next: JobState) {
    if (next !== this.#state) this.#stateChanges++;
    this.#state = next;
  }

  /** Takes a fact by the table; returns whether the state changed. */
  apply(fact: JobFact): boolean {
    const next = JOB_FACT_TABLE[this.#state][fact];
    if (next === undefined || next === this.#state) return false;
    this.state = next;
    return true;
  }

  get isForeground(): boolean {
    return this.values.priority === "foreground";
  }

  get rateBytesPerSec(): number {
    return this.values.rateBytesPerSec ?? 0;
  }

  /** A job without files has nothing to transfer, and is not done with it either. */
  get allTransferred(): boolean {
    return this.files.length > 0 && this.files.every((file) => file.isTransferred);
  }

  networkNeeds(): NetworkNeeds {
    const { files } = this;
    return {
      networkCosts: this.#networkCosts,
      allowsCellular: this.values.allowsCellular,
      // Seldom asked for, and not free.
      get isLocal() {
        const open = files.filter((file) => !file.isTransferred);
        return open.every(({ spec }) => spec.url !== undefined && isLocalUrl(spec.url));
      },
    };
  }

  noProgressTimeoutMs({ noProgressForegroundMs, noProgressBackgroundMs }: Settings): Millis {
    const byPriority = this.isForeground ? noProgressForegroundMs : noProgressBackgroundMs;
    return this.values.noProgressTimeoutMs ?? byPriority;
  }

  toRecord(): JobRecord {
    const { jobId, owner, sequence, createdAt, modifiedAt, hasStarted } = this;
    const { idempotency, transferredAt, endedAt, error } = this;
    return {
      jobId,
      owner,
      sequence,
      createdAt,
      modifiedAt,
      hasStarted,
      ...this.values,
      state: storedState(this.#state),
      files: this.files.map((file) => file.toRecord()),
      ...(idempotency && { idempotency }),
      ...(transferredAt === undefined ? {} : { transferredAt }),
      ...(endedAt === undefined ? {} : { endedAt }),
      ...(error && { error }),
    };
  }

  summary(settings: Settings): JobSummary {
    const { jobId, owner, createdAt, modifiedAt, hasStarted, transferredAt, endedAt } = this;
    const { displayName, priority, overwrite, isVolatile, allowsCellular, attributes } =
      this.values;
    const totals = this.#totals();
    return {
      jobId,
      owner,
      displayName,
      priority,
      overwrite,
      ...this.#stateFields(),
      stateChanges: this.#stateChanges,
      hasStarted,
      isVolatile,
      createdAt,
      modifiedAt,
      ...(transferredAt === undefined ? {} : { transferredAt }),
      ...(endedAt === undefined ? {} : { endedAt }),
      noProgressTimeoutMs: this.noProgressTimeoutMs(settings),
      networkCosts: this.#networkCosts,
      rateBytesPerSec: this.rateBytesPerSec,
      allowsCellular,
      attributes,
      ...totals,
    };
  }

  snapshot(settings: Settings, now: Millis): JobSnapshot {
    return { ...this.summary(settings), files: this.files.map((file) => file.snapshot(now)) };
  }

  /** The error of a job is shown in the states that one belongs to. */
  #stateFields(): JobStateFields {
    const state = this.#state;
    switch (state) {
      case "error":
      case "transientError":
        return { state, error: this.error ?? errorInfo("ERR_STATE_INVALID", this.jobId) };
      case "suspended":
      case "cancelled":
        return { state, ...(this.error && { error: this.error }) };
      default:
        return { state };
    }
  }

  get #networkCosts(): number {
    const byPriority = this.isForeground ? ANY_NETWORK_COST : STANDARD_NETWORK_COSTS;
    return this.values.networkCosts ?? byPriority;
  }

  #totals(): Pick<
    JobFacts,
    | "fileCount"
    | "transferredFileCount"
    | "length"
    | "transferredBytes"
    | "originBytes"
    | "cacheServerBytes"
    | "peerBytes"
    | "wastedBytes"
  > {
    let [isLengthKnown, length, transferredBytes, transferredFileCount] = [true, 0, 0, 0];
    let [originBytes, cacheServerBytes, peerBytes, wastedBytes] = [0, 0, 0, 0];
    for (const file of this.files) {
      if (file.length === undefined) isLengthKnown = false;
      length += file.length ?? 0;
      transferredBytes += file.transferredBytes;
      if (file.isTransferred) transferredFileCount++;
      const { origin, cacheServers, peers, wasted } = file.bytes;
      originBytes += origin;
      cacheServerBytes += cacheServers;
      peerBytes += peers;
      wastedBytes += wasted;
    }
    return {
      fileCount: this.files.length,
      transferredFileCount,
      ...(isLengthKnown ? { length } : {}),
      transferredBytes,
      originBytes,
      cacheServerBytes,
      peerBytes,
      wastedBytes,
    };
  }
}

/** A job's first record. */
export function newRecord(
  origin: JobOrigin,
  values: JobValues,
  files: JobRecord["files"],
): JobRecord {
  return {
    ...origin,
    ...values,
    state: "suspended",
    hasStarted: false,
    modifiedAt: origin.createdAt,
    files,
  };
}

/** The values alone, of a record or request that has more. */
export function valuesOf(from: JobValues): JobValues {
  const { displayName, priority, overwrite, noProgressTimeoutMs, networkCosts } = from;
  const { allowsCellular, isVolatile, attributes, rateBytesPerSec } = from;
  return {
    displayName,
    priority,
    overwrite,
    ...(noProgressTimeoutMs === undefined ? {} : { noProgressTimeoutMs }),
    ...(networkCosts === undefined ? {} : { networkCosts }),
    ...(rateBytesPerSec === undefined ? {} : { rateBytesPerSec }),
    allowsCellular,
    isVolatile,
    attributes,
  };
}

function storedState(state: JobState): JobRecord["state"] {
  return state === "connecting" || state === "transferring" ? "queued" : state;
}

/** Whether the job's transfers may run, or it waits for its turn. */
export function isRunnable(job: Job): boolean {
  return !job.isHeld && (isActiveState(job.state) || job.state === "queued");
}

/** Whether the job comes to its files without a verb, now or when what it waits for has come. */
export function runsByItself(job: Job): boolean {
  return isRunnable(job) || job.state === "transientError";
}
