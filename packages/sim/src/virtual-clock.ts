/**
 * Virtual time: a heap of wake-ups. Time stands still while a wake-up runs and jumps to the next
 * one afterwards. Instants are whole microseconds, and wake-ups of one instant run in the order in
 * which they were scheduled, so that a run is the same on every machine. The wall clock begins at a
 * fixed date and goes with virtual time, until it is set.
 *
 * Knows times and functions. Does not know what they do. Called by the engine of every simulated
 * agent, by the simulated adapters, and by whoever drives a run.
 *
 * Cost: one heap entry and one closure per wake-up, O(log n) each way; cancelled entries stay in
 * the heap until their time or until they are the larger half of it.
 */
import { assert } from "@shoal/core";
import type { Millis, UnixMillis } from "@shoal/core";
import TinyQueue from "tinyqueue";

interface Entry {
  readonly atUs: number;
  readonly sequence: number;
  /** `undefined` once cancelled or run. */
  wake: (() => void) | undefined;
}

/** The date at which every run begins: 2026-01-01 UTC. */
const WALL_EPOCH_MS: UnixMillis = 1_767_225_600_000;

/** Cancelled entries that are not worth a rebuild of the heap. */
const CANCELLED_MAX = 1_024;

export class VirtualClock {
  #queue = new TinyQueue<Entry>([], compareEntries);
  /** How far local time is ahead of UTC, in milliseconds. */
  utcOffset = 0;
  #nowUs = 0;
  #wallOffsetMs = 0;
  #sequence = 0;
  #cancelled = 0;
  #handled = 0;

  /** The instant of the wake-up that runs, or where `run` stopped. */
  now(): Millis {
    return this.#nowUs / 1_000;
  }

  /** What the machines' clocks show. */
  wallNow(): UnixMillis {
    return WALL_EPOCH_MS + this.#wallOffsetMs + Math.floor(this.now());
  }

  utcOffsetMs(): number {
    return this.utcOffset;
  }

  /** Sets every machine's clock forward, or back by a negative number; `now()` does not notice. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Wake-ups run so far. */
  get handled(): number {
    return this.#handled;
  }

  /** Wake-ups scheduled, neither run nor cancelled. */
  get pending(): number {
    return this.#queue.length - this.#cancelled;
  }

  /**
   * Calls `wake` once `now()` has reached `at`; instants of the past mean as soon as the present
   * wake-up has run. An infinite `at` never comes. Returns a function that cancels.
   */
  schedule(at: Millis, wake: () => void): () => void {
    if (at === Infinity) return () => undefined;
    const entry: Entry = { atUs: this.#toMicros(at), sequence: this.#sequence++, wake };
    this.#queue.push(entry);
    return () => this.#cancel(entry);
  }

  /** Runs the next wake-up. Returns false when there is none. */
  step(): boolean {
    return this.#next(Infinity) && this.#wakeNext();
  }

  /** Runs the first of the heap, which is live. */
  #wakeNext(): boolean {
    const entry = this.#queue.pop();
    if (entry?.wake === undefined) return false;
    const { wake } = entry;
    entry.wake = undefined;
    this.#nowUs = entry.atUs;
    this.#handled++;
    wake();
    return true;
  }

  /** Runs every wake-up up to and including `until`; afterwards `now()` is `until`. */
  run(until: Millis): void {
    const untilUs = this.#toMicros(until);
    while (this.#next(untilUs)) this.#wakeNext();
    this.#nowUs = untilUs;
  }

  /** Runs until `isDone()` or until nothing is left before `until`; returns whether it was done. */
  runUntil(isDone: () => boolean, until: Millis): boolean {
    const untilUs = this.#toMicros(until);
    while (!isDone()) {
      if (!this.#next(untilUs)) return false;
      this.#wakeNext();
    }
    return true;
  }

  /** The first whole microsecond at which `now() >= at` holds, and never before the present. */
  #toMicros(at: Millis): number {
    assert(!Number.isNaN(at), "an instant must be a number");
    let atUs = Math.round(at * 1_000);
    if (atUs / 1_000 < at) atUs++;
    return Math.max(atUs, this.#nowUs);
  }

  #cancel(entry: Entry): void {
    if (entry.wake === undefined) return;
    entry.wake = undefined;
    this.#cancelled++;
    if (this.#cancelled <= CANCELLED_MAX || this.#cancelled * 2 < this.#queue.length) return;
    const live = this.#queue.data.filter(({ wake }) => wake !== undefined);
    this.#queue = new TinyQueue(live, compareEntries);
    this.#cancelled = 0;
  }

  /** Drops cancelled wake-ups in front; whether the next live one is due by then. */
  #next(untilUs: number): boolean {
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      if (next.wake !== undefined) return next.atUs <= untilUs;
      this.#queue.pop();
      this.#cancelled--;
    }
    return false;
  }
}

function compareEntries(a: Entry, b: Entry): number {
  return a.atUs - b.atUs || a.sequence - b.sequence;
}
