/**
 * A rate limit: tokens come at a rate, up to a burst, and every byte costs one. What is spent may
 * exceed what is there, because pieces and reads come whole; nothing more may be spent until the
 * debt is paid. Over any time t no more than rate * t + burst + one such piece is spent.
 *
 * Knows bytes and times. Called by the pacer, the upload queue and the origin adapters.
 */
import type { Millis } from "../units.ts";

/** The burst, as the time in which it comes: what a late timer may cost without losing any rate. */
const BURST_MS = 100;
/** A wait shorter than this is not worth a timer, and rounding must never make one of none. */
const WAIT_MS_MIN = 1;

export class TokenBucket {
  #rateBytesPerSec: number;
  #balanceBytes: number;
  #countedAt: Millis;

  /** Begins full. `Infinity` is no limit. */
  constructor(rateBytesPerSec: number, now: Millis) {
    this.#rateBytesPerSec = rateBytesPerSec;
    this.#balanceBytes = burstBytesOf(rateBytesPerSec);
    this.#countedAt = now;
  }

  get rateBytesPerSec(): number {
    return this.#rateBytesPerSec;
  }

  /** What has come so far came at the old rate. Without a limit there is no debt. */
  setRate(rateBytesPerSec: number, now: Millis): void {
    this.#count(now);
    this.#rateBytesPerSec = rateBytesPerSec;
    const burst = burstBytesOf(rateBytesPerSec);
    this.#balanceBytes = rateBytesPerSec === Infinity ? 0 : Math.min(this.#balanceBytes, burst);
  }

  canSpend(now: Millis): boolean {
    this.#count(now);
    return this.#rateBytesPerSec === Infinity || this.#balanceBytes > 0;
  }

  spend(bytes: number, now: Millis): void {
    this.#count(now);
    if (this.#rateBytesPerSec !== Infinity) this.#balanceBytes -= bytes;
  }

  /** What was spent was not used after all. */
  refund(bytes: number, now: Millis): void {
    this.spend(-bytes, now);
    this.#count(now);
  }

  /** When something may be spent again; `now` when it may already. */
  readyAt(now: Millis): Millis {
    if (this.canSpend(now)) return now;
    const waitMs = (-this.#balanceBytes * 1_000) / this.#rateBytesPerSec;
    return now + Math.max(WAIT_MS_MIN, waitMs + WAIT_MS_MIN / 1_000);
  }

  #count(now: Millis): void {
    if (this.#rateBytesPerSec !== Infinity) {
      const cameBytes = (this.#rateBytesPerSec * Math.max(0, now - this.#countedAt)) / 1_000;
      const burst = burstBytesOf(this.#rateBytesPerSec);
      this.#balanceBytes = Math.min(this.#balanceBytes + cameBytes, burst);
    }
    this.#countedAt = Math.max(this.#countedAt, now);
  }
}

function burstBytesOf(rateBytesPerSec: number): number {
  return rateBytesPerSec === Infinity ? 0 : Math.max(1, (rateBytesPerSec * BURST_MS) / 1_000);
}
