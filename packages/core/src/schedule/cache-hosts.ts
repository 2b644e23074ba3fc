/**
 * The cache servers of this agent (Connected Cache in Delivery Optimization): which of them to ask
 * for a file of an origin, at which URL, and which of them not to ask for now.
 *
 *   http://dl.example:8080/a?b=1  by cache  10.1.0.70
 *   ──▶ http://10.1.0.70:8080/a?b=1&cacheHostOrigin=dl.example
 *
 *   answer 4xx                                  banned for this origin's host
 *   no connection, no name, nothing in time     banned for all
 *   5xx and the rest                            not banned; the next server has its turn
 *
 * Knows hosts and bans, which all transfers share; they are lost with the process. Called by
 * `FileSources`, and by whoever reads the list from a user.
 */
import type { OriginFailure } from "../ports/origin-port.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Millis } from "../units.ts";

/** What the reference agent bans for. */
const BAN_MS = 15 * 60_000;
const UNREACHABLE = ["ERR_ORIGIN_UNREACHABLE", "ERR_ORIGIN_UNRESOLVED", "ERR_ORIGIN_TIMEOUT"];
const ORIGIN_PARAMETER = "cacheHostOrigin";

/** Whether the text is a host name or address, with or without a port, and nothing else. */
export function isCacheHost(text: string): boolean {
  const url = URL.parse(`http://${text}/`);
  return url !== null && text !== "" && text.length <= LIMITS.nameLengthMax && isPlain(text);
}

/** The URL of an origin's file at a cache server; `undefined` for what no server can have. */
export function cacheUrl(cacheHost: string, originUrl: string): string | undefined {
  const url = URL.parse(originUrl);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return undefined;
  const { hostname } = url;
  // A host without a port leaves the origin's port as it is.
  url.host = cacheHost;
  url.hash = "";
  url.search += `${url.search === "" ? "?" : "&"}${ORIGIN_PARAMETER}=${hostname}`;
  return url.href.length <= LIMITS.urlLengthMax ? url.href : undefined;
}

export class CacheHosts {
  /** Those that a start names. */
  readonly #usual: readonly string[];
  #hosts: readonly string[];
  #fallbackMs: Millis | undefined;
  readonly #isAllowed: () => boolean;
  /** Whose turn it is. */
  #first = 0;
  /** Until when, by host, or by host and origin's host. */
  readonly #bans = new Map<string, Millis>();

  /** While they are not allowed, all of them count as banned. */
  constructor(hosts: readonly string[], isAllowed: () => boolean = () => true) {
    this.#isAllowed = isAllowed;
    this.#usual = hosts.slice(0, LIMITS.cacheHostsMax);
    this.#hosts = this.#usual;
  }

  /** Servers in place of those a start names, for what is opened from now on; absent: the usual. */
  set(
    instead: { readonly hosts: readonly string[]; readonly fallbackMs?: Millis } | undefined,
  ): void {
    this.#hosts = instead?.hosts.slice(0, LIMITS.cacheHostsMax) ?? this.#usual;
    this.#fallbackMs = instead?.fallbackMs;
    this.#first = 0;
  }

  /**
   * How long a transfer stays with servers that fail, where that does not follow from settings;
   * `Infinity` for ever: then the origin has no part in it, and no ban leads there.
   */
  get fallbackMs(): Millis | undefined {
    return this.#fallbackMs;
  }

  /** The servers, the one first whose turn it is. */
  get inTurn(): readonly string[] {
    return [...this.#hosts.slice(this.#first), ...this.#hosts.slice(0, this.#first)];
  }

  /** When it may be asked; an instant long past when it is not banned. */
  bannedUntil(cacheHost: string, originHost: string): Millis {
    if (!this.#isAllowed()) return Infinity;
    if (this.#fallbackMs === Infinity) return -Infinity;
    return Math.max(
      this.#bans.get(cacheHost) ?? -Infinity,
      this.#bans.get(banKey(cacheHost, originHost)) ?? -Infinity,
    );
  }

  isBanned(cacheHost: string, originHost: string, now: Millis): boolean {
    return now < this.bannedUntil(cacheHost, originHost);
  }

  /** A request has failed; `hasDelivered` when bytes had come before. */
  failed(
    cacheHost: string,
    originHost: string,
    { error, hasDelivered }: Pick<OriginFailure, "error"> & { readonly hasDelivered: boolean },
    now: Millis,
  ): void {
    const index = this.#hosts.indexOf(cacheHost);
    if (index === this.#first) this.#first = (index + 1) % this.#hosts.length;
    const { code, originStatus = 0 } = error;
    if (originStatus >= 400 && originStatus < 500) {
      this.#ban(banKey(cacheHost, originHost), now);
    } else if (!hasDelivered && originStatus === 0 && isUnreachable(code)) {
      this.#ban(cacheHost, now);
    }
  }

  #ban(key: string, now: Millis): void {
    this.#bans.delete(key);
    this.#bans.set(key, now + BAN_MS);
    const [oldest] = this.#bans.keys();
    if (this.#bans.size > LIMITS.cacheBansMax && oldest !== undefined) this.#bans.delete(oldest);
  }
}

function isPlain(text: string): boolean {
  return /^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?$/.test(text);
}

function isUnreachable(code: OriginFailure["error"]["code"]): boolean {
  return UNREACHABLE.includes(code);
}

function banKey(cacheHost: string, originHost: string): string {
  return `${cacheHost} ${originHost}`;
}
