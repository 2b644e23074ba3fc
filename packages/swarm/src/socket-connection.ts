/**
 * What encrypted connections on a socket of Node's have in common, as libp2p sees them: streams of
 * messages.
 *
 *   yamux ── this ── socket (TLS's own, or the one below)
 *                       │
 *   libp2p's TCP connection ────── its end
 *
 * libp2p's TCP connection stays the owner of the socket: its time limits hold, ending it ends this,
 * and its counts are right. Knows sockets and ends; knows neither keys nor frames.
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import type { AbortOptions, MessageStream } from "@libp2p/interface";
import { AbstractMessageStream } from "@libp2p/utils";
import { LIMITS } from "@shoal/core";
import { SocketSlab } from "./socket-slab.ts";

/** What is used of libp2p's TCP connection beyond its interface. */
export interface SocketOwner {
  readonly socket: Socket;
  sendClose: (options?: AbortOptions) => Promise<void>;
}

export abstract class SocketConnection extends AbstractMessageStream {
  /** What is read and written. */
  protected readonly socket: Socket;
  readonly #owner: MessageStream;
  #slab: SocketSlab | undefined;

  constructor(owner: MessageStream & SocketOwner, socket: Socket) {
    const { log, direction, inactivityTimeout, maxReadBufferLength } = owner;
    const maxWriteBufferLength = LIMITS.connectionWriteBytesMax;
    super({ log, direction, inactivityTimeout, maxReadBufferLength, maxWriteBufferLength });
    this.#owner = owner;
    this.socket = socket;
    // The end in order: what was written goes out first, then what the encryption says at its end.
    owner.sendClose = async (options) => {
      if (owner.socket.destroyed) return;
      const closed = once(owner.socket, "close", options);
      if (this.writableNeedsDrain) await Promise.race([closed, once(this, "drain", options)]);
      socket.destroySoon();
      await closed;
    };
    owner.addEventListener("close", ({ error, local }) => {
      this.#slab?.flush();
      if (error === undefined) this.onTransportClosed();
      else if (local === true) this.abort(error);
      else this.onRemoteReset();
    });
  }

  /** From now on what listeners are given is written over as soon as they return. */
  lendBytes(): void {
    this.#slab ??= SocketSlab.attach(this.socket, (bytes) => this.received(bytes));
  }

  /** Whether what listeners are given is gone when they return. */
  protected get isLending(): boolean {
    return this.#slab !== undefined;
  }

  /** Whether somebody takes what comes, so that none of it is kept. */
  protected get isTaken(): boolean {
    return this.readStatus === "readable" && this.listenerCount("message") > 0;
  }

  /** Bytes of the socket, which are good until this returns. Nothing may be thrown. */
  protected abstract received(bytes: Uint8Array): void;

  /** Writes all parts together; `done` comes when they have left, and not if they could not. */
  protected writeTogether(parts: Iterable<Uint8Array>, length: number, done: () => void): void {
    const { socket } = this;
    let givenBytes = 0;
    socket.cork();
    try {
      for (const part of parts) {
        givenBytes += part.byteLength;
        if (givenBytes < length) socket.write(part);
        else socket.write(part, (error) => void (error == null && done()));
      }
    } finally {
      socket.uncork();
    }
  }

  /** Who waits for `drain` may use its buffers again, so what waits here goes out before. */
  protected written(): void {
    if (this.writeBuffer.byteLength === 0) return void this.safeDispatchEvent("drain");
    this.writableNeedsDrain = false;
    this.processSendQueue();
  }

  close(options?: AbortOptions): Promise<void> {
    return this.#owner.close(options);
  }

  override sendPause(): void {
    this.socket.pause();
  }

  override sendResume(): void {
    this.socket.resume();
  }

  override sendReset(error: Error): void {
    this.#owner.abort(error);
  }
}
