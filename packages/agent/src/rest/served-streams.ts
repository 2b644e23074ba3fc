/**
 * Streams of jobs' bytes to callers. A stream is one long answer: pieces, each behind its length in
 * four bytes, big-endian. The next piece is sent when the caller has said that it took the one
 * before, by a request of its own; the stream ends with its connection.
 *
 *   idle ─write─▶ a piece is sent ─taken─▶ idle …      refused, disconnected ─▶ over
 *
 * A piece's memory is kept until its bytes have left the process, even when nobody wants them any
 * more: somebody else's bytes would follow otherwise. Called by the routes of streams.
 */
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { ShoalError } from "@shoal/core";
import type { FileKey, JobService, StreamTaker } from "@shoal/jobs";

export const STREAM_ID_HEADER = "shoal-stream-id";

export class ServedStreams {
  readonly #streams = new Map<string, ServedStream>();

  /** Answers with the stream, or rejects having answered nothing. */
  async attach(jobs: JobService, file: FileKey, response: ServerResponse): Promise<void> {
    const id = randomUUID();
    const stream = new ServedStream(response);
    const detach = await jobs.attachStream(file, stream);
    this.#streams.set(id, stream);
    response.once("close", () => {
      this.#streams.delete(id);
      stream.end();
    });
    stream.attached(detach);
    response.writeHead(200, { "content-type": "application/octet-stream", [STREAM_ID_HEADER]: id });
    response.flushHeaders();
    stream.open();
  }

  /** Throws `ERR_JOB_NOT_FOUND` for a stream that is over. */
  find(id: string): ServedStream {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", `stream ${id}`);
    return stream;
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.end();
  }
}

export class ServedStream implements StreamTaker {
  readonly #response: ServerResponse;
  readonly #opened = Promise.withResolvers<void>();
  /** Pieces that were sent. */
  #pieceCount = 0;
  /** The piece that is under way. */
  #piece: PromiseWithResolvers<void> | undefined;
  #detach: (() => void) | undefined;
  #isOver = false;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** `detach` takes the stream from its file, now if it is over already. */
  attached(detach: () => void): void {
    this.#detach = detach;
    if (this.#response.destroyed) this.end();
  }

  /** The head of the answer is written. */
  open(): void {
    this.#opened.resolve();
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isOver) throw new Error("the stream is gone");
    const piece = Promise.withResolvers<void>();
    piece.promise.catch(() => {}); // It may fail before anybody waits for it.
    this.#piece = piece;
    this.#pieceCount++;
    await this.#opened.promise;
    await this.#send(bytes);
    await piece.promise;
  }

  /** Throws `ERR_USAGE` when that piece is not under way. */
  taken(pieceCount: number): void {
    if (this.#piece === undefined || pieceCount !== this.#pieceCount) {
      throw new ShoalError("ERR_USAGE", `piece ${pieceCount} is not under way`);
    }
    this.#piece.resolve();
    this.#piece = undefined;
  }

  /** any -> over: the file fails with this reason, which takes the stream from it. */
  refused(reason: string): void {
    if (this.#piece === undefined) return this.end();
    this.#isOver = true;
    this.#piece.reject(new Error(reason));
    this.#piece = undefined;
    this.#response.end();
  }

  /** any -> over. Idempotent. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#opened.resolve();
    this.#detach?.();
    this.#piece?.reject(new Error("the stream is gone"));
    this.#piece = undefined;
    this.#response.end();
  }

  /** Resolves when the bytes have left, or never will because the connection is gone. */
  async #send(bytes: Uint8Array): Promise<void> {
    if (this.#response.destroyed || this.#response.writableEnded) return;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#response.once("close", resolve);
    this.#response.cork();
    this.#response.write(length);
    this.#response.write(bytes, () => resolve());
    this.#response.uncork();
    await promise;
    this.#response.off("close", resolve);
  }
}
