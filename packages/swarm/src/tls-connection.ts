/**
 * One connection on Node's own TLS. OpenSSL reads and writes the socket itself, so that nothing of
 * the ciphertext passes through JavaScript. Knows bytes. Made by `native-tls.ts`.
 */
import type { TLSSocket } from "node:tls";
import type { MessageStream } from "@libp2p/interface";
import type { SendResult } from "@libp2p/utils";
import type { Uint8ArrayList } from "uint8arraylist";
import { SocketConnection } from "./socket-connection.ts";
import type { SocketOwner } from "./socket-connection.ts";

export class TlsConnection extends SocketConnection {
  /** `owner` is the TCP connection whose socket `socket` has taken over. */
  constructor(owner: MessageStream & SocketOwner, socket: TLSSocket) {
    super(owner, socket);
    socket.on("data", (bytes) => this.onData(bytes));
    socket.resume();
  }

  /** What cannot be handed on now is kept, in memory of its own. */
  protected override received(bytes: Uint8Array): void {
    this.onData(this.isTaken ? bytes : Uint8Array.from(bytes));
  }

  /**
   * Called only when nothing is under way, so OpenSSL encrypts all of it before this returns, in
   * one call. Otherwise the socket would hold buffers that their owners are about to use again.
   */
  override sendData(data: Uint8ArrayList): SendResult {
    this.writeTogether(data, data.byteLength, () => this.written());
    return { sentBytes: data.byteLength, canSendMore: false };
  }
}
