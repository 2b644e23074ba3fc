/** How often a transfer may begin anew because the remote file has changed (R-HTTP-11). */
import type { Millis } from "../units.ts";

const RESTARTS_MAX = 3;
const RESTARTS_WINDOW_MS = 3_600_000;

export class RestartBudget {
  #restartedAt: Millis[] = [];

  /** Counts a restart; false when it is one too many. */
  spend(now: Millis): boolean {
    this.#restartedAt = this.#restartedAt.filter((at) => now - at < RESTARTS_WINDOW_MS);
    this.#restartedAt.push(now);
    return this.#restartedAt.length <= RESTARTS_MAX;
  }
}
