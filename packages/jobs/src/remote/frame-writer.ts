/**
 * Sends frames, and knows when the other side has taken them off the machine's hands: that is what
 * bounds how much waits for somebody who does not read.
 *
 * Knows one socket. Used at both ends; only the agent gives up on who does not read.
 */
import type { Duplex } from "node:stream";
import { LIMITS } from "@shoal/core";
import type { Millis } from "@shoal/core";
import { encodeFrame } from "./frames.ts";

export interface FrameWriterOptions {
  /** For one frame to leave, after which the socket is destroyed. Default: no bound. */
  readonly stallTimeoutMs?: Millis;
}

export class FrameWriter {
  readonly #socket: Duplex;
  readonly #stallTimeoutMs: Millis;
  /** What waits for frames that have not left. */
  readonly #unsent = new Set<() => void>();
  #stall: NodeJS.Timeout | undefined;
  #flushed: Promise<void> = Promise.resolve();

  constructor(socket: Duplex, { stallTimeoutMs = Infinity }: FrameWriterOptions = {}) {
    this.#socket = socket;
    this.#stallTimeoutMs = stallTimeoutMs;
    socket.once("close", () => {
      for (const sent of this.#unsent) sent();
    });
  }

  /**
   * Resolves when the frame has left, or never will because the socket is gone; `binary` must not
   * change before that. Throws `ERR_USAGE` as `encodeFrame` does, having sent nothing.
   */
  send(message: object, binary?: Uint8Array): Promise<void> {
    const head = encodeFrame(message, binary?.length);
    if (this.#socket.destroyed) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const sent = (): void => {
      this.#unsent.delete(sent);
      if (this.#unsent.size > 0) this.#stall?.refresh();
      else clearTimeout(this.#stall);
      resolve();
    };
    this.#unsent.add(sent);
    if (this.#unsent.size === 1) this.#watchStall();
    this.#socket.cork();
    if (binary === undefined) this.#socket.write(head, sent);
    else {
      this.#socket.write(head);
      this.#socket.write(binary, sent);
    }
    this.#socket.uncork();
    this.#flushed = promise;
    return promise;
  }

  /** Resolves when everything sent so far has left. */
  flushed(): Promise<void> {
    return this.#flushed;
  }

  /** Resolves at once, or, where too much waits to be sent, when it has left. */
  async room(): Promise<void> {
    if (this.#socket.writableLength > LIMITS.jobUnsentBytesMax) await this.#flushed;
  }

  #watchStall(): void {
    if (this.#stallTimeoutMs === Infinity) return;
    this.#stall = setTimeout(() => this.#socket.destroy(), this.#stallTimeoutMs);
  }
}
