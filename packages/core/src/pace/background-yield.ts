/**
 * Background downloads make room when others want the link, whom this agent cannot see: when they
 * get clearly less than they lately got, and no limit of ours is the reason, somebody else takes
 * the rest. They then fall back to a part of what they still get, and feel their way up again.
 *
 *   rate   best ──┐ others begin                                  ┌── best again: no limit
 *                 └┐ share │        ╱│        ╱│     others end ╱─┘
 *                  └───────┘ ─ ─ ─ ╱ └─ ─ ─ ╱  └─ ─ ─ ─ ─ ─ ─ ╱
 *                  a quarter      every second a quarter more
 *
 * It is on the receiver's side what LEDBAT is on the sender's, by throughput instead of delay,
 * which HTTP does not show. Knows rates; called by the pacer.
 */
import type { Millis } from "../units.ts";

/** What counts as clearly less than before, and than the limit. */
const LESS_THAN_BEST = 0.7;
const LESS_THAN_LIMIT = 0.8;
/** Less than this is trouble at the origin, not somebody else's wish. */
const NOTHING = 0.05;
const CUT = 0.25;
const GROWTH = 1.25;
const GROWTH_MS = 1_000;
/** A rate is averaged over two seconds, and is not trusted while it shows what was before a change. */
const SETTLE_MS = 3_000;
/** What was not reached again for so long is no more what the link or the origin gives. */
const FORGET_MS = 300_000;
const LIMIT_BYTES_PER_SEC_MIN = 64 * 1_024;

export class BackgroundYield {
  #limitBytesPerSec = Infinity;
  #bestBytesPerSec = 0;
  #bestAt: Millis = 0;
  #trustedAt: Millis | undefined;
  #slowSince: Millis | undefined;

  /** Of all that yield together. */
  get limitBytesPerSec(): number {
    return this.#limitBytesPerSec;
  }

  /** Others begin or end to take part, or there is a reason of ours to be slow: what was is void. */
  reset(): void {
    this.#limitBytesPerSec = Infinity;
    this.#bestBytesPerSec = 0;
    this.#trustedAt = undefined;
    this.#slowSince = undefined;
  }

  /** They get `rateBytesPerSec` now. To be told several times a second. */
  note(rateBytesPerSec: number, now: Millis): void {
    this.#trustedAt ??= now + SETTLE_MS;
    if (now < this.#trustedAt) return;
    if (rateBytesPerSec >= this.#bestBytesPerSec || now - this.#bestAt > FORGET_MS) {
      this.#bestBytesPerSec = rateBytesPerSec;
      this.#bestAt = now;
    }
    if (rateBytesPerSec >= this.#expectedBytesPerSec) {
      this.#slowSince = undefined;
      if (this.#limitBytesPerSec !== Infinity) this.#grow(now);
      return;
    }
    this.#slowSince ??= now;
    // Only when all of the average is of the time since does it say how slow.
    if (now - this.#slowSince < SETTLE_MS) return;
    if (rateBytesPerSec < this.#expectedBytesPerSec * NOTHING) this.reset();
    else this.#cut(rateBytesPerSec, now);
  }

  get #expectedBytesPerSec(): number {
    return Math.min(
      this.#bestBytesPerSec * LESS_THAN_BEST,
      this.#limitBytesPerSec * LESS_THAN_LIMIT,
    );
  }

  #cut(rateBytesPerSec: number, now: Millis): void {
    this.#limitBytesPerSec = Math.max(rateBytesPerSec * CUT, LIMIT_BYTES_PER_SEC_MIN);
    this.#trustedAt = now + SETTLE_MS;
    this.#slowSince = undefined;
  }

  #grow(now: Millis): void {
    this.#limitBytesPerSec *= GROWTH;
    this.#trustedAt = now + GROWTH_MS;
    if (this.#limitBytesPerSec >= this.#bestBytesPerSec) this.#limitBytesPerSec = Infinity;
  }
}
