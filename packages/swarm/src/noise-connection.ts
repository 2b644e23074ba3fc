/**
 * One connection encrypted by Noise. A send is sealed at once and written in one system call. What
 * comes is read into one piece of memory, opened, handed on a frame at a time, and its memory freed
 * as soon as listeners have returned. Knows bytes. Made by `native-noise.ts`.
 */
import type { MessageStream } from "@libp2p/interface";
import type { SendResult } from "@libp2p/utils";
import { Uint8ArrayList } from "uint8arraylist";
import { FrameOpener, FrameSealer, giveBack } from "./noise-frames.ts";
import { SocketConnection } from "./socket-connection.ts";
import type { SocketOwner } from "./socket-connection.ts";

/** Of the two directions; neither may have sealed or opened anything. */
export interface NoiseKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

export class NoiseConnection extends SocketConnection {
  readonly #sealer: FrameSealer;
  readonly #opener: FrameOpener;

  /** `owner` is paused, and has or will get all that comes after the handshake. */
  constructor(owner: MessageStream & SocketOwner, keys: NoiseKeys) {
    super(owner, owner.socket);
    this.#sealer = new FrameSealer(keys.send);
    this.#opener = new FrameOpener(keys.receive);
    owner.addEventListener("message", ({ data }) => {
      for (const part of data instanceof Uint8Array ? [data] : data) this.received(part);
    });
    owner.resume();
  }

  protected override received(bytes: Uint8Array): void {
    try {
      for (const parts of this.#opener.open(bytes)) {
        if (this.status !== "open") return;
        const { isTaken } = this;
        this.onData(new Uint8ArrayList(...parts));
        if (isTaken && this.isLending) giveBack(parts);
      }
    } catch (error) {
      this.abort(error as Error);
    }
  }

  /** Called only when nothing is under way, so that no more than one send is held by the socket. */
  override sendData(data: Uint8ArrayList): SendResult {
    const parts = this.#sealer.seal(data);
    const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
    // What a write that failed was given may still be in use: then nothing is given back.
    this.writeTogether(parts, length, () => {
      giveBack(parts);
      this.written();
    });
    return { sentBytes: data.byteLength, canSendMore: false };
  }
}
