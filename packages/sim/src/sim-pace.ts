/**
 * The pace of one transfer on the simulated origin port: its requests are sent no faster together,
 * and take turns. The same rule as the real adapter's, on virtual time.
 *
 * Knows bytes and times. Called by `SimOrigin` and its requests.
 */
import { TokenBucket } from "@shoal/core";
import type { VirtualClock } from "./virtual-clock.ts";

/** A request that is told when it may or may not go on. */
export interface PacedRequest {
  paceChanged(): void;
}

export class SimPace {
  readonly #clock: VirtualClock;
  readonly #requests = new Set<PacedRequest>();
  #bucket: TokenBucket | undefined;
  #cancelWait: (() => void) | undefined;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  get isOpen(): boolean {
    return this.#cancelWait === undefined;
  }

  join(request: PacedRequest): void {
    this.#requests.add(request);
  }

  leave(request: PacedRequest): void {
    this.#requests.delete(request);
  }

  /** `0` is no limit. */
  setRate(rateBytesPerSec: number): void {
    const now = this.#clock.now();
    if (rateBytesPerSec === 0) this.#bucket = undefined;
    else if (this.#bucket === undefined) this.#bucket = new TokenBucket(rateBytesPerSec, now);
    else this.#bucket.setRate(rateBytesPerSec, now);
    if (!this.isOpen) this.#wait();
  }

  /** So much of `request` has been sent, which is the last to have its turn again. */
  spend(request: PacedRequest, bytes: number): void {
    const now = this.#clock.now();
    this.#bucket?.spend(bytes, now);
    if (this.#requests.delete(request)) this.#requests.add(request);
    if (!this.isOpen || this.#bucket?.canSpend(now) !== false) return;
    this.#wait();
    this.#tellAll();
  }

  #wait(): void {
    this.#cancelWait?.();
    const now = this.#clock.now();
    this.#cancelWait = this.#clock.schedule(this.#bucket?.readyAt(now) ?? now, () => {
      this.#cancelWait = undefined;
      this.#tellAll();
    });
  }

  /** Whoever goes on at once goes to the end. */
  #tellAll(): void {
    const inTurn = [...this.#requests];
    for (const each of inTurn) each.paceChanged();
  }
}
