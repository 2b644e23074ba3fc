/**
 * A publisher's announcement: "the file at this URL, with this validator, is this content". It lets
 * agents that trust the publisher fetch other people's files from peers.
 *
 *   statement   { version, tag, validator, sequence, issued, expires, content: digest of its id }
 *
 * It stands in an envelope (`envelope.ts`) and is passed on by whoever has it. `tag` is a digest of
 * the URL and `validator` one of what the origin says of the file, so that it names neither to those
 * who do not know them (R-PRIV-05). Both can be guessed by whoever knows the candidates.
 *
 * Knows bytes; whether a statement is new enough is `Publishers`'. docs/manifest.md has the tables.
 */
import { assert } from "../assert.ts";
import { DIGEST_LENGTH, sha256 } from "../hash/digest.ts";
import { validatorKey } from "../ports/origin-port.ts";
import type { Validator } from "../ports/origin-port.ts";
import { errorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { ContentId } from "../units.ts";
import { CborError, CborReader, encodeCbor } from "./canonical-cbor.ts";
import { contentIdFromDigest, digestOfContentId } from "./content-id.ts";
import { decoded, openEnvelope, present } from "./envelope.ts";
import type { Decoded, EnvelopeResult, Signed } from "./envelope.ts";
import type { Publisher } from "./publisher.ts";

const ANNOUNCEMENT_VERSION = 1;
const URL_DOMAIN = "shoal-url-v1\0";
const VALIDATOR_DOMAIN = "shoal-validator-v1\0";

/** What a publisher says about the file at a URL. */
export interface Announcement {
  /** `urlTag` of the URL. */
  readonly tag: Uint8Array;
  /** `validatorTag` of what the origin says of the file. */
  readonly validator: Uint8Array;
  /** Higher for every newer announcement about the URL. */
  readonly sequence: number;
  /** When it was signed, in seconds since 1970. */
  readonly issuedAtSec: number;
  /** From when on no job may start with it, in seconds since 1970. */
  readonly expiresAtSec: number;
  readonly contentId: ContentId;
}

/** An announcement whose signatures were found right. */
export interface OpenedAnnouncement extends Signed {
  readonly announcement: Announcement;
}

export type OpenAnnouncementResult =
  | { readonly ok: true; readonly opened: OpenedAnnouncement }
  | Extract<EnvelopeResult, { readonly ok: false }>;

/**
 * What stands for the file at a URL: a digest of the URL in its normal form, without its fragment.
 * `undefined` for those nobody may be asked about: with userinfo or a query, or not of the web
 * (R-PRIV-02).
 */
export function urlTag(text: string): Uint8Array | undefined {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return undefined;
  if (url.username !== "" || url.password !== "") return undefined;
  url.hash = "";
  // A bare question mark has an empty `search`.
  if (url.href.includes("?")) return undefined;
  return digestOf(URL_DOMAIN + url.href);
}

/**
 * What stands for the origin's word on the file: a digest of its length and its strong ETag, or else
 * its Last-Modified. `undefined` where the origin says neither.
 */
export function validatorTag(length: number, validator: Validator): Uint8Array | undefined {
  const key = validatorKey(length, validator);
  return key === undefined ? undefined : digestOf(VALIDATOR_DOMAIN + key);
}

/** Encodes canonically: what is to be signed. */
export function encodeAnnouncement(announcement: Announcement): Uint8Array {
  const bytes = encodeCbor({
    entries: [
      ["version", ANNOUNCEMENT_VERSION],
      ["tag", announcement.tag],
      ["validator", announcement.validator],
      ["sequence", announcement.sequence],
      ["issued", announcement.issuedAtSec],
      ["expires", announcement.expiresAtSec],
      ["content", digestOfContentId(announcement.contentId)],
    ],
  });
  assert(decodeAnnouncement(bytes).ok, "an encoded announcement must be decodable");
  return bytes;
}

/**
 * Checks signatures, then decodes, in this order. Never throws on any input: refuses with
 * `ERR_MANIFEST_MALFORMED` or `ERR_MANIFEST_UNTRUSTED`.
 */
export function openAnnouncement(
  bytes: Uint8Array,
  publishers: readonly Publisher[],
): OpenAnnouncementResult {
  if (bytes.length > LIMITS.announcementBytesMax) return malformed(`${bytes.length} bytes`);
  const envelope = openEnvelope(bytes, "announcement", publishers);
  if (!envelope.ok) return envelope;
  const announcement = decodeAnnouncement(envelope.statementBytes);
  if (!announcement.ok) return malformed(announcement.reason);
  return { ok: true, opened: { ...envelope.signed, announcement: announcement.value } };
}

function malformed(reason: string): OpenAnnouncementResult {
  return { ok: false, error: errorInfo("ERR_MANIFEST_MALFORMED", reason), isForged: true };
}

const DIGESTS = ["tag", "validator", "content"];
const NUMBERS = ["version", "sequence", "issued", "expires"];

function decodeAnnouncement(bytes: Uint8Array): Decoded<Announcement> {
  return decoded(() => {
    const reader = new CborReader(bytes);
    const numbers = new Map<string, number>();
    const digests = new Map<string, Uint8Array>();
    reader.map(7, 16, (key) => {
      if (DIGESTS.includes(key)) digests.set(key, readDigest(reader));
      else if (NUMBERS.includes(key)) numbers.set(key, reader.uint(Number.MAX_SAFE_INTEGER));
      else throw new CborError(`unknown field "${key}"`);
    });
    reader.end();
    if (numbers.get("version") !== ANNOUNCEMENT_VERSION) throw new CborError("unknown version");
    const announcement = {
      tag: present(digests.get("tag"), "tag"),
      validator: present(digests.get("validator"), "validator"),
      sequence: present(numbers.get("sequence"), "sequence"),
      issuedAtSec: present(numbers.get("issued"), "issued"),
      expiresAtSec: present(numbers.get("expires"), "expires"),
      contentId: contentIdFromDigest(present(digests.get("content"), "content")),
    };
    if (announcement.expiresAtSec <= announcement.issuedAtSec) {
      throw new CborError("it is never valid");
    }
    if (announcement.expiresAtSec > LIMITS.instantSecMax) throw new CborError("no such date");
    return announcement;
  });
}

/** A copy: what was received may lie in a buffer of the network's. */
function readDigest(reader: CborReader): Uint8Array {
  const digest = reader.bytes(DIGEST_LENGTH);
  if (digest.length !== DIGEST_LENGTH) throw new CborError("a digest is not 32 bytes");
  return new Uint8Array(digest);
}

function digestOf(text: string): Uint8Array {
  return sha256(new TextEncoder().encode(text));
}
