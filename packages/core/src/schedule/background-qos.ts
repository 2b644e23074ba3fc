/**
 * Delivery Optimization's rule of the least rate of background downloads: below it, more is asked of
 * the origin, also what peers have (reference, section 7). Above it peers are left their time.
 *
 * Knows one file's rate. Asked by `OriginPolicy`.
 */
import type { Settings } from "../registry/settings.ts";
import type { Millis } from "../units.ts";
import { RateMeter } from "./pace.ts";

export interface BackgroundQosOptions {
  readonly isForeground: boolean;
}

export class BackgroundQos {
  readonly #settings: Settings;
  readonly #urgency: BackgroundQosOptions;
  readonly #rate: RateMeter;
  #storedBytes: number;

  /** `urgency` may change while the file is fetched. */
  constructor(
    deps: { readonly settings: Settings; readonly urgency: BackgroundQosOptions },
    storedBytes: number,
    now: Millis,
  ) {
    this.#settings = deps.settings;
    this.#urgency = deps.urgency;
    this.#rate = new RateMeter(now);
    this.#storedBytes = storedBytes;
  }

  /** Verified bytes of the file so far, of all sources. */
  note(storedBytes: number, now: Millis): void {
    this.#rate.add(Math.max(0, storedBytes - this.#storedBytes), now);
    this.#storedBytes = storedBytes;
  }

  /** Whether the file comes too slowly, where peers have had something to give since `offerSince`. */
  isMissed(offerSince: Millis | undefined, now: Millis): boolean {
    const { backgroundQosBytesPerSec: least, stallTimeoutMs } = this.#settings;
    if (least === 0 || this.#urgency.isForeground || offerSince === undefined) return false;
    return now - offerSince >= stallTimeoutMs && this.#rate.rateBytesPerSec(now) < least;
  }
}
