/**
 * Opens sockets to origins: TCP, and TLS on top for `https:` (R-HTTP-02: always verified, TLS 1.2
 * at least, whatever the environment says; only what a job tolerates passes). The socket refuses
 * addresses beyond its reach by itself, on the address it is about to connect to (R-HTTP-04). Knows
 * nothing of HTTP. Called by `connections.ts`.
 */
import { X509Certificate } from "node:crypto";
import { connect as connectTcp, isIP } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import {
  connect as connectTls,
  createSecureContext,
  getCACertificates,
  rootCertificates,
} from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";
import type { Millis } from "@shoal/core";
import { createAddressRules } from "./addresses.ts";
import type { AddressKind, AddressTable, Reach } from "./addresses.ts";
import { certificateFaults } from "./certificate-faults.ts";
import { certificateRefusal, CLOSED, DialError, socketRefusal, timeoutRefusal } from "./failure.ts";
import type { TlsTerms } from "./job-credentials.ts";

/** Hosts whose kind of address is remembered; the oldest are forgotten first. */
const HOSTS_REMEMBERED_MAX = 4_096;
const PEM_CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
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
  readonly tls: TlsTerms;
}

/** What is known of a server once a connection to it is open. */
export interface ReachedServer {
  readonly kind: AddressKind;
  /** Without port. */
  readonly address: string;
  /**
   * Over TLS, with a certificate that has no fault at all by the authorities this machine trusts. A
   * PKCS #12 brings authorities of its own, so with one nothing counts as verified.
   */
  readonly isVerified: boolean;
}

export type DialResult =
  | { readonly socket: Socket; readonly server: ReachedServer }
  | { readonly error: DialError };

export class Dialer {
  readonly #options: DialerOptions;
  readonly #lookup: LookupFunction | undefined;
  readonly #rules: ReturnType<typeof createAddressRules>;
  readonly #dialling = new Set<Socket>();
  readonly #kinds = new Map<string, AddressKind>();
  #context: SecureContext | undefined;
  #authorities: readonly X509Certificate[] | undefined;

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
    const { host, port, secure, tls } = target;
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
    const succeed = (isVerified: boolean): void =>
      settle({ socket, server: { ...this.#remember(host, socket), isVerified } });
    socket.on("error", fail("connect"));
    socket.once("connect", () => {
      if (!secure) return succeed(false);
      const plain = socket;
      this.#dialling.delete(plain);
      const secured = this.#secure(plain, target);
      socket = secured;
      this.#dialling.add(socket);
      socket.on("error", fail("secure"));
      socket.once("secureConnect", () => {
        const faults = certificateFaults(secured, host, () => this.#anchors());
        if (faults.every((fault) => tls.tolerance.some((tolerated) => tolerated === fault))) {
          return succeed(faults.length === 0 && tls.certificate?.pfx === undefined);
        }
        settle({ error: new DialError(certificateRefusal(faults, authority)) });
      });
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

  /** Where something is tolerated, the handshake goes on and the faults are counted afterwards. */
  #secure(plain: Socket, { host, tls }: DialTarget): TLSSocket {
    return connectTls({
      socket: plain,
      host,
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: tls.tolerance.length === 0,
      secureContext: this.#contextFor(tls),
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
  }

  /** Reading all authorities takes milliseconds; once is enough where no certificate is shown. */
  #contextFor({ certificate }: TlsTerms): SecureContext {
    if (certificate === undefined && this.#context !== undefined) return this.#context;
    const { ca } = this.#options;
    const context = createSecureContext({
      minVersion: "TLSv1.2",
      ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
      ...certificate,
    });
    if (certificate === undefined) this.#context = context;
    return context;
  }

  /** The authorities that are trusted; read when they are first asked for. */
  #anchors(): readonly X509Certificate[] {
    if (this.#authorities !== undefined) return this.#authorities;
    const { ca } = this.#options;
    const given = ca === undefined ? getCACertificates("default") : [...rootCertificates, ca];
    const pems = given.flatMap((text) => text.match(PEM_CERTIFICATES) ?? []);
    this.#authorities = pems.map((pem) => new X509Certificate(pem));
    return this.#authorities;
  }

  /** A host that was not on this machine once may not become so later (R-HTTP-04). */
  #reachOf({ host, reach }: DialTarget): Reach {
    const kind = this.#kinds.get(host);
    if (reach === "any" && kind !== undefined && kind !== "loopback") return "notLoopback";
    return reach;
  }

  /** Keeps the most public kind seen, so that a name cannot talk itself back into the network. */
  #remember(host: string, socket: Socket): { kind: AddressKind; address: string } {
    const address = (socket.remoteAddress ?? "").replace(/^::ffff:(?=[\d.]+$)/i, "");
    const now = this.#rules.kindOf(address);
    const before = this.#kinds.get(host);
    const kind = before === "global" || now === "global" ? "global" : now;
    this.#kinds.set(host, kind);
    if (this.#kinds.size > HOSTS_REMEMBERED_MAX) {
      const [oldest] = this.#kinds.keys();
      if (oldest !== undefined) this.#kinds.delete(oldest);
    }
    return { kind, address };
  }
}
