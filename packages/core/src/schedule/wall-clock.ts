/**
 * Wall-clock time for display and expiry, as the engine last told it, carried on by the monotonic
 * clock. Notices when the two part: the clock was set, or the machine slept (R-TIME-02, R-TIME-03).
 */
import type { Millis, UnixMillis } from "../units.ts";

/** R-TIME-03 */
const JUMP_MS_MIN = 300_000;
const HOUR_MS = 3_600_000;

export class WallClock {
  #wallAt: UnixMillis = 0;
  #toldAt: Millis = 0;
  #isTold = false;
  #utcOffsetMs = 0;
  /** When it last jumped; `-Infinity` when it never has. */
  jumpedAt: Millis = -Infinity;

  /** It is `wallAt` at `now`, and local time is ahead of UTC by `utcOffsetMs`. */
  tell(wallAt: UnixMillis, now: Millis, utcOffsetMs = 0): void {
    if (this.#isTold && Math.abs(wallAt - this.at(now)) > JUMP_MS_MIN) this.jumpedAt = now;
    this.#isTold = true;
    this.#wallAt = wallAt;
    this.#utcOffsetMs = utcOffsetMs;
    this.#toldAt = now;
  }

  at(now: Millis): UnixMillis {
    return Math.round(this.#wallAt + (now - this.#toldAt));
  }

  /** The hour that clocks on the wall show here, 0 to 23. */
  localHourAt(now: Millis): number {
    const hours = Math.floor((this.at(now) + this.#utcOffsetMs) / HOUR_MS);
    return ((hours % 24) + 24) % 24;
  }
}
