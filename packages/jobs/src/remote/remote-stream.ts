/**
 * A stream of a job's bytes from an agent elsewhere: hands each piece to its taker, and tells the
 * agent when it was taken (docs/rest-api.md).
 *
 *   length (4, big-endian) │ bytes …      the next piece comes when this one was taken
 *
 * Knows one answer of the agent. Called by `RemoteJobService`.
 */
import type { IncomingMessage } from "node:http";
import { LIMITS } from "@shoal/core";
import type { FileKey, StreamTaker } from "../job-service.ts";
import type { RestClient } from "./rest-client.ts";

const LENGTH_BYTES = 4;

/** Resolves when it is attached. The returned function takes the stream away, and may be repeated. */
export async function attachRemoteStream(
  client: RestClient,
  { jobId, fileIndex }: FileKey,
  taker: StreamTaker,
): Promise<() => void> {
  const path = `/v1/jobs/${encodeURIComponent(jobId)}/files/${fileIndex}/stream`;
  const response = await client.open("POST", path);
  const stream = new RemoteStream(client, response, taker);
  return () => stream.detach();
}

class RemoteStream {
  readonly #client: RestClient;
  readonly #response: IncomingMessage;
  readonly #taker: StreamTaker;
  readonly #path: string;
  /** What has come of the piece or its length. */
  #head: Buffer[] = [];
  #headBytes = 0;
  /** The piece that is coming, and how far it is here. */
  #piece: Buffer | undefined;
  #filled = 0;
  #pieceCount = 0;
  #isOver = false;

  constructor(client: RestClient, response: IncomingMessage, taker: StreamTaker) {
    this.#client = client;
    this.#response = response;
    this.#taker = taker;
    this.#path = `/v1/streams/${String(response.headers["shoal-stream-id"])}`;
    response.on("data", (chunk: Buffer) => this.#take(chunk));
    response.on("error", () => {}); // It closes as well.
    response.once("close", () => void (!this.#isOver && this.#client.end("lost")));
  }

  /** any -> over. What is asked later comes after it. */
  detach(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const told = this.#client.isOver ? Promise.resolve() : this.#client.call("DELETE", this.#path);
    this.#client.first(told);
    told.catch(() => {}).finally(() => this.#response.destroy());
  }

  #take(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0 && !this.#isOver) {
      if (this.#piece === undefined) {
        const wanted = LENGTH_BYTES - this.#headBytes;
        this.#head.push(rest.subarray(0, wanted));
        this.#headBytes += Math.min(wanted, rest.length);
        rest = rest.subarray(wanted);
        if (this.#headBytes < LENGTH_BYTES) return;
        const length = Buffer.concat(this.#head).readUInt32BE();
        if (length > LIMITS.pieceLengthMax) return this.#client.end("lost");
        this.#piece = Buffer.allocUnsafeSlow(length);
        this.#filled = 0;
        this.#head = [];
        this.#headBytes = 0;
      }
      const count = rest.copy(this.#piece, this.#filled);
      this.#filled += count;
      rest = rest.subarray(count);
      if (this.#filled < this.#piece.length) return;
      void this.#feed(this.#piece);
      this.#piece = undefined;
    }
  }

  async #feed(bytes: Buffer): Promise<void> {
    const pieceCount = ++this.#pieceCount;
    try {
      await this.#taker.write(bytes);
    } catch (error) {
      if (this.#isOver) return;
      this.#isOver = true;
      const text = error instanceof Error ? error.message : String(error);
      const reason = text.slice(0, LIMITS.displayNameLengthMax).toWellFormed();
      await this.#say("refuse", { reason });
      this.#response.destroy();
      return;
    }
    if (!this.#isOver) await this.#say("taken", { pieceCount });
  }

  async #say(what: "taken" | "refuse", body: object): Promise<void> {
    // Where it cannot be said, the stream has ended with everything else, or its file has failed.
    await this.#client.call("POST", `${this.#path}/${what}`, { body }).catch(() => {});
  }
}
