/**
 * How fast this agent's uploads go, all together, so that peers are told to ask elsewhere before they
 * wait long (swarm-algorithms digest, section 4: load).
 *
 * It is the best of late seconds that counts, not their mean: peers that read slowly must not make
 * it look as if there were no room for others. Knows bytes and times. Called by `UploadQueue`.
 */
import type { Millis } from "../units.ts";

const WINDOW_MS = 1_000;
/** With each window the best before counts this part less, so that a link may become slower. */
const FORGOTTEN_PART = 64;

export class UploadSpeed {
  #bytes = 0;
  #since: Millis = 0;
  #active = 0;
  #bestBytesPerMs = 0;

  begun(now: Millis): void {
    if (this.#active++ > 0) return;
    this.#since = now;
    this.#bytes = 0;
  }

  /** One is over, having sent so much. */
  ended(bytes: number, now: Millis): void {
    this.#active--;
    this.#bytes += bytes;
    const elapsedMs = now - this.#since;
    if (elapsedMs < WINDOW_MS) return;
    const faded = this.#bestBytesPerMs * (1 - 1 / FORGOTTEN_PART);
    this.#bestBytesPerMs = Math.max(faded, this.#bytes / elapsedMs);
    this.#since = now;
    this.#bytes = 0;
  }

  /** How long `bytes` will take; nothing as long as nothing has been measured. */
  expectedMs(bytes: number): Millis {
    return this.#bestBytesPerMs === 0 ? 0 : bytes / this.#bestBytesPerMs;
  }
}
