/**
 * A client of the DO-compatible listener, written from the agent REST reference alone: it finds the
 * port as the SDK does, sends the SDK's request lines, and reads responses by the rules of the SDK's
 * minimal parser, whatever those do not forgive being an error here.
 *
 * Knows sockets and bytes; nothing of Shoal.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface DoResponse {
  readonly status: number;
  readonly statusLine: string;
  /** Lines of the head after the first. */
  readonly fields: readonly string[];
  readonly body: string;
  readonly json: Readonly<Record<string, unknown>>;
  /** All of it, as it came. */
  readonly text: string;
}

export interface DoStatus {
  readonly Status: string;
  readonly BytesTotal: string;
  readonly BytesTransferred: string;
  readonly ErrorCode: string;
  readonly ExtendedErrorCode: string;
}

export interface ConnectOptions {
  /** The address that the client's own socket is bound to. */
  readonly localAddress?: string;
}

const RESPONSE_BYTES_MAX = 2_048;
const STATUS_LINE = /^[hHtTpP/1.]+ (\d+) [A-Za-z0-9 ]+$/;
const DEADLINE_MS = 30_000;

/** As the SDK looks for it: the newest of all files with `restport` in their names. */
export async function findPort(runDirectory: string, rounds = 3): Promise<number> {
  for (let look = 0; look < rounds * 4; look++) {
    await delay(250);
    const names = await readdir(runDirectory).catch(() => []);
    let newest: { path: string; mtimeMs: number } | undefined;
    for (const name of names.filter((one) => one.includes("restport"))) {
      const path = join(runDirectory, name);
      const { mtimeMs } = await stat(path);
      if (newest === undefined || mtimeMs > newest.mtimeMs) newest = { path, mtimeMs };
    }
    if (newest === undefined) continue;
    const [line = ""] = (await readFile(newest.path, "utf8")).split("\n");
    return Number.parseInt(line, 10);
  }
  throw new Error("DO_E_NO_SERVICE");
}

/** One persistent connection. */
export class DoClient implements AsyncDisposable {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #isClosed = false;
  #wake = (): void => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  static async connect(port: number, options: ConnectOptions = {}): Promise<DoClient> {
    const socket = connect({ host: "127.0.0.1", port, ...options });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once("connect", resolve).once("error", reject);
    await promise;
    return new DoClient(socket);
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The SDK's own bytes: no slash before the path. */
  async call(method: "GET" | "POST" | "PUT", target: string): Promise<DoResponse> {
    this.send(requestOf(method, target));
    return await this.read();
  }

  /** The next response, by the SDK's rules; bytes beyond it are an error unless `isPipelined`. */
  async read({ isPipelined = false } = {}): Promise<DoResponse> {
    const deadlineAt = performance.now() + DEADLINE_MS;
    while (true) {
      const response = this.#parse(isPipelined);
      if (response !== undefined) return response;
      if (this.#isClosed) throw new Error(`closed after ${this.#received.toString()}`);
      await this.#something(deadlineAt);
    }
  }

  /** Everything up to the end of the connection. */
  async readToEnd(): Promise<string> {
    const deadlineAt = performance.now() + DEADLINE_MS;
    while (!this.#isClosed) await this.#something(deadlineAt);
    return this.#received.toString();
  }

  async create(uri: string, path: string): Promise<string> {
    const query = `Uri=${encode(uri)}&DownloadFilePath=${encode(path)}`;
    const { Id } = okay(await this.call("POST", `download/create?${query}`));
    return String(Id);
  }

  /** `start`, `pause`, `finalize` or `abort`: the error code, 0 for success. */
  async verb(operation: string, id: string): Promise<number> {
    return errorOf(await this.call("POST", `download/${operation}?Id=${id}`));
  }

  async status(id: string): Promise<DoStatus> {
    const json = okay(await this.call("GET", `download/getstatus?Id=${id}`));
    for (const name of STATUS_FIELDS) {
      if (typeof json[name] !== "string") throw new Error(`no ${name}: the SDK ends its process`);
    }
    return json as unknown as DoStatus;
  }

  async set(id: string, query: string): Promise<number> {
    return errorOf(await this.call("POST", `download/setproperty?Id=${id}&${query}`));
  }

  /** Polls until the status is that one. */
  async until(
    id: string,
    isWanted: string | ((status: DoStatus) => boolean),
    deadlineMs = 20_000,
  ): Promise<DoStatus> {
    const deadlineAt = performance.now() + deadlineMs;
    const fits =
      typeof isWanted === "string" ? (one: DoStatus) => one.Status === isWanted : isWanted;
    while (true) {
      const status = await this.status(id);
      if (fits(status)) return status;
      if (performance.now() > deadlineAt) throw new Error(`still ${JSON.stringify(status)}`);
      await delay(20);
    }
  }

  close(): void {
    this.socket.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  async #something(deadlineAt: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leftMs = Math.max(1, deadlineAt - performance.now());
    const timer = setTimeout(() => reject(new Error("no response in time")), leftMs);
    this.#wake = resolve;
    await promise.finally(() => clearTimeout(timer));
  }

  #parse(isPipelined: boolean): DoResponse | undefined {
    const text = this.#received.toString("latin1");
    const headEnd = text.indexOf("\r\n\r\n");
    if (headEnd < 0) return undefined;
    const [statusLine = "", ...fields] = text.slice(0, headEnd).split("\r\n");
    const [, digits] = STATUS_LINE.exec(statusLine) ?? [];
    if (digits === undefined) throw new Error(`the SDK refuses ${JSON.stringify(statusLine)}`);
    const lengthLine = fields.find((field) => field.includes("Content-Length"));
    const length = Number(/:[ ]*(\d+)/.exec(lengthLine ?? ":0")?.[1]);
    const end = headEnd + 4 + length;
    if (this.#received.length < end) return undefined;
    if (!isPipelined && this.#received.length > end) throw new Error("surplus bytes");
    if (end > RESPONSE_BYTES_MAX) throw new Error("the SDK ends its process");
    const body = this.#received.subarray(headEnd + 4, end).toString();
    this.#received = this.#received.subarray(end);
    const json = body === "" ? {} : (JSON.parse(body) as Record<string, unknown>);
    return { status: Number(digits), statusLine, fields, body, json, text: text.slice(0, end) };
  }
}

const STATUS_FIELDS = [
  "Status",
  "BytesTotal",
  "BytesTransferred",
  "ErrorCode",
  "ExtendedErrorCode",
] as const;

/** Byte for byte what the SDK sends. */
export function requestOf(method: string, target: string): string {
  return `${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: DO-SDK-CPP\r\n\r\n`;
}

/** The characters that the SDK leaves as they are. */
export function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/%(3A|2F|3F|40|2C|24)/g, (escape) =>
    decodeURIComponent(escape),
  );
}

/** The code as an unsigned number, 0 for success; a failure without a body is the SDK's −1. */
export function errorOf({ status, json }: DoResponse): number {
  if (status === 200) return 0;
  const code = json["ErrorCode"];
  return typeof code === "number" ? code >>> 0 : -1;
}

function okay(response: DoResponse): Readonly<Record<string, unknown>> {
  if (response.status !== 200) {
    throw new Error(`${response.statusLine} 0x${errorOf(response).toString(16)}`);
  }
  return response.json;
}
