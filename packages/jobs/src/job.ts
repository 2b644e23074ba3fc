/**
 * A handle on one job: look, wait, change, suspend, resume, cancel, acknowledge. Handles hold
 * nothing of the job, so any number of them may exist, and a job lives on when they are gone.
 *
 * Knows what callers wait for. The job itself is core's. Made by `Jobs`.
 */
import { isFinalState, ShoalError } from "@shoal/core";
import type {
  JobExplanation,
  JobId,
  JobSnapshot,
  JobState,
  JobValueChange,
  Millis,
  Nullable,
  OriginResponse,
  PlainVerb,
  VerbOutcome,
} from "@shoal/core";
import { resolveFile, resolveRange, resolveSettings } from "./create-job-options.ts";
import type { ByteRange, CreateJobFile, JobSettings } from "./create-job-options.ts";
import { watchEvents } from "./job-events.ts";
import type { JobEvent } from "./job-events.ts";
import type { JobService } from "./job-service.ts";
import type { JobWatch } from "./job-watch.ts";
import { orAborted } from "./or-aborted.ts";
import { watchProgress } from "./progress.ts";
import type { ProgressSource } from "./progress.ts";
import { streamInto } from "./stream-into.ts";

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
  readonly service: JobService;
  readonly watch: JobWatch;
}

const DEFAULT_INTERVAL_MS = 100;

export class Job implements AsyncDisposable {
  readonly id: JobId;
  readonly #parts: JobParts;
  readonly #failOnTransient: boolean;
  #latest: JobSnapshot | undefined;

  /** Made by `Jobs`. */
  constructor(parts: JobParts, jobId: JobId, options: JobOptions = {}) {
    this.#parts = parts;
    this.#failOnTransient = options.failOnTransient ?? false;
    this.id = jobId;
  }

