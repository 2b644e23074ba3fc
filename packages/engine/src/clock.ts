/**
 * Time as the engine needs it: the monotonic now, and one wake-up. Production uses
 * `monotonicClock`; the simulator has a virtual one.
 */
import type { Millis, UnixMillis } from "@shoal/core";

export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): Millis;
  /** The wall clock, for display, expiry and file times; may jump. */
  wallNow(): UnixMillis;
  /** How far local time is ahead of UTC, in milliseconds. Default 0. */
  utcOffsetMs?(): number;
  /** Calls `wake` once, at `at` or soon after. Returns a function that prevents it. */
  schedule(at: Millis, wake: () => void): () => void;
}

/** Node's timers take at most a signed 32-bit number of milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The process's own monotonic clock. Its timers keep the process alive. */
export function monotonicClock(): Clock {
  return {
    now: () => performance.now(),
    wallNow: () => Date.now(),
    utcOffsetMs: () => -60_000 * new Date().getTimezoneOffset(),
    schedule(at, wake) {
      const delayMs = Math.max(0, Math.ceil(at - performance.now()));
      const timer = setTimeout(wake, Math.min(delayMs, TIMER_MS_MAX));
      return () => clearTimeout(timer);
    },
  };
}
