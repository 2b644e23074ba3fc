/**
 * One connection encrypted by Noise, as libp2p sees it: a stream of messages.
 *
 *   yamux ── this, with noise-frames.ts ── Socket ── libp2p's TCP connection, which owns it
 *
 * A send is sealed at once and written in one system call. What comes is read into one piece of
 * memory, opened, handed on a frame at a time, and its memory freed as soon as listeners have
 * returned. libp2p's TCP connection stays the owner of the socket: its time limits hold, ending it
 * ends this, and its counts are right. Knows bytes. Made by `native-noise.ts`.
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import type { AbortOptions, MessageStream } from "@libp2p/interface";
import { AbstractMessageStream } from "@libp2p/utils";
import type { SendResult } from "@libp2p/utils";
import { LIMITS } from "@shoal/core";
import { Uint8ArrayList } from "uint8arraylist";
import { FrameOpener, FrameSealer, giveBack } from "./noise-frames.ts";
import { SocketSlab } from "./socket-slab.ts";
import type { SocketOwner } from "./tls-connection.ts";

/** Of the two directions; neither may have sealed or opened anything. */
export interface NoiseKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

export class NoiseConnection extends AbstractMessageStream {
  readonly #owner: MessageStream;
  readonly #socket: Socket;
  readonly #sealer: FrameSealer;
  readonly #opener: FrameOpener;
  #slab: SocketSlab | undefined;

  /** `owner` is paused, and has or will get all that comes after the handshake. */
  constructor(owner: MessageStream & SocketOwner, keys: NoiseKeys) {
    const { log, direction, inactivityTimeout, maxReadBufferLength, socket } = owner;
    const maxWriteBufferLength = LIMITS.connectionWriteBytesMax;
    super({ log, direction, inactivityTimeout, maxReadBufferLength, maxWriteBufferLength });
    this.#owner = owner;
    this.#socket = socket;
    this.#sealer = new FrameSealer(keys.send);
    this.#opener = new FrameOpener(keys.receive);
    // The end in order: what was written goes out first.
    owner.sendClose = async (options) => {
      if (socket.destroyed) return;
      const closed = once(socket, "close", options);
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
    owner.addEventListener("message", ({ data }) => {
      for (const part of data instanceof Uint8Array ? [data] : data) this.#received(part);
    });
    owner.resume();
  }

  /** From now on what listeners are given is gone as soon as they return. */
  lendBytes(): void {
    this.#slab ??= SocketSlab.attach(this.#socket, (bytes) => this.#received(bytes));
  }

  /** Runs inside the socket's callback: nothing may be thrown. */
  #received(bytes: Uint8Array): void {
    try {
      for (const parts of this.#opener.open(bytes)) {
        if (this.status !== "open") return;
        const isTaken = this.readStatus === "readable" && this.listenerCount("message") > 0;
        this.onData(new Uint8ArrayList(...parts));
        if (isTaken && this.#slab !== undefined) giveBack(parts);
      }
    } catch (error) {
      this.abort(error as Error);
    }
  }

  close(options?: AbortOptions): Promise<void> {
    return this.#owner.close(options);
  }

  /** Called only when nothing is under way, so that no more than one send is held by the socket. */
  override sendData(data: Uint8ArrayList): SendResult {
    const socket = this.#socket;
    const parts = this.#sealer.seal(data);
    const last = parts.length - 1;
    socket.cork();
    try {
      for (let i = 0; i < last; i++) socket.write(parts[i]!);
      socket.write(parts[last]!, (error) => this.#written(parts, error));
    } finally {
      socket.uncork();
    }
    return { sentBytes: data.byteLength, canSendMore: false };
  }

  /** What a write that failed was given may still be in use. */
  #written(parts: readonly Uint8Array[], error: Error | null | undefined): void {
    if (error != null) return;
    giveBack(parts);
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
