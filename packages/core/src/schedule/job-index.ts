/**
 * Which jobs there are, and what must be unique among those that are not over: destinations and
 * idempotency keys. Lookups cost the same however many jobs there are.
 *
 * Knows jobs by their ids, owners and destinations. Called by `JobTable`.
 */
import { isFinalState } from "../job/states.ts";
import type { JobId } from "../units.ts";
import type { Job } from "./job.ts";

export class JobIndex {
  readonly #jobs = new Map<JobId, Job>();
  readonly #destinations = new Map<string, JobId>();
  readonly #keys = new Map<string, Job>();
  readonly #liveByOwner = new Map<string, number>();
  #lastSequence = 0;
  #liveCount = 0;

  get(jobId: JobId): Job | undefined {
    return this.#jobs.get(jobId);
  }

  /** The oldest first. */
  all(): Iterable<Job> {
    return this.#jobs.values();
  }

  /** Jobs that are not over. */
  get liveCount(): number {
    return this.#liveCount;
  }

  get overCount(): number {
    return this.#jobs.size - this.#liveCount;
  }

  liveCountOf(owner: string): number {
    return this.#liveByOwner.get(owner) ?? 0;
  }

  nextSequence(): number {
    return this.#lastSequence + 1;
  }

  byKey(owner: string, key: string): Job | undefined {
    return this.#keys.get(keyOf(owner, key));
  }

  add(job: Job): void {
    this.#jobs.set(job.jobId, job);
    this.#lastSequence = Math.max(this.#lastSequence, job.sequence);
    if (job.idempotency !== undefined) {
      this.#keys.set(keyOf(job.owner, job.idempotency.key), job);
    }
    if (isFinalState(job.state)) return;
    this.#count(job, 1);
    this.claimDestinations(job);
  }

  /** The job is over: it stays in the index, and its destinations are free. */
  ended(job: Job): void {
    this.#count(job, -1);
    this.releaseDestinations(job);
  }

  /** Of a job that is over. */
  remove(job: Job): void {
    this.#jobs.delete(job.jobId);
    if (job.idempotency === undefined) return;
    const key = keyOf(job.owner, job.idempotency.key);
    if (this.#keys.get(key) === job) this.#keys.delete(key);
  }

  /** One of the destinations that belongs to another job; `undefined` when none does. */
  takenDestination(
    destinations: Iterable<string | undefined>,
    jobId: JobId | undefined,
  ): string | undefined {
    for (const destination of destinations) {
      if (destination === undefined) continue;
      const holder = this.#destinations.get(destination);
      if (holder !== undefined && holder !== jobId) return destination;
    }
    return undefined;
  }

  claimDestinations(job: Job): void {
    for (const { spec } of job.files) {
      if (spec.destination !== undefined) this.#destinations.set(spec.destination, job.jobId);
    }
  }

  releaseDestinations(job: Job): void {
    for (const { spec } of job.files) {
      const { destination } = spec;
      if (destination === undefined || this.#destinations.get(destination) !== job.jobId) continue;
      this.#destinations.delete(destination);
    }
  }

  #count(job: Job, step: 1 | -1): void {
    this.#liveCount += step;
    const live = this.liveCountOf(job.owner) + step;
    if (live === 0) this.#liveByOwner.delete(job.owner);
    else this.#liveByOwner.set(job.owner, live);
  }
}

/** Owners have no control characters that could make two keys one; the length keeps them apart. */
function keyOf(owner: string, key: string): string {
  return `${owner.length} ${owner} ${key}`;
}
