/**
 * The jobs of one agent: create, find, list. Listens to the host once, for all handles.
 *
 * Knows tickets and notices; knows neither disk nor network. Made by `startAgent`, or around any
 * `JobHost`.
 */
import { ShoalError } from "@shoal/core";
import type { JobId, JobSnapshot, Notice } from "@shoal/core";
import { resolveJobRequest } from "./create-job-options.ts";
import type { CreateJobOptions } from "./create-job-options.ts";
import type { JobHost } from "./job-host.ts";
import { JobWatch } from "./job-watch.ts";
import { Job } from "./job.ts";
import type { JobOptions, JobParts, VerbOptions } from "./job.ts";
import { orAborted, VerbTickets } from "./verb-tickets.ts";

export class Jobs {
  readonly #parts: JobParts;
  readonly #unsubscribe: () => void;
  #isClosed = false;

  constructor(host: JobHost) {
    this.#parts = { host, tickets: new VerbTickets(host), watch: new JobWatch() };
    this.#unsubscribe = host.onNotice((notice) => this.#take(notice));
  }

  /**
   * Creates a job; resolves when it is durable. Rejects with `ERR_USAGE`, `ERR_URL_INVALID`,
   * `ERR_DESTINATION_INVALID`, `ERR_CONTENT_ID_INVALID`, `ERR_JOB_LIMIT` or a disk error. When the
   * signal is aborted first, the job is cancelled.
   */
  async createJob(
    options: CreateJobOptions & JobOptions,
    { signal }: VerbOptions = {},
  ): Promise<Job> {
    signal?.throwIfAborted();
    const request = resolveJobRequest(options, crypto.randomUUID());
    const { tickets } = this.#parts;
    const saved = tickets.run((scheduler, now) => scheduler.createJob(request, now));
    try {
      await orAborted(saved, signal);
    } catch (error) {
      if (signal?.aborted === true) {
        const { jobId } = request;
        tickets.run((scheduler, now) => scheduler.applyVerb(jobId, "cancel", now)).catch(() => {});
      }
      throw error;
    }
    const job = this.get(request.jobId, options);
    if (job === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", request.jobId);
    return job;
  }

  /** A handle on a job; `undefined` when there is none with this id. */
  get(jobId: JobId, options?: JobOptions): Job | undefined {
    const snapshot = this.#parts.host.act((scheduler) => scheduler.jobSnapshot(jobId));
    return snapshot === undefined ? undefined : new Job(this.#parts, snapshot, options);
  }

  /** All jobs, the oldest first; those that ended in this run are still among them. */
  list(): JobSnapshot[] {
    return this.#parts.host.act((scheduler) =>
      scheduler
        .jobIds()
        .map((jobId) => scheduler.jobSnapshot(jobId))
        .filter((snapshot) => snapshot !== undefined),
    );
  }

  /** Rejects everything that waits with `ERR_AGENT_CLOSED`. Called by whoever closes the host. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const error = new ShoalError("ERR_AGENT_CLOSED");
    this.#unsubscribe();
    this.#parts.tickets.close(error);
    this.#parts.watch.close(error);
  }

  #take(notice: Notice): void {
    if (notice.type === "ticketSettled") this.#parts.tickets.take(notice);
    else if (notice.type === "jobChanged") this.#parts.watch.tell(notice.jobId);
  }
}
