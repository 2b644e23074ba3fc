/**
 * Asks an agent over its REST API (docs/rest-api.md): calls with deadlines, and long answers. What is
 * asked ends with the connection at the latest.
 *
 *   open ─close─▶ closed            calls: ERR_AGENT_CLOSED
 *   open ─connection lost─▶ lost    what waited: ERR_AGENT_CLOSED; later calls: ERR_AGENT_UNREACHABLE
 *
 * Knows HTTP and problems, no route. The agent is whoever can listen in a directory of the user's own,
 * or has the token, and is believed. Used by the remote services.
 */
import { Agent, request as httpRequest } from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { ERRORS, LIMITS, ShoalError } from "@shoal/core";
import type { ErrorCode, Millis } from "@shoal/core";

/** Where an agent listens: its socket, or its port with the token of its token file. */
export type AgentAddress =
  /** A Unix socket's path, or `\\.\pipe\name` on Windows. */
  | { readonly socketPath: string }
  /** Such as `http://127.0.0.1:7070`. */
  | { readonly url: string; readonly token: string };

export interface RestClientOptions {
  /** For each call, unless it says otherwise. */
  readonly timeoutMs: Millis;
}

export interface CallOptions {
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  /** `Infinity`: as long as it takes. */
  readonly timeoutMs?: Millis;
  /** Whether the token is sent. Default true. */
  readonly isTrusted?: boolean;
}

interface AskOptions extends CallOptions {
  /** On a connection of its own. */
  readonly isLong: boolean;
  readonly abort: AbortController;
  /** How often it was asked before, on connections that were lost. */
  readonly attempts?: number;
}

type Method = "GET" | "POST" | "PATCH" | "DELETE";

/** Connections for calls; long answers have their own. */
const CONNECTIONS_MAX = 16;
const CONNECTIONS_IDLE_MAX = 4;
/** How often and after what time something is asked again that the agent has not seen. */
const ATTEMPTS_MAX = 100;
const ATTEMPT_INTERVAL_MS = 50;
const NARROW_MS = 1_000;
const NOBODY_CODES: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOENT",
  "EACCES",
  "EPERM",
  "ENOTSOCK",
  "ENOTDIR",
  "EAGAIN",
]);

export class RestClient {
  /** In the words of errors. */
  readonly place: string;
  readonly #target: { socketPath: string } | { host: string; port: string };
  readonly #host: string;
  readonly #token: string | undefined;
  readonly #timeoutMs: Millis;
  readonly #agent: Agent;
  readonly #requests = new Set<ClientRequest>();
  readonly #endListeners = new Set<(error: ShoalError) => void>();
  /** What must have been answered before anything else is asked. */
  readonly #earlier = new Set<Promise<unknown>>();
  /** Why calls are refused. */
  #over: "closed" | "lost" | undefined;

  constructor(address: AgentAddress, { timeoutMs }: RestClientOptions) {
    this.#timeoutMs = timeoutMs;
    if ("socketPath" in address) {
      this.place = address.socketPath;
      this.#target = { socketPath: address.socketPath };
      this.#host = "localhost";
    } else {
      const { hostname, port, host } = new URL(address.url);
      this.place = address.url;
      this.#token = address.token;
      this.#target = { host: hostname, port };
      this.#host = host;
    }
    const options = { maxSockets: CONNECTIONS_MAX, maxFreeSockets: CONNECTIONS_IDLE_MAX };
    this.#agent = new Agent({ keepAlive: true, ...options });
  }

  /** The answer's JSON. Rejects with the agent's error, `ERR_TIMEOUT`, or as the head says. */
  async call(method: Method, path: string, options: CallOptions = {}): Promise<unknown> {
    const text = await this.text(method, path, options);
    return parsed(text, path);
  }

