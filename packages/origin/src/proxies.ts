/**
 * Which proxy a URL is asked through. A proxy is a thing of the machine, not of a job: it is named
 * once, for all requests, and what signs in to it comes from its own URL and goes to it alone.
 *
 *   http:   asked of the proxy itself, with the whole URL in the request line
 *   https:  through a tunnel (CONNECT); the proxy sees a host and a port
 *
 * Knows URLs and addresses; opens nothing and reads no environment. Asked by `dial.ts`.
 */
import { ShoalError } from "@shoal/core";
import { BlockList, isIP } from "node:net";
import type { AddressRules } from "./addresses.ts";
import { hostName, portOf } from "./origin-url.ts";

/** Proxies by the scheme of the URL that is asked for, as the usual environment variables. */
export interface ProxyOptions {
  /** `http://[user:password@]host[:port]` or `https://…`: how to reach the proxy for `http:` URLs. */
  readonly http?: string;
  /** The same for `https:` URLs. */
  readonly https?: string;
  /**
   * Hosts that are asked directly, divided by commas or white space: a name stands for itself and
   * all below it, with or without a dot before it; an address, or a subnet as `10.0.0.0/8`; each
   * may be followed by a port, except a subnet. `*` stands for all.
   */
  readonly noProxy?: string;
  /** Whether addresses of this machine are asked through the proxy too. Default false. */
  readonly loopback?: boolean;
}

export interface Proxy {
  readonly host: string;
  readonly port: number;
  /** Whether the way to the proxy itself is TLS. */
  readonly secure: boolean;
  /** The value of `Proxy-Authorization`, where the proxy's URL has a user name or password. */
  readonly authorization?: string;
}

export class Proxies {
  readonly #http: Proxy | undefined;
  readonly #https: Proxy | undefined;
  readonly #exceptions: readonly Exception[];
  readonly #coversLoopback: boolean;
  readonly #rules: AddressRules;

  /** Throws `ERR_PROXY_INVALID`; the message names no password. */
  constructor({ http, https, noProxy, loopback }: ProxyOptions, rules: AddressRules) {
    this.#http = parseProxy("http:", http);
    this.#https = parseProxy("https:", https);
    this.#exceptions = (noProxy ?? "").split(/[\s,]+/).flatMap(parseException);
    this.#coversLoopback = loopback ?? false;
    this.#rules = rules;
  }

  /** The proxy for `url`; `undefined` where it is asked directly. */
  for(url: URL): Proxy | undefined {
    const proxy = url.protocol === "https:" ? this.#https : this.#http;
    if (proxy === undefined) return undefined;
    const host = hostName(url).replace(/\.$/, "");
    if (!this.#coversLoopback && isLoopback(host, this.#rules)) return undefined;
    return this.#exceptions.some((isMeant) => isMeant(host, portOf(url))) ? undefined : proxy;
  }
}

/** Whether a host of a URL is this machine, as far as its name or address tells. */
export function isLoopback(host: string, rules: AddressRules): boolean {
  if (isIP(host) !== 0) return rules.kindOf(host) === "loopback";
  return /^(?:.*\.)?localhost$/.test(host);
}

function parseProxy(scheme: string, text: string | undefined): Proxy | undefined {
  if (text === undefined || text === "") return undefined;
  // As everywhere, `host:port` alone means http.
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new ShoalError("ERR_PROXY_INVALID", `the one for ${scheme} is no http: or https: URL`);
  }
  const { username, password, protocol } = url;
  const where = { host: hostName(url), port: portOf(url), secure: protocol === "https:" };
  if (username === "" && password === "") return where;
  const pair = [username, password].map((text) => decoded(scheme, text)).join(":");
  return { ...where, authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

function decoded(scheme: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    const reason = `the one for ${scheme} has a user name or password that is not percent-encoded`;
    throw new ShoalError("ERR_PROXY_INVALID", reason);
  }
}

type Exception = (host: string, port: number) => boolean;

/** An entry that says nothing that can be understood excepts nothing. */
function parseException(text: string): Exception[] {
  if (text === "") return [];
  if (text === "*") return [() => true];
  const [, address = "", prefix] = /^\[?([\da-f.:]+)\]?(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  if (isIP(address) !== 0) return subnet(address, prefix);
  const [, name = "", port] = /^(?:\*?\.)?\[?([^/\]]+?)\]?(?::(\d+))?$/.exec(text) ?? [];
  const wanted = name.toLowerCase().replace(/\.$/, "");
  if (wanted === "") return [];
  const isHost = (host: string): boolean => host === wanted || host.endsWith(`.${wanted}`);
  return [(host, at) => isHost(host) && (port === undefined || at === Number(port))];
}

function subnet(address: string, prefix: string | undefined): Exception[] {
  const isV6 = isIP(address) === 6;
  const length = prefix === undefined ? (isV6 ? 128 : 32) : Number(prefix);
  if (length > (isV6 ? 128 : 32)) return [];
  const list = new BlockList();
  list.addSubnet(address, length, isV6 ? "ipv6" : "ipv4");
  return [(host) => isIP(host) !== 0 && list.check(host, isIP(host) === 6 ? "ipv6" : "ipv4")];
}
