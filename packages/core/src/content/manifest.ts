/**
 * The manifest: what a content consists of, in canonical CBOR. Its SHA-256 is the content's name,
 * so the bytes are the truth and are kept as received; the object is a checked view of them.
 * The format is specified in docs/manifest.md.
 *
 * Decoding is strict: every limit of R-MAN-10, canonical form, known fields only, nothing after
 * the end. Callers check the content id first and parse afterwards (R-MAN-02).
 */
import { assert } from "../assert.ts";
import { DIGEST_LENGTH, matchesDigest } from "../hash/digest.ts";
import { LIMITS } from "../registry/limits.ts";
import type { PieceIndex } from "../units.ts";
import { CborError, CborReader, encodeCbor } from "./canonical-cbor.ts";
import type { CborValue } from "./canonical-cbor.ts";
import { isFileName } from "./file-name.ts";
import { PieceLayout } from "./layout.ts";

export const MANIFEST_VERSION = 1;
/** What `shoal publish` appends to a file's name for the manifest it writes beside the file. */
export const SIDECAR_SUFFIX = ".shoal";
const HASH_NAME = "sha2-256";

/** One file of a content. Files lie one after the other, in the order listed. */
export interface ManifestFile {
  /** One path component; a suggestion that never selects a destination (R-MAN-11). */
  readonly name: string;
  readonly length: number;
  /** SHA-256 of the file's bytes. */
  readonly digest: Uint8Array;
}

/** What the publisher suggests; local settings win. */
export interface ManifestHints {
  readonly foregroundRateBytesPerSec?: number;
  readonly backgroundRateBytesPerSec?: number;
  readonly cacheAgeSec?: number;
}

export interface Manifest {
  readonly layout: PieceLayout;
  /** SHA-256 of every piece, one after the other, 32 bytes each. */
  readonly pieceDigests: Uint8Array;
  /** SHA-256 of the whole content; absent where the publisher knew only the pieces' digests. */
  readonly contentDigest?: Uint8Array;
  /** At least one; none in a manifest without `contentDigest`. */
  readonly files: readonly ManifestFile[];
  readonly hints: ManifestHints;
}

export type ManifestResult =
  | { readonly ok: true; readonly manifest: Manifest }
  | { readonly ok: false; readonly reason: string };

/** The SHA-256 of `piece`: a view of the manifest's table. */
export function pieceDigest(manifest: Manifest, piece: PieceIndex): Uint8Array {
  return manifest.pieceDigests.subarray(piece * DIGEST_LENGTH, (piece + 1) * DIGEST_LENGTH);
}

/** Encodes canonically. The manifest must be one that `decodeManifest` would accept. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const { layout, contentDigest, hints } = manifest;
  const entries: Array<readonly [string, CborValue]> = [
    ["version", MANIFEST_VERSION],
    ["hash", HASH_NAME],
    ["length", layout.contentLength],
    ["pieces", manifest.pieceDigests],
    [
      "files",
      manifest.files.map((file) => ({
        entries: [
          ["name", file.name],
          ["length", file.length],
          ["digest", file.digest],
        ] as const,
      })),
    ],
    layout.boundaries.kind === "fixed"
      ? ["pieceLength", layout.boundaries.pieceLength]
      : ["pieceLengths", packLengths(layout.boundaries.lengths)],
  ];
  if (contentDigest !== undefined) entries.push(["digest", contentDigest]);
  const hintEntries = Object.entries(hints).filter(([, value]) => value !== undefined);
  if (hintEntries.length > 0) entries.push(["hints", { entries: hintEntries }]);
  const bytes = encodeCbor({ entries });
  assert(decodeManifest(bytes).ok, "an encoded manifest must be decodable");
  return bytes;
}

/** Decodes and checks. Never throws on any input; `reason` says what is wrong in words. */
export function decodeManifest(bytes: Uint8Array): ManifestResult {
  if (bytes.length > LIMITS.manifestBytesMax) {
    return { ok: false, reason: `${bytes.length} bytes exceed ${LIMITS.manifestBytesMax}` };
  }
  try {
    return { ok: true, manifest: checkFields(readFields(bytes)) };
  } catch (error) {
    if (error instanceof CborError) return { ok: false, reason: error.message };
    throw error;
  }
}

interface RawFields {
  version?: number;
  hash?: string;
  length?: number;
  pieceLength?: number;
  pieceLengths?: Uint8Array;
  pieces?: Uint8Array;
  digest?: Uint8Array;
  files?: ManifestFile[];
  hints?: ManifestHints;
}

function readFields(bytes: Uint8Array): RawFields {
  const reader = new CborReader(bytes);
  const raw: RawFields = {};
  reader.map(9, 16, (key) => {
    switch (key) {
      case "version":
        raw.version = reader.uint(Number.MAX_SAFE_INTEGER);
        break;
      case "hash":
        raw.hash = reader.text(32);
        break;
      case "length":
        raw.length = reader.uint(LIMITS.contentLengthMax);
        break;
      case "pieceLength":
        raw.pieceLength = reader.uint(LIMITS.pieceLengthMax);
        break;
      case "pieceLengths":
        raw.pieceLengths = reader.bytes(LIMITS.piecesPerManifestMax * 4);
        break;
      case "pieces":
        raw.pieces = reader.bytes(LIMITS.piecesPerManifestMax * DIGEST_LENGTH);
        break;
      case "digest":
        raw.digest = reader.bytes(DIGEST_LENGTH);
        break;
      case "files":
        raw.files = readFiles(reader);
        break;
      case "hints":
        raw.hints = readHints(reader);
        break;
      default:
        throw new CborError(`unknown field "${key}"`);
    }
  });
  reader.end();
  return raw;
}

