/**
 * How fast this agent's uploads go, all together, so that peers are told to ask elsewhere before they
 * wait long (swarm-algorithms digest, section 4: load).
 *
 * It is the best of late seconds that counts, not their mean, and of those only in which several peers
 * were served: peers that read slowly must not make it look as if there were no room for others, and
 * one alone says nothing of our link. Knows peers, bytes and times. Called by `UploadQueue`.
 */
import type { Millis, PeerId } from "../units.ts";

const WINDOW_MS = 1_000;
/** With each window the best before counts this part less, so that a link may become slower. */
const FORGOTTEN_PART = 64;
/** So many are served at a time while it is measured. */
const PEERS_MIN = 2;

export class UploadSpeed {
  #bytes = 0;
  /** How long several peers have been served in this window, up to `#since`. */
  #sharedMs: Millis = 0;
  #since: Millis = 0;
  /** How many uploads each peer has under way. */
  readonly #active = new Map<PeerId, number>();
  #bestBytesPerMs = 0;

  begun(peerId: PeerId, now: Millis): void {
    this.#pass(now);
    this.#active.set(peerId, (this.#active.get(peerId) ?? 0) + 1);
  }

  /** One is over, having sent so much. */
  ended(peerId: PeerId, bytes: number, now: Millis): void {
    this.#pass(now);
    if (this.#isShared) this.#measure(bytes);
    const left = (this.#active.get(peerId) ?? 1) - 1;
    if (left > 0) this.#active.set(peerId, left);
    else this.#active.delete(peerId);
  }

  /** How long `bytes` will take; nothing as long as nothing has been measured. */
  expectedMs(bytes: number): Millis {
    return this.#bestBytesPerMs === 0 ? 0 : bytes / this.#bestBytesPerMs;
  }

  get #isShared(): boolean {
    return this.#active.size >= PEERS_MIN;
  }

  #pass(now: Millis): void {
    if (this.#isShared) this.#sharedMs += now - this.#since;
    this.#since = now;
  }

  #measure(bytes: number): void {
    this.#bytes += bytes;
    if (this.#sharedMs < WINDOW_MS) return;
    const faded = this.#bestBytesPerMs * (1 - 1 / FORGOTTEN_PART);
    this.#bestBytesPerMs = Math.max(faded, this.#bytes / this.#sharedMs);
    this.#sharedMs = 0;
    this.#bytes = 0;
  }
}
