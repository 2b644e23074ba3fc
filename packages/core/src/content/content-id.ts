/**
 * Names of content. A `ContentId` is the CIDv1 (dag-cbor, sha2-256) of a manifest's bytes; a chunk
 * is a raw CIDv1. Both are written in lower-case base32, the text form of CIDv1.
 */
import { CID } from "multiformats/cid";
import { create as createMultihash } from "multiformats/hashes/digest";
import { DIGEST_LENGTH, sha256 } from "../hash/digest.ts";
import type { ContentId } from "../units.ts";

/** Codes of the multicodec table. */
const DAG_CBOR = 0x71;
const RAW = 0x55;
const SHA2_256 = 0x12;

/** The id of the content that these manifest bytes describe. Hashes; does not parse. */
export function contentIdOf(manifestBytes: Uint8Array): ContentId {
  return contentIdFromDigest(sha256(manifestBytes));
}

/** The content id whose manifest has this SHA-256. */
export function contentIdFromDigest(digest: Uint8Array): ContentId {
  return CID.createV1(DAG_CBOR, createMultihash(SHA2_256, digest)).toString();
}

/** The manifest's SHA-256 inside a content id that `parseContentId` has accepted. */
export function digestOfContentId(contentId: ContentId): Uint8Array {
  return CID.parse(contentId).multihash.digest;
}

/**
 * Checks text that claims to be a content id and returns its one normal form, or `undefined`.
 * Refuses other versions, codecs and hash functions (R-MAN-03).
 */
export function parseContentId(text: string): ContentId | undefined {
  if (text.length > 128) return undefined;
  try {
    const cid = CID.parse(text);
    const { code, digest } = cid.multihash;
    const ok = cid.version === 1 && cid.code === DAG_CBOR && code === SHA2_256;
    return ok && digest.length === DIGEST_LENGTH ? cid.toString() : undefined;
  } catch {
    return undefined;
  }
}

/** The CID of a chunk with this SHA-256. */
export function chunkIdFromDigest(digest: Uint8Array): string {
  return CID.createV1(RAW, createMultihash(SHA2_256, digest)).toString();
}
