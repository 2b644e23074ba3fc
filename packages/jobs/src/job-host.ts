/** What the job API needs from whoever runs the scheduler. The engine's loop is one. */
import type { Millis, Notice, Scheduler } from "@shoal/core";

export interface JobHost {
  /** Runs a verb on the scheduler, at once and in order with events; returns its result. */
  act<Result>(verb: (scheduler: Scheduler, now: Millis) => Result): Result;
  /** Calls `listener` with every notice, in order, until the returned function is called. */
  onNotice(listener: (notice: Notice) => void): () => void;
}
