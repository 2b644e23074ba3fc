/**
 * One connection to an HTTP/1.1 server: one request at a time, kept open in between.
 *
 *   new -> dialling -> asked -> idle -> asked ... -> closed
 *
 * The socket's bytes are read into one buffer that is used over and over, and go from there to the
 * listener without another copy: that costs less than half of what a general client costs for each
 * byte (docs/architecture.md). Knows time-outs and framing; knows nothing of what is asked. Owned by
 * `connections.ts`, used by `exchange.ts`.
 */
import { assert } from "@shoal/core";
import type { Millis } from "@shoal/core";
import type { DialResult, ReachedServer } from "./dial.ts";
import type { DialError } from "./failure.ts";
import { ResponseParser } from "./response-parser.ts";
import type { KeepAlive, ParseFault, RawHead } from "./response-parser.ts";

export interface HttpConnectionOptions {
  /** Without a response's head for so long, a request fails. */
  readonly headersTimeoutMs: Millis;
  /** Without a byte of body for so long, a request fails. */
  readonly bodyTimeoutMs: Millis;
  /** Idle connections are closed after so long, unless the server asks for less. */
  readonly keepAliveMs: Millis;
}

/** Why a request has no response, or not all of it. */
export type ConnectionFault =
  | ParseFault
  | "headTimeout"
  | "bodyTimeout"
  /** The server had closed it, or did so as the request came: nothing of an answer was heard. */
  | "stale"
  | { readonly dial: DialError }
  | { readonly socket: Error };

/** Hears of one response. Nothing follows `onEnd` and `onFault`. */
export interface AnswerListener {
  /** Of informational responses, too. */
  onHead(head: RawHead): void;
  /** Valid during the call alone. */
  onBytes(bytes: Uint8Array): void;
  onEnd(): void;
  onFault(fault: ConnectionFault): void;
}

/** Dials; the answered function ends the dial without calling back. */
export type Dial = (done: (result: DialResult) => void) => () => void;

type Opened = Extract<DialResult, { socket: unknown }>;

/** Servers close idle connections a little earlier than they say. */
const KEEP_ALIVE_MARGIN_MS = 1_000;

export class HttpConnection {
  readonly #dial: Dial;
  readonly #options: HttpConnectionOptions;
  /** The connection has become useless while it was idle. */
  readonly #onIdleEnd: () => void;
  #endDial = (): void => {};
  #opened: Opened | undefined;
  #parser: ResponseParser | undefined;
  #listener: AnswerListener | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isReadingBody = false;
  #isPaused = false;
  /** What came during a pause; nothing more is read while there is any. */
  #kept: Uint8Array | undefined;
  #keptAt: Millis = 0;
  #heldMs: Millis = 0;
  /** The parser has seen the end; set until what it took has been counted. */
  #ended: KeepAlive | undefined;
  /** Of the present request. */
  #hasHeard = false;
  #answerCount = 0;
  /** Another request may follow. */
  #isReusable = false;
  #isClosed = false;

  constructor(dial: Dial, options: HttpConnectionOptions, onIdleEnd: () => void) {
    this.#dial = dial;
    this.#options = options;
    this.#onIdleEnd = onIdleEnd;
  }

  /** What it is connected to; absent before it is. */
  get server(): ReachedServer | undefined {
    return this.#opened?.server;
  }

  /** Whether another request may follow the last one. */
  get isReusable(): boolean {
    return this.#isReusable && !this.#isClosed;
  }

  /** Time for which bytes have waited for the end of a pause, of all requests together. */
  get heldMs(): Millis {
    return this.#heldMs + (this.#kept === undefined ? 0 : performance.now() - this.#keptAt);
  }

