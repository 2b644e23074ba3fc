/**
 * Who goes first: as long as foreground jobs transfer, background jobs together go on with about
 * one request to each source, so that they progress and the foreground has nearly all of the link
 * (job-API reference, section 4.2). Kept by `JobRunner`, read where sources are asked.
 */
import type { Millis } from "../units.ts";

export interface Urgency {
  readonly isForeground: boolean;
  /** The job's own limit; 0 is none. */
  readonly rateBytesPerSec: number;
}

export class Demand {
  /** Jobs that transfer now. */
  foregroundJobs = 0;
  backgroundJobs = 0;
  /** How often a peer's place has come free: whoever waits for one looks again. */
  placesFreed = 0;

  /** Whether work of this urgency must leave room for other work. */
  yields({ isForeground }: Urgency): boolean {
    return !isForeground && this.foregroundJobs > 0;
  }

  /**
   * How long a job that yields leaves the origin alone after a request of `durationMs`, so that the
   * others of its kind have their turns and together keep it busy with one request.
   */
  pauseMs(durationMs: Millis): Millis {
    return durationMs * Math.max(0, this.backgroundJobs - 1);
  }
}
