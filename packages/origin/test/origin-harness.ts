/**
 * What the tests of this package share: an origin that records its events, and servers to talk to:
 * scripted ones over `node:http`, hostile ones over `node:net`. All on 127.0.0.1, port 0.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, Server } from "node:http";
import { createServer as createRawServer } from "node:net";
import type { AddressInfo, Server as RawServer, Socket } from "node:net";
import { PieceBufferPool, PieceLayout } from "@shoal/core";
import type { OriginCommand, OriginEvent, PieceBytes, SchedulerEvent } from "@shoal/core";
import { createOrigin } from "../src/index.ts";
import type { Origin, OriginDeps, OriginOptions } from "../src/index.ts";

type TerminalEvent = Exclude<
  OriginEvent,
  { type: "rangePiece" | "rangeProgress" | "originAnswered" }
>;
type Asked = Extract<OriginCommand, { requestId: number; url: string }>;
export type OriginRequestOptions = NonNullable<Asked["request"]>;
type OriginResponse = Extract<OriginEvent, { type: "originAnswered" }>["response"];
/** A command without the ids, which the recorder gives. */
export type Question = Asked extends infer Command
  ? Command extends Asked
    ? Omit<Command, "requestId" | "transferId">
    : never
  : never;

export interface Outcome {
  readonly requestId: number;
  /** The event that ended the request. */
  readonly end: TerminalEvent;
  readonly pieces: ReadonlyMap<number, Buffer>;
  readonly progress: readonly number[];
}

/** An origin, its pool, and what it said. Payloads are copied and released at once. */
export class Recorder implements AsyncDisposable {
  readonly pool = new PieceBufferPool();
  readonly origin: Origin;
  /** Called after each event has been recorded. */
  onEvent: (event: OriginEvent) => unknown = () => {};
  readonly events: OriginEvent[] = [];
  readonly #pieces = new Map<number, Map<number, Buffer>>();
  readonly #waiting = new Map<number, (end: TerminalEvent) => void>();
  #requestId = 0;

  constructor(options: OriginOptions = {}, deps: Partial<OriginDeps> = {}) {
    const sink = (event: SchedulerEvent, payload?: PieceBytes): void =>
      this.#record(event as OriginEvent, payload);
    this.origin = createOrigin({ pool: this.pool, sink, ...deps }, options);
  }

  /** Starts a request; `end` settles when it is over. */
  start(question: Question): { requestId: number; end: Promise<Outcome> } {
    const requestId = ++this.#requestId;
    const pieces = new Map<number, Buffer>();
    this.#pieces.set(requestId, pieces);
    const end = new Promise<Outcome>((resolve) => {
      this.#waiting.set(requestId, (event) =>
        resolve({ requestId, end: event, pieces, progress: this.#progressOf(requestId) }),
      );
    });
    this.origin.execute({ ...question, requestId, transferId: 1 } as OriginCommand);
    return { requestId, end };
  }

  ask(question: Question): Promise<Outcome> {
    return this.start(question).end;
  }

  probe(url: string, request?: OriginRequestOptions): Promise<Outcome> {
    return this.ask({ type: "probeOrigin", url, ...(request && { request }) });
  }

  /** The sidecar of the file at `url`. */
  sidecar(url: string, request?: OriginRequestOptions): Promise<Outcome> {
    const place = "sidecar";
    return this.ask({ type: "fetchManifest", url, place, ...(request && { request }) });
  }

  /** What servers answered to a request, in order. */
  answersTo(requestId: number): OriginResponse[] {
    return this.eventsOf(requestId).flatMap((event) =>
      event.type === "originAnswered" ? [event.response] : [],
    );
  }

  /** Events of a request, the end included. */
  eventsOf(requestId: number): OriginEvent[] {
    return this.events.filter((event) => event.requestId === requestId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.origin.close();
  }

  #progressOf(requestId: number): number[] {
    return this.eventsOf(requestId).flatMap((event) =>
      event.type === "rangeProgress" ? [event.receivedBytes] : [],
    );
  }

  #record(event: OriginEvent, payload: PieceBytes | undefined): void {
    this.events.push(event);
    if (event.type === "rangePiece" && payload !== undefined) {
      this.#pieces.get(event.requestId)?.set(event.piece, Buffer.from(payload.bytes));
      payload.release();
    }
    this.onEvent(event);
    if (event.type === "rangePiece" || event.type === "rangeProgress") return;
    if (event.type === "originAnswered") return;
    this.#waiting.get(event.requestId)?.(event);
  }
}

