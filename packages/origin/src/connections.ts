/**
 * Connections to origins, kept alive between requests, at most so many per
 * host and in total (R-HTTP-09). A request waits in a bounded queue when there are too many. A
 * connection is only used again when its last response ended exactly where it said it would.
 *
 *   acquire -> waiting -> granted -> release(reusable) -> idle -> granted ...
 *                            |-----> release(broken)  -> destroyed
 *
 * Knows hosts and sockets; knows nothing of questions and responses. Called by `exchange.ts`.
 */
import { assert, LIMITS } from "@shoal/core";
import type { Millis } from "@shoal/core";
import type { Reach } from "./addresses.ts";
import type { Dialer, ReachedServer } from "./dial.ts";
import { HttpConnection } from "./http-connection.ts";
import type { HttpConnectionOptions } from "./http-connection.ts";
import type { Proxy } from "./proxies.ts";
import type { TlsTerms } from "./job-credentials.ts";
import { hostName, portOf } from "./origin-url.ts";

export interface ConnectionsOptions extends HttpConnectionOptions {
  /** A request that waits for a connection for so long fails. */
  readonly waitTimeoutMs: Millis;
  readonly connectionsPerHostMax: number;
}

/** One connection, from grant to release owned by one request. */
export interface Connection {
  readonly http: HttpConnection;
  /** What it is connected to; absent before it is. */
  readonly server: ReachedServer | undefined;
  /** The proxy at its end, which has to be told the whole URL; absent behind a tunnel. */
  readonly forwarder: Proxy | undefined;
}

export interface ConnectionNeed {
  readonly url: URL;
  readonly reach: Reach;
  /** Never one that was used before, and never used again. */
  readonly fresh: boolean;
  readonly tls: TlsTerms;
  /** Requests of different keys never share a connection: some servers sign in a whole one. */
  readonly key: string;
}

export type Grant = { readonly connection: Connection } | { readonly refused: "full" | "timeout" };

class PooledConnection implements Connection {
  readonly http: HttpConnection;
  readonly key: string;
  readonly host: string;
  readonly forwarder: Proxy | undefined;
  isIdle = false;

  constructor(
    dialer: Dialer,
    need: ConnectionNeed,
    { options, onIdleEnd }: { options: HttpConnectionOptions; onIdleEnd: () => void },
  ) {
    const { url, reach, tls } = need;
    this.key = keyOf(need);
    this.host = url.host;
    const proxy = dialer.proxyFor(url);
    const secure = url.protocol === "https:";
    this.forwarder = secure ? undefined : proxy;
    const target = { secure, host: hostName(url), port: portOf(url), reach, tls, proxy };
    this.http = new HttpConnection((done) => dialer.dial(target, done), options, onIdleEnd);
  }

  get server(): ReachedServer | undefined {
    return this.http.server;
  }
}

/** Connections of one key are interchangeable. */
function keyOf({ url, reach, key }: ConnectionNeed): string {
  return `${reach} ${url.origin} ${key}`;
}

interface Waiter {
  readonly need: ConnectionNeed;
  readonly timer: NodeJS.Timeout;
  readonly done: (grant: Grant) => void;
}

export class Connections {
  readonly #dialer: Dialer;
  readonly #options: ConnectionsOptions;
  readonly #waiting = new Set<Waiter>();
  readonly #all = new Set<PooledConnection>();
  readonly #idle = new Map<string, PooledConnection[]>();
  readonly #busyPerHost = new Map<string, number>();
  #busy = 0;

  constructor(dialer: Dialer, options: ConnectionsOptions) {
    this.#dialer = dialer;
    this.#options = options;
  }

