/**
 * Small measures of pace: how fast bytes come, and how long to wait after failures. Knows time as
 * numbers only.
 */
import type { Random } from "../random.ts";
import type { Millis } from "../units.ts";

/** Share by which every wait is jittered (R-TIME-05). */
const JITTER_SHARE = 0.2;

/** Bytes per second, forgetting exponentially: what came `memoryMs` ago counts for a third. */
export class RateMeter {
  readonly #memoryMs: Millis;
  #weight = 0;
  #updatedAt: Millis;
  readonly #startedAt: Millis;

  constructor(now: Millis, memoryMs: Millis = 2_000) {
    this.#memoryMs = memoryMs;
    this.#updatedAt = now;
    this.#startedAt = now;
  }

  add(bytes: number, now: Millis): void {
    this.#decay(now);
    this.#weight += bytes;
  }

  /** In bytes per second. A young meter is scaled up to the time it has existed. */
  rateBytesPerSec(now: Millis): number {
    this.#decay(now);
    const age = Math.max(1, now - this.#startedAt);
    const seen = 1 - Math.exp(-age / this.#memoryMs);
    return (this.#weight * 1_000) / (this.#memoryMs * seen);
  }

  #decay(now: Millis): void {
    if (now <= this.#updatedAt) return;
    this.#weight *= Math.exp((this.#updatedAt - now) / this.#memoryMs);
    this.#updatedAt = now;
  }
}

/** The wait after the `failures`-th failure in a row (1, 2, …): doubling, bounded, jittered. */
export function backoffMs(
  failures: number,
  { min, max }: { readonly min: Millis; readonly max: Millis },
  random: Random,
): Millis {
  const doubled = min * 2 ** Math.min(failures - 1, 30);
  return random.jitter(Math.min(doubled, max), JITTER_SHARE);
}
