/**
 * Opens sockets to origins: TCP, and TLS on top for `https:` (R-HTTP-02: always verified, TLS 1.2
 * at least, whatever the environment says; only what a job tolerates passes). The socket refuses
 * addresses beyond its reach by itself, on the address it is about to connect to (R-HTTP-04).
 *
 *   directly              TCP ───────────────────────────────────▶ [TLS]
 *   http: by a proxy      TCP to the proxy, [TLS to it]
 *   https: by a proxy     TCP to the proxy, [TLS to it], tunnel ──▶ TLS
 *
 * Behind a proxy no address is seen: hosts that are not addresses themselves count as global there,
 * so that their redirects lead nowhere inside without the proxy. The proxy may be anywhere.
 *
 * Knows nothing of HTTP but the tunnel. Called by `connections.ts`.
 */
import { X509Certificate } from "node:crypto";
import { connect as connectTcp, isIP } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import { connect as connectTls, createSecureContext, getCACertificates } from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";
import type { Millis } from "@shoal/core";
import { createAddressRules } from "./addresses.ts";
import type { AddressKind, AddressTable, Reach } from "./addresses.ts";
import { certificateFaults } from "./certificate-faults.ts";
import { DialAttempt } from "./dial-attempt.ts";
import { addressRefusal, certificateRefusal, DialError } from "./failure.ts";
import type { Refusal } from "./failure.ts";
import type { TlsTerms } from "./job-credentials.ts";
import { isLoopback, Proxies } from "./proxies.ts";
import type { Proxy, ProxyOptions } from "./proxies.ts";
import { SocketReader } from "./socket-reader.ts";
import type { TakeBytes } from "./socket-reader.ts";
import { openTunnel } from "./tunnel.ts";

/** Hosts whose kind of address is remembered; the oldest are forgotten first. */
const HOSTS_REMEMBERED_MAX = 4_096;
const PEM_CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** First TCP keep-alive probe on a silent connection: the usual value of HTTP clients. */
const KEEP_ALIVE_DELAY_MS = 60_000;
/** TLS to a proxy is no job's affair: no certificate is shown, and nothing is tolerated. */
const NOTHING_SPECIAL: TlsTerms = { tolerance: [] };

export interface DialerOptions {
  /** For TCP and TLS together. */
  readonly connectTimeoutMs: Millis;
  /** PEM certificates trusted beside the built-in ones. */
  readonly ca?: string;
  readonly proxy?: ProxyOptions;
}

export interface DialTarget {
  readonly secure: boolean;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly reach: Reach;
  readonly tls: TlsTerms;
  /** As `proxyFor` says. */
  readonly proxy: Proxy | undefined;
}

/** What is known of a server once a connection to it is open. */
export interface ReachedServer {
  readonly kind: AddressKind;
  /** Without port; the proxy's, where one is in between. */
  readonly address: string;
  /**
   * Over TLS, with a certificate that has no fault at all by the authorities this machine trusts. A
   * PKCS #12 brings authorities of its own, so with one nothing counts as verified.
   */
  readonly isVerified: boolean;
}

export type DialResult =
  | {
      readonly socket: Socket;
      readonly server: ReachedServer;
      /** Who hears of the socket's bytes, which are valid during the call alone. Called once. */
      readonly onBytes: (take: TakeBytes) => void;
    }
  | { readonly error: DialError };

export class Dialer {
  readonly #options: DialerOptions;
  readonly #lookup: LookupFunction | undefined;
  readonly #rules: ReturnType<typeof createAddressRules>;
  readonly #proxies: Proxies;
  readonly #attempts = new Set<DialAttempt>();
  readonly #reader = new SocketReader();
  readonly #kinds = new Map<string, AddressKind>();
  #context: SecureContext | undefined;
  #authorities: readonly X509Certificate[] | undefined;

  /** Throws `ERR_PROXY_INVALID`. */
  constructor(
    deps: { addresses: AddressTable; lookup?: LookupFunction | undefined },
    options: DialerOptions,
  ) {
    this.#rules = createAddressRules(deps.addresses);
    this.#lookup = deps.lookup;
    this.#options = options;
    this.#proxies = new Proxies(options.proxy ?? {}, this.#rules);
  }

  /** The proxy that stands between this machine and `url`, if any. */
  proxyFor(url: URL): Proxy | undefined {
    return this.#proxies.for(url);
  }

