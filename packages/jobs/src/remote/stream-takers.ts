/**
 * The streams that a caller has attached to files of an agent elsewhere: hands each piece to the
 * taker it belongs to, and tells the agent when it was taken.
 *
 * Knows takers by the number of the call that attached them. Called by `RemoteJobService`.
 */
import { LIMITS } from "@shoal/core";
import type { StreamTaker } from "../job-service.ts";
import type { CallerMessage } from "./messages.ts";

interface AttachedTaker {
  readonly taker: StreamTaker;
  isBusy: boolean;
}

export class StreamTakers {
  readonly #say: (message: CallerMessage) => void;
  readonly #takers = new Map<number, AttachedTaker>();

  constructor(say: (message: CallerMessage) => void) {
    this.#say = say;
  }

  /** Until the returned function is called, which may be called again. */
  add(stream: number, taker: StreamTaker): () => void {
    this.#takers.set(stream, { taker, isBusy: false });
    return () => {
      if (this.#takers.delete(stream)) this.#say({ type: "detach", stream });
    };
  }

  /** False when the taker has not yet taken what it was given before. */
  give(stream: number, bytes: Uint8Array): boolean {
    const attached = this.#takers.get(stream);
    // One that was detached meanwhile wants nothing.
    if (attached === undefined) return true;
    if (attached.isBusy) return false;
    attached.isBusy = true;
    void this.#feed(stream, attached, bytes);
    return true;
  }

  /** The connection is gone. */
  clear(): void {
    this.#takers.clear();
  }

  async #feed(stream: number, attached: AttachedTaker, bytes: Uint8Array): Promise<void> {
    try {
      await attached.taker.write(bytes);
    } catch (error) {
      if (!this.#takers.delete(stream)) return;
      const text = error instanceof Error ? error.message : String(error);
      const reason = text.slice(0, LIMITS.displayNameLengthMax).toWellFormed();
      this.#say({ type: "refused", stream, reason });
      return;
    }
    attached.isBusy = false;
    if (this.#takers.get(stream) === attached) this.#say({ type: "taken", stream });
  }
}
