/**
 * Reads what lies at a URL from its start to its end, for callers that need no pieces of it: files
 * whose origin does not say how long they are. Redirects, addresses, proxies, timeouts and limits
 * are those of every other request to an origin.
 *
 * Knows one request at a time; tries nothing twice, and verifies nothing. Used by the agent.
 */
import { ShoalError } from "@shoal/core";
import type { OriginFailure } from "@shoal/core";
import type { Connections } from "./connections.ts";
import { endedEarlyRefusal } from "./failure.ts";
import type { OriginQuestion } from "./interpret-response.ts";
import { JobCredentials } from "./job-credentials.ts";
import { parseOriginUrl } from "./origin-url.ts";
import { Pace } from "./pace.ts";
import { OriginRequest } from "./request.ts";
import type { Answer, Errand, Progress, RequestOptions } from "./request.ts";

/** Bytes that may wait for their taker before reading stops. */
const WAITING_BYTES_MAX = 1024 * 1024;

export interface ReadBodyOptions {
  readonly signal: AbortSignal;
  /** Takes the bytes in order, each lot after the one before. Rejecting ends the reading. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
}

export interface BodyReader {
  /** Resolves at the end of the body; rejects with `ShoalError`, or the reason of whoever took it. */
  read(url: string, options: ReadBodyOptions): Promise<void>;
  close(): void;
}

export function bodyReaderOf(connections: Connections, requestOptions: RequestOptions): BodyReader {
  return {
    async read(url, { signal, write }) {
      signal.throwIfAborted();
      const parsed = parseOriginUrl(url);
      if (!parsed.ok) throw new ShoalError("ERR_URL_INVALID", parsed.reason);
      const credentials = JobCredentials.of(undefined);
      if (credentials === undefined) throw new ShoalError("ERR_CLIENT_CERTIFICATE_INVALID");
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const flow = { isOpen: true };
      const errand = new BodyErrand(parsed.url, {
        write,
        onFlow: (isOpen) => {
          flow.isOpen = isOpen;
          request.applyFlow();
        },
        onDone: resolve,
        onTakerFailed: (error) => {
          reject(error);
          request.cancel();
        },
      });
      const request: OriginRequest = new OriginRequest(
        {
          connections,
          flow,
          pace: new Pace(() => {}),
          errand,
          credentials,
          onAnswered: () => {},
          onFailed: ({ error }: OriginFailure) => reject(ShoalError.from(error)),
          onOver: () => {},
        },
        requestOptions,
      );
      const onAbort = (): void => {
        request.cancel();
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort);
      request.start();
      await promise.finally(() => signal.removeEventListener("abort", onAbort));
    },
    close: () => connections.close(),
  };
}

interface BodyErrandDeps {
  readonly write: ReadBodyOptions["write"];
  readonly onFlow: (isOpen: boolean) => void;
  /** All bytes were taken. */
  readonly onDone: () => void;
  readonly onTakerFailed: (error: unknown) => void;
}

class BodyErrand implements Errand {
  readonly url: URL;
  readonly fresh = false;
  readonly #deps: BodyErrandDeps;
  #taking: Promise<void> = Promise.resolve();
  #waitingBytes = 0;
  #expected: number | undefined;
  #received = 0;

  constructor(url: URL, deps: BodyErrandDeps) {
    this.url = url;
    this.#deps = deps;
  }

  question(): OriginQuestion {
    return { kind: "whole" };
  }

  onAnswer(answer: Answer): Progress {
    this.#expected = answer.kind === "body" ? answer.length : undefined;
    return "more";
  }

  onBytes(bytes: Uint8Array): Progress {
    this.#received += bytes.length;
    const copy = bytes.slice();
    this.#waitingBytes += copy.length;
    if (this.#waitingBytes > WAITING_BYTES_MAX) this.#deps.onFlow(false);
    this.#taking = this.#taking.then(() => this.#deps.write(copy)).then(() => this.#taken(copy));
    this.#taking.catch(this.#deps.onTakerFailed);
    return "more";
  }

  onEnd(): Progress {
    if (this.#expected !== undefined && this.#received < this.#expected) return endedEarlyRefusal();
    this.#taking.then(this.#deps.onDone, () => {});
    return "done";
  }

  abandon(): void {}

  #taken({ length }: Uint8Array): void {
    this.#waitingBytes -= length;
    if (this.#waitingBytes <= WAITING_BYTES_MAX / 2) this.#deps.onFlow(true);
  }
}
