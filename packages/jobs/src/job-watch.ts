/**
 * Who wants to hear that a job has changed. One listener on the host serves all of them, and a job
 * nobody watches costs nothing.
 */
import type { JobId, JobState, ShoalError } from "@shoal/core";

export interface JobWatcher {
  /** The job's snapshot may differ from the one before; this is its present state. */
  changed(state: JobState): void;
  /** Nothing more will be heard. */
  closed(error: ShoalError): void;
}

export class JobWatch {
  readonly #watchers = new Map<JobId, Set<JobWatcher>>();
  #closedWith: ShoalError | undefined;

  /** Adds a watcher until the returned function is called. */
  add(jobId: JobId, watcher: JobWatcher): () => void {
    if (this.#closedWith !== undefined) {
      watcher.closed(this.#closedWith);
      return () => {};
    }
    const watchers = this.#watchers.get(jobId) ?? new Set();
    this.#watchers.set(jobId, watchers.add(watcher));
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(jobId) === watchers) {
        this.#watchers.delete(jobId);
      }
    };
  }

  tell(jobId: JobId, state: JobState): void {
    for (const watcher of this.#watchers.get(jobId) ?? []) watcher.changed(state);
  }

  close(error: ShoalError): void {
    this.#closedWith ??= error;
    for (const watchers of this.#watchers.values()) {
      for (const watcher of watchers) watcher.closed(error);
    }
    this.#watchers.clear();
  }
}
