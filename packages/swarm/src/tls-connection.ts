/**
 * One encrypted connection on Node's own TLS, as libp2p sees it: a stream of messages. OpenSSL reads
 * and writes the socket itself, so that nothing of the ciphertext passes through JavaScript.
 *
 *   yamux ── this ── TLSSocket ══ (native) ══ Socket
 *                                               │
 *   libp2p's TCP connection ────── its end ─────┘
 *
 * libp2p's TCP connection stays the owner of the socket: its time limits hold, ending it ends this,
 * and its counts are right. Knows bytes. Made by `native-tls.ts`.
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { AbortOptions, MessageStream } from "@libp2p/interface";
import { AbstractMessageStream } from "@libp2p/utils";
import type { SendResult } from "@libp2p/utils";
import { LIMITS } from "@shoal/core";
import type { Uint8ArrayList } from "uint8arraylist";
import { SocketSlab } from "./socket-slab.ts";

/** What is used of libp2p's TCP connection beyond its interface. */
export interface SocketOwner {
  readonly socket: Socket;
  sendClose: (options?: AbortOptions) => Promise<void>;
}

export class TlsConnection extends AbstractMessageStream {
  readonly #owner: MessageStream;
  readonly #socket: TLSSocket;
  #slab: SocketSlab | undefined;

  /** `owner` is the TCP connection whose socket `socket` has taken over. */
  constructor(owner: MessageStream & SocketOwner, socket: TLSSocket) {
    const { log, direction, inactivityTimeout, maxReadBufferLength } = owner;
    const maxWriteBufferLength = LIMITS.connectionWriteBytesMax;
    super({ log, direction, inactivityTimeout, maxReadBufferLength, maxWriteBufferLength });
    this.#owner = owner;
    this.#socket = socket;
    // The end in order: what was written goes out first, then TLS says goodbye.
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
    socket.on("data", (bytes) => this.onData(bytes));
    socket.resume();
  }

  /** From now on what listeners are given is written over as soon as they return. */
  lendBytes(): void {
    this.#slab ??= SocketSlab.attach(this.#socket, (bytes) => this.#received(bytes));
  }

  /** What cannot be handed on now is kept, in memory of its own. */
  #received(bytes: Uint8Array): void {
    const isTaken = this.readStatus === "readable" && this.listenerCount("message") > 0;
    this.onData(isTaken ? bytes : Uint8Array.from(bytes));
  }

  close(options?: AbortOptions): Promise<void> {
    return this.#owner.close(options);
  }

  /**
   * Called only when nothing is under way, so OpenSSL encrypts all of it before this returns, in
   * one call. Otherwise the socket would hold buffers that their owners are about to use again.
   */
  override sendData(data: Uint8ArrayList): SendResult {
    const socket = this.#socket;
    const last = data.byteLength;
    let givenBytes = 0;
    socket.cork();
    try {
      for (const part of data) {
        givenBytes += part.byteLength;
        if (givenBytes < last) socket.write(part);
        else socket.write(part, (error) => this.#written(error));
      }
    } finally {
      socket.uncork();
    }
    return { sentBytes: last, canSendMore: false };
  }

  /** Who waits for `drain` may use its buffers again, so what waits here goes out before. */
  #written(error: Error | null | undefined): void {
    if (error != null) return;
    if (this.writeBuffer.byteLength === 0) return void this.safeDispatchEvent("drain");
    this.writableNeedsDrain = false;
    this.processSendQueue();
  }

  override sendPause(): void {
    this.#socket.pause();
  }

  override sendResume(): void {
    this.#socket.resume();
  }

  override sendReset(error: Error): void {
    this.#owner.abort(error);
  }
}