  /**
   * The job as it is now, as plain JSON; of a job that is forgotten, as it was last seen. Rejects
   * with `ERR_JOB_NOT_FOUND` when it never was, `ERR_ACCESS_DENIED`, or `ERR_AGENT_CLOSED`.
   */
  async snapshot(): Promise<JobSnapshot> {
    this.#latest = (await this.#parts.service.snapshot(this.id)) ?? this.#latest;
    if (this.#latest === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", this.id);
    return this.#latest;
  }

  /**
   * Where its bytes came from and why, what it waits for, and why each peer is used or not, in the
   * codes and words of docs/reasons.md. Where pieces came from is known of this run of the agent
   * alone. Rejects as `snapshot`, also when the job is forgotten.
   */
  async explain(): Promise<JobExplanation> {
    const explanation = await this.#parts.service.explain(this.id);
    if (explanation === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", this.id);
    return explanation;
  }

  /**
   * The present snapshot, then the latest one whenever the job has changed, at most one per
   * `intervalMs`. Ends after the snapshot that shows `transferred`, `error` or a final state, which
   * is always delivered. Throws `ERR_AGENT_CLOSED` when the agent closes first.
   */
  progress(options: ProgressOptions = {}): AsyncIterableIterator<JobSnapshot> {
    return watchProgress(
      { ...this.#source(), isOver: (state) => this.#hasEnded(state) },
      { intervalMs: options.intervalMs ?? DEFAULT_INTERVAL_MS, signal: options.signal },
    );
  }

  /**
   * What happens to the job, from its present state on until it is over: `stateChanged`,
   * `fileTransferred`, `progress`. Events that come together are made of one snapshot; states that
   * are passed within `intervalMs` may be left out, the last one never.
   */
  events(options: ProgressOptions = {}): AsyncIterableIterator<JobEvent> {
    return watchEvents(
      { ...this.#source(), isOver: isFinalState },
      { intervalMs: options.intervalMs ?? DEFAULT_INTERVAL_MS, signal: options.signal },
    );
  }

  /**
   * Settles when the present attempt comes to something: resolves when all files are complete (to
   * be published by `acknowledge`), rejects with the job's error, with `ERR_JOB_CANCELLED`, or with
   * `ERR_AGENT_CLOSED`. After a `resume` it is a new promise. Nobody has to handle it.
   */
  get transferred(): Promise<JobSnapshot> {
    const promise = this.#untilEnded();
    promise.catch(() => {});
    return promise;
  }

  /** Stops transferring and keeps what is there. Rejects with `ERR_JOB_STATE` when it is over. */
  async suspend(options?: VerbOptions): Promise<void> {
    await this.#verb("suspend", options);
  }

  /** Goes on, or tries again at once. Rejects with `ERR_JOB_STATE` when it is over. */
  async resume(options?: VerbOptions): Promise<void> {
    await this.#verb("resume", options);
  }

  /** Gives up and removes everything that is not published. Resolves when it is gone. */
  cancel(options?: VerbOptions): Promise<VerbOutcome> {
    return this.#verb("cancel", options);
  }

  /**
   * Publishes every complete file at its destination and ends the job; files that are not complete
   * are discarded, which the outcome's `isPartial` tells. Resolves when all are published, durably.
   * When it rejects (`ERR_DISK_FULL`, `ERR_DESTINATION_EXISTS` and the like), what is complete is
   * not lost, and it may be called again.
   */
  acknowledge(options?: VerbOptions): Promise<VerbOutcome> {
    return this.#verb("acknowledge", options);
  }

  /** Adds files behind those there are. A job that is `transferred` needs a `resume` for them. */
  async addFiles(
    files: ReadonlyArray<Omit<CreateJobFile, "stream">>,
    options: VerbOptions = {},
  ): Promise<void> {
    const specs = files.map(resolveFile);
    const adding = this.#parts.service.changeJob(this.id, { type: "addFiles", files: specs });
    await orAborted(adding, options.signal);
  }

  /** Changes what is given; attributes are merged, and `null` removes one. */
  async change(settings: JobChangeOptions, options: VerbOptions = {}): Promise<void> {
    const { attributes, ...rest } = settings;
    const values: JobValueChange = {
      ...resolveSettings(rest),
      ...(attributes === undefined ? {} : { attributes }),
    };
    const changing = this.#parts.service.changeJob(this.id, { type: "setJob", values });
    await orAborted(changing, options.signal);
  }

  /**
   * Changes a file: its URL at any time, the rest only while the job does not run and the file is
   * not complete. `null` takes a value back.
   */
  async changeFile(
    fileIndex: number,
    file: Nullable<Omit<CreateJobFile, "stream" | "ranges">>,
    options: VerbOptions = {},
  ): Promise<void> {
    const nulls = Object.fromEntries(Object.entries(file).filter(([, value]) => value === null));
    const given = Object.fromEntries(Object.entries(file).filter(([, value]) => value !== null));
    const values = { ...resolveFile(given), ...nulls };
    const change = { type: "setFile", fileIndex, values } as const;
    await orAborted(this.#parts.service.changeJob(this.id, change), options.signal);
  }

  /** Adds ranges to a file that has some; the job is resumed to fetch them. */
  async addRanges(fileIndex: number, ranges: readonly ByteRange[]): Promise<void> {
    const change = { type: "addRanges", fileIndex, ranges: ranges.map(resolveRange) } as const;
    await this.#parts.service.changeJob(this.id, change);
  }

  /**
   * Gives a file's bytes to `stream` as they are verified, from the first on: for files created with
   * a stream, once the one they had is gone. The stream is closed when the file is complete, and
   * aborted when the job ends otherwise.
   */
  async attachStream(fileIndex: number, stream: WritableStream<Uint8Array>): Promise<void> {
    const { service, watch } = this.#parts;
    await streamInto({ service, watch }, { jobId: this.id, fileIndex }, stream);
  }

  /** What the origin answered last for a file, in this run of the agent. */
  response(fileIndex: number): Promise<OriginResponse | undefined> {
    return this.#parts.service.fileResponse({ jobId: this.id, fileIndex });
  }

  /** Cancels the job, unless it is over. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.cancel();
    } catch (error) {
      const isOver = error instanceof ShoalError && OVER_CODES.includes(error.code);
      if (!isOver) throw error;
    }
  }

  async #untilEnded(): Promise<JobSnapshot> {
    let last: JobSnapshot | undefined;
    for await (const snapshot of this.progress()) last = snapshot;
    if (last === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", this.id);
    const error = errorOf(last);
    if (error !== undefined) throw error;
    return last;
  }

  #source(): Omit<ProgressSource, "isOver"> {
    return {
      snapshot: () => this.snapshot(),
      subscribe: (watcher) => this.#parts.watch.add(this.id, watcher),
    };
  }

  async #verb(verb: PlainVerb, { signal }: VerbOptions = {}): Promise<VerbOutcome> {
    signal?.throwIfAborted();
    return orAborted(this.#parts.service.applyVerb(this.id, verb), signal);
  }

  #hasEnded(state: JobState): boolean {
    if (state === "transientError") return this.#failOnTransient;
    return state === "transferred" || state === "error" || isFinalState(state);
  }
}

/** What `Job.change` takes. */
export interface JobChangeOptions extends Omit<JobSettings, "attributes"> {
  readonly attributes?: JobValueChange["attributes"];
}

const OVER_CODES: readonly string[] = ["ERR_JOB_STATE", "ERR_JOB_NOT_FOUND"];

/** Why a job that has ended did not bring its files; `undefined` when it did. */
function errorOf({ state, error, files }: JobSnapshot): ShoalError | undefined {
  if (error !== undefined) return ShoalError.from(error);
  const isComplete = files.every(({ phase }) => phase === "transferred" || phase === "published");
  return isComplete && state !== "cancelled" ? undefined : new ShoalError("ERR_JOB_CANCELLED");
}
