/**
 * The jobs of one agent, as a TypeScript program sees them: create, find, list. Listens to the
 * service once, for all handles.
 *
 * Knows the service, wherever it is. Made by `startAgent`, by `connectJobs`, or around any service.
 */
import { ShoalError } from "@shoal/core";
import type { JobId, JobSummary } from "@shoal/core";
import { resolveJobRequest } from "./create-job-options.ts";
import type { CreateJobOptions } from "./create-job-options.ts";
import type { JobService } from "./job-service.ts";
import { JobWatch } from "./job-watch.ts";
import { Job } from "./job.ts";
import type { JobOptions, JobParts, VerbOptions } from "./job.ts";
import { orAborted } from "./or-aborted.ts";

export class Jobs implements AsyncDisposable {
  readonly #parts: JobParts;
  readonly #unsubscribe: () => void;

  constructor(service: JobService) {
    const watch = new JobWatch();
    this.#parts = { service, watch };
    this.#unsubscribe = service.watch({
      changed: (jobId, state) => watch.tell(jobId, state),
      closed: (error) => watch.close(error),
    });
  }

  /**
   * Creates a job; resolves when it is durable. Rejects with `ERR_USAGE`, `ERR_URL_INVALID`,
   * `ERR_DESTINATION_INVALID`, `ERR_DESTINATION_TAKEN`, `ERR_CONTENT_ID_INVALID`,
   * `ERR_RANGE_INVALID`, `ERR_JOB_LIMIT`, `ERR_IDEMPOTENCY_CONFLICT` and others, or a disk error.
   * When the signal is aborted first, or a stream cannot be used, the job is cancelled, unless an
   * earlier request with the same idempotency key has created it.
   */
  async createJob(
    options: CreateJobOptions & JobOptions,
    { signal }: VerbOptions = {},
  ): Promise<Job> {
    signal?.throwIfAborted();
    const { service } = this.#parts;
    const request = resolveJobRequest(options, crypto.randomUUID());
    const created = service.createJob(request);
    try {
      const job = new Job(this.#parts, await orAborted(created, signal), options);
      await this.#attachStreams(job, options);
      return job;
    } catch (error) {
      const cancel = async (id: JobId): Promise<unknown> =>
        id === request.jobId ? service.applyVerb(id, "cancel") : undefined;
      created.then(cancel).catch(() => {});
      throw error;
    }
  }

  /** A handle on a job; `undefined` when there is none with this id. `ERR_ACCESS_DENIED`. */
  async get(jobId: JobId, options?: JobOptions): Promise<Job | undefined> {
    const snapshot = await this.#parts.service.snapshot(jobId);
    return snapshot === undefined ? undefined : new Job(this.#parts, jobId, options);
  }

  /** All jobs the caller may see, without their files, the oldest first; also those that are over. */
  list(): Promise<readonly JobSummary[]> {
    return this.#parts.service.list();
  }

  /** Rejects everything that waits with `ERR_AGENT_CLOSED`; jobs go on. Idempotent. */
  async close(): Promise<void> {
    this.#parts.service.close();
    this.#unsubscribe();
    this.#parts.watch.close(new ShoalError("ERR_AGENT_CLOSED"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Streams first, so that the job has somewhere to put its bytes when it begins. */
  async #attachStreams(job: Job, { files, startSuspended }: CreateJobOptions): Promise<void> {
    let hasStreams = false;
    for (const [fileIndex, { stream }] of files.entries()) {
      if (stream === undefined) continue;
      hasStreams = true;
      await job.attachStream(fileIndex, stream);
    }
    if (hasStreams && startSuspended !== true) await job.resume();
  }
}
