/**
 * libp2p's TLS handshake (`/tls/1.0.0`) on Node's own TLS, which takes the TCP socket over. libp2p
 * negotiates it on the connection like Noise, so addresses, limits, gater and deadlines are the same.
 *
 *   dialler                                            listener
 *     "/tls/…" ────────────────────────────────────────▶  or "na", and Noise
 *     TLS 1.3, a certificate of each (tls-certificate.ts), the muxer by ALPN
 *     in groups: proof ◀──────────────────────────────▶ proof (group-proof.ts)
 *
 * libp2p's own implementation hands every record from the socket through JavaScript to OpenSSL and
 * back, which costs half of the speed. Knows sockets and handshakes; knows nothing of frames or
 * limits. Called by libp2p's upgrader, whose signal is the deadline.
 */
import { constants } from "node:crypto";
import { Socket } from "node:net";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import type { SecureContext, TLSSocketOptions } from "node:tls";
import { serviceCapabilities } from "@libp2p/interface";
import type { AbortOptions, ConnectionEncrypter, MessageStream } from "@libp2p/interface";
import type { SecureConnectionOptions, SecuredConnection, Upgrader } from "@libp2p/interface";
import { channelProof, isChannelProof, PROOF_LENGTH } from "./group-proof.ts";
import { peerIdOfCertificate } from "./tls-certificate.ts";
import type { TlsIdentity } from "./tls-certificate.ts";
import { TlsConnection } from "./tls-connection.ts";
import type { SocketOwner } from "./socket-connection.ts";

/** The handshake's name among strangers. */
export const TLS_PROTOCOL = "/tls/1.0.0";

export interface NativeTlsOptions {
  readonly identity: TlsIdentity;
  /** The name under which the handshake is negotiated. */
  readonly protocol: string;
  /** Of the group whose members alone get through; none: everybody does (R-GRP-01). */
  readonly proofKey?: Uint8Array | undefined;
}

/** Says that the peer has not the key of our group. */
export const NO_MEMBER = "the peer has not proved that it is of our group";
/** Says as libp2p's Noise does that another peer answered than was dialled. */
const ANOTHER_PEER = "its identity does not match expected remote identity";

/** Accepted by those who know libp2p's handshake and no muxer by ALPN. */
const NO_EARLY_MUXER = "libp2p";
/** AES first: it is in hardware where speed matters. */
const CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
const KEYING_LENGTH = 32;
const KEYING_LABEL = "EXPORTER-shoal-group-1";

type Components = { readonly upgrader: Pick<Upgrader, "getStreamMuxers"> };

