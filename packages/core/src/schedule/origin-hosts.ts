/**
 * What all transfers together know of the hosts they ask: requests under way to each, so that no
 * transfer takes more than its share, and the number of connections that was best the last time.
 *
 * Knows hosts by name and port; decides nothing else. One for the whole agent, in memory only.
 * Called by `OriginRuns`.
 */
import { assert } from "../assert.ts";
import { LIMITS } from "../registry/limits.ts";

export class OriginHosts {
  /** Requests of all transfers under way; hosts without any are not there. */
  readonly #requests = new Map<string, number>();
  /** The latest last. */
  readonly #best = new Map<string, number>();

  /** Requests of others may be under way beside the `own` ones; what is left of the host's share. */
  shareOf(host: string, own: number): number {
    const others = (this.#requests.get(host) ?? 0) - own;
    return Math.max(1, LIMITS.originConnectionsPerHostMax - others);
  }

  begun(host: string): void {
    this.#requests.set(host, (this.#requests.get(host) ?? 0) + 1);
  }

  ended(host: string): void {
    const left = (this.#requests.get(host) ?? 0) - 1;
    assert(left >= 0, "a request ends once");
    if (left === 0) this.#requests.delete(host);
    else this.#requests.set(host, left);
  }

  /** Connections that were best for the host the last time; 1 when nothing is known. */
  bestCount(host: string): number {
    return this.#best.get(host) ?? 1;
  }

  remember(host: string, count: number): void {
    this.#best.delete(host);
    this.#best.set(host, count);
    const [oldest] = this.#best.keys();
    if (this.#best.size > LIMITS.originHostsKnownMax && oldest !== undefined) {
      this.#best.delete(oldest);
    }
  }
}
