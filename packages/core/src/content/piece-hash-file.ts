/**
 * Reads Delivery Optimization's piece-hash file (PHF) as a manifest. The format, with what we had
 * to read into it, is specified in docs/manifest.md.
 *
 * Knows the JSON and the two digests a job may name: of the file's bytes, and of its piece digests
 * (the hash of hashes). Knows neither where the file came from nor who asks for it. The manifest
 * depends on lengths and piece digests alone, so that all agents that are given the same pieces
 * agree on the content id and share a swarm. Called by whoever has fetched a piece-hash file.
 *
 * Cost: about 0.8 us for a piece, 0.1 s for the most there may be. Where the job names only the hash
 * of hashes, the bytes must be parsed before anything vouches for them; one pass over them bounds
 * what the JSON parser can be made to build, and no input takes longer than the largest right file.
 */
import { assert } from "../assert.ts";
import { DIGEST_LENGTH, matchesDigest } from "../hash/digest.ts";
import type { ErrorCode } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { ContentId } from "../units.ts";
import { contentIdOf } from "./content-id.ts";
import { PieceLayout } from "./layout.ts";
import { encodeManifest, isPieceLength } from "./manifest.ts";
import type { Manifest } from "./manifest.ts";

/** What a job says about its piece-hash file: at least one of these, 32 bytes each. */
export interface ExpectedPieceHashes {
  /** SHA-256 of the file's bytes. */
  readonly digest?: Uint8Array;
  /** SHA-256 of all piece digests, one after the other. */
  readonly hashOfHashes?: Uint8Array;
}

export type PieceHashFileResult =
  | {
      readonly ok: true;
      /** Has neither a digest of the whole content, nor files, nor hints. */
      readonly manifest: Manifest;
      /** The manifest's canonical bytes. */
      readonly bytes: Uint8Array;
      readonly contentId: ContentId;
    }
  | { readonly ok: false; readonly code: ErrorCode; readonly reason: string };

/** The only major version; minor versions may add members. */
const MAJOR_VERSION = 1;

/**
 * Checks a piece-hash file and makes a manifest of it. Never throws on any bytes:
 * `ERR_PIECE_HASHES_DIGEST_MISMATCH` where its digest is another than expected,
 * `ERR_PIECE_HASHES_MALFORMED` for what is not such a file, `ERR_PIECE_HASHES_MISMATCH` where its
 * hash of hashes is another than expected or than the file itself says; `reason` says more in words.
 */
export function parsePieceHashFile(
  bytes: Uint8Array,
  expected: ExpectedPieceHashes,
): PieceHashFileResult {
  const { digest, hashOfHashes } = expected;
  assert(digest !== undefined || hashOfHashes !== undefined, "something to compare with");
  assert(digest === undefined || digest.length === DIGEST_LENGTH, "digest of 32 bytes");
  assert(hashOfHashes === undefined || hashOfHashes.length === DIGEST_LENGTH, "hash of hashes");
  if (bytes.length > LIMITS.manifestBytesMax) {
    return malformed(`${bytes.length} bytes exceed ${LIMITS.manifestBytesMax}`);
  }
  if (digest !== undefined && !matchesDigest(bytes, digest, 0)) {
    return { ok: false, code: "ERR_PIECE_HASHES_DIGEST_MISMATCH", reason: "it is another file" };
  }
  const fields = readFields(bytes);
  if (typeof fields === "string") return malformed(fields);
  const { layout, pieceDigests, stated } = fields;
  if (!matchesDigest(pieceDigests, stated, 0)) {
    return mismatch("its pieces have another hash of hashes than it states");
  }
  if (hashOfHashes !== undefined && !matchesDigest(pieceDigests, hashOfHashes, 0)) {
    return mismatch("its hash of hashes is another than expected");
  }
  const manifest: Manifest = { layout, pieceDigests, files: [], hints: {} };
  const encoded = encodeManifest(manifest);
  return { ok: true, manifest, bytes: encoded, contentId: contentIdOf(encoded) };
}

