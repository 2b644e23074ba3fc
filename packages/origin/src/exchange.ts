/**
 * One HTTP exchange: a GET and its response, bounded in header fields, in time and in rate
 * (R-HTTP-07, R-HTTP-08), on a connection of its own for as long as it lasts.
 *
 *   waiting -> asking -> reading -> ended       the listener hears the head, bytes, then the end
 *                  |---> draining -> ended      an error's body: read within bounds, told to nobody
 *
 * Knows status, fields and bytes; what they mean is for the listener. Called by `request.ts`.
 */
import { assert, LIMITS } from "@shoal/core";
import type { Millis } from "@shoal/core";
import type { Connection, ConnectionNeed, Connections } from "./connections.ts";
import type { ReachedServer } from "./dial.ts";
import { brokenRefusal, exchangeRefusal, proxyRefusal, timeoutRefusal } from "./failure.ts";
import type { Refusal } from "./failure.ts";
import type { AnswerListener, ConnectionFault } from "./http-connection.ts";
import type { HeaderField } from "./job-credentials.ts";
import { readHead } from "./response-head.ts";
import type { ReceivedHead } from "./response-head.ts";
import type { RawHead } from "./response-parser.ts";

/** Measurements per window of the rate floor. */
const RATE_SAMPLES = 6;
/** Time in which bytes waited counts for more, as between two waits some is lost to timers. */
const HELD_WEIGHT = 1.25;

/** A response slower than this over a whole window is given up (R-HTTP-08). */
export interface RateFloor {
  readonly bytesPerSec: number;
  readonly windowMs: Millis;
}

export interface ExchangeRequest extends ConnectionNeed {
  readonly fields: readonly HeaderField[];
  /** Whether a `Range` is among them. */
  readonly ranged: boolean;
}

/** Whether bodies are read at the moment. */
export interface Flow {
  readonly isOpen: boolean;
}

/** What follows a head: `read` the body, `drain` a short one unheard, or `close` the connection. */
export type BodyUse = "read" | "drain" | "close";

export interface ExchangeListener {
  /** Nothing follows unless the answer is `read`. */
  onHead(head: ReceivedHead, server: ReachedServer): BodyUse;
  /** `bytes` may be reused after the call. */
  onBytes(bytes: Uint8Array): void;
  onEnd(): void;
  /** The last call, whenever it comes. */
  onRefused(refusal: Refusal): void;
}

export class Exchange implements AnswerListener {
  readonly #connections: Connections;
  readonly #request: ExchangeRequest;
  readonly #floor: RateFloor;
  readonly #flow: Flow;
  readonly #listener: ExchangeListener;
  #withdraw = (): void => {};
  #phase: "waiting" | "asking" | "reading" | "draining" | "ended" = "waiting";
  #connection: Connection | undefined;
  #received = 0;
  #informational = 0;
  #floorTimer: NodeJS.Timeout | undefined;

  /** Begins at once. */
  constructor(
    deps: { connections: Connections; flow: Flow; listener: ExchangeListener },
    request: ExchangeRequest,
    floor: RateFloor,
  ) {
    this.#connections = deps.connections;
    this.#flow = deps.flow;
    this.#listener = deps.listener;
    this.#request = request;
    this.#floor = floor;
    this.#acquire();
  }

