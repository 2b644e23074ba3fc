/**
 * Reads sockets without allocating: all that are made with `onread` share one buffer, because what
 * was read is worked off before the next read. TLS sockets cannot, and are listened to as usual.
 * Used by `dial.ts`.
 */
import { KiB } from "@shoal/core";
import type { OnReadOpts, Socket } from "node:net";

/** Hears of bytes, which are valid during the call alone. */
export type TakeBytes = (bytes: Uint8Array) => void;

/** As much as a socket gives at a time where the network is fast. */
const READ_BUFFER_BYTES = 128 * KiB;

export class SocketReader {
  readonly #takers = new WeakMap<Socket, TakeBytes>();
  /** No `Buffer`, whose `slice` would not copy. */
  #buffer: Uint8Array | undefined;

  /** An option for `net.connect`, whose socket `socket` gives. Nothing may listen to its `data`. */
  onread(socket: () => Socket): OnReadOpts {
    const buffer = (this.#buffer ??= new Uint8Array(READ_BUFFER_BYTES));
    return {
      buffer,
      callback: (length) => {
        this.#takers.get(socket())?.(buffer.subarray(0, length));
        return true;
      },
    };
  }

  /** `isOurs`: the socket was made with `onread`. */
  listen(socket: Socket, isOurs: boolean, take: TakeBytes): void {
    if (isOurs) this.#takers.set(socket, take);
    else socket.on("data", take);
  }
}
