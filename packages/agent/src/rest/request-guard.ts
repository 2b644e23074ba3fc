/**
 * What is refused before anything else looks at a request: other hosts' names (DNS rebinding), other
 * sites' pages, bodies that a form could send, and callers without the token (R-API-02 to R-API-05).
 *
 * Knows heads of requests, as they came. Called by the REST server for every request.
 */
import type { IncomingMessage, OutgoingMessage } from "node:http";
import type { ErrorCode } from "@shoal/core";
import type { TokenGate } from "./token-gate.ts";

export interface GuardOptions {
  /** What `Host` may say, letter by letter. */
  readonly hosts: ReadonlySet<string>;
  /** Absent: whoever can connect may ask. */
  readonly token: TokenGate | undefined;
}

/** Paths that need no token: they tell nothing. */
const OPEN_PATHS: ReadonlySet<string> = new Set(["/healthz", "/challenge"]);
const JSON_TYPE = /^application\/json *(?:; *charset="?utf-8"? *)?$/i;

/** R-API-07, on every answer. */
const SECURITY_HEADERS: readonly (readonly [string, string])[] = [
  [
    "content-security-policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ],
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
  ["cache-control", "no-store"],
  ["cross-origin-resource-policy", "same-origin"],
];

export const SECURITY_HEADER_TEXT = SECURITY_HEADERS.map(
  ([name, value]) => `${name}: ${value}\r\n`,
).join("");

export function setSecurityHeaders(response: OutgoingMessage): void {
  for (const [name, value] of SECURITY_HEADERS) response.setHeader(name, value);
}

/** Why the request is not answered; `undefined`: it may be. */
export function refusalOf(request: IncomingMessage, options: GuardOptions): ErrorCode | undefined {
  const { method = "", url = "" } = request;
  const { rawHeaders } = request;
  const [host, ...otherHosts] = valuesOf(rawHeaders, "host");
  if (host === undefined || otherHosts.length > 0 || !options.hosts.has(host)) {
    return "ERR_HOST_REFUSED";
  }
  // The absolute form names a host of its own.
  if (!url.startsWith("/")) return "ERR_HOST_REFUSED";
  for (const origin of valuesOf(rawHeaders, "origin")) {
    if (origin !== `http://${host}`) return "ERR_CROSS_SITE";
  }
  for (const site of valuesOf(rawHeaders, "sec-fetch-site")) {
    if (site !== "same-origin" && site !== "none") return "ERR_CROSS_SITE";
  }
  if (method === "OPTIONS") return "ERR_CROSS_SITE";
  const authorizations = valuesOf(rawHeaders, "authorization");
  const path = url.split("?", 1)[0] ?? "";
  if (options.token !== undefined && !OPEN_PATHS.has(path)) {
    const refusal = options.token.check(
      authorizations.length === 1 ? authorizations[0] : undefined,
    );
    if (refusal !== undefined) return refusal;
  }
  if (method === "GET" || method === "HEAD") return undefined;
  const types = valuesOf(rawHeaders, "content-type");
  const isJson = types.length === 1 && JSON_TYPE.test(types[0] ?? "");
  return isJson ? undefined : "ERR_MEDIA_TYPE";
}

/** Every value of the field, where Node would keep the first or join them. */
function valuesOf(rawHeaders: readonly string[], name: string): readonly string[] {
  const values: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === name) values.push(rawHeaders[i + 1] ?? "");
  }
  return values;
}
