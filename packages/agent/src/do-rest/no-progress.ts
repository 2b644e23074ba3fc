/**
 * Notices that a download gets nothing for too long: looks every 10 s whether bytes have come, and
 * counts the looks in a row at which none had (agent REST reference, section 13).
 *
 * Knows counts and times. Used by `RestDownload`.
 */
import type { Millis } from "@shoal/core";
import { HResultError } from "@shoal/jobs/compat";

/** 300 s. */
const TICKS_MAX = 30;
const TICK_SEC = 10;

export class NoProgress {
  readonly #tickMs: Millis;
  #timeoutSec = 0;
  #ticks = 0;
  #movedBytes = -1;
  #tickAt: Millis | undefined;

  /** `tickMs` is 10 s, but for tests. */
  constructor(tickMs: Millis) {
    this.#tickMs = tickMs;
  }

  /** 0: none was set, and 300 s hold. */
  get timeoutSec(): number {
    return this.#timeoutSec;
  }

  /** Whole numbers from 10, rounded to tens. Throws E_INVALIDARG. */
  setTimeoutSec(text: string): void {
    const seconds = /^[0-9]+$/.test(text) ? Number(text) : 0;
    if (seconds < TICK_SEC || !Number.isSafeInteger(seconds)) {
      throw HResultError.of("E_INVALIDARG", "not a number of seconds from 10");
    }
    this.#timeoutSec = Math.round(seconds / TICK_SEC) * TICK_SEC;
  }

  /** Counting begins anew. */
  begin(): void {
    this.#ticks = 0;
    this.#movedBytes = -1;
    this.#tickAt = undefined;
  }

  /** `movedBytes` grows while something comes. True: the timeout has passed without anything. */
  isStuck(movedBytes: number, now: Millis): boolean {
    this.#tickAt ??= now + this.#tickMs;
    if (movedBytes !== this.#movedBytes) {
      this.#movedBytes = movedBytes;
      this.#ticks = 0;
    }
    for (; this.#tickAt <= now; this.#tickAt += this.#tickMs) this.#ticks++;
    return this.#ticks >= (this.#timeoutSec === 0 ? TICKS_MAX : this.#timeoutSec / TICK_SEC);
  }
}
