/**
 * What has gone one way, of one peer or of all: bytes in all, and their mean over the last 20 s, as
 * Delivery Optimization shows it. A meter that nothing has passed costs nothing.
 *
 * Knows numbers only. Kept by links, by the pacer and by the upload queue; read by `Overview`.
 */
import type { Millis } from "../units.ts";
import { RateMeter } from "./pace.ts";

const WINDOW_MS = 20_000;

export class TrafficMeter {
  #bytes = 0;
  #rate: RateMeter | undefined;

  get bytes(): number {
    return this.#bytes;
  }

  add(bytes: number, now: Millis): void {
    this.#bytes += bytes;
    this.#rate ??= new RateMeter(now - WINDOW_MS, WINDOW_MS);
    this.#rate.add(bytes, now);
  }

  /** Whole bytes a second; of what began less than 20 s ago, spread over 20 s all the same. */
  rateBytesPerSec(now: Millis): number {
    return Math.round(this.#rate?.rateBytesPerSec(now) ?? 0);
  }
}
