/**
 * Counts what is sent to peers of the Internet in a calendar month, over restarts, and says whether
 * more may be sent (`internetUploadMonthBytesMax`).
 *
 *   sent ──▶ count ──1 s later, or at once at the cap──▶ stored
 *
 * A clock that is set back does not begin a month again (R-TIME-02). Knows bytes and months. Called
 * by the upload queue.
 */
import { monthAt } from "../policy/month-usage.ts";
import type { MonthUsage } from "../policy/month-usage.ts";
import type { Settings } from "../registry/settings.ts";
import type { Millis } from "../units.ts";
import type { Outbox } from "./outbox.ts";
import type { WallClock } from "./wall-clock.ts";

/** How long a count may wait to be stored. */
const SAVE_DELAY_MS = 1_000;

export interface MonthMeterDeps {
  readonly outbox: Outbox;
  readonly wallClock: WallClock;
  readonly settings: Settings;
}

export class MonthMeter {
  readonly #deps: MonthMeterDeps;
  #month = "";
  #sentBytes = 0;
  #saveAt: Millis = Infinity;

  constructor(deps: MonthMeterDeps) {
    this.#deps = deps;
  }

  /** Takes over what earlier runs have stored. */
  load(usage: MonthUsage): void {
    if (usage.month < this.#month) return;
    this.#sentBytes += usage.internetSentBytes;
    this.#month = usage.month;
  }

  sent(bytes: number, now: Millis): void {
    this.#turn(now);
    const mayBefore = this.#isBelowCap;
    this.#sentBytes += bytes;
    this.#saveAt = Math.min(this.#saveAt, now + SAVE_DELAY_MS);
    if (mayBefore && !this.#isBelowCap) this.#save();
  }

  /** Whether anything more may be sent this month. */
  maySend(now: Millis): boolean {
    this.#turn(now);
    return this.#isBelowCap;
  }

  pollDeadline(): Millis {
    return this.#saveAt;
  }

  handleTimeout(now: Millis): void {
    if (now >= this.#saveAt) this.#save();
  }

  get #isBelowCap(): boolean {
    const { internetUploadMonthBytesMax: cap } = this.#deps.settings;
    return cap === 0 || this.#sentBytes < cap;
  }

  #turn(now: Millis): void {
    const month = monthAt(this.#deps.wallClock.at(now));
    if (month <= this.#month) return;
    this.#month = month;
    this.#sentBytes = 0;
  }

  #save(): void {
    this.#saveAt = Infinity;
    const usage = { month: this.#month, internetSentBytes: this.#sentBytes };
    this.#deps.outbox.store({ type: "saveUsage", usage });
  }
}