  /** The items of an answer that has a line of JSON for each. */
  async lines(path: string): Promise<readonly unknown[]> {
    const text = await this.text("GET", path, { headers: { accept: "application/x-ndjson" } });
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => parsed(line, path));
  }

  /** The answer as it comes, for as long as it comes. The call's time is that to its head. */
  async open(method: Method, path: string, options: CallOptions = {}): Promise<IncomingMessage> {
    await this.#turn();
    return this.#within(options, path, (abort) =>
      this.#ask(method, path, { ...options, isLong: true, abort }),
    );
  }

  /** Nothing is asked before `what` has settled. */
  first(what: Promise<unknown>): void {
    const settled = what.catch(() => {}).finally(() => this.#earlier.delete(settled));
    this.#earlier.add(settled);
  }

  /** Calls `listener` when nothing can be asked any more, at once if that is so already. */
  onEnd(listener: (error: ShoalError) => void): () => void {
    if (this.#over !== undefined) listener(this.#refusal(this.#over));
    else this.#endListeners.add(listener);
    return () => void this.#endListeners.delete(listener);
  }

  get isOver(): boolean {
    return this.#over !== undefined;
  }

  /** open -> closed or lost. Idempotent. */
  end(how: "closed" | "lost"): void {
    if (this.#over !== undefined) return;
    this.#over = how;
    const error = new ShoalError("ERR_AGENT_CLOSED");
    for (const request of this.#requests) request.destroy(error);
    this.#agent.destroy();
    for (const listener of this.#endListeners) listener(error);
    this.#endListeners.clear();
  }

  async text(method: Method, path: string, options: CallOptions = {}): Promise<string> {
    await this.#turn();
    return this.#within(options, path, async (abort) => {
      const response = await this.#ask(method, path, { ...options, isLong: false, abort });
      return await this.#read(response);
    });
  }

  async #turn(): Promise<void> {
    if (this.#over !== undefined) throw this.#refusal(this.#over);
    if (this.#requests.size >= LIMITS.restCallsWaitingMax) {
      throw new ShoalError("ERR_USAGE", `${this.#requests.size} calls wait already`);
    }
    if (this.#earlier.size > 0) await Promise.all(this.#earlier);
    // It has waited, and so ends like all that waits.
    if (this.#over !== undefined) throw this.#refusal("closed");
  }

  /** What `ask` comes to, unless it takes too long. */
  async #within<Result>(
    { timeoutMs = this.#timeoutMs }: CallOptions,
    path: string,
    ask: (abort: AbortController) => Promise<Result>,
  ): Promise<Result> {
    const abort = new AbortController();
    const { promise, reject } = Promise.withResolvers<never>();
    const late = (): void => {
      const error = new ShoalError("ERR_TIMEOUT", `${path} took longer than ${timeoutMs} ms`);
      reject(error);
      abort.abort(error);
    };
    const timer = timeoutMs === Infinity ? undefined : setTimeout(late, timeoutMs);
    try {
      return await Promise.race([ask(abort), promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #ask(method: Method, path: string, options: AskOptions): Promise<IncomingMessage> {
    const body = method === "GET" ? undefined : encodeBody(options.body ?? {});
    const { signal } = options.abort;
    const request = this.#start(method, path, { options, bodyLength: body?.length });
    try {
      const response = await answered(request, body);
      if ((response.statusCode ?? 0) < 400) return response;
      throw problemOf(await this.#read(response), this.place);
    } catch (error) {
      if (error instanceof ShoalError) throw error;
      if (signal.aborted) throw signal.reason as Error;
      const { attempts = 0 } = options;
      const isUnseen = !request.reusedSocket || method === "GET";
      if (isUnseen && isReset(error) && this.#over === undefined && attempts < ATTEMPTS_MAX) {
        if (!request.reusedSocket) await this.#narrow();
        return this.#ask(method, path, { ...options, attempts: attempts + 1 });
      }
      throw this.#lost(attempts > 0 ? undefined : error);
    }
  }

  #start(
    method: Method,
    path: string,
    { options, bodyLength }: { options: AskOptions; bodyLength: number | undefined },
  ): ClientRequest {
    const { isLong, abort, isTrusted = true } = options;
    const hasToken = this.#token !== undefined && isTrusted;
    const request = httpRequest({
      ...this.#target,
      method,
      path,
      agent: isLong ? false : this.#agent,
      signal: abort.signal,
      headers: {
        host: this.#host,
        ...(hasToken && { authorization: `Bearer ${this.#token}` }),
        ...(bodyLength !== undefined && {
          "content-type": "application/json",
          "content-length": bodyLength,
        }),
        ...options.headers,
      },
    });
    request.setNoDelay(true);
    this.#requests.add(request);
    request.once("close", () => this.#requests.delete(request));
    request.on("error", () => {}); // Whoever waits hears of it as well.
    return request;
  }

  /**
   * The agent has let a new connection in and closed it, as it does when it has too many or can open
   * none: nothing was seen of what was asked. For a while those that are open must do.
   */
  async #narrow(): Promise<void> {
    const { sockets, freeSockets } = this.#agent;
    const lists = [...Object.values(sockets), ...Object.values(freeSockets)];
    const openCount = lists.reduce((count, list = []) => count + list.length, 0);
    this.#agent.maxSockets = Math.max(1, openCount);
    const widen = (): void => void (this.#agent.maxSockets = CONNECTIONS_MAX);
    setTimeout(widen, NARROW_MS).unref();
    await delay(ATTEMPT_INTERVAL_MS);
  }

  async #read(response: IncomingMessage): Promise<string> {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString("utf8");
    } catch (error) {
      if (error instanceof ShoalError) throw error;
      throw this.#lost(error);
    }
  }

  /** What a broken connection means to who was waiting. */
  #lost(cause: unknown): ShoalError {
    const { code = "" } = (cause ?? {}) as NodeJS.ErrnoException;
    const over = this.#over;
    this.end("lost");
    if (over !== undefined) return this.#refusal("closed");
    const isNobody = NOBODY_CODES.has(code);
    return isNobody
      ? new ShoalError("ERR_AGENT_UNREACHABLE", this.place, { cause })
      : new ShoalError("ERR_AGENT_CLOSED", undefined, { cause });
  }

  #refusal(over: "closed" | "lost"): ShoalError {
    if (over === "closed") return new ShoalError("ERR_AGENT_CLOSED");
    return new ShoalError("ERR_AGENT_UNREACHABLE", this.place);
  }
}

function isReset(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === "ECONNRESET" || code === "EPIPE";
}

function answered(request: ClientRequest, body: Buffer | undefined): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.once("response", resolve);
  request.once("error", reject);
  request.end(body);
  return promise;
}

/** `ERR_USAGE` for what is too long, is no JSON, or has numbers that JSON has no words for. */
function encodeBody(body: object): Buffer {
  let text: string;
  try {
    text = JSON.stringify(body, refuseLossy);
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    throw new ShoalError("ERR_USAGE", "a value cannot be written as JSON", { cause });
  }
  const bytes = Buffer.from(text);
  if (bytes.length > LIMITS.restJobBodyBytesMax) {
    throw new ShoalError("ERR_USAGE", `${bytes.length} bytes are too many for one call`);
  }
  return bytes;
}

/** JSON would turn these numbers into `null`, which takes values back. */
function refuseLossy(name: string, value: unknown): unknown {
  if (typeof value !== "number" || Number.isFinite(value)) return value;
  throw new ShoalError("ERR_USAGE", `${name} is ${value}`);
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const details = `its answer to ${path} is not as documented`;
    throw new ShoalError("ERR_AGENT_UNREACHABLE", details, { cause });
  }
}

function problemOf(text: string, place: string): ShoalError {
  const problem = parsed(text, place) as {
    readonly code?: string;
    readonly detail?: string;
    readonly originStatus?: number;
  };
  const { code = "", detail = "", originStatus } = problem;
  if (!Object.hasOwn(ERRORS, code)) {
    return new ShoalError("ERR_AGENT_UNREACHABLE", `${place} is no agent of this version`);
  }
  const status = originStatus === undefined ? {} : { originStatus };
  return ShoalError.from({ code: code as ErrorCode, message: detail, ...status });
}
