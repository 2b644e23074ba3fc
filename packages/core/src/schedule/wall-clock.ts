/**
 * Wall-clock time for display and expiry, as the engine last told it, carried on by the monotonic
 * clock. Notices when the two part: the clock was set, or the machine slept (R-TIME-02, R-TIME-03).
 */
import type { Millis, UnixMillis } from "../units.ts";

/** R-TIME-03 */
const JUMP_MS_MIN = 300_000;

export class WallClock {
  #wallAt: UnixMillis = 0;
  #toldAt: Millis = 0;
  #isTold = false;
  /** When it last jumped; `-Infinity` when it never has. */
  jumpedAt: Millis = -Infinity;

  /** It is `wallAt` at `now`. */
  tell(wallAt: UnixMillis, now: Millis): void {
    if (this.#isTold && Math.abs(wallAt - this.at(now)) > JUMP_MS_MIN) this.jumpedAt = now;
    this.#isTold = true;
    this.#wallAt = wallAt;
    this.#toldAt = now;
  }

  at(now: Millis): UnixMillis {
    return Math.round(this.#wallAt + (now - this.#toldAt));
  }
}
