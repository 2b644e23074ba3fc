/**
 * The signed form of a manifest (trust level T3). Participants: a publisher, who signs a statement
 * about a manifest, and agents that were told the publisher's public keys.
 *
 *   envelope    { signed: statement's bytes, signatures: [ { keyId, signature }, ... ] }
 *   statement   { version, product, sequence, issued, expires, manifest: manifest's bytes }
 *   signature   Ed25519 over "shoal-manifest-v1" || 0x00 || statement's bytes
 *
 * Goals: nothing but key ids and signatures is looked at before enough signatures have been found
 * right (R-MAN-04); one statement has one encoding; it does not matter who passed the bytes on.
 * Non-goals: whether a statement is new enough, or about the file that was asked for; that is
 * `Publishers`'. The manifest inside is byte for byte the unsigned one, so that the content has the
 * same id and the same swarm. Both are canonical CBOR; docs/manifest.md has the tables.
 */
import { assert } from "../assert.ts";
import { isSignedBy, SIGNATURE_LENGTH } from "../hash/ed25519.ts";
import { DIGEST_LENGTH, hex } from "../hash/digest.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { ContentId } from "../units.ts";
import { CborError, CborReader, encodeCbor } from "./canonical-cbor.ts";
import { contentIdOf } from "./content-id.ts";
import { decodeManifest } from "./manifest.ts";
import type { Manifest } from "./manifest.ts";
import type { Publisher } from "./publisher.ts";

/** What `shoal publish --key` appends to a file's name for the signed manifest beside the file. */
export const SIGNED_SIDECAR_SUFFIX = ".shoal-signed";
const STATEMENT_VERSION = 1;
/** Ends in a zero byte: no statement continues it (R-MAN-04). */
const DOMAIN = new TextEncoder().encode("shoal-manifest-v1\0");
const CONTROL = /\p{Cc}/u;

/** What a publisher says about a content. */
export interface Statement {
  /** What the content is a version of: sequences of one product are compared. */
  readonly product: string;
  /** Higher for every newer version. */
  readonly sequence: number;
  /** When it was signed, in seconds since 1970. */
  readonly issuedAtSec: number;
  /** From when on no job may start with it, in seconds since 1970. */
  readonly expiresAtSec: number;
  /** The manifest, byte for byte. */
  readonly manifestBytes: Uint8Array;
}

export interface ManifestSignature {
  /** `keyIdOf` the public key. */
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** The outside of a signed manifest: nothing in it is proved. */
export interface Envelope {
  readonly statementBytes: Uint8Array;
  readonly signatures: readonly ManifestSignature[];
}

/** A statement whose signatures were found right. */
export interface OpenedManifest {
  readonly publisher: Publisher;
  /** Ids of the publisher's keys that have signed. */
  readonly signers: ReadonlySet<string>;
  readonly statement: Statement;
  readonly contentId: ContentId;
  readonly manifest: Manifest;
}

type Decoded<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly reason: string };

export type OpenResult =
  | { readonly ok: true; readonly opened: OpenedManifest }
  | { readonly ok: false; readonly error: ErrorInfo };

/** Where the signed manifest of the file at `url` lies: its path with a suffix, its query unchanged. */
export function signedSidecarUrl(url: string): string {
  const sidecar = new URL(url);
  sidecar.pathname += SIGNED_SIDECAR_SUFFIX;
  sidecar.hash = "";
  return sidecar.href;
}

/** Encodes canonically. The statement must be one that `decodeStatement` would accept. */
export function encodeStatement(statement: Statement): Uint8Array {
  const bytes = encodeCbor({
    entries: [
      ["version", STATEMENT_VERSION],
      ["product", statement.product],
      ["sequence", statement.sequence],
      ["issued", statement.issuedAtSec],
      ["expires", statement.expiresAtSec],
      ["manifest", statement.manifestBytes],
    ],
  });
  assert(decodeStatement(bytes).ok, "an encoded statement must be decodable");
  return bytes;
}

