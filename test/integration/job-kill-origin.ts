/**
 * An HTTP origin for jobs that are killed: a few contents, each under several paths that answer well,
 * slowly, not to the end, with a failure, or not at all, until the origin is healed.
 *
 *   /fast/NAME  /slow/NAME  /stall/NAME  /flaky/NAME  /missing/NAME
 *
 * Knows HTTP ranges and validators. Knows nothing of Shoal but its sidecar manifests.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { JobRange } from "@shoal/core";

/** How a path answers. `missing` is never healed. */
export const ORIGIN_MOODS = ["fast", "slow", "stall", "flaky", "missing"] as const;
export type OriginMood = (typeof ORIGIN_MOODS)[number];

const SLOW_CHUNK_BYTES = 16 * 1024;
const SLOW_CHUNK_MS = 5;

export class MoodyOrigin implements AsyncDisposable {
  readonly baseUrl: string;
  /** From now on every path but those below `missing` answers as `fast` does. */
  isHealed = false;
  readonly #server: ReturnType<typeof createServer>;
  readonly #contents: ReadonlyMap<string, Buffer>;

  private constructor(
    server: ReturnType<typeof createServer>,
    contents: ReadonlyMap<string, Buffer>,
  ) {
    this.#server = server;
    this.#contents = contents;
    this.baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Serves the contents by name; sidecar manifests are contents, too. */
  static async start(contents: ReadonlyMap<string, Buffer>): Promise<MoodyOrigin> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new MoodyOrigin(server, contents);
  }

  /** SHA-256 of what a job gets that asks for `ranges` of the content behind `url`. */
  sha256Of(url: string, ranges?: readonly JobRange[]): string {
    const [, name] = moodAndName(new URL(url).pathname);
    const bytes = this.#contents.get(name) ?? Buffer.alloc(0);
    const hash = createHash("sha256");
    for (const { offset, length } of ranges ?? [{ offset: 0 }]) {
      hash.update(bytes.subarray(offset, length === undefined ? undefined : offset + length));
    }
    return hash.digest("hex");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [mood, name] = moodAndName(request.url ?? "");
    const bytes = this.#contents.get(name);
    if (bytes === undefined || mood === "missing") return void response.writeHead(404).end();
    if (mood === "flaky" && !this.isHealed) return void response.writeHead(503).end();
    const etag = `"${name}-${bytes.length}"`;
    const headers = { etag, "accept-ranges": "bytes" };
    const isStale = (request.headers["if-range"] ?? etag) !== etag;
    const match = isStale ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const start = Number(match?.[1] ?? 0);
    const end = Math.min(bytes.length, Number(match?.[2] || Infinity) + 1);
    if (match !== null && start >= bytes.length) {
      const contentRange = `bytes */${bytes.length}`;
      return void response.writeHead(416, { ...headers, "content-range": contentRange }).end();
    }
    const range = { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` };
    response.writeHead(match === null ? 200 : 206, {
      ...headers,
      ...(match === null ? {} : range),
      "content-length": end - start,
    });
    const body = bytes.subarray(start, end);
    if (request.method === "HEAD") response.end();
    else if (mood === "stall" && !this.isHealed) response.write(body.subarray(0, body.length / 2));
    else if (mood === "slow" && !this.isHealed) await sendSlowly(response, body);
    else response.end(body);
  }
}

async function sendSlowly(response: ServerResponse, body: Buffer): Promise<void> {
  for (let at = 0; at < body.length && !response.destroyed; at += SLOW_CHUNK_BYTES) {
    response.write(body.subarray(at, at + SLOW_CHUNK_BYTES));
    await delay(SLOW_CHUNK_MS);
  }
  response.end();
}

function moodAndName(path: string): readonly [mood: string, name: string] {
  const [, mood = "", name = ""] = path.split("/");
  return [mood, name];
}