/** The handshake, for libp2p. */
export function nativeTls(
  options: NativeTlsOptions,
): (components: Components) => ConnectionEncrypter {
  const secureContext = createSecureContext({
    cert: options.identity.cert,
    key: options.identity.key,
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    ciphers: CIPHERS,
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  return (components) => {
    const handshake = new Handshake({ components, secureContext }, options);
    return {
      protocol: options.protocol,
      [serviceCapabilities]: ["@libp2p/connection-encryption"],
      secureInbound: (connection, secure) => handshake.perform(connection, false, secure),
      secureOutbound: (connection, secure) => handshake.perform(connection, true, secure),
    } as ConnectionEncrypter;
  };
}

class Handshake {
  /** It has its upgrader only once it is used. */
  readonly #components: Components;
  readonly #secureContext: SecureContext;
  readonly #proofKey: Uint8Array | undefined;

  constructor(
    deps: { readonly components: Components; readonly secureContext: SecureContext },
    options: NativeTlsOptions,
  ) {
    this.#components = deps.components;
    this.#secureContext = deps.secureContext;
    this.#proofKey = options.proofKey;
  }

  async perform(
    connection: MessageStream,
    isDialler: boolean,
    options: SecureConnectionOptions = {},
  ): Promise<SecuredConnection> {
    if (!ownsSocket(connection)) throw new Error("the connection has no socket of its own");
    const socket = await this.#takeOver(connection, isDialler);
    // Also after the handshake: a socket's error without a listener would end the process.
    socket.on("error", (error) => connection.abort(error));
    const ending = new Ending(socket, options);
    try {
      await ending.or(new Promise((resolve) => void socket.once("secure", resolve)));
      const certificate = socket.getPeerX509Certificate();
      // A resumed session would show a certificate and prove nothing about it.
      if (certificate === undefined || socket.isSessionReused()) {
        throw new Error("the peer has shown no certificate");
      }
      const remotePeer = await ending.or(peerIdOfCertificate(certificate));
      if (options.remotePeer?.equals(remotePeer) === false) throw new Error(ANOTHER_PEER);
      if (this.#proofKey !== undefined) {
        await this.#proveMembership(socket, isDialler, ending);
      }
      const streamMuxer = this.#components.upgrader
        .getStreamMuxers()
        .get(socket.alpnProtocol || "");
      return {
        connection: new TlsConnection(connection, socket),
        remotePeer,
        ...(streamMuxer === undefined ? {} : { streamMuxer }),
      };
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      ending.ignore();
    }
  }

  /** Puts TLS on the connection's socket; what has been read of it already comes first. */
  async #takeOver(connection: MessageStream & SocketOwner, isDialler: boolean): Promise<TLSSocket> {
    const { socket } = connection;
    socket.pause();
    socket.removeAllListeners("data");
    if (connection.readBufferLength > 0) {
      const unread = ({ data }: { data: { subarray(): Uint8Array } }): void =>
        socket.unshift(data.subarray());
      connection.addEventListener("message", unread);
      // libp2p hands it on in a microtask.
      await Promise.resolve();
      connection.removeEventListener("message", unread);
    }
    const options: TLSSocketOptions = {
      secureContext: this.#secureContext,
      rejectUnauthorized: false,
      ALPNProtocols: [...this.#components.upgrader.getStreamMuxers().keys(), NO_EARLY_MUXER],
    };
    if (isDialler) return connect({ ...options, socket });
    return new TLSSocket(socket, { ...options, isServer: true, requestCert: true });
  }

  /**
   * Both say at once, as the first bytes under TLS, that they have the group's key, bound to this
   * handshake; nothing else is read or said before (R-GRP-01).
   */
  async #proveMembership(socket: TLSSocket, isDialler: boolean, ending: Ending): Promise<void> {
    const keying = socket.exportKeyingMaterial(KEYING_LENGTH, KEYING_LABEL, Buffer.alloc(0));
    const proofKey = this.#proofKey!;
    const ours = channelProof(proofKey, isDialler, keying);
    await ending.or(new Promise((resolve) => void socket.write(ours, resolve)));
    const proof = await ending.or(readExactly(socket, PROOF_LENGTH));
    if (!isChannelProof(proof, channelProof(proofKey, !isDialler, keying))) {
      throw new Error(NO_MEMBER);
    }
  }
}

/**
 * The next bytes, however they come in parts. One listener throughout: a new one would be told at
 * once, and for ever, of a part that is there already.
 */
function readExactly(socket: Socket, length: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const read = (): void => {
      const bytes = socket.read(length) as Buffer | null;
      if (bytes === null) return;
      socket.off("readable", read);
      resolve(bytes);
    };
    socket.on("readable", read);
  });
}

/** The end of a handshake before its time: by the socket or by the signal. */
class Ending {
  readonly #ended: Promise<never>;
  readonly #ignore = new AbortController();

  constructor(socket: TLSSocket, { signal }: AbortOptions) {
    const { promise, reject } = Promise.withResolvers<never>();
    this.#ended = promise;
    promise.catch(() => {});
    const ended = { signal: this.#ignore.signal, once: true };
    signal?.addEventListener("abort", () => reject(signal.reason as Error), ended);
    let failure = new Error("the peer closed the connection in the handshake");
    socket.once("error", (error) => (failure = error));
    socket.once("close", () => reject(failure));
    if (signal?.aborted === true) reject(signal.reason as Error);
  }

  /** The same promise, unless the end comes first. */
  or<Result>(promise: Promise<Result>): Promise<Result> {
    return Promise.race([promise, this.#ended]);
  }

  ignore(): void {
    this.#ignore.abort();
  }
}

function ownsSocket(connection: MessageStream): connection is MessageStream & SocketOwner {
  return "socket" in connection && connection.socket instanceof Socket;
}
