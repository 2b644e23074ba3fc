/**
 * Strangers that speak libp2p's TLS handshake by hand, on Node's sockets: any certificate, any
 * version, any bytes. Knows nothing of our code but how a right certificate is made.
 */
import { createPrivateKey, sign } from "node:crypto";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { BitString, fromBER, Sequence } from "asn1js";
import type { AsnType, Constructed } from "asn1js";
import type { TlsIdentity } from "../src/tls-certificate.ts";

const WAIT_MS = 10_000;

/** The lines of multistream-select, each with its length before it. */
export function lines(...texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.map((text) => Buffer.concat([Buffer.of(text.length + 1), Buffer.from(`${text}\n`)])),
  );
}

/** A TCP connection to the first of `addresses`, on which nothing has been said. */
export async function connectTo(addresses: readonly string[]): Promise<Socket> {
  const port = Number(/tcp\/(\d+)/.exec(addresses[0] ?? "")?.[1]);
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await new Promise((resolve) => void socket.once("connect", resolve).once("close", resolve));
  return socket;
}

/** A connection on which the TLS handshake of that name may begin. */
export async function negotiate(
  addresses: readonly string[],
  protocol = "/tls/1.0.0",
): Promise<Socket> {
  const socket = await connectTo(addresses);
  const wanted = lines("/multistream/1.0.0", protocol);
  socket.write(wanted);
  await readUntil(socket, wanted.length);
  return socket;
}

/** Speaks TLS on it; what goes wrong is left to the caller to see by `isOver`. */
export function speakTls(socket: Socket, options: ConnectionOptions): TLSSocket {
  const tls = connectTls({
    rejectUnauthorized: false,
    ALPNProtocols: ["/yamux/1.0.0", "libp2p"],
    ...options,
    socket,
  });
  tls.on("error", () => {});
  return tls;
}

/** Resolves with all bytes that come before the other side ends the connection. */
export async function bytesUntilEnd(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on("data", (data: Buffer) => parts.push(data));
  const ended = new Promise((resolve) => void socket.once("close", resolve));
  if (!socket.closed) await Promise.race([ended, rejectLate()]);
  return Buffer.concat(parts);
}

async function rejectLate(): Promise<never> {
  await delay(WAIT_MS, undefined, { ref: false });
  throw new Error("the connection has not ended");
}

export async function readUntil(socket: Socket, length: number): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const read = (): void => {
    const bytes = socket.read(length) as Buffer | null;
    if (bytes === null) return;
    socket.off("readable", read);
    resolve(bytes);
  };
  socket.on("readable", read);
  return Promise.race([promise, rejectLate()]);
}

/** The certificate with its body changed by `change`, and signed anew with its own key. */
export function forge(
  identity: TlsIdentity,
  change: (items: AsnType[]) => void,
  { isSigned = true } = {},
): TlsIdentity {
  const certificate = fromBER(derOf(identity.cert)).result as Sequence;
  const [body, algorithm, signature] = certificate.valueBlock.value as [Sequence, Sequence, never];
  change(body.valueBlock.value as AsnType[]);
  const signed = sign("sha256", Buffer.from(body.toBER()), createPrivateKey(identity.key));
  const value = [body, algorithm, isSigned ? new BitString({ valueHex: signed }) : signature];
  const base64 = Buffer.from(new Sequence({ value }).toBER()).toString("base64");
  const cert = `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
  return { cert, key: identity.key };
}

/** The list of extensions in a certificate's body. */
export function extensionsOf(items: readonly AsnType[]): AsnType[] {
  const [list] = (items.at(-1) as Constructed).valueBlock.value as [Sequence];
  return list.valueBlock.value as AsnType[];
}

export function bodyOf(identity: TlsIdentity): AsnType[] {
  const certificate = fromBER(derOf(identity.cert)).result as Sequence;
  return (certificate.valueBlock.value[0] as Sequence).valueBlock.value as AsnType[];
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ""), "base64");
}
