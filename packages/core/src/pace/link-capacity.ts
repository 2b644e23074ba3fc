/**
 * What the link can give, estimated from what it lately gave: the most that came in any two
 * seconds of this period and the one before. Limits that follow from the estimate would also hold
 * it down; so each period begins with a short probe, in which they do not apply.
 *
 *   |probe|------ limits apply ------|probe|------ limits apply ------|
 *   `------------- period ----------'
 *
 * Only time in which something is being fetched counts. Knows rates; called by the pacer.
 */
import type { Millis } from "../units.ts";

const PERIOD_MS = 300_000;
/** Long enough for a connection to reach its rate, and for the meter to average it. */
const PROBE_MS = 3_000;

export class LinkCapacity {
  #before = 0;
  #current = 0;
  /** Time fetched in this period. */
  #elapsedMs: Millis = 0;
  #noted: Millis | undefined;

  /** Bytes per second; `Infinity` during a probe. */
  get limitingBytesPerSec(): number {
    return this.#elapsedMs < PROBE_MS ? Infinity : this.measuredBytesPerSec;
  }

  /** 0 when nothing has come yet. */
  get measuredBytesPerSec(): number {
    return Math.max(this.#before, this.#current);
  }

  /** To be told often while something is being fetched. */
  note(rateBytesPerSec: number, now: Millis): void {
    this.#current = Math.max(this.#current, rateBytesPerSec);
    // A probe waits for its first byte.
    if (this.measuredBytesPerSec > 0) this.#elapsedMs += now - (this.#noted ?? now);
    this.#noted = now;
    if (this.#elapsedMs < PERIOD_MS) return;
    this.#before = this.#current;
    this.#current = 0;
    this.#elapsedMs = 0;
  }

  /** Nothing is being fetched. */
  rest(): void {
    this.#noted = undefined;
  }
}