/**
 * The 32 bytes of a SHA-256 written in base64 (RFC 4648 section 4: 43 characters and one `=`, and
 * no stray bits); `undefined` if it is not one.
 */
export function parseSha256Base64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text)) return undefined;
  const binary = atob(text);
  const bytes = new Uint8Array(DIGEST_LENGTH);
  for (let i = 0; i < DIGEST_LENGTH; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

interface Fields {
  readonly layout: PieceLayout;
  readonly pieceDigests: Uint8Array;
  /** The hash of hashes that the file states of itself. */
  readonly stated: Uint8Array;
}

/** The checked fields, or what is wrong with them in words. */
function readFields(bytes: Uint8Array): Fields | string {
  if (!isModest(bytes)) return "more members than a piece-hash file has";
  const file = parseObject(bytes);
  if (file === undefined) return "not a JSON object";
  const { MajorVersion, MinorVersion, HashOfHashes, ContentLength, PieceSize, Pieces } = file;
  if (MajorVersion !== MAJOR_VERSION || !isVersion(MinorVersion)) {
    return `not of version ${MAJOR_VERSION}`;
  }
  const stated = typeof HashOfHashes === "string" ? parseSha256Base64(HashOfHashes) : undefined;
  if (stated === undefined) return "HashOfHashes is not a SHA-256 in base64";
  const contentLength = parseLength(ContentLength);
  if (contentLength === undefined || contentLength > LIMITS.contentLengthMax) {
    return "ContentLength is not an allowed number of bytes";
  }
  const pieceLength = parseLength(PieceSize);
  if (pieceLength === undefined || !isPieceLength(pieceLength)) {
    return "PieceSize is not an allowed power of two";
  }
  const layout = PieceLayout.fixed(contentLength, pieceLength);
  const { pieceCount } = layout;
  if (pieceCount > LIMITS.piecesPerManifestMax) return "too many pieces";
  if (!Array.isArray(Pieces)) return "Pieces is not an array";
  if (Pieces.length !== pieceCount) return `${Pieces.length} digests for ${pieceCount} pieces`;
  const pieceDigests = new Uint8Array(pieceCount * DIGEST_LENGTH);
  for (let piece = 0; piece < pieceCount; piece++) {
    const text: unknown = Pieces[piece];
    const digest = typeof text === "string" ? parseSha256Base64(text) : undefined;
    if (digest === undefined) return `the digest of piece ${piece} is not a SHA-256 in base64`;
    pieceDigests.set(digest, piece * DIGEST_LENGTH);
  }
  return { layout, pieceDigests, stated };
}

/**
 * Whether the bytes can hold no more values than the largest piece-hash file. Text of the allowed
 * length could otherwise make the parser build millions of objects. Counts inside strings too,
 * where a right file has no such characters.
 */
function isModest(bytes: Uint8Array): boolean {
  let nestedCount = 0;
  let commaCount = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === COMMA) commaCount++;
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) nestedCount++;
  }
  const { pieceHashFileExtrasMax, piecesPerManifestMax } = LIMITS;
  const commasMax = piecesPerManifestMax + pieceHashFileExtrasMax;
  return nestedCount <= pieceHashFileExtrasMax && commaCount <= commasMax;
}

const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const OPEN_OBJECT = 0x7b;

/** A byte order mark is passed over, because the tools of the field like to write one. */
const decoder = new TextDecoder("utf-8", { fatal: true });

function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(bytes));
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // Neither UTF-8 nor JSON: the parser's own words would repeat hostile text.
  }
}

function isVersion(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** A number of bytes, as a JSON number or as decimal digits; `undefined` if it is neither. */
function parseLength(value: unknown): number | undefined {
  const text = typeof value === "number" ? String(value) : value;
  return typeof text === "string" && /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : undefined;
}

function malformed(reason: string): PieceHashFileResult {
  return { ok: false, code: "ERR_PIECE_HASHES_MALFORMED", reason };
}

function mismatch(reason: string): PieceHashFileResult {
  return { ok: false, code: "ERR_PIECE_HASHES_MISMATCH", reason };
}
