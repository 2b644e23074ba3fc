/**
 * A handle on one job: look, wait, suspend, resume, cancel, acknowledge. Handles hold nothing of
 * the job, so any number of them may exist, and a job lives on when they are gone.
 *
 * Knows what callers wait for. The job itself is core's. Made by `Jobs`.
 */
import { isFinalState, ShoalError } from "@shoal/core";
import type { JobId, JobSnapshot, JobVerb, Millis } from "@shoal/core";
import type { JobHost } from "./job-host.ts";
import type { JobWatch } from "./job-watch.ts";
import { watchProgress } from "./progress.ts";
import { orAborted } from "./verb-tickets.ts";
import type { VerbTickets } from "./verb-tickets.ts";

/** How a handle reports, which is not the job's business. */
export interface JobOptions {
  /** Whether `transferred` rejects in `transientError` too. Default false: the job tries again. */
  readonly failOnTransient?: boolean;
}

export interface ProgressOptions {
  /** Shortest time between two snapshots. Default 100 ms. */
  readonly intervalMs?: Millis;
  /** Ends the iteration by throwing the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface VerbOptions {
  /** Ends the waiting with the signal's reason; the verb takes its effect all the same. */
  readonly signal?: AbortSignal;
}

export interface JobParts {
  readonly host: JobHost;
  readonly tickets: VerbTickets;
  readonly watch: JobWatch;
}

const DEFAULT_INTERVAL_MS = 100;

export class Job {
  readonly id: JobId;
  readonly #parts: JobParts;
  readonly #failOnTransient: boolean;
  #latest: JobSnapshot;

  /** Made by `Jobs`; `snapshot` is the job's present one. */
  constructor(parts: JobParts, snapshot: JobSnapshot, options: JobOptions = {}) {
    this.#parts = parts;
    this.#latest = snapshot;
    this.#failOnTransient = options.failOnTransient ?? false;
    this.id = snapshot.jobId;
  }

  /** The job as it is now, as plain JSON; of a job that is forgotten, as it was last seen. */
  snapshot(): JobSnapshot {
    const { host } = this.#parts;
    this.#latest = host.act((scheduler) => scheduler.jobSnapshot(this.id)) ?? this.#latest;
    return this.#latest;
  }

  /**
   * The present snapshot, then the latest one whenever the job has changed, at most one per
   * `intervalMs`. Ends after the snapshot that shows `transferred`, `error` or a final state, which
   * is always delivered. Throws `ERR_AGENT_CLOSED` when the agent closes first.
   */
  progress(options: ProgressOptions = {}): AsyncIterableIterator<JobSnapshot> {
    return watchProgress(
      {
        snapshot: () => this.snapshot(),
        subscribe: (watcher) => this.#parts.watch.add(this.id, watcher),
        isOver: (snapshot) => this.#hasEnded(snapshot),
      },
      { intervalMs: options.intervalMs ?? DEFAULT_INTERVAL_MS, signal: options.signal },
    );
  }

  /**
   * Settles when the present attempt comes to something: resolves when all files are complete (to
   * be published by `acknowledge`), rejects with the job's error, with `ERR_JOB_CANCELLED`, or with
   * `ERR_AGENT_CLOSED`. After a `resume` it is a new promise. Nobody has to handle it.
   */
  get transferred(): Promise<JobSnapshot> {
    const { promise, resolve, reject } = Promise.withResolvers<JobSnapshot>();
    promise.catch(() => {});
    const look = (): boolean => {
      const snapshot = this.snapshot();
      if (!this.#hasEnded(snapshot)) return false;
      const error = errorOf(snapshot);
      if (error === undefined) resolve(snapshot);
      else reject(error);
      return true;
    };
    if (look()) return promise;
    const unsubscribe = this.#parts.watch.add(this.id, {
      changed: () => void (look() && unsubscribe()),
      closed: reject,
    });
    return promise;
  }

  /** Stops transferring and keeps what is there. Rejects with `ERR_JOB_STATE` when it is over. */
  suspend(options?: VerbOptions): Promise<void> {
    return this.#verb("suspend", options);
  }

  /** Goes on, or tries again at once. Rejects with `ERR_JOB_STATE` when it is over. */
  resume(options?: VerbOptions): Promise<void> {
    return this.#verb("resume", options);
  }

  /** Gives up and removes everything that is not published. Resolves when it is gone. */
  cancel(options?: VerbOptions): Promise<void> {
    return this.#verb("cancel", options);
  }

  /**
   * Publishes every complete file at its destination and ends the job; files that are not complete
   * are discarded. Resolves when all are published, durably. When it rejects (`ERR_DISK_FULL`,
   * `ERR_DESTINATION_EXISTS` and the like), nothing is lost, and it may be called again.
   */
  acknowledge(options?: VerbOptions): Promise<void> {
    return this.#verb("acknowledge", options);
  }

  #verb(verb: JobVerb, options: VerbOptions = {}): Promise<void> {
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    const done = this.#parts.tickets.run((scheduler, now) =>
      scheduler.applyVerb(this.id, verb, now),
    );
    return orAborted(done, signal);
  }

  #hasEnded({ state }: JobSnapshot): boolean {
    if (state === "transientError") return this.#failOnTransient;
    return state === "transferred" || state === "error" || isFinalState(state);
  }
}

/** Why a job that has ended did not bring its files; `undefined` when it did. */
function errorOf({ state, error, files }: JobSnapshot): ShoalError | undefined {
  if (error !== undefined) return ShoalError.from(error);
  const isComplete = files.every(({ phase }) => phase === "transferred" || phase === "published");
  return isComplete && state !== "cancelled" ? undefined : new ShoalError("ERR_JOB_CANCELLED");
}
