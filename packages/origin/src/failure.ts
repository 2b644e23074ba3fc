/**
 * Failures of requests to origins: what went wrong in words, and how errors of sockets, TLS and the
 * HTTP parser translate. Text that servers control never enters a message, apart from URLs in the
 * form of `showUrl` (R-LOG-02). Used by every other module of this package.
 */
import { errorInfo } from "@shoal/core";
import type { ErrorCode, Millis, OriginFailure, OriginFailureKind } from "@shoal/core";
import type { ConnectionFault } from "./http-connection.ts";
import { showUrl } from "./origin-url.ts";

/** A failure before it is tied to a URL. */
export interface Refusal {
  readonly kind: OriginFailureKind;
  readonly code: ErrorCode;
  /** In words, to follow the URL: "connection refused by 192.0.2.1:80". */
  readonly reason: string;
  /** The response's status, where that is what failed. */
  readonly originStatus?: number;
  readonly retryAfterMs?: Millis;
}

/** The failure as core sees it: `GET http://host/path: reason`. */
export function failureOf(refusal: Refusal, url: URL): OriginFailure {
  const { kind, code, reason, originStatus, retryAfterMs } = refusal;
  const error = errorInfo(code, `GET ${showUrl(url)}: ${reason}`);
  return {
    kind,
    error: originStatus === undefined ? error : { ...error, originStatus },
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** A connection that could not be made, with the refusal it means. */
export class DialError extends Error {
  override readonly name = "DialError";
  readonly refusal: Refusal;

  constructor(refusal: Refusal, cause?: unknown) {
    super(refusal.reason, { cause });
    this.refusal = refusal;
  }
}

const NETWORK_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused by",
  ECONNRESET: "connection reset by",
  EPIPE: "connection closed by",
  ENOTFOUND: "host name not found:",
  EAI_AGAIN: "host name lookup failed:",
  EHOSTUNREACH: "no route to",
  ENETUNREACH: "no route to",
};

const PHASE_REASONS = {
  connect: "connecting to",
  secure: "TLS with",
  exchange: "the connection to",
} as const;

/** Translates an error of a socket to `authority` ("host:port"). `phase` is what it was doing. */
export function socketRefusal(
  error: unknown,
  authority: string,
  phase: keyof typeof PHASE_REASONS,
): Refusal {
  const code = codeOf(error);
  if (code === "ERR_IP_BLOCKED" || blockedInAll(error)) {
    return addressRefusal(authority);
  }
  if (code === "ETIMEDOUT") return timeoutRefusal(`connecting to ${authority} took too long`);
  const words = NETWORK_REASONS[code];
  const reason =
    words === undefined
      ? `${PHASE_REASONS[phase]} ${authority} failed (${code})`
      : `${words} ${authority}`;
  const isUnresolved = code === "ENOTFOUND" || code === "EAI_AGAIN";
  return {
    kind: "transient",
    code: isUnresolved ? "ERR_ORIGIN_UNRESOLVED" : "ERR_ORIGIN_UNREACHABLE",
    reason,
  };
}

/** The address behind `authority` is not one to connect to (R-HTTP-03, R-HTTP-04). */
export function addressRefusal(authority: string): Refusal {
  const reason = `the address of ${authority} is not allowed`;
  return { kind: "fatal", code: "ERR_ADDRESS_REFUSED", reason };
}

/** The proxy itself answered with a status that is no success, or with something else in words. */
export function proxyRefusal(answer: number | string): Refusal {
  if (typeof answer === "string") {
    return { kind: "fatal", code: "ERR_PROXY_REFUSED", reason: `the proxy is broken: ${answer}` };
  }
  const reason = `the proxy answered with status ${answer}`;
  return answer === 408 || answer === 429 || answer >= 500
    ? { kind: "transient", code: "ERR_ORIGIN_UNREACHABLE", reason }
    : { kind: "fatal", code: "ERR_PROXY_REFUSED", reason };
}

/** The certificate of `authority` has these faults, and not all of them are tolerated. */
export function certificateRefusal(faults: readonly string[], authority: string): Refusal {
  return {
    kind: "transient",
    code: "ERR_ORIGIN_UNREACHABLE",
    reason: `TLS with ${authority} failed (certificate: ${faults.join(", ")})`,
  };
}

/** A wait that ended without its event. */
export function timeoutRefusal(reason: string): Refusal {
  return { kind: "timeout", code: "ERR_ORIGIN_TIMEOUT", reason };
}

/** The answer breaks HTTP or the range contract. `ranged`: whether a `Range` had been asked for. */
export function brokenRefusal(reason: string, ranged: boolean): Refusal {
  return { kind: ranged ? "rangeBroken" : "fatal", code: "ERR_ORIGIN_PROTOCOL", reason };
}

/** The body ended before its announced length; what came before stays delivered (R-HTTP-10). */
export function endedEarlyRefusal(): Refusal {
  return { kind: "transient", code: "ERR_ORIGIN_UNAVAILABLE", reason: "the body ended early" };
}

/** What the end of a request without its whole response means. */
export function exchangeRefusal(
  fault: ConnectionFault,
  about: { readonly authority: string; readonly answered: boolean; readonly ranged: boolean },
): Refusal {
  switch (fault) {
    case "notHttp":
      return brokenRefusal("the answer is not HTTP/1.1", about.ranged);
    case "headTooLong":
      return brokenRefusal("the header block is too long", about.ranged);
    case "endedEarly":
      if (about.answered) return endedEarlyRefusal();
      break;
    case "noAnswer":
    case "stale":
      break;
    case "headTimeout":
      return timeoutRefusal("no answer came in time");
    case "bodyTimeout":
      return timeoutRefusal("the body stopped coming");
    default:
      if ("dial" in fault) return fault.dial.refusal;
      if (about.answered) return endedEarlyRefusal();
      return socketRefusal(fault.socket, about.authority, "exchange");
  }
  return socketRefusal(CLOSED, about.authority, "exchange");
}

/** Stands for a connection that the other side closed without an error. */
export const CLOSED: Error = Object.assign(new Error("closed"), { code: "EPIPE" });

function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "unknown";
  return typeof error.code === "string" ? error.code : "unknown";
}

/** Whether each address of a host was refused: several attempts are reported as one error. */
function blockedInAll(error: unknown): boolean {
  return (
    error instanceof AggregateError &&
    error.errors.length > 0 &&
    error.errors.every((attempt) => codeOf(attempt) === "ERR_IP_BLOCKED")
  );
}