  /** waiting, asking, reading, draining -> ended. The connection is closed, nobody is told. */
  cancel(): void {
    if (this.#phase === "waiting") this.#withdraw();
    this.#end(false);
  }

  /**
   * Stops or resumes reading, as the flow says. Neither the rate floor nor body timeouts count the
   * time in which bytes wait for it.
   */
  applyFlow(): void {
    if (this.#phase !== "reading") return;
    if (this.#flow.isOpen) this.#connection?.http.resume();
    else this.#connection?.http.pause();
  }

  onHead({ status, reason, fields }: RawHead): void {
    if (this.#phase !== "asking") return;
    if (status < 200) {
      this.#informational++;
      if (status === 101) return this.#refuse(this.#broken("unexpected status 101"));
      if (status === 100) return this.#refuse(this.#broken("unexpected status 100"));
      if (this.#informational <= LIMITS.informationalResponsesMax) return;
      return this.#refuse(this.#broken("too many informational responses"));
    }
    this.#begin(readHead(status, reason, fields));
  }

  onBytes(bytes: Uint8Array): void {
    this.#received += bytes.length;
    if (this.#phase === "reading") this.#listener.onBytes(bytes);
    else if (this.#phase === "draining" && this.#received > LIMITS.errorBodyBytesMax) {
      this.#end(false);
    }
  }

  onEnd(): void {
    const isHeard = this.#phase === "reading";
    this.#end(true);
    if (isHeard) this.#listener.onEnd();
  }

  onFault(fault: ConnectionFault): void {
    // Another connection may serve: a new one at last, as each of these is spent.
    if (fault === "stale" && this.#phase === "asking") return this.#askAnew();
    const answered = this.#phase === "reading" || this.#phase === "draining";
    const { url, ranged } = this.#request;
    this.#refuse(exchangeRefusal(fault, { authority: url.host, answered, ranged }));
  }

  #acquire(): void {
    this.#withdraw = this.#connections.acquire(this.#request, (grant) => {
      if ("connection" in grant) this.#ask(grant.connection);
      else this.#refuse(WAIT_REFUSALS[grant.refused]);
    });
  }

  /** asking -> waiting */
  #askAnew(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#phase = "waiting";
    if (connection !== undefined) this.#connections.release(connection, this.#request, false);
    if (!this.#isEnded()) this.#acquire();
  }

  #begin(head: ReceivedHead | undefined): void {
    if (head === undefined) return this.#refuse(this.#broken("too many header fields"));
    const server = this.#connection?.server;
    assert(server !== undefined, "an answered connection has an address");
    if (head.status === 407 && this.#connection?.forwarder !== undefined) {
      return this.#refuse(proxyRefusal(head.status));
    }
    this.#phase = "reading";
    this.#watchRate();
    const use = this.#listener.onHead(head, server);
    if (this.#isEnded()) return;
    if (use === "close") this.#end(false);
    else if (use === "drain") this.#phase = "draining";
    else if (!this.#flow.isOpen) this.applyFlow();
  }

  #ask(connection: Connection): void {
    this.#connection = connection;
    this.#phase = "asking";
    const { url, fields } = this.#request;
    const { forwarder } = connection;
    const path = forwarder === undefined ? url.pathname + url.search : url.href;
    const proof = forwarder?.authorization;
    // Ours alone: what a job would say to a proxy is not for this one.
    const others = fields.filter(([name]) => !/^proxy-/i.test(name) || forwarder === undefined);
    const ours = proof === undefined ? [] : [["proxy-authorization", proof] as const];
    connection.http.ask(headText(path, url.host, [...others, ...ours]), this);
  }

  #refuse(refusal: Refusal): void {
    const wanted = this.#phase !== "ended" && this.#phase !== "draining";
    this.#end(false);
    if (wanted) this.#listener.onRefused(refusal);
  }

  #broken(reason: string): Refusal {
    return brokenRefusal(reason, this.#request.ranged);
  }

  #isEnded(): boolean {
    return this.#phase === "ended";
  }

  #end(reusable: boolean): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    clearInterval(this.#floorTimer);
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) this.#connections.release(connection, this.#request, reusable);
  }

  #watchRate(): void {
    const { bytesPerSec, windowMs } = this.#floor;
    const now = () => ({
      received: this.#received,
      heldMs: this.#connection?.http.heldMs ?? 0,
    });
    const marks = [now()];
    this.#floorTimer = setInterval(() => {
      marks.push(now());
      const [before] = marks;
      if (marks.length <= RATE_SAMPLES || before === undefined) return;
      marks.shift();
      const { received, heldMs } = now();
      const readMs = windowMs - HELD_WEIGHT * (heldMs - before.heldMs);
      const floorBytes = (bytesPerSec * readMs) / 1_000;
      if (received - before.received < floorBytes) this.#refuse(TOO_SLOW);
    }, windowMs / RATE_SAMPLES);
    // A body that is read for nobody must not keep a process that has closed its agent.
    this.#floorTimer.unref();
  }
}

/** Whoever made `path` and `fields` has checked them: a line break would begin another request. */
function headText(path: string, host: string, fields: readonly HeaderField[]): string {
  const lines = [`GET ${path} HTTP/1.1`, `host: ${host}`, "connection: keep-alive"];
  for (const [name, value] of fields) lines.push(`${name}: ${value}`);
  assert(
    lines.every((line) => !/[\r\n\0]/.test(line)),
    "a line of a request is one line",
  );
  return `${lines.join("\r\n")}\r\n\r\n`;
}

const TOO_SLOW: Refusal = {
  kind: "transient",
  code: "ERR_ORIGIN_UNAVAILABLE",
  reason: "the body comes too slowly",
};

const WAIT_REFUSALS: Record<"full" | "timeout", Refusal> = {
  full: {
    kind: "transient",
    code: "ERR_ORIGIN_UNAVAILABLE",
    reason: "too many requests wait for a connection",
  },
  timeout: timeoutRefusal("no connection became free in time"),
};
