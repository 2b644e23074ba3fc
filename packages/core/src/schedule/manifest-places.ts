/**
 * The manifests that one peer is asked for at a time, by all transfers together. They take places
 * that pieces would have (R-PEER-16), so there are few, and a piece leaves one to whoever waits:
 *
 *   asked + pieces outstanding < requests the peer takes   one more may be asked for
 *   the peer is busy                                       a pause, and never so many at once again
 *
 * Knows who waits, not for what. Part of a `Link`; used by `ManifestPeers` and `PeerTable`.
 */
import { LIMITS } from "../registry/limits.ts";
import type { Millis } from "../units.ts";

/** How long nothing is asked for after the peer had too much to do: a few round trips. */
const BUSY_PAUSE_MS = 20;

export class ManifestPlaces {
  #asked = 0;
  #askedMax: number = LIMITS.manifestsPerPeerMax;
  #pausedUntil: Millis = 0;
  readonly #waiting = new Set<object>();

  /** Requests for manifests that have no answer yet. */
  get asked(): number {
    return this.#asked;
  }

  /** Places that are not for pieces: those that are taken, and one if anybody waits. */
  get kept(): number {
    return this.#asked + (this.#waiting.size > 0 ? 1 : 0);
  }

  /** When the next may be asked for; `Infinity` as long as there is no place. */
  readyAt({ outstanding, requestsMax }: { outstanding: number; requestsMax: number }): Millis {
    const isFull = this.#asked >= this.#askedMax || outstanding + this.#asked >= requestsMax;
    return isFull ? Infinity : this.#pausedUntil;
  }

  wait(who: object): void {
    this.#waiting.add(who);
  }

  leave(who: object): void {
    this.#waiting.delete(who);
  }

  /** A request is made; `ended` follows, unless the peer disconnects. */
  begun(): void {
    this.#asked++;
  }

  ended(): void {
    this.#asked--;
  }

  /** To be called after `ended`: the peer had too much to do. */
  refused(now: Millis): void {
    this.#askedMax = Math.max(1, Math.min(this.#askedMax, this.#asked));
    this.#pausedUntil = now + BUSY_PAUSE_MS;
  }
}
