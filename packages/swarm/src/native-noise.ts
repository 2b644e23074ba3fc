/**
 * libp2p's Noise handshake by libp2p's own code, and everything after it by ours, which takes a
 * third of the processor time (`noise-connection.ts`). On the wire it is the same.
 *
 *   libp2p's Noise   ──XX handshake──▶ split ──▶ its own encrypted stream, which is dropped unused
 *   this                                 └─▶ two keys ──▶ a connection of ours
 *
 * The handshake ends where Noise splits its state into the keys of the two directions. There the
 * TCP connection is paused, so that not a byte of what follows is read by the one that is dropped;
 * and from there on libp2p's code may encrypt nothing, so that no nonce is ever used twice.
 *
 * Knows handshakes. Knows neither frames nor limits. Called by libp2p's upgrader, whose signal is
 * the deadline.
 */
import { Socket } from "node:net";
import { noise } from "@chainsafe/libp2p-noise";
import type { ICryptoInterface } from "@chainsafe/libp2p-noise";
import { defaultCrypto } from "@chainsafe/libp2p-noise/crypto";
import { serviceCapabilities } from "@libp2p/interface";
import type { ConnectionEncrypter, MessageStream } from "@libp2p/interface";
import type { SecureConnectionOptions, SecuredConnection } from "@libp2p/interface";
import { assert } from "@shoal/core";
import { NoiseConnection } from "./noise-connection.ts";
import type { SocketOwner } from "./socket-connection.ts";

/** The handshake's name among strangers. */
export const NOISE_PROTOCOL = "/noise";

export interface NativeNoiseOptions {
  /** The name under which the handshake is negotiated. */
  readonly protocol: string;
  /** Of the group whose members alone get through; none: everybody does (R-GRP-01). */
  readonly prologue?: Uint8Array | undefined;
}

type Components = Parameters<ReturnType<typeof noise>>[0];

/** The handshake, for libp2p. */
export function nativeNoise(
  options: NativeNoiseOptions,
): (components: Components) => ConnectionEncrypter {
  return (components) => {
    const perform = async (
      connection: MessageStream,
      isDialler: boolean,
      secure?: SecureConnectionOptions,
    ): Promise<SecuredConnection> => {
      if (!ownsSocket(connection)) throw new Error("the connection has no socket of its own");
      const handshake = new Handshake(connection, { components, prologue: options.prologue });
      return handshake.perform(isDialler, secure);
    };
    return {
      protocol: options.protocol,
      [serviceCapabilities]: ["@libp2p/connection-encryption"],
      secureInbound: (connection, secure) => perform(connection, false, secure),
      secureOutbound: (connection, secure) => perform(connection, true, secure),
    } as ConnectionEncrypter;
  };
}

/** One connection's. */
class Handshake {
  readonly #connection: MessageStream & SocketOwner;
  readonly #noise: ConnectionEncrypter;
  /** The initiator's to send with, and the responder's. */
  #keys: readonly [Uint8Array, Uint8Array] | undefined;

  constructor(
    connection: MessageStream & SocketOwner,
    options: { readonly components: Components; readonly prologue: Uint8Array | undefined },
  ) {
    this.#connection = connection;
    const { components, prologue } = options;
    const prologueBytes = prologue === undefined ? {} : { prologueBytes: prologue };
    this.#noise = noise({ crypto: this.#crypto(), ...prologueBytes })(components);
  }

  async perform(isDialler: boolean, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    const connection = this.#connection;
    const listening = new AbortController();
    const lent = lendUntil(listening.signal, connection);
    try {
      const secured = await (isDialler
        ? this.#noise.secureOutbound(lent, options)
        : this.#noise.secureInbound(lent, options));
      assert(this.#keys !== undefined, "a handshake ends with two keys");
      if (connection.status !== "open") throw new Error("the peer closed the connection");
      listening.abort();
      const [initiators, responders] = this.#keys;
      const keys = isDialler
        ? { send: initiators, receive: responders }
        : { send: responders, receive: initiators };
      return { ...secured, connection: new NoiseConnection(connection, keys) };
    } finally {
      listening.abort();
    }
  }

  /** The library's own, but that it tells when it splits: the only derivation without an input. */
  #crypto(): ICryptoInterface {
    return {
      ...defaultCrypto,
      getHKDF: (chainingKey, input) => {
        const keys = defaultCrypto.getHKDF(chainingKey, input);
        if (input.length === 0) {
          this.#keys = [keys[0], keys[1]];
          this.#connection.pause();
        }
        return keys;
      },
      chaCha20Poly1305Encrypt: (...plain) => {
        assert(this.#keys === undefined, "the library encrypts nothing after the handshake");
        return defaultCrypto.chaCha20Poly1305Encrypt(...plain);
      },
    };
  }
}

/** The same connection, to which whoever has it no longer listens once the signal comes. */
function lendUntil(signal: AbortSignal, connection: MessageStream): MessageStream {
  const addEventListener = (type: never, listener: never, options?: object): void =>
    connection.addEventListener(type, listener, { ...options, signal });
  return new Proxy(connection, {
    get: (target, key) => {
      if (key === "addEventListener") return addEventListener;
      const value: unknown = Reflect.get(target, key);
      // Its methods have to be called on itself; what it holds, such as its log, is as it is.
      const isMethod = typeof value === "function" && !Object.hasOwn(target, key);
      return isMethod ? value.bind(target) : value;
    },
  });
}

function ownsSocket(connection: MessageStream): connection is MessageStream & SocketOwner {
  return "socket" in connection && connection.socket instanceof Socket;
}
