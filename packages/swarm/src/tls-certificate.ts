/**
 * The certificates of libp2p's TLS handshake: to TLS they are self-signed and say nothing; an
 * extension in them carries the identity's public key and its signature of the certificate's key.
 *
 *   extension 1.3.6.1.4.1.53594.1.1, critical
 *     SEQUENCE { OCTET STRING public key (libp2p's protobuf),
 *                OCTET STRING signature of "libp2p-tls-handshake:" and the certificate's key }
 *
 * Knows certificates. Knows neither connections nor whom we wanted. Called by `native-tls.ts`.
 * Specification: https://github.com/libp2p/specs/blob/master/tls/tls.md
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { X509Certificate } from "node:crypto";
import { publicKeyFromProtobuf, publicKeyToProtobuf } from "@libp2p/crypto/keys";
import type { PeerId } from "@libp2p/interface";
import { peerIdFromPublicKey } from "@libp2p/peer-id";
import { LIMITS } from "@shoal/core";
import {
  BitString,
  Boolean as Asn1Boolean,
  Constructed,
  fromBER,
  GeneralizedTime,
  Integer,
  ObjectIdentifier,
  OctetString,
  Sequence,
  UTCTime,
} from "asn1js";
import type { AsnType } from "asn1js";
import type { PrivateKey } from "./identity.ts";

/** What a certificate is to OpenSSL, both in PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

const IDENTITY_EXTENSION = "1.3.6.1.4.1.53594.1.1";
const ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
const SIGNED_PREFIX = Buffer.from("libp2p-tls-handshake:");
/** Tags of what may be left out of a certificate: its version, its extensions. */
const VERSION_TAG = 0;
const EXTENSIONS_TAG = 3;
const CONTEXT_CLASS = 3;
const X509_V3 = 2;
const SERIAL_LENGTH = 8;
/** A certificate of ours has 10 levels and 40 nodes. */
const DEPTH_MAX = 16;
const NODES_MAX = 256;

/**
 * A new certificate that shows who we are. It is valid for ever: it lives no longer than the
 * process, and machines without a clock are to find each other too.
 */
export async function createTlsIdentity(identity: PrivateKey): Promise<TlsIdentity> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const signature = await identity.sign(Buffer.concat([SIGNED_PREFIX, spki]));
  const proof = new Sequence({
    value: [
      new OctetString({ valueHex: publicKeyToProtobuf(identity.publicKey) }),
      new OctetString({ valueHex: signature }),
    ],
  });
  const body = certificateBody(spki, proof);
  const certificate = new Sequence({
    value: [
      body,
      algorithm(),
      new BitString({ valueHex: sign("sha256", Buffer.from(body.toBER()), privateKey) }),
    ],
  });
  return {
    cert: pem("CERTIFICATE", Buffer.from(certificate.toBER())),
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

function certificateBody(spki: Buffer, proof: Sequence): Sequence {
  const serial = randomBytes(SERIAL_LENGTH);
  // Positive, and without a leading zero that DER would have no room for.
  serial[0] = 0x40 | (serial[0]! & 0x3f);
  const extension = new Sequence({
    value: [
      new ObjectIdentifier({ value: IDENTITY_EXTENSION }),
      new Asn1Boolean({ value: true }),
      new OctetString({ valueHex: proof.toBER() }),
    ],
  });
  return new Sequence({
    value: [
      tagged(VERSION_TAG, new Integer({ value: X509_V3 })),
      new Integer({ valueHex: serial }),
      algorithm(),
      new Sequence({ value: [] }),
      new Sequence({
        value: [
          new UTCTime({ valueDate: new Date(0) }),
          new GeneralizedTime({ valueDate: new Date("9999-12-31T23:59:59Z") }),
        ],
      }),
      new Sequence({ value: [] }),
      parse(spki),
      tagged(EXTENSIONS_TAG, new Sequence({ value: [extension] })),
    ],
  });
}

function algorithm(): Sequence {
  return new Sequence({ value: [new ObjectIdentifier({ value: ECDSA_WITH_SHA256 })] });
}

function tagged(tagNumber: number, value: Sequence | Integer): Constructed {
  return new Constructed({ idBlock: { tagClass: CONTEXT_CLASS, tagNumber }, value: [value] });
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/**
 * Whose certificate it is. That the peer has the certificate's key is proved by the handshake in
 * which it came; here, that the identity has signed that key. Rejects for any other certificate.
 */
export async function peerIdOfCertificate(certificate: X509Certificate): Promise<PeerId> {
  const { raw, publicKey, validFromDate, validToDate } = certificate;
  if (raw.length > LIMITS.certificateBytesMax) throw new Error("its certificate is too long");
  const now = Date.now();
  // Written so that a date that is none is refused.
  if (!(validFromDate.getTime() <= now && now <= validToDate.getTime())) {
    throw new Error("its certificate is not valid now");
  }
  if (!certificate.verify(publicKey)) throw new Error("its certificate is not signed by itself");
  const [identityKey, signature] = identityProofOf(raw);
  const identity = publicKeyFromProtobuf(identityKey);
  if (identity.type !== "Ed25519") throw new Error("its identity is not an Ed25519 key");
  const spki = publicKey.export({ type: "spki", format: "der" });
  if (!(await identity.verify(Buffer.concat([SIGNED_PREFIX, spki]), signature))) {
    throw new Error("its identity has not signed its certificate");
  }
  return peerIdFromPublicKey(identity);
}

/** The identity's public key and signature, out of the extension. */
function identityProofOf(certificate: Uint8Array): [Uint8Array, Uint8Array] {
  const [body] = itemsOf(parse(certificate));
  const extensions = itemsOf(body).find(
    (item) =>
      item instanceof Constructed &&
      item.idBlock.tagClass === CONTEXT_CLASS &&
      item.idBlock.tagNumber === EXTENSIONS_TAG,
  );
  let proof: [Uint8Array, Uint8Array] | undefined;
  for (const extension of itemsOf(itemsOf(extensions)[0])) {
    const [id, ...rest] = itemsOf(extension);
    if (!(id instanceof ObjectIdentifier)) throw new Error("its certificate is malformed");
    const [critical] = rest;
    if (id.getValue() === IDENTITY_EXTENSION) {
      const [identityKey, signature] = itemsOf(parse(octetsOf(rest.at(-1))));
      proof = [octetsOf(identityKey), octetsOf(signature)];
    } else if (critical instanceof Asn1Boolean && critical.getValue()) {
      throw new Error("its certificate demands what we do not know");
    }
  }
  if (proof === undefined) throw new Error("its certificate names no identity");
  return proof;
}

function parse(der: Uint8Array): AsnType {
  const { result, offset } = fromBER(der, { maxDepth: DEPTH_MAX, maxNodes: NODES_MAX });
  if (offset !== der.length) throw new Error("its certificate is malformed");
  return result;
}

/** What a constructed value consists of; nothing for any other. */
function itemsOf(item: unknown): readonly unknown[] {
  return item instanceof Constructed ? item.valueBlock.value : [];
}

function octetsOf(item: unknown): Uint8Array {
  if (!(item instanceof OctetString)) throw new Error("its certificate is malformed");
  return new Uint8Array(item.getValue());
}