  /** Calls `done` once, perhaps at once. The answer withdraws the need while it still waits. */
  acquire(need: ConnectionNeed, done: (grant: Grant) => void): () => void {
    if (this.#hasRoom(need.url.host)) {
      done({ connection: this.#grant(need) });
      return () => {};
    }
    if (this.#waiting.size >= LIMITS.originRequestsWaitingMax) {
      done({ refused: "full" });
      return () => {};
    }
    const timer = setTimeout(() => {
      this.#waiting.delete(waiter);
      done({ refused: "timeout" });
    }, this.#options.waitTimeoutMs);
    const waiter: Waiter = { need, timer, done };
    this.#waiting.add(waiter);
    return () => {
      clearTimeout(timer);
      this.#waiting.delete(waiter);
    };
  }

  /** Ends a grant. `reusable`: the response ended in order and may be followed by another. */
  release(connection: Connection, need: ConnectionNeed, reusable: boolean): void {
    assert(connection instanceof PooledConnection && !connection.isIdle, "a grant ends once");
    const { host } = need.url;
    const busy = (this.#busyPerHost.get(host) ?? 0) - 1;
    if (busy === 0) this.#busyPerHost.delete(host);
    else this.#busyPerHost.set(host, busy);
    this.#busy--;
    if (reusable && !need.fresh && connection.http.isReusable) this.#park(connection);
    else this.#destroy(connection);
    for (const waiter of this.#waiting) {
      if (!this.#hasRoom(waiter.need.url.host)) continue;
      this.#waiting.delete(waiter);
      clearTimeout(waiter.timer);
      waiter.done({ connection: this.#grant(waiter.need) });
      break;
    }
  }

  /** Ends every connection and forgets who waits. */
  close(): void {
    for (const waiter of this.#waiting) clearTimeout(waiter.timer);
    this.#waiting.clear();
    this.#idle.clear();
    this.#dialer.close();
    for (const { http } of this.#all) http.close();
    this.#all.clear();
  }

  #hasRoom(host: string): boolean {
    return (
      this.#busy < LIMITS.originConnectionsTotalMax &&
      (this.#busyPerHost.get(host) ?? 0) < this.#options.connectionsPerHostMax
    );
  }

  #grant(need: ConnectionNeed): Connection {
    const { host } = need.url;
    this.#busy++;
    this.#busyPerHost.set(host, (this.#busyPerHost.get(host) ?? 0) + 1);
    const idle = need.fresh ? undefined : this.#idle.get(keyOf(need))?.pop();
    if (idle !== undefined) {
      idle.isIdle = false;
      return idle;
    }
    this.#makeRoom(host);
    const connection = new PooledConnection(this.#dialer, need, {
      options: this.#options,
      onIdleEnd: () => {
        if (connection.isIdle) this.#destroy(connection);
      },
    });
    this.#all.add(connection);
    return connection;
  }

  /** Ends the oldest idle connections where a new one would be one too many (R-HTTP-09). */
  #makeRoom(host: string): void {
    const idle = [...this.#all].filter(({ isIdle }) => isIdle);
    const ofHost = idle.filter((connection) => connection.host === host);
    const busyOfHost = this.#busyPerHost.get(host) ?? 0;
    const [oldestOfHost] = ofHost;
    const [oldest] = idle;
    if (oldestOfHost && busyOfHost + ofHost.length > this.#options.connectionsPerHostMax) {
      this.#destroy(oldestOfHost);
    } else if (oldest && this.#busy + idle.length > LIMITS.originConnectionsTotalMax) {
      this.#destroy(oldest);
    }
  }

  #park(connection: PooledConnection): void {
    connection.isIdle = true;
    const idle = this.#idle.get(connection.key);
    if (idle === undefined) this.#idle.set(connection.key, [connection]);
    else idle.push(connection);
  }

  #destroy(connection: PooledConnection): void {
    const idle = this.#idle.get(connection.key);
    if (connection.isIdle && idle !== undefined) {
      const others = idle.filter((other) => other !== connection);
      if (others.length === 0) this.#idle.delete(connection.key);
      else this.#idle.set(connection.key, others);
    }
    connection.isIdle = false;
    connection.http.close();
    this.#all.delete(connection);
  }
}
