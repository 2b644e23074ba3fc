/**
 * Counts what is sent to peers of the Internet in a calendar month, over restarts, and says whether
 * more may be sent (`internetUploadMonthBytesMax`). All else that comes and goes is taken from the
 * counters whenever somebody asks, or has it stored.
 *
 *   sent ──▶ count ──1 s later, or at once at the cap──▶ stored
 *                         `note`, if anything moved ──────▲
 *
 * A clock that is set back does not begin a month again (R-TIME-02). Knows bytes and months. Called
 * by the upload queue and by `Overview`.
 */
import { addTotals, monthAt, totalsOf } from "../policy/month-usage.ts";
import type { MonthTotals, MonthUsage } from "../policy/month-usage.ts";
import { Counters } from "../registry/counters.ts";
import type { Settings } from "../registry/settings.ts";
import type { Millis } from "../units.ts";
import type { Outbox } from "./outbox.ts";
import type { WallClock } from "./wall-clock.ts";

const NO_TOTALS = totalsOf(new Counters());

/** How long a count may wait to be stored. */
const SAVE_DELAY_MS = 1_000;

export interface MonthMeterDeps {
  readonly outbox: Outbox;
  readonly wallClock: WallClock;
  readonly settings: Settings;
  readonly counters: Counters;
}

/** The month so far, over all runs. */
export interface MonthCount extends MonthTotals {
  /** Such as `2026-01`. */
  readonly month: string;
  /** Nothing more is sent to peers of the Internet. */
  readonly isUploadLimitReached: boolean;
}

export class MonthMeter {
  readonly #deps: MonthMeterDeps;
  #month = "";
  #sentBytes = 0;
  #saveAt: Millis = Infinity;
  /** What earlier runs have counted in the month, less what this run had counted before it. */
  #before: MonthTotals;
  /** As it was stored last. */
  #saved = JSON.stringify(NO_TOTALS);

  constructor(deps: MonthMeterDeps) {
    this.#deps = deps;
    this.#before = NO_TOTALS;
  }

  /** Takes over what earlier runs have stored. */
  load(usage: MonthUsage): void {
    if (usage.month < this.#month) return;
    this.#sentBytes += usage.internetSentBytes;
    this.#month = usage.month;
    if (usage.totals !== undefined) this.#before = addTotals(this.#before, usage.totals, 1);
    this.#saved = JSON.stringify(this.#totals());
  }

  /** What there is of the month at `now`. */
  count(now: Millis): MonthCount {
    this.#turn(now);
    return { month: this.#month, ...this.#totals(), isUploadLimitReached: !this.#isBelowCap };
  }

  /** Has the month stored, where anything has moved since it was. To be called now and then. */
  note(now: Millis): void {
    this.#turn(now);
    if (JSON.stringify(this.#totals()) !== this.#saved) this.#save();
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
    const isFirst = this.#month === "";
    this.#month = month;
    if (isFirst) return;
    this.#sentBytes = 0;
    this.#before = addTotals(NO_TOTALS, totalsOf(this.#deps.counters), -1);
  }

  #totals(): MonthTotals {
    const totals = addTotals(this.#before, totalsOf(this.#deps.counters), 1);
    // What older agents have sent stands in their count alone.
    return { ...totals, sentBytes: { ...totals.sentBytes, internet: this.#sentBytes } };
  }

  #save(): void {
    this.#saveAt = Infinity;
    const totals = this.#totals();
    this.#saved = JSON.stringify(totals);
    const usage = { month: this.#month, internetSentBytes: this.#sentBytes, totals };
    this.#deps.outbox.store({ type: "saveUsage", usage });
  }
}
