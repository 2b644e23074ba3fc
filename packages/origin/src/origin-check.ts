/**
 * Asks an origin for one byte to see whether it can be reached: names, addresses, proxies, TLS and
 * redirects are those of every other request. What the server says about the file does not matter;
 * that it says something, and what time it has, does.
 *
 * Knows one request at a time, and tries nothing twice. Used by the agent's doctor.
 */
import { ERRORS, parseHttpDate } from "@shoal/core";
import type { ErrorInfo, Millis, UnixMillis } from "@shoal/core";
import type { Connections } from "./connections.ts";
import type { OriginQuestion } from "./interpret-response.ts";
import { JobCredentials } from "./job-credentials.ts";
import { parseOriginUrl } from "./origin-url.ts";
import { Pace } from "./pace.ts";
import { OriginRequest } from "./request.ts";
import type { Errand, OriginResponse, RequestOptions } from "./request.ts";

/** What came of asking. With neither `status` nor `error` the URL was given up by the caller. */
export interface OriginLook {
  /** Of the last answer, if there was any. */
  readonly status?: number;
  /** What the server's clock shows (`Date`), and what ours showed when it came. */
  readonly serverTimeAt?: UnixMillis;
  readonly receivedAt?: UnixMillis;
  /** Without port; the proxy's, where one is in between. */
  readonly address?: string;
  readonly elapsedMs: Millis;
  /** Why the file would not be fetched. A `status` beside it says that the server does answer. */
  readonly error?: ErrorInfo;
}

export interface OriginCheck {
  /** Never rejects; `signal` ends the look with what is known. */
  look(url: string, signal: AbortSignal): Promise<OriginLook>;
  close(): void;
}

export function originCheckOf(connections: Connections, options: RequestOptions): OriginCheck {
  return {
    look: (url, signal) => look(url, { connections, options, signal }),
    close: () => connections.close(),
  };
}

async function look(
  url: string,
  {
    connections,
    options,
    signal,
  }: {
    readonly connections: Connections;
    readonly options: RequestOptions;
    readonly signal: AbortSignal;
  },
): Promise<OriginLook> {
  const beganAt = performance.now();
  const parsed = parseOriginUrl(url);
  const credentials = JobCredentials.of(undefined);
  if (!parsed.ok || credentials === undefined) {
    const message = `${ERRORS.ERR_URL_INVALID.message}${parsed.ok ? "" : `: ${parsed.reason}`}`;
    return { elapsedMs: 0, error: { code: "ERR_URL_INVALID", message } };
  }
  const { promise, resolve } = Promise.withResolvers<ErrorInfo | undefined>();
  let answer: Omit<OriginLook, "elapsedMs" | "error"> = {};
  const request = new OriginRequest(
    {
      connections,
      flow: { isOpen: true },
      pace: new Pace(() => {}),
      errand: lookErrand(parsed.url, () => resolve(undefined)),
      credentials,
      onAnswered: (response) => (answer = answerOf(response)),
      onFailed: ({ error }) => resolve(error),
      onOver: () => {},
    },
    options,
  );
  const onAbort = (): void => {
    request.cancel();
    resolve(undefined);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  else request.start();
  const error = await promise.finally(() => signal.removeEventListener("abort", onAbort));
  const elapsedMs = Math.round(performance.now() - beganAt);
  return { ...answer, elapsedMs, ...(error !== undefined && { error }) };
}

function answerOf({ status, headers, address }: OriginResponse): Omit<OriginLook, "elapsedMs"> {
  const text = /^date:[ \t]*(.+?)[ \t]*\r$/im.exec(headers)?.[1];
  const serverTimeAt = text === undefined ? undefined : parseHttpDate(text);
  return {
    status,
    address,
    ...(serverTimeAt !== undefined && { serverTimeAt, receivedAt: Date.now() }),
  };
}

/** Asks for the first byte, and is content with any answer. */
function lookErrand(url: URL, onDone: () => void): Errand {
  const done = (): "done" => {
    onDone();
    return "done";
  };
  return {
    url,
    fresh: false,
    question: (): OriginQuestion => ({ kind: "probe" }),
    onAnswer: done,
    onBytes: () => "more",
    onEnd: () => "more",
    abandon: () => {},
  };
}
