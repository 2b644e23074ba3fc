/**
 * Which URLs may be asked for, and how they are shown. Knows the WHATWG form of a URL; knows no
 * addresses and no responses. Called for every command and every redirect.
 */
import { LIMITS, SIDECAR_SUFFIX } from "@shoal/core";

/** Longest URL text in a message (R-LOG-02). */
const SHOWN_LENGTH_MAX = 256;

export type UrlResult =
  | { readonly ok: true; readonly url: URL }
  | { readonly ok: false; readonly reason: string };

/** Accepts `http:` and `https:` URLs without user name and password (R-HTTP-01). */
export function parseOriginUrl(text: string, base?: URL): UrlResult {
  if (text.length > LIMITS.urlLengthMax) return { ok: false, reason: "the URL is too long" };
  const url = URL.parse(text, base?.href);
  if (url === null) return { ok: false, reason: "the URL cannot be parsed" };
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return { ok: false, reason: `the scheme ${url.protocol.slice(0, 32)} is not http: or https:` };
  }
  if (url.username !== "" || url.password !== "") {
    return { ok: false, reason: "the URL has a user name or password" };
  }
  if (url.href.length > LIMITS.urlLengthMax) return { ok: false, reason: "the URL is too long" };
  url.hash = "";
  return { ok: true, url };
}

/** A URL for messages: scheme, host and path, never user name, password or query (R-LOG-01). */
export function showUrl(url: URL): string {
  const text = `${url.protocol}//${url.host}${url.pathname}`;
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
}

/** Where the manifest of the file at `url` lies: its path with a suffix, its query unchanged. */
export function sidecarUrl(url: URL): URL {
  const sidecar = new URL(url);
  sidecar.pathname += SIDECAR_SUFFIX;
  return sidecar;
}

/** The host as the operating system takes it: without the brackets of an IPv6 address. */
export function hostName(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/** The port, also where the URL leaves it to the scheme. */
export function portOf(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}
