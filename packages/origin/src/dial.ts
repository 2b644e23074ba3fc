/**
 * Opens sockets to origins: TCP, and TLS on top for `https:` (R-HTTP-02: always verified, TLS 1.2
 * at least, whatever the environment says). The socket refuses addresses beyond its reach by
 * itself, on the address it is about to connect to (R-HTTP-04). Knows nothing of HTTP. Called by
 * `connections.ts`.
 */
import { connect as connectTcp, isIP } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import { connect as connectTls, rootCertificates } from "node:tls";
import type { Millis } from "@shoal/core";
import { createAddressRules } from "./addresses.ts";
import type { AddressKind, AddressTable, Reach } from "./addresses.ts";
import { CLOSED, DialError, socketRefusal, timeoutRefusal } from "./failure.ts";

/** Hosts whose kind of address is remembered; the oldest are forgotten first. */
const HOSTS_REMEMBERED_MAX = 4_096;
/** First TCP keep-alive probe on a silent connection: the usual value of HTTP clients. */
const KEEP_ALIVE_DELAY_MS = 60_000;

export interface DialerOptions {
  /** For TCP and TLS together. */
  readonly connectTimeoutMs: Millis;
  /** PEM certificates trusted beside the built-in ones. */
  readonly ca?: string;
}

export interface DialTarget {
  readonly secure: boolean;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly reach: Reach;
}

export type DialResult =
  | { readonly socket: Socket; readonly kind: AddressKind }
  | { readonly error: DialError };

export class Dialer {
  readonly #options: DialerOptions;
  readonly #lookup: LookupFunction | undefined;
  readonly #rules: ReturnType<typeof createAddressRules>;
  readonly #dialling = new Set<Socket>();
  readonly #kinds = new Map<string, AddressKind>();

  constructor(
    deps: { addresses: AddressTable; lookup?: LookupFunction | undefined },
    options: DialerOptions,
  ) {
    this.#rules = createAddressRules(deps.addresses);
    this.#lookup = deps.lookup;
    this.#options = options;
  }

  /**
   * Calls `done` once, unless `close` or the answered function comes first, which ends the dial.
   * The caller owns the socket.
   */
  dial(target: DialTarget, done: (result: DialResult) => void): () => void {
    const { host, port, secure } = target;
    const authority = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
    let socket = connectTcp({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
      blockList: this.#rules.blockList(this.#reachOf(target)),
      ...(this.#lookup === undefined ? {} : { lookup: this.#lookup }),
    });
    this.#dialling.add(socket);
    const settle = (result: DialResult): void => {
      clearTimeout(timer);
      if (!this.#dialling.delete(socket)) return;
      if ("error" in result) socket.destroy();
      done(result);
    };
    const timer = setTimeout(() => {
      const reason = `connecting to ${authority} took too long`;
      settle({ error: new DialError(timeoutRefusal(reason)) });
    }, this.#options.connectTimeoutMs);
    const fail = (phase: "connect" | "secure") => (error: Error) =>
      settle({ error: new DialError(socketRefusal(error, authority, phase), error) });
    const succeed = (): void => settle({ socket, kind: this.#remember(host, socket) });
    socket.on("error", fail("connect"));
    socket.once("connect", () => {
      if (!secure) return succeed();
      const plain = socket;
      this.#dialling.delete(plain);
      socket = this.#secure(plain, host);
      this.#dialling.add(socket);
      socket.on("error", fail("secure"));
      socket.once("secureConnect", succeed);
    });
    socket.once("close", () => fail("connect")(CLOSED));
    return () => {
      if (this.#dialling.delete(socket)) socket.destroy();
    };
  }

  /** Ends every dial under way without calling back. */
  close(): void {
    for (const socket of this.#dialling) socket.destroy();
    this.#dialling.clear();
  }

  #secure(plain: Socket, host: string): Socket {
    return connectTls({
      socket: plain,
      host,
      ALPNProtocols: ["http/1.1"],
      minVersion: "TLSv1.2",
      rejectUnauthorized: true,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(this.#options.ca === undefined ? {} : { ca: [...rootCertificates, this.#options.ca] }),
    });
  }

  /** A host that was not on this machine once may not become so later (R-HTTP-04). */
  #reachOf({ host, reach }: DialTarget): Reach {
    const kind = this.#kinds.get(host);
    if (reach === "any" && kind !== undefined && kind !== "loopback") return "notLoopback";
    return reach;
  }

  /** Keeps the most public kind seen, so that a name cannot talk itself back into the network. */
  #remember(host: string, socket: Socket): AddressKind {
    const now = this.#rules.kindOf(socket.remoteAddress ?? "");
    const before = this.#kinds.get(host);
    const kind = before === "global" || now === "global" ? "global" : now;
    this.#kinds.set(host, kind);
    if (this.#kinds.size > HOSTS_REMEMBERED_MAX) {
      const [oldest] = this.#kinds.keys();
      if (oldest !== undefined) this.#kinds.delete(oldest);
    }
    return kind;
  }
}