function readFiles(reader: CborReader): ManifestFile[] {
  const count = reader.array(LIMITS.filesPerManifestMax);
  const files: ManifestFile[] = [];
  for (let i = 0; i < count; i++) {
    let name: string | undefined;
    let length: number | undefined;
    let digest: Uint8Array | undefined;
    reader.map(3, 16, (key) => {
      if (key === "name") name = reader.text(LIMITS.fileNameBytesMax);
      else if (key === "length") length = reader.uint(LIMITS.contentLengthMax);
      else if (key === "digest") digest = reader.bytes(DIGEST_LENGTH);
      else throw new CborError(`unknown field "${key}" of file ${i}`);
    });
    files.push({
      name: present(name, "files.name"),
      length: present(length, "files.length"),
      digest: present(digest, "files.digest"),
    });
  }
  return files;
}

const HINT_NAMES = [
  "foregroundRateBytesPerSec",
  "backgroundRateBytesPerSec",
  "cacheAgeSec",
] as const;

function readHints(reader: CborReader): ManifestHints {
  const hints: Partial<Record<(typeof HINT_NAMES)[number], number>> = {};
  reader.map(HINT_NAMES.length, 32, (key) => {
    const name = HINT_NAMES.find((known) => known === key);
    if (name === undefined) throw new CborError(`unknown hint "${key}"`);
    hints[name] = reader.uint(Number.MAX_SAFE_INTEGER);
  });
  return hints;
}

function checkFields(raw: RawFields): Manifest {
  if (present(raw.version, "version") !== MANIFEST_VERSION) {
    throw new CborError(`version ${raw.version} is not ${MANIFEST_VERSION}`);
  }
  if (present(raw.hash, "hash") !== HASH_NAME) throw new CborError(`hash is not ${HASH_NAME}`);
  const layout = checkLayout(raw);
  const pieceDigests = present(raw.pieces, "pieces");
  if (pieceDigests.length !== layout.pieceCount * DIGEST_LENGTH) {
    throw new CborError(`${pieceDigests.length} digest bytes for ${layout.pieceCount} pieces`);
  }
  const files = present(raw.files, "files");
  const hints = raw.hints ?? {};
  if (raw.digest === undefined) {
    // Whoever knows a file's digest knows the content's, so such a manifest cannot name files.
    if (files.length > 0) throw new CborError("files without a digest of the content");
    return { layout, pieceDigests, files, hints };
  }
  checkDigest(raw.digest, layout.contentLength);
  checkFiles(files, layout.contentLength);
  return { layout, pieceDigests, contentDigest: raw.digest, files, hints };
}

/** Whether pieces of a fixed layout may have this length in bytes (R-MAN-10). */
export function isPieceLength(bytes: number): boolean {
  const isPowerOfTwo = Number.isSafeInteger(bytes) && (bytes & (bytes - 1)) === 0;
  return isPowerOfTwo && bytes >= LIMITS.pieceLengthMin && bytes <= LIMITS.pieceLengthMax;
}

function checkLayout(raw: RawFields): PieceLayout {
  const length = present(raw.length, "length");
  if ((raw.pieceLength === undefined) === (raw.pieceLengths === undefined)) {
    throw new CborError("exactly one of pieceLength and pieceLengths is needed");
  }
  if (raw.pieceLength !== undefined) {
    const { pieceLength } = raw;
    if (!isPieceLength(pieceLength)) {
      throw new CborError(`piece length ${pieceLength} is not an allowed power of two`);
    }
    if (Math.ceil(length / pieceLength) > LIMITS.piecesPerManifestMax) {
      throw new CborError("too many pieces");
    }
    return PieceLayout.fixed(length, pieceLength);
  }
  const lengths = unpackLengths(present(raw.pieceLengths, "pieceLengths"));
  let total = 0;
  for (const pieceLength of lengths) {
    if (pieceLength < 1 || pieceLength > LIMITS.pieceLengthMax) {
      throw new CborError(`piece length ${pieceLength} is out of range`);
    }
    total += pieceLength;
  }
  if (total !== length) throw new CborError("piece lengths do not add up to the length");
  return PieceLayout.explicit(lengths);
}

function checkFiles(files: readonly ManifestFile[], contentLength: number): void {
  let total = 0;
  const names = new Set<string>();
  for (const file of files) {
    if (!isFileName(file.name)) throw new CborError("a file name is not one path component");
    if (names.has(file.name)) throw new CborError("a file name stands twice");
    names.add(file.name);
    checkDigest(file.digest, file.length);
    total += file.length;
  }
  if (files.length === 0) throw new CborError("no files");
  if (total !== contentLength) throw new CborError("file lengths do not add up to the length");
}

function checkDigest(digest: Uint8Array, length: number): void {
  if (digest.length !== DIGEST_LENGTH) throw new CborError("a digest is not 32 bytes");
  if (length === 0 && !matchesDigest(new Uint8Array(0), digest, 0)) {
    throw new CborError("no bytes have another digest (R-MAN-10)");
  }
}

/** Explicit piece lengths travel as 32-bit big-endian numbers, one after the other. */
function packLengths(lengths: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(lengths.length * 4);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < lengths.length; i++) view.setUint32(i * 4, lengths[i]!);
  return bytes;
}

function unpackLengths(bytes: Uint8Array): Uint32Array {
  if (bytes.length % 4 !== 0) throw new CborError("pieceLengths is not a whole number of entries");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lengths = new Uint32Array(bytes.length / 4);
  for (let i = 0; i < lengths.length; i++) lengths[i] = view.getUint32(i * 4);
  return lengths;
}

function present<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new CborError(`field "${name}" is missing`);
  return value;
}