/** The kind and code a request failed with; throws when it did not fail. */
export function failureOf({ end }: Outcome): {
  kind: string;
  code: string;
  message: string;
  originStatus?: number;
  retryAfterMs?: number;
} {
  if (end.type !== "originFailed") throw new Error(`no failure but ${end.type}`);
  const { kind, error, ...rest } = end.failure;
  return { kind, ...error, ...rest };
}

/** The bytes of a whole content in order. */
export function joined(outcome: Outcome): Buffer {
  return Buffer.concat([...outcome.pieces].sort(([a], [b]) => a - b).map(([, bytes]) => bytes));
}

/** Bytes that differ at every place a test could confuse. */
export function patternOf(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 17) & 0xff;
  return bytes;
}

export const CONTENT_LENGTH = 10_000;
export const PIECE_LENGTH = 1_000;
export const CONTENT = patternOf(CONTENT_LENGTH);
export const LAYOUT = PieceLayout.fixed(CONTENT_LENGTH, PIECE_LENGTH);

/** Pieces 2 to 4 of `CONTENT`: bytes 2000 to 4999. */
export function askRange(
  url: string,
  more: Partial<Extract<Question, { type: "fetchRange" }>> = {},
): Extract<Question, { type: "fetchRange" }> {
  return {
    type: "fetchRange",
    url,
    layout: LAYOUT,
    firstPiece: 2,
    pieceCount: 3,
    mode: "range",
    fresh: false,
    ...more,
  };
}

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Connections accepted so far. */
  connections: number;
  readonly sockets: Set<Socket>;
}

/** A real HTTP server with scripted behaviour. */
export async function serveHttp(
  handler: RequestListener,
  address = "127.0.0.1",
): Promise<TestServer> {
  return started(createServer(handler), "http:", address);
}

/** Answers GET with `CONTENT`, with ranges, `ETag` and `If-Range`, as a good server does. */
export const serveRanges: RequestListener = (request, response) => {
  const etag = '"v1"';
  const range = rangeOf(request);
  const isStale = request.headers["if-range"] !== undefined && request.headers["if-range"] !== etag;
  if (range === undefined || isStale) {
    response.writeHead(200, { "content-length": CONTENT.length, etag }).end(CONTENT);
    return;
  }
  const body = CONTENT.subarray(range.start, range.end);
  response
    .writeHead(206, {
      "content-length": body.length,
      "content-range": `bytes ${range.start}-${range.end - 1}/${CONTENT.length}`,
      etag,
    })
    .end(body);
};

export function rangeOf(request: IncomingMessage): { start: number; end: number } | undefined {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  return match === null ? undefined : { start: Number(match[1]), end: Number(match[2]) + 1 };
}

/** A TCP server: `answer` gets each request's head, whole, and the socket to answer on. */
export async function serveRaw(
  answer: (socket: Socket, head: string) => void,
): Promise<TestServer> {
  const server = createRawServer((socket) => {
    let text = "";
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        answer(socket, head);
      }
    });
  });
  return started(server, "http:");
}

/** Listens, counts connections, and closes them all at the end. */
export async function started(
  server: Server | RawServer,
  scheme: string,
  address = "127.0.0.1",
): Promise<TestServer> {
  const sockets = new Set<Socket>();
  server.listen(0, address);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const handle: TestServer = {
    url: `${scheme}//${address}:${port}/file.bin`,
    port,
    connections: 0,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  server.on("connection", (socket: Socket) => {
    handle.connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  return handle;
}

/** Polls until `condition` holds; throws after `deadlineMs`. */
export async function until(condition: () => boolean, deadlineMs = 5_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error("the condition did not come true in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
