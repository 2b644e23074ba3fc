/**
 * How fast this agent's uploads really go, all together, while there are any; so that peers are
 * told to ask elsewhere before they wait long (swarm-algorithms digest, section 4: load).
 *
 * Knows bytes and times. Called by `UploadQueue`.
 */
import type { Millis } from "../units.ts";

/** What is older counts half, and so on. */
const MEMORY_MS = 4_000;

export class UploadSpeed {
  #bytes = 0;
  #ms: Millis = 0;
  #active = 0;
  #since: Millis = 0;

  begun(now: Millis): void {
    if (this.#active++ === 0) this.#since = now;
  }

  /** One is over, having sent so much. */
  ended(bytes: number, now: Millis): void {
    this.#active--;
    this.#bytes += bytes;
    this.#ms += now - this.#since;
    this.#since = now;
    if (this.#ms <= MEMORY_MS) return;
    this.#ms /= 2;
    this.#bytes /= 2;
  }

  /** How long `bytes` will take; nothing as long as nothing has been measured. */
  expectedMs(bytes: number): Millis {
    return this.#bytes === 0 ? 0 : (bytes * this.#ms) / this.#bytes;
  }
}
