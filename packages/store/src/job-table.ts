/**
 * Saves and deletes jobs so that an answer means durable (R-DB-02), and keeps trying while the
 * disk is full: only the newest wish of each job waits, and its answer comes when there is room.
 *
 * Knows jobs by id. Called by `DiskStore`.
 */
import { errorInfo, unreachable } from "@shoal/core";
import type { JobId, JobRecord } from "@shoal/core";
import { isDatabaseFull } from "./disk-errors.ts";
import { removeLeftover } from "./leftovers.ts";
import type { StoreContext } from "./store-context.ts";

/** How long a wish waits for room before it is tried again. */
const RETRY_MS = 1_000;

type Wish =
  | { readonly kind: "save"; readonly job: JobRecord; readonly revision: number }
  | { readonly kind: "delete"; readonly jobId: JobId };

export class JobTable {
  readonly #context: StoreContext;
  /** Bounded by the number of jobs. */
  readonly #waiting = new Map<JobId, Wish>();
  #timer: NodeJS.Timeout | undefined;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** Answers `jobSaved`, now or when the disk has room. */
  save(job: JobRecord, revision: number): void {
    this.#grant(job.jobId, { kind: "save", job, revision });
  }

  /** Answers `jobDeleted`, now or when the disk has room. */
  delete(jobId: JobId): void {
    this.#grant(jobId, { kind: "delete", jobId });
  }

  /** Tries what waits once more, and stops trying. */
  close(): void {
    clearTimeout(this.#timer);
    this.#retry();
    clearTimeout(this.#timer);
    this.#waiting.clear();
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
        tables.saveJob(wish.job, wish.revision);
        emit({ type: "jobSaved", jobId: wish.job.jobId, revision: wish.revision });
        return;
      case "delete":
        for (const leftover of tables.deleteJob(wish.jobId)) {
          removeLeftover(this.#context, leftover);
        }
        emit({ type: "jobDeleted", jobId: wish.jobId });
        return;
      default:
        unreachable(wish);
    }
  }
}
