/**
 * What publishers' signatures are put around: a statement of some kind as bytes, and who has signed
 * it. Participants: a publisher, and agents that were told the publisher's public keys.
 *
 *   envelope    { signed: statement's bytes, signatures: [ { keyId, signature }, ... ] }
 *   signature   Ed25519 over the kind's name || 0x00 || statement's bytes
 *
 * Goals: nothing but key ids and signatures is looked at before enough signatures have been found
 * right (R-MAN-04); no signature over one kind holds for another; one statement has one encoding.
 * Non-goals: what statements say. Called by the kinds, `signed-manifest.ts` and `announcement.ts`.
 */
import { DIGEST_LENGTH, hex } from "../hash/digest.ts";
import { isSignedBy, SIGNATURE_LENGTH } from "../hash/ed25519.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import { CborError, CborReader, encodeCbor } from "./canonical-cbor.ts";
import type { Publisher } from "./publisher.ts";

/** What can be signed, and the bytes that come first: ended by a zero, no statement continues them. */
const DOMAINS = {
  manifest: new TextEncoder().encode("shoal-manifest-v1\0"),
  announcement: new TextEncoder().encode("shoal-announcement-v1\0"),
} as const;
export type SignedKind = keyof typeof DOMAINS;

export interface ManifestSignature {
  /** `keyIdOf` the public key. */
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** The outside of something signed: nothing in it is proved. */
export interface Envelope {
  readonly statementBytes: Uint8Array;
  readonly signatures: readonly ManifestSignature[];
}

/** Whose signatures were found right. */
export interface Signed {
  readonly publisher: Publisher;
  /** Ids of the publisher's keys that have signed. */
  readonly signers: ReadonlySet<string>;
}

export type EnvelopeResult =
  | { readonly ok: true; readonly signed: Signed; readonly statementBytes: Uint8Array }
  | {
      readonly ok: false;
      readonly error: ErrorInfo;
      /** Nobody who has checked it could have passed it on: it is no envelope, or a forged one. */
      readonly isForged: boolean;
    };

export type Decoded<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly reason: string };

/** The bytes that a publisher's keys sign. */
export function messageToSign(
  statementBytes: Uint8Array,
  kind: SignedKind = "manifest",
): Uint8Array {
  const domain = DOMAINS[kind];
  const message = new Uint8Array(domain.length + statementBytes.length);
  message.set(domain);
  message.set(statementBytes, domain.length);
  return message;
}

/** Puts statement and signatures together; the signatures may come in any order. */
export function encodeEnvelope({ statementBytes, signatures }: Envelope): Uint8Array {
  const inOrder = signatures.toSorted((a, b) => (hex(a.keyId) < hex(b.keyId) ? -1 : 1));
  return encodeCbor({
    entries: [
      ["signed", statementBytes],
      [
        "signatures",
        inOrder.map(({ keyId, signature }) => ({
          entries: [
            ["keyId", keyId],
            ["signature", signature],
          ] as const,
        })),
      ],
    ],
  });
}

/**
 * Checks signatures. Never throws on any input: refuses with `ERR_MANIFEST_MALFORMED` or
 * `ERR_MANIFEST_UNTRUSTED`. A signature that is wrong under a trusted key's id refuses the whole, so
 * that forged envelopes cost one check each.
 */
export function openEnvelope(
  bytes: Uint8Array,
  kind: SignedKind,
  publishers: readonly Publisher[],
): EnvelopeResult {
  const envelope = decodeEnvelope(bytes);
  if (!envelope.ok) return refused("ERR_MANIFEST_MALFORMED", envelope.reason, true);
  const { statementBytes, signatures } = envelope.value;
  const publisher = publisherOf(signatures, publishers);
  if (publisher === undefined) {
    return refused("ERR_MANIFEST_UNTRUSTED", "too few trusted keys", false);
  }
  const message = messageToSign(statementBytes, kind);
  const keys = new Map(publisher.keys.map((key) => [key.keyId, key.publicKey]));
  const signers = new Set<string>();
  for (const { keyId, signature } of signatures) {
    const publicKey = keys.get(hex(keyId));
    if (publicKey === undefined) continue;
    if (!isSignedBy(publicKey, message, signature)) {
      // Of several, who passed it on may have trusted another.
      return refused("ERR_MANIFEST_UNTRUSTED", "a signature is wrong", signatures.length === 1);
    }
    signers.add(hex(keyId));
  }
  return { ok: true, signed: { publisher, signers }, statementBytes };
}

/** Decodes the outside. Never throws on any input; `reason` says what is wrong in words. */
export function decodeEnvelope(bytes: Uint8Array): Decoded<Envelope> {
  if (bytes.length > LIMITS.manifestBytesMax) {
    return { ok: false, reason: `${bytes.length} bytes exceed ${LIMITS.manifestBytesMax}` };
  }
  return decoded(() => {
    const reader = new CborReader(bytes);
    let statementBytes: Uint8Array | undefined;
    let signatures: readonly ManifestSignature[] | undefined;
    reader.map(2, 16, (key) => {
      if (key === "signed") statementBytes = reader.bytes(LIMITS.manifestBytesMax);
      else if (key === "signatures") signatures = readSignatures(reader);
      else throw new CborError(`unknown field "${key}"`);
    });
    reader.end();
    return {
      statementBytes: present(statementBytes, "signed"),
      signatures: present(signatures, "signatures"),
    };
  });
}

/** In ascending order of key ids, and so each of them once (R-MAN-05). */
function readSignatures(reader: CborReader): ManifestSignature[] {
  const count = reader.array(LIMITS.keysPerPublisherMax);
  const signatures: ManifestSignature[] = [];
  let previous = "";
  for (let i = 0; i < count; i++) {
    let keyId: Uint8Array | undefined;
    let signature: Uint8Array | undefined;
    reader.map(2, 16, (key) => {
      if (key === "keyId") keyId = reader.bytes(DIGEST_LENGTH);
      else if (key === "signature") signature = reader.bytes(SIGNATURE_LENGTH);
      else throw new CborError(`unknown field "${key}" of signature ${i}`);
    });
    const read = {
      keyId: present(keyId, "keyId"),
      signature: present(signature, "signature"),
    };
    if (read.keyId.length !== DIGEST_LENGTH) throw new CborError("a key id is not 32 bytes");
    if (read.signature.length !== SIGNATURE_LENGTH) throw new CborError("not 64 bytes signed");
    const name = hex(read.keyId);
    if (name <= previous) throw new CborError("key ids are out of order or stand twice");
    previous = name;
    signatures.push(read);
  }
  return signatures;
}

/** The publisher enough of whose keys are named. */
function publisherOf(
  signatures: readonly ManifestSignature[],
  publishers: readonly Publisher[],
): Publisher | undefined {
  const named = new Set(signatures.map(({ keyId }) => hex(keyId)));
  return publishers.find(({ keys, signaturesMin }) => {
    return keys.filter(({ keyId }) => named.has(keyId)).length >= signaturesMin;
  });
}

/** Runs a decoder; its `CborError` becomes a reason. */
export function decoded<Value>(work: () => Value): Decoded<Value> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (error instanceof CborError) return { ok: false, reason: error.message };
    throw error;
  }
}

function refused(code: ErrorInfo["code"], reason: string, isForged: boolean): EnvelopeResult {
  return { ok: false, error: errorInfo(code, reason), isForged };
}

/** Throws a `CborError` that `decoded` catches. */
export function present<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new CborError(`field "${name}" is missing`);
  return value;
}