  /** Sends the head of a request that has no body. One at a time. */
  ask(head: string, listener: AnswerListener): void {
    assert(this.#listener === undefined && !this.#isClosed, "one request at a time");
    this.#listener = listener;
    this.#isReusable = false;
    this.#isReadingBody = false;
    this.#isPaused = false;
    this.#hasHeard = false;
    if (this.#opened !== undefined) return this.#send(this.#opened, head);
    this.#endDial = this.#dial((result) => {
      if (this.#isClosed) return;
      if ("error" in result) return this.#fault({ dial: result.error });
      this.#opened = result;
      this.#watch(result);
      this.#send(result, head);
    });
  }

  /**
   * Nothing is heard any more. Reading stops with the next bytes that come, and the time-out with
   * it: a server that sends nothing is as late in a pause as otherwise, however often they follow.
   */
  pause(): void {
    this.#setPaused(true);
  }

  /** Hears on, beginning with what had come already. */
  resume(): void {
    if (!this.#isPaused || this.#isClosed) return;
    this.#setPaused(false);
    const kept = this.#kept;
    if (kept === undefined) return;
    this.#heldMs = this.heldMs;
    this.#kept = undefined;
    this.#expectBody();
    this.#take(kept);
    if (this.#kept === undefined && !this.#isClosed) this.#opened?.socket.resume();
  }

  /** Nothing is heard afterwards. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener = undefined;
    this.#parser?.stop();
    clearTimeout(this.#timer);
    this.#endDial();
    this.#opened?.socket.destroy();
  }

  #watch({ socket, onBytes }: Opened): void {
    onBytes((bytes) => this.#take(bytes));
    socket.on("error", (error) => this.#lost({ socket: error }));
    socket.on("end", () => {
      if (this.#hasHeard) this.#parser?.end();
      if (this.#ended !== undefined) this.#end(this.#ended);
      this.#lost("noAnswer");
    });
    socket.on("close", () => this.#lost("endedEarly"));
  }

  #send({ socket }: Opened, head: string): void {
    this.#parser = new ResponseParser({
      onHead: (received) => this.#head(received),
      onBytes: (bytes) => this.#listener?.onBytes(bytes),
      onEnd: (keepAlive) => {
        this.#ended = keepAlive;
      },
      onFault: (fault) => this.#fault(fault),
    });
    this.#wait(this.#options.headersTimeoutMs, () => this.#fault("headTimeout"));
    socket.write(head, "latin1");
  }

  #take(bytes: Uint8Array): void {
    this.#hasHeard = true;
    if (this.#isReadingBody) this.#timer?.refresh();
    const taken = this.#parser?.push(bytes) ?? 0;
    const isMore = taken < bytes.length;
    // Whatever follows an answer was not asked for (R-HTTP-10).
    if (this.#ended !== undefined) this.#end(isMore ? { isAllowed: false } : this.#ended);
    else if (isMore && !this.#isClosed) {
      if (this.#isPaused) this.#keep(bytes.slice(taken));
      else this.#uninvited();
    }
  }

  #keep(bytes: Uint8Array): void {
    this.#kept = bytes;
    this.#keptAt = performance.now();
    clearTimeout(this.#timer);
    this.#opened?.socket.pause();
  }

  #setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (this.#parser !== undefined) this.#parser.isHeld = isPaused;
  }

  #uninvited(): void {
    const isIdle = this.#listener === undefined;
    this.#isReusable = false;
    if (isIdle && !this.#isClosed) this.#onIdleEnd();
  }

  #head(head: RawHead): void {
    if (head.status >= 200) this.#expectBody();
    this.#listener?.onHead(head);
  }

  #expectBody(): void {
    this.#isReadingBody = true;
    this.#wait(this.#options.bodyTimeoutMs, () => this.#fault("bodyTimeout"));
  }

  #end({ isAllowed, timeoutSec = Infinity }: KeepAlive): void {
    this.#ended = undefined;
    if (this.#isClosed) return;
    const listener = this.#listener;
    this.#listener = undefined;
    this.#answerCount++;
    this.#isReadingBody = false;
    this.#setPaused(false);
    const hintMs = timeoutSec * 1_000 - KEEP_ALIVE_MARGIN_MS;
    const idleMs = Math.min(this.#options.keepAliveMs, hintMs);
    this.#isReusable = isAllowed && idleMs > 0;
    this.#wait(Math.max(0, idleMs), () => {
      if (this.#listener === undefined) this.#onIdleEnd();
    });
    listener?.onEnd();
  }

  /** The socket has ended: with a response under way its failure, otherwise of no use any more. */
  #lost(fault: ConnectionFault): void {
    if (this.#isClosed) return;
    this.#isReusable = false;
    if (this.#listener === undefined) this.#onIdleEnd();
    else this.#fault(this.#hasHeard || this.#answerCount === 0 ? fault : "stale");
  }

  #fault(fault: ConnectionFault): void {
    const listener = this.#listener;
    this.#listener = undefined;
    this.#isReusable = false;
    clearTimeout(this.#timer);
    this.#parser?.stop();
    listener?.onFault(fault);
  }

  #wait(ms: Millis, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }
}