/** The bytes that a publisher's keys sign. */
export function messageToSign(statementBytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(DOMAIN.length + statementBytes.length);
  message.set(DOMAIN);
  message.set(statementBytes, DOMAIN.length);
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
 * Checks signatures, then decodes, in this order. Never throws on any input: refuses with
 * `ERR_MANIFEST_MALFORMED` or `ERR_MANIFEST_UNTRUSTED`. A signature that is wrong under a trusted
 * key's id refuses the whole, so that forged envelopes cost one check each.
 */
export function openSignedManifest(
  bytes: Uint8Array,
  publishers: readonly Publisher[],
): OpenResult {
  const envelope = decodeEnvelope(bytes);
  if (!envelope.ok) return refused("ERR_MANIFEST_MALFORMED", envelope.reason);
  const { statementBytes, signatures } = envelope.value;
  const publisher = publisherOf(signatures, publishers);
  if (publisher === undefined) return refused("ERR_MANIFEST_UNTRUSTED", "too few trusted keys");
  const message = messageToSign(statementBytes);
  const keys = new Map(publisher.keys.map((key) => [key.keyId, key.publicKey]));
  const signers = new Set<string>();
  for (const { keyId, signature } of signatures) {
    const publicKey = keys.get(hex(keyId));
    if (publicKey === undefined) continue;
    if (!isSignedBy(publicKey, message, signature)) {
      return refused("ERR_MANIFEST_UNTRUSTED", "a signature is wrong");
    }
    signers.add(hex(keyId));
  }
  const statement = decodeStatement(statementBytes);
  if (!statement.ok) return refused("ERR_MANIFEST_MALFORMED", statement.reason);
  const { manifestBytes } = statement.value;
  const decoded = decodeManifest(manifestBytes);
  if (!decoded.ok) return refused("ERR_MANIFEST_MALFORMED", decoded.reason);
  const { manifest } = decoded;
  const contentId = contentIdOf(manifestBytes);
  const opened = { publisher, signers, statement: statement.value, contentId, manifest };
  return { ok: true, opened };
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

/** Decodes a statement whose signatures are right. Never throws on any input. */
export function decodeStatement(bytes: Uint8Array): Decoded<Statement> {
  return decoded(() => {
    const reader = new CborReader(bytes);
    const numbers = new Map<string, number>();
    let product: string | undefined;
    let manifestBytes: Uint8Array | undefined;
    reader.map(6, 16, (key) => {
      if (key === "product") product = reader.text(LIMITS.productBytesMax);
      else if (key === "manifest") manifestBytes = reader.bytes(LIMITS.manifestBytesMax);
      else if (NUMBERS.includes(key)) numbers.set(key, reader.uint(Number.MAX_SAFE_INTEGER));
      else throw new CborError(`unknown field "${key}"`);
    });
    reader.end();
    if (numbers.get("version") !== STATEMENT_VERSION) throw new CborError("unknown version");
    const statement = {
      product: present(product, "product"),
      sequence: present(numbers.get("sequence"), "sequence"),
      issuedAtSec: present(numbers.get("issued"), "issued"),
      expiresAtSec: present(numbers.get("expires"), "expires"),
      manifestBytes: present(manifestBytes, "manifest"),
    };
    if (!isProductName(statement.product)) throw new CborError("the product has no usable name");
    if (statement.expiresAtSec <= statement.issuedAtSec) throw new CborError("it is never valid");
    if (statement.expiresAtSec > LIMITS.instantSecMax) throw new CborError("no such date");
    return statement;
  });
}

/** Whether a product may be named so: something, and nothing that moves a terminal's cursor. */
export function isProductName(text: string): boolean {
  const { length } = new TextEncoder().encode(text);
  return length > 0 && length <= LIMITS.productBytesMax && !CONTROL.test(text);
}

const NUMBERS = ["version", "sequence", "issued", "expires"];

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

function decoded<Value>(work: () => Value): Decoded<Value> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (error instanceof CborError) return { ok: false, reason: error.message };
    throw error;
  }
}

function refused(code: ErrorInfo["code"], reason: string): OpenResult {
  return { ok: false, error: errorInfo(code, reason) };
}

function present<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new CborError(`field "${name}" is missing`);
  return value;
}
