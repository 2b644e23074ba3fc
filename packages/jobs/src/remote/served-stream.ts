/**
 * One stream of bytes to a caller, seen from the agent: a piece is sent, and the next is not before
 * the caller has said that it took it.
 *
 *   idle ─write─▶ a piece is sent ─taken─▶ idle …      refused, detached, disconnected ─▶ over
 *
 * A piece's memory is kept until its bytes have left the process, even when nobody wants them any
 * more: somebody else's bytes would follow otherwise. Called by one connection.
 */
import { ShoalError } from "@shoal/core";
import type { StreamTaker } from "../job-service.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { AgentMessage } from "./messages.ts";

export class ServedStream implements StreamTaker {
  readonly #id: number;
  readonly #writer: FrameWriter;
  /** The piece that is under way. */
  #piece: PromiseWithResolvers<void> | undefined;
  #detach: (() => void) | undefined;
  #isOver = false;

  /** `id` is the caller's. */
  constructor(id: number, writer: FrameWriter) {
    this.#id = id;
    this.#writer = writer;
  }

  /** `detach` takes the stream from its file, now if it is over already. */
  attached(detach: () => void): void {
    this.#detach = detach;
    if (this.#isOver) detach();
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isOver) throw new Error("the stream is gone");
    const piece = Promise.withResolvers<void>();
    piece.promise.catch(() => {}); // It may fail before anybody waits for it.
    this.#piece = piece;
    const message: AgentMessage = { type: "piece", stream: this.#id };
    await this.#writer.send(message, bytes);
    await piece.promise;
  }

  /** Throws `ERR_USAGE` when there was nothing to take. */
  taken(): void {
    if (this.#piece === undefined) throw new ShoalError("ERR_USAGE", "no piece is under way");
    this.#piece.resolve();
    this.#piece = undefined;
  }

  /** any -> over: the file fails with this reason, which takes the stream from it. */
  refused(reason: string): void {
    if (this.#piece === undefined) return this.end();
    this.#isOver = true;
    this.#piece.reject(new Error(reason));
    this.#piece = undefined;
  }

  /** any -> over. Idempotent. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#detach?.();
    this.#piece?.reject(new Error("the stream is gone"));
    this.#piece = undefined;
  }
}
