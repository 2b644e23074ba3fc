/**
 * A small HTTP origin for examples and tests: real files with ranges, `ETag` and `Last-Modified`,
 * as any static web server serves them, and a count of the bytes it has sent.
 *
 * Knows files and HTTP. Knows nothing of Shoal: that any server will do is the point.
 */
import { createReadStream } from "node:fs";
import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";

export interface ServeFilesOptions {
  /** Most bytes sent per second, all answers together. Default: no limit. */
  readonly rateBytesPerSec?: number;
  /** The address to listen on. Default: 127.0.0.1. */
  readonly host?: string;
  /** The port to listen on. Default: any free one. */
  readonly port?: number;
}

/** A running origin. */
export interface FileOrigin extends AsyncDisposable {
  /** Where the file given under `name` is. */
  urlOf(name: string): string;
  /** Bytes of the file given under `name` that were sent so far, without HTTP headers. */
  sentBytesOf(name: string): number;
  /** Stops at once, in the middle of answers too. Idempotent. */
  close(): Promise<void>;
}

/** Serves `files`: the name in the URL, and the path of the file on disk. */
export async function serveFiles(
  files: Readonly<Record<string, string>>,
  { rateBytesPerSec = Infinity, host = "127.0.0.1", port: wantedPort = 0 }: ServeFilesOptions = {},
): Promise<FileOrigin> {
  const closing = new AbortController();
  const pacer = new Pacer(rateBytesPerSec, closing.signal);
  const server = createServer((request, response) => {
    // A client that goes away in the middle of an answer is no failure of the server.
    answer(files, request, response, pacer).catch(() => response.destroy());
  });
  server.listen(wantedPort, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    if (closing.signal.aborted) return;
    closing.abort();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return {
    urlOf: (name) => `http://${host}:${port}/${encodeURIComponent(name)}`,
    sentBytesOf: (name) => pacer.passedBytes.get(name) ?? 0,
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function answer(
  files: Readonly<Record<string, string>>,
  request: IncomingMessage,
  response: ServerResponse,
  pacer: Pacer,
): Promise<void> {
  const name = nameIn(request.url ?? "");
  const path = Object.hasOwn(files, name) ? files[name] : undefined;
  const info = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (path === undefined || info === undefined) return void response.writeHead(404).end();
  const validators = {
    etag: `"${info.size.toString(36)}-${Math.round(info.mtimeMs).toString(36)}"`,
    "last-modified": info.mtime.toUTCString(),
  };
  const headers = { ...validators, "accept-ranges": "bytes" };
  const range = isStale(request, validators) ? "whole" : rangeIn(request.headers.range, info);
  if (range === "unsatisfiable") {
    const contentRange = `bytes */${info.size}`;
    return void response.writeHead(416, { ...headers, "content-range": contentRange }).end();
  }
  const { start, end } = range === "whole" ? { start: 0, end: info.size } : range;
  response.writeHead(range === "whole" ? 200 : 206, {
    ...headers,
    "content-length": end - start,
    ...(range === "whole" ? {} : { "content-range": `bytes ${start}-${end - 1}/${info.size}` }),
  });
  if (request.method === "HEAD" || start === end) return void response.end();
  const body = createReadStream(path, { start, end: end - 1, highWaterMark: CHUNK_BYTES });
  await pipeline(body, (chunks: AsyncIterable<Buffer>) => pacer.pass(name, chunks), response);
}

const CHUNK_BYTES = 128 * 1024;

function nameIn(target: string): string {
  try {
    return decodeURIComponent(target.slice(1).replace(/\?.*$/, ""));
  } catch {
    return "";
  }
}

/** Whether an `If-Range` names another version of the file, which is then sent whole. */
function isStale(
  request: IncomingMessage,
  validators: { readonly etag: string; readonly "last-modified": string },
): boolean {
  const wanted = request.headers["if-range"];
  return (
    wanted !== undefined && wanted !== validators.etag && wanted !== validators["last-modified"]
  );
}

/** Half-open. Ranges this server does not understand are ignored, as HTTP allows. */
function rangeIn(
  text: string | undefined,
  { size }: Stats,
): { start: number; end: number } | "whole" | "unsatisfiable" {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text ?? "");
  if (match === null || match[0] === "bytes=-") return "whole";
  const [, first = "", last = ""] = match;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(Number(last) + 1, size);
  return start < end ? { start, end } : "unsatisfiable";
}

/** Counts the bytes of each file, and lets those of all answers pass no faster than the rate. */
class Pacer {
  readonly passedBytes = new Map<string, number>();
  readonly #rateBytesPerSec: number;
  readonly #signal: AbortSignal;
  #freeAt = 0;

  constructor(rateBytesPerSec: number, signal: AbortSignal) {
    this.#rateBytesPerSec = rateBytesPerSec;
    this.#signal = signal;
  }

  async *pass(name: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      const now = performance.now();
      this.#freeAt = Math.max(now, this.#freeAt) + (chunk.length * 1_000) / this.#rateBytesPerSec;
      const waitMs = this.#freeAt - now;
      if (waitMs > 1) await delay(waitMs, undefined, { signal: this.#signal });
      this.passedBytes.set(name, (this.passedBytes.get(name) ?? 0) + chunk.length);
      yield chunk;
    }
  }
}
