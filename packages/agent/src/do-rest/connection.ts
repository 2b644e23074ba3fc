/**
 * One caller of the DO-compatible listener: requests in, responses out in the same order, one at a
 * time. The connection lasts as long as the caller likes; a request or a response that is begun must
 * get through in time, so that nobody who is slow holds anything (R-API-09).
 *
 * Knows bytes and order; what a request means is for the handler. Made by `RestListener`.
 */
import type { Socket } from "node:net";
import { HRESULTS, LIMITS } from "@shoal/core";
import type { Millis } from "@shoal/core";
import { RestRequestParser } from "./request-parser.ts";
import type { RestRequest } from "./request-parser.ts";
import { failureResponse, MALFORMED_RESPONSE } from "./response.ts";

/** Answers a request that came from an address. Must not reject. */
export type RestHandler = (request: RestRequest, remoteAddress: string) => Promise<Buffer>;

export interface RestConnectionDeps {
  readonly handle: RestHandler;
  /** A request has come whole. */
  readonly onActivity: () => void;
  readonly onClosed: () => void;
  /** A fault of ours; the caller is told that there was one. */
  readonly onFault: (error: unknown) => void;
}

/** For the last response to be taken before the connection is reset. */
const FAREWELL_MS = 1_000;

export class RestConnection {
  readonly #socket: Socket;
  readonly #deps: RestConnectionDeps;
  readonly #requestTimeoutMs: Millis;
  readonly #parser = new RestRequestParser();
  readonly #remoteAddress: string;
  #unread: Buffer = Buffer.alloc(0);
  #isAtWork = false;
  #hasEnded = false;
  #isOver = false;
  #deadline: NodeJS.Timeout | undefined;

  constructor(
    socket: Socket,
    deps: RestConnectionDeps,
    { requestTimeoutMs }: { readonly requestTimeoutMs: Millis },
  ) {
    this.#socket = socket;
    this.#deps = deps;
    this.#requestTimeoutMs = requestTimeoutMs;
    this.#remoteAddress = socket.remoteAddress ?? "";
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => this.#received(bytes));
    socket.on("end", () => {
      this.#hasEnded = true;
      this.#endIfIdle();
    });
    // `close` follows.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isOver = true;
      clearTimeout(this.#deadline);
      deps.onClosed();
    });
  }

  get isAtWork(): boolean {
    return this.#isAtWork;
  }

  /** Ends it at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  #received(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
    void this.#work();
  }

  /** Answers what is there. Nothing more is read meanwhile. */
  async #work(): Promise<void> {
    if (this.#isAtWork) return;
    this.#isAtWork = true;
    this.#socket.pause();
    while (this.#unread.length > 0 && !this.#isOver) {
      const parsed = this.#parser.take(this.#unread);
      if (parsed.kind === "malformed") return this.#giveUp();
      this.#unread = this.#unread.subarray(parsed.usedCount);
      if (parsed.kind === "more") break;
      this.#disarm();
      this.#deps.onActivity();
      const response = await this.#answer(parsed.request);
      if (!this.#isOver) await this.#send(response);
    }
    this.#isAtWork = false;
    if (this.#isOver) return;
    if (this.#parser.isInside) this.#arm();
    this.#socket.resume();
    this.#endIfIdle();
  }

  async #answer(request: RestRequest): Promise<Buffer> {
    try {
      return await this.#deps.handle(request, this.#remoteAddress);
    } catch (error) {
      this.#deps.onFault(error);
      return failureResponse(HRESULTS.ERROR_UNHANDLED_EXCEPTION);
    }
  }

  /** Resolves when the caller has taken enough of what it was sent. */
  async #send(response: Buffer): Promise<void> {
    this.#socket.write(response);
    if (this.#socket.writableLength <= LIMITS.doRestUnsentBytesMax) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#arm();
    this.#socket.once("drain", resolve).once("close", resolve);
    await promise;
    this.#socket.off("drain", resolve).off("close", resolve);
    this.#disarm();
  }

  /** What follows cannot be told apart any more: the caller hears that, and the connection ends. */
  #giveUp(): void {
    this.#isOver = true;
    this.#disarm();
    this.#socket.end(MALFORMED_RESPONSE);
    // Bytes that nobody reads would reset the connection before the response is there.
    this.#socket.removeAllListeners("data").resume();
    this.#deadline = setTimeout(() => this.#socket.destroy(), FAREWELL_MS);
  }

  #endIfIdle(): void {
    if (this.#hasEnded && !this.#isAtWork && !this.#isOver) this.#socket.end();
  }

  #arm(): void {
    this.#deadline ??= setTimeout(() => this.#socket.destroy(), this.#requestTimeoutMs);
  }

  #disarm(): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
  }
}
