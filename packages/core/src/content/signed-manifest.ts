/**
 * The signed form of a manifest (trust level T3). Participants: a publisher, who signs a statement
 * about a manifest, and agents that were told the publisher's public keys.
 *
 *   statement   { version, product, sequence, issued, expires, manifest: manifest's bytes }
 *
 * Goals: one statement has one encoding; it does not matter who passed the bytes on; signatures come
 * first (`envelope.ts`).
 * Non-goals: whether a statement is new enough, or about the file that was asked for; that is
 * `Publishers`'. The manifest inside is byte for byte the unsigned one, so that the content has the
 * same id and the same swarm. Both are canonical CBOR; docs/manifest.md has the tables.
 */
import { assert } from "../assert.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { ContentId } from "../units.ts";
import { CborError, CborReader, encodeCbor } from "./canonical-cbor.ts";
import { contentIdOf } from "./content-id.ts";
import { decoded, openEnvelope, present } from "./envelope.ts";
import type { Decoded, Signed } from "./envelope.ts";
import { decodeManifest } from "./manifest.ts";
import type { Manifest } from "./manifest.ts";
import type { Publisher } from "./publisher.ts";

/** What `shoal publish --key` appends to a file's name for the signed manifest beside the file. */
export const SIGNED_SIDECAR_SUFFIX = ".shoal-signed";
const STATEMENT_VERSION = 1;
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

/** A statement whose signatures were found right. */
export interface OpenedManifest extends Signed {
  readonly statement: Statement;
  readonly contentId: ContentId;
  readonly manifest: Manifest;
}

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

/**
 * Checks signatures, then decodes, in this order. Never throws on any input: refuses with
 * `ERR_MANIFEST_MALFORMED` or `ERR_MANIFEST_UNTRUSTED`.
 */
export function openSignedManifest(
  bytes: Uint8Array,
  publishers: readonly Publisher[],
): OpenResult {
  const envelope = openEnvelope(bytes, "manifest", publishers);
  if (!envelope.ok) return { ok: false, error: envelope.error };
  const { signed, statementBytes } = envelope;
  const statement = decodeStatement(statementBytes);
  if (!statement.ok) return refused("ERR_MANIFEST_MALFORMED", statement.reason);
  const { manifestBytes } = statement.value;
  const manifest = decodeManifest(manifestBytes);
  if (!manifest.ok) return refused("ERR_MANIFEST_MALFORMED", manifest.reason);
  const contentId = contentIdOf(manifestBytes);
  const opened = { ...signed, statement: statement.value, contentId, manifest: manifest.manifest };
  return { ok: true, opened };
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

function refused(code: ErrorInfo["code"], reason: string): OpenResult {
  return { ok: false, error: errorInfo(code, reason) };
}
