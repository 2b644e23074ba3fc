/**
 * How often a transfer may begin anew because the file at one place has changed (R-HTTP-11), by the
 * place's URL. Called by `FileSources`.
 */
import type { Millis } from "../units.ts";

const RESTARTS_MAX = 3;
const RESTARTS_WINDOW_MS = 3_600_000;

export class RestartBudget {
  readonly #restartedAt = new Map<string, readonly Millis[]>();

  /** Counts a restart; false when it is one too many. */
  spend(url: string, now: Millis): boolean {
    const before = this.#restartedAt.get(url) ?? [];
    const recent = [...before.filter((at) => now - at < RESTARTS_WINDOW_MS), now];
    this.#restartedAt.set(url, recent);
    return recent.length <= RESTARTS_MAX;
  }
}
