/**
 * Lets what changes one download happen one after the other: some verbs take several steps, and
 * some properties share a value of the job. Knows ids; shared by all objects of one manager.
 *
 * Bounded by the calls under way.
 */
import type { JobId } from "@shoal/core";

export class Turns {
  readonly #last = new Map<JobId, Promise<unknown>>();

  /** Runs `action` when everything begun before on the same download has settled. */
  async take<Result>(jobId: JobId, action: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(jobId);
    const mine = Promise.withResolvers<void>();
    this.#last.set(jobId, mine.promise);
    try {
      await before;
      return await action();
    } finally {
      mine.resolve();
      if (this.#last.get(jobId) === mine.promise) this.#last.delete(jobId);
    }
  }
}
