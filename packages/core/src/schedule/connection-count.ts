/**
 * How many connections to one host to use at a time, found out by trying. More are used only where
 * they bring more: through a server or a path that limits each connection they do, elsewhere they
 * only take room from others.
 *
 *   weigh ──▶ try more ──brings clearly more──▶ keep, try more …
 *     ▲          └──────brings little──────▶ step back ─▶ rest ─▶ weigh ─▶ try fewer …
 *     └──────────────────── after the rest ────────────────────────┘
 *
 * The number doubles and halves, so that sixteen take four steps. Knows byte counts and instants;
 * knows neither requests nor hosts. Pure and deterministic. Called by `OriginRuns`.
 */
import type { Millis } from "../units.ts";

/**
 * A rate is taken over at least this time and, since bytes are told of in lumps, so many arrivals
 * for each connection, from one arrival to another.
 */
const SAMPLE_MS = 250;
const SAMPLE_ARRIVALS = 4;
/** Twice the connections must bring this share of twice the rate at least. */
const GAIN_SHARE = 0.5;
/** Half the connections are enough when they bring this share of the rate. */
const ENOUGH_SHARE = 0.9;
/** How long a number that was found stands; longer each time that it is confirmed. */
const REST_MS_MIN = 10_000;
const REST_MS_MAX = 80_000;

interface Sample {
  readonly startedAt: Millis;
  bytes: number;
  arrivals: number;
}

type State =
  /** The rate of the number that was settled on. */
  | { readonly name: "weighing" }
  | { readonly name: "trying"; readonly baseRate: number }
  | { readonly name: "resting"; readonly until: Millis };

export class ConnectionCount {
  readonly #max: number;
  #state: State = { name: "weighing" };
  /** What has been settled on. */
  #settled: number;
  #wanted: number;
  #direction: "more" | "fewer" = "more";
  #restMs: Millis = REST_MS_MIN;
  #sample: Sample | undefined;

  /** `start`: 1, or what was best the last time. */
  constructor({ max, start }: { readonly max: number; readonly start: number }) {
    this.#max = Math.max(1, max);
    this.#settled = Math.min(this.#max, Math.max(1, start));
    this.#wanted = this.#settled;
  }

  /** Connections to use now. */
  get wanted(): number {
    return this.#wanted;
  }

  /** What has proved best so far. */
  get settled(): number {
    return this.#settled;
  }

  /**
   * Bytes have come. `isSteady`: as many requests as wanted are under way, and each has brought
   * something; only then the rate says something about their number.
   */
  received(bytes: number, isSteady: boolean, now: Millis): void {
    if (this.#state.name === "resting") {
      if (now < this.#state.until) return;
      this.#state = { name: "weighing" };
    }
    const sample = this.#sample;
    if (!isSteady && (sample === undefined || sample.arrivals === 0)) return;
    if (sample === undefined) {
      this.#sample = { startedAt: now, bytes: 0, arrivals: 0 };
      return;
    }
    sample.bytes += bytes;
    sample.arrivals++;
    const elapsedMs = now - sample.startedAt;
    if (elapsedMs < SAMPLE_MS || sample.arrivals < SAMPLE_ARRIVALS * this.#wanted) return;
    this.#sample = undefined;
    this.#weighed((sample.bytes * 1_000) / elapsedMs, now);
  }

  /** Fewer requests than wanted are under way, for another reason: what was seen says nothing. */
  interrupted(): void {
    this.#sample = undefined;
  }

  #weighed(rate: number, now: Millis): void {
    if (this.#state.name === "trying") {
      const { baseRate } = this.#state;
      if (!this.#isWorthwhile(rate, baseRate)) return this.#rest(now);
      this.#settled = this.#wanted;
      this.#restMs = REST_MS_MIN;
    }
    const next =
      this.#direction === "more"
        ? Math.min(this.#max, this.#settled * 2)
        : Math.ceil(this.#settled / 2);
    if (next === this.#settled) return this.#rest(now);
    this.#wanted = next;
    this.#state = { name: "trying", baseRate: rate };
  }

  #isWorthwhile(rate: number, baseRate: number): boolean {
    if (this.#direction === "fewer") return rate >= ENOUGH_SHARE * baseRate;
    const ratio = this.#wanted / this.#settled;
    return rate >= baseRate * (1 + (ratio - 1) * GAIN_SHARE);
  }

  /** Stays with what is settled, and looks the other way afterwards. */
  #rest(now: Millis): void {
    this.#wanted = this.#settled;
    this.#direction = this.#otherDirection();
    this.#state = { name: "resting", until: now + this.#restMs };
    this.#restMs = Math.min(REST_MS_MAX, this.#restMs * 2);
  }

  #otherDirection(): "more" | "fewer" {
    if (this.#settled === 1) return "more";
    if (this.#settled === this.#max) return "fewer";
    return this.#direction === "more" ? "fewer" : "more";
  }
}
