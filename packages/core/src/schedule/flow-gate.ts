/**
 * Back-pressure from the disk to the origins: when received pieces wait for the store, bodies are
 * read no further. Peers need none, because they send only what was asked for.
 */
import type { Outbox } from "./outbox.ts";

export class FlowGate {
  readonly #outbox: Outbox;
  readonly #closeAtBytes: number;
  #waitingBytes = 0;
  #isOpen = true;

  constructor(outbox: Outbox, { closeAtBytes }: { closeAtBytes: number }) {
    this.#outbox = outbox;
    this.#closeAtBytes = closeAtBytes;
  }

  /** Whether bodies are read at the moment. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Changes by how many bytes wait for the store. Opens again at half the mark, not at the mark. */
  add(bytes: number): void {
    this.#waitingBytes += bytes;
    if (this.#isOpen && this.#waitingBytes >= this.#closeAtBytes) this.#set(false);
    else if (!this.#isOpen && this.#waitingBytes <= this.#closeAtBytes / 2) this.#set(true);
  }

  #set(open: boolean): void {
    this.#isOpen = open;
    this.#outbox.origin({ type: "setFlow", open });
  }
}