  /**
   * Calls `done` once, unless `close` or the answered function comes first, which ends the dial.
   * The caller owns the socket. For an `http:` target behind a proxy it leads to that proxy.
   */
  dial(target: DialTarget, done: (result: DialResult) => void): () => void {
    const { proxy, tls } = target;
    const authority = authorityOf(target);
    let isVerified = false;
    const way = proxy === undefined ? "" : ` through the proxy ${authorityOf(proxy)}`;
    const attempt = new DialAttempt(
      `${authority}${way}`,
      this.#options.connectTimeoutMs,
      (result) => {
        this.#attempts.delete(attempt);
        if (result instanceof DialError) done({ error: result });
        else {
          const onBytes = (take: TakeBytes): void =>
            this.#reader.listen(result, readsItself(target), take);
          const server = { ...this.#reached(target, result), isVerified };
          done({ socket: result, server, onBytes });
        }
      },
    );
    this.#attempts.add(attempt);
    const secureTarget = (plain: Socket): void =>
      attempt.step(this.#secure(plain, target), { at: authority, phase: "secure" }, (secured) => {
        const faults = certificateFaults(secured, target.host, () => this.#anchors());
        if (!faults.every((fault) => tls.tolerance.some((tolerated) => tolerated === fault))) {
          return attempt.fail(certificateRefusal(faults, authority));
        }
        isVerified = faults.length === 0 && tls.certificate?.pfx === undefined;
        attempt.succeed();
      });
    const goOn = (socket: Socket): void => {
      if (!target.secure) return attempt.succeed();
      if (proxy === undefined) return secureTarget(socket);
      openTunnel(socket, { ...proxy, authority }, (refusal) =>
        refusal === undefined ? secureTarget(socket) : attempt.fail(refusal),
      );
    };
    const refusal = this.#refusalOf(target);
    if (refusal !== undefined) queueMicrotask(() => attempt.fail(refusal));
    else this.#reachFirst(attempt, target, goOn);
    return () => {
      this.#attempts.delete(attempt);
      attempt.cancel();
    };
  }

  /** Ends every dial under way without calling back. */
  close(): void {
    for (const attempt of this.#attempts) attempt.cancel();
    this.#attempts.clear();
  }

  /** To the target, or to its proxy, which may be anywhere: whoever runs this machine named it. */
  #reachFirst(attempt: DialAttempt, target: DialTarget, next: (socket: Socket) => void): void {
    const { proxy } = target;
    const { host, port } = proxy ?? target;
    const socket: Socket = connectTcp({
      ...(readsItself(target) && { onread: this.#reader.onread(() => socket) }),
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
      ...(proxy === undefined && { blockList: this.#rules.blockList(this.#reachOf(target)) }),
      ...(this.#lookup === undefined ? {} : { lookup: this.#lookup }),
    });
    const at = proxy === undefined ? authorityOf(target) : `the proxy ${authorityOf(proxy)}`;
    attempt.step(socket, { at, phase: "connect" }, () => {
      if (proxy?.secure !== true) return next(socket);
      const secured = this.#secure(socket, { host, tls: NOTHING_SPECIAL });
      attempt.step(secured, { at, phase: "secure" }, next);
    });
  }

  /** Behind a proxy only what stands in the URL can be checked (R-HTTP-04). */
  #refusalOf(target: DialTarget): Refusal | undefined {
    if (target.proxy === undefined) return undefined;
    const kind = this.#kindBehindProxy(target);
    const isRefused =
      kind === "refused" ||
      (kind === "loopback" && this.#reachOf(target) !== "any") ||
      (kind === "private" && target.reach === "globalOnly");
    return isRefused ? addressRefusal(authorityOf(target)) : undefined;
  }

  #kindBehindProxy({ host }: DialTarget): AddressKind {
    if (isLoopback(host, this.#rules)) return "loopback";
    return isIP(host) === 0 ? "global" : this.#rules.kindOf(host);
  }

  /** Where something is tolerated, the handshake goes on and the faults are counted afterwards. */
  #secure(plain: Socket, { host, tls }: Pick<DialTarget, "host" | "tls">): TLSSocket {
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
      ...(ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] }),
      ...certificate,
    });
    if (certificate === undefined) this.#context = context;
    return context;
  }

  /** The authorities that are trusted; read when they are first asked for. */
  #anchors(): readonly X509Certificate[] {
    if (this.#authorities !== undefined) return this.#authorities;
    const { ca } = this.#options;
    const given = [...getCACertificates("default"), ...(ca === undefined ? [] : [ca])];
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
  #reached(target: DialTarget, socket: Socket): { kind: AddressKind; address: string } {
    const address = (socket.remoteAddress ?? "").replace(/^::ffff:(?=[\d.]+$)/i, "");
    if (target.proxy !== undefined) return { kind: this.#kindBehindProxy(target), address };
    const { host } = target;
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

function authorityOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** TLS and tunnels are read by others on the way; no TLS, no tunnel: the socket is read as it is. */
function readsItself({ secure, proxy }: DialTarget): boolean {
  return !secure && proxy?.secure !== true;
}
