/**
 * How often one peer may say something, and when that has become a flood. Control frames cost us
 * more than they cost the peer; so do requests that are withdrawn or in vain. A request that is
 * answered in full costs nothing here: how fast we serve is the pacer's business.
 *
 * Knows counts and times. Used by the link.
 */
import { LIMITS } from "@shoal/core";
import type { Frame } from "./frames.ts";

/** So much that may be done: so many at once, and then at a rate. */
export class Allowance {
  readonly #max: number;
  readonly #perMs: number;
  #left: number;
  #countedAt = performance.now();

  constructor(max: number, perSec: number) {
    this.#max = max;
    this.#perMs = perSec / 1_000;
    this.#left = max;
  }

  /** False: there is not that much left. */
  take(amount = 1): boolean {
    const now = performance.now();
    this.#left = Math.min(this.#max, this.#left + (now - this.#countedAt) * this.#perMs);
    this.#countedAt = now;
    if (this.#left < amount) return false;
    this.#left -= amount;
    return true;
  }

  giveBack(): void {
    this.#left = Math.min(this.#max, this.#left + 1);
  }
}

export class RequestRates {
  /** R-PEER-17 */
  readonly #requests = new Allowance(LIMITS.requestBurstMax, LIMITS.requestsPerSecMax);
  /** R-PEER-17: as many a minute as at once. */
  readonly #notFound = new Allowance(LIMITS.notFoundPerMinMax, LIMITS.notFoundPerMinMax / 60);
  #controlSecondAt = Number.NEGATIVE_INFINITY;
  #controlWork = 0;
  #floodAt = Number.NEGATIVE_INFINITY;
  #usefulAt = performance.now();

  /**
   * When the peer last said something of the protocol, or took an answer. Bytes below the protocol,
   * parts of a frame and requests that were not admitted keep no connection open (R-PEER-19).
   */
  get usefulAt(): number {
    return this.#usefulAt;
  }

  /** A frame has come. */
  heard(type: Frame["type"]): void {
    if (!ASKING.has(type)) this.#usefulAt = performance.now();
  }

  /** A request is waiting for its answer. */
  admitted(): void {
    this.#usefulAt = performance.now();
  }

  /** False: the peer asks too often. */
  admitRequest(): boolean {
    return this.#requests.take();
  }

  /** A request got all its bytes. */
  served(): void {
    this.#requests.giveBack();
    this.#usefulAt = performance.now();
  }

  /** Something was asked for that we do not have. False: that happens too often. */
  admitNotFound(): boolean {
    return this.#notFound.take();
  }

  /** A frame came that counts as so many. False: too many in a second. */
  admitControl(work: number): boolean {
    const now = performance.now();
    if (now - this.#controlSecondAt >= 1_000) {
      this.#controlSecondAt = now;
      this.#controlWork = 0;
    }
    this.#controlWork += work;
    return this.#controlWork <= LIMITS.controlFramesPerSecMax;
  }

  /** Whether a flood counts: once a second (threat model section 14). */
  isNewFlood(): boolean {
    const now = performance.now();
    if (now - this.#floodAt < FLOOD_INTERVAL_MS) return false;
    this.#floodAt = now;
    return true;
  }
}

const FLOOD_INTERVAL_MS = 1_000;
/** Frames by which a peer asks for something, or takes that back. */
const ASKING: ReadonlySet<Frame["type"]> = new Set([
  "request",
  "manifestRequest",
  "announcementRequest",
  "cancel",
]);
