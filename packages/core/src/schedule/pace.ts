/**
 * Small measures of pace: how fast bytes come, and how long to wait after failures. Knows time as
 * numbers only.
 */
import type { Random } from "../random.ts";
import type { Millis } from "../units.ts";

/** Share by which every wait is jittered (R-TIME-05). */
const JITTER_SHARE = 0.2;

/** Parts of the window that are forgotten one at a time. */
const SLICES = 8;

/**
 * Bytes per second over the last `windowMs`. Sums and divisions only: exponentials may differ
 * between engines, and a simulation must give the same trace on every machine.
 */
export class RateMeter {
  readonly #sliceMs: Millis;
  readonly #slices = new Float64Array(SLICES);
  #slice: number;
  readonly #startedAt: Millis;

  constructor(now: Millis, windowMs: Millis = 2_000) {
    this.#sliceMs = windowMs / SLICES;
    this.#slice = Math.floor(now / this.#sliceMs);
    this.#startedAt = now;
  }

  add(bytes: number, now: Millis): void {
    this.#forget(now);
    this.#slices[this.#slice % SLICES]! += bytes;
  }

  /** A young meter is averaged over the time it has existed, at least one slice. */
  rateBytesPerSec(now: Millis): number {
    this.#forget(now);
    let bytes = 0;
    for (let i = 0; i < SLICES; i++) bytes += this.#slices[i]!;
    const intoSliceMs = now - this.#slice * this.#sliceMs;
    const seenMs = Math.min(now - this.#startedAt, (SLICES - 1) * this.#sliceMs + intoSliceMs);
    return (bytes * 1_000) / Math.max(seenMs, this.#sliceMs);
  }

  #forget(now: Millis): void {
    const slice = Math.floor(now / this.#sliceMs);
    if (slice <= this.#slice) return;
    const stale = Math.min(slice - this.#slice, SLICES);
    for (let i = 1; i <= stale; i++) this.#slices[(this.#slice + i) % SLICES] = 0;
    this.#slice = slice;
  }
}

/** The wait after the `failures`-th failure in a row (1, 2, …): doubling, bounded, jittered. */
export function backoffMs(
  failures: number,
  { min, max }: { readonly min: Millis; readonly max: Millis },
  random: Random,
): Millis {
  const doubled = min * (1 << Math.min(failures - 1, 30));
  return random.jitter(Math.min(doubled, max), JITTER_SHARE);
}
