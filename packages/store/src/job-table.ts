/**
 * Saves, ends and forgets jobs so that an answer means durable (R-DB-02), and keeps trying while
 * the disk is full: only the newest wish of each job waits, and its answer comes when there is room.
 *
 * Saves that arrive in the same turn of the event loop share one transaction:
 *
 *   save A, save B, save A'   ->   one commit   ->   jobSaved A, B, A'
 *
 * Knows jobs by id. Called by `DiskStore`.
 */
import { errorInfo, unreachable } from "@shoal/core";
import type { JobId, JobRecord } from "@shoal/core";
import { isDatabaseFull } from "./disk-errors.ts";
import { removeLeftovers } from "./leftovers.ts";
import type { JobSave } from "./state-tables.ts";
import type { StoreContext } from "./store-context.ts";

/** How long a wish waits for room before it is tried again. */
const RETRY_MS = 1_000;

type Wish =
  | ({ readonly kind: "save" } & JobSave)
  | { readonly kind: "end"; readonly job: JobRecord }
  | { readonly kind: "forget"; readonly jobId: JobId; readonly isEnding: boolean };

/** Saves of this turn. */
interface Batch {
  readonly saves: JobSave[];
  readonly timer: NodeJS.Immediate;
  readonly written: PromiseWithResolvers<void>;
}

export class JobTable {
  readonly #context: StoreContext;
  /** Bounded by the number of jobs. */
  readonly #waiting = new Map<JobId, Wish>();
  /** Bounded by `LIMITS.storeCommandsMax`. */
  #batch: Batch | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /**
   * Answers `jobSaved`, at the end of this turn or when the disk has room. Resolves when it has
   * been tried.
   */
  save(job: JobRecord, revision: number): Promise<void> {
    this.#waiting.delete(job.jobId);
    this.#batch ??= {
      saves: [],
      timer: setImmediate(() => this.flush()),
      written: Promise.withResolvers<void>(),
    };
    this.#batch.saves.push({ job, revision });
    return this.#batch.written.promise;
  }

  /** Answers `jobEnded`, now or when the disk has room. */
  end(job: JobRecord): void {
    this.flush();
    this.#grant(job.jobId, { kind: "end", job });
  }

  /** Forgets the record of a job that is over, now or when the disk has room. */
  forget(jobId: JobId): void {
    this.flush();
    // Whoever waits for an end that has found no room yet is answered by this one.
    const isEnding = this.#waiting.get(jobId)?.kind === "end";
    this.#grant(jobId, { kind: "forget", jobId, isEnding });
  }

  /** Writes the saves of this turn, with `jobId` only if this job is among them. */
  flush(jobId?: JobId): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    if (jobId !== undefined && !batch.saves.some(({ job }) => job.jobId === jobId)) return;
    clearImmediate(batch.timer);
    this.#batch = undefined;
    this.#saveAll(batch.saves);
    batch.written.resolve();
  }

  /** Tries what waits once more, and stops trying. */
  close(): void {
    this.flush();
    clearTimeout(this.#timer);
    this.#retry();
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #saveAll(saves: readonly JobSave[]): void {
    const newest = new Map(saves.map((save) => [save.job.jobId, save]));
    try {
      this.#context.tables.saveJobs([...newest.values()]);
    } catch {
      // One by one, as much as there is room for is saved, and what fails says so.
      for (const save of saves) this.#grant(save.job.jobId, { kind: "save", ...save });
      return;
    }
    for (const { job, revision } of saves) {
      this.#context.emit({ type: "jobSaved", jobId: job.jobId, revision });
    }
  }

  #grant(jobId: JobId, wish: Wish): void {
    this.#waiting.delete(jobId);
    try {
      this.#attempt(wish);
    } catch (cause) {
      if (isDatabaseFull(cause)) {
        this.#waiting.set(jobId, wish);
        this.#timer ??= setTimeout(() => this.#retry(), RETRY_MS);
        return;
      }
      const reason = cause instanceof Error ? cause.message : String(cause);
      const error = errorInfo("ERR_STATE_UNUSABLE", reason);
      this.#context.emit({ type: "stateFailed", error });
    }
  }

  #retry(): void {
    this.#timer = undefined;
    const wishes = new Map(this.#waiting);
    for (const [jobId, wish] of wishes) this.#grant(jobId, wish);
  }

  #attempt(wish: Wish): void {
    const { tables, emit } = this.#context;
    switch (wish.kind) {
      case "save":
        tables.saveJobs([wish]);
        emit({ type: "jobSaved", jobId: wish.job.jobId, revision: wish.revision });
        return;
      case "end": {
        const { jobId } = wish.job;
        const undeletedCount = removeLeftovers(this.#context, tables.endJob(wish.job));
        emit({ type: "jobEnded", jobId, undeletedCount });
        return;
      }
      case "forget": {
        const { jobId, isEnding } = wish;
        const undeletedCount = removeLeftovers(this.#context, tables.forgetJob(jobId));
        if (isEnding) emit({ type: "jobEnded", jobId, undeletedCount });
        return;
      }
      default:
        unreachable(wish);
    }
  }
}
