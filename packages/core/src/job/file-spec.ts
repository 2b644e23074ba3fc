/**
 * One file of a job as it was asked for, and the check that a spec read back from disk or network
 * is one (R-DB-05). What may be missing until the job is started is `checkStartable`'s concern.
 */
import { contentIdOf, parseContentId } from "../content/content-id.ts";
import { decodeManifest } from "../content/manifest.ts";
import { parseSha256Hex } from "../hash/digest.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import { TLS_TOLERANCES } from "../ports/origin-port.ts";
import type { OriginRequestOptions } from "../ports/origin-port.ts";
import type { ContentId } from "../units.ts";
import { checkDestination } from "./destination.ts";
import { checkOriginRequest } from "./origin-request.ts";
import { checkRanges } from "./ranges.ts";
import type { JobRange } from "./ranges.ts";
import { isBoolean, isCount, isList, isOneOf, isRecordOf, isText } from "./shape.ts";
import type { Check } from "./shape.ts";

/** Where a piece-hash file lies, and what it must be (docs/manifest.md). */
export interface PieceHashSource {
  readonly url: string;
  /** SHA-256 of the piece-hash file, as 64 lower-case hex digits. */
  readonly sha256?: string;
  /** SHA-256 over the digests of all pieces. At least one of the two is there. */
  readonly hashOfHashes?: string;
}

/** One file of a job, as asked for. Everything may be set until the job is started. */
export interface JobFileSpec {
  /** The caller's own name for the file. */
  readonly fileId?: string;
  /** Where the file comes from; absent: from peers alone, which needs a content id. */
  readonly url?: string;
  /** Other places of the same bytes, tried in this order when `url` fails. Needs a `url`. */
  readonly mirrors?: readonly string[];
  /** Absolute path the file is published under. */
  readonly destination?: string;
  /** The bytes go to a stream of the caller, and no file is published. */
  readonly toStream?: boolean;
  /** Pins the content (trust level T2). */
  readonly contentId?: ContentId;
  /** The manifest itself, in base64; `contentId` is there too, and is its name. */
  readonly manifest?: string;
  /** SHA-256 the file must have, as 64 lower-case hex digits (trust level T1). */
  readonly sha256?: string;
  /** What the caller says the length is: shown until it is known. */
  readonly declaredLength?: number;
  /** Only these bytes, one range after the other. */
  readonly ranges?: readonly JobRange[];
  readonly pieceHashes?: PieceHashSource;
  /** Fail rather than take bytes that nothing verifies. */
  readonly mandatoryIntegrity?: boolean;
  /** Peers may have it though it is asked for with what strangers do not have (R-PRIV-02). */
  readonly isShareable?: boolean;
  readonly request?: OriginRequestOptions;
}

/** What is wrong with the file, apart from what is still missing; `undefined` when nothing is. */
export function checkFileSpec(file: JobFileSpec): ErrorInfo | undefined {
  const { url, destination, contentId, sha256, ranges, pieceHashes, request } = file;
  const problem = destination === undefined ? undefined : checkDestination(destination);
  if (problem !== undefined) {
    return errorInfo("ERR_DESTINATION_INVALID", `${destination?.slice(0, 100)}: ${problem}`);
  }
  if (destination !== undefined && file.toStream === true) return errorInfo("ERR_SINK_TAKEN");
  if ((file.fileId?.length ?? 0) > LIMITS.nameLengthMax) {
    return errorInfo("ERR_USAGE", "the file id is too long");
  }
  if (contentId !== undefined && parseContentId(contentId) === undefined) {
    return errorInfo("ERR_CONTENT_ID_INVALID", contentId);
  }
  if (sha256 !== undefined && parseSha256Hex(sha256) === undefined) {
    return errorInfo("ERR_USAGE", "a SHA-256 has 64 hexadecimal digits");
  }
  const { declaredLength } = file;
  if (declaredLength !== undefined && !isLength(declaredLength)) {
    return errorInfo("ERR_USAGE", "the declared length is not a number of bytes");
  }
  return (
    (url === undefined ? undefined : checkUrl(url)) ??
    checkMirrors(file) ??
    checkInlineManifest(file) ??
    (ranges === undefined ? undefined : checkFileRanges(ranges, file)) ??
    (pieceHashes === undefined ? undefined : checkPieceHashes(pieceHashes)) ??
    (request === undefined ? undefined : checkOriginRequest(request))
  );
}

/** What a file still needs before its job can start; `undefined` when nothing. */
export function checkStartable(file: JobFileSpec): ErrorInfo | undefined {
  const { url, contentId, destination, toStream, mandatoryIntegrity, pieceHashes } = file;
  if (url === undefined && contentId === undefined) return errorInfo("ERR_URL_MISSING");
  if (destination === undefined && toStream !== true) return errorInfo("ERR_SINK_MISSING");
  const isChecked = contentId !== undefined || pieceHashes !== undefined;
  if (mandatoryIntegrity === true && !isChecked) return errorInfo("ERR_INTEGRITY_MISSING");
  return undefined;
}

/** The bytes of a manifest that a job carries; `undefined` when the text is not base64. */
export function inlineManifestBytes(base64: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0) return undefined;
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function checkMirrors({ url, mirrors }: JobFileSpec): ErrorInfo | undefined {
  if (mirrors === undefined) return undefined;
  if (mirrors.length > LIMITS.mirrorsPerFileMax) {
    return errorInfo("ERR_USAGE", `${mirrors.length} mirrors of one file`);
  }
  if (url === undefined && mirrors.length > 0) return errorInfo("ERR_URL_MISSING");
  for (const mirror of mirrors) {
    const problem = checkUrl(mirror);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** What travels with a job is checked as if a stranger had sent it (R-MAN-02). */
function checkInlineManifest({ manifest, contentId }: JobFileSpec): ErrorInfo | undefined {
  if (manifest === undefined) return undefined;
  if (manifest.length > LIMITS.inlineManifestLengthMax) {
    return errorInfo("ERR_MANIFEST_MALFORMED", "it is too long to travel with a job");
  }
  const bytes = inlineManifestBytes(manifest);
  if (bytes === undefined) return errorInfo("ERR_MANIFEST_MALFORMED", "it is not base64");
  const found = contentIdOf(bytes);
  if (found !== contentId) return errorInfo("ERR_MANIFEST_MISMATCH", `it is ${found}`);
  const decoded = decodeManifest(bytes);
  return decoded.ok ? undefined : errorInfo("ERR_MANIFEST_MALFORMED", decoded.reason);
}

/** Pieces of a manifest are not pieces of the packed ranges: nothing could verify them. */
function checkFileRanges(ranges: readonly JobRange[], file: JobFileSpec): ErrorInfo | undefined {
  if (file.contentId !== undefined || file.mandatoryIntegrity === true) {
    return errorInfo("ERR_RANGES_REFUSED", "ranges cannot be verified piece by piece");
  }
  if (ranges.length === 0) return errorInfo("ERR_RANGE_INVALID", "there is none in the list");
  return checkRanges(ranges);
}

function checkPieceHashes({ url, sha256, hashOfHashes }: PieceHashSource): ErrorInfo | undefined {
  if (sha256 === undefined && hashOfHashes === undefined) {
    return errorInfo("ERR_USAGE", "piece hashes need a digest or a hash of hashes");
  }
  for (const digest of [sha256, hashOfHashes]) {
    if (digest !== undefined && parseSha256Hex(digest) === undefined) {
      return errorInfo("ERR_USAGE", "a SHA-256 has 64 hexadecimal digits");
    }
  }
  return checkUrl(url);
}

/** R-HTTP-01. The text of a refused URL is not repeated beyond its beginning. */
function checkUrl(text: string): ErrorInfo | undefined {
  const shown = text.slice(0, 100);
  if (text.length > LIMITS.urlLengthMax) return errorInfo("ERR_URL_INVALID", "it is too long");
  const url = URL.parse(text);
  if (url === null) return errorInfo("ERR_URL_INVALID", shown);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return errorInfo("ERR_URL_INVALID", `${url.protocol} is not http: or https:`);
  }
  if (url.username !== "" || url.password !== "") {
    return errorInfo("ERR_URL_INVALID", "it holds a user name or password");
  }
  return undefined;
}

function isLength(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= LIMITS.contentLengthMax;
}

const LENGTH = isCount(LIMITS.contentLengthMax);
const isHeaderPair = isList(isText(LIMITS.requestHeaderLengthMax), 2);
const HEADERS = isList(
  (field) => isHeaderPair(field) && (field as unknown[]).length === 2,
  LIMITS.requestFieldsMax,
);
const NAME = isText(LIMITS.nameLengthMax);
// Too long, too many and out of range are `checkFileSpec`'s to say, with codes of their own.
const LONG_TEXT = isText(Infinity);
const NUMBER: Check = (value) => typeof value === "number";

/** The shape of a `JobFileSpec`; its meaning is `checkFileSpec`'s. */
export const isFileSpecShape: Check = isRecordOf(
  {},
  {
    fileId: NAME,
    url: LONG_TEXT,
    mirrors: isList(LONG_TEXT, Infinity),
    destination: LONG_TEXT,
    toStream: isBoolean,
    contentId: NAME,
    manifest: LONG_TEXT,
    sha256: NAME,
    declaredLength: LENGTH,
    ranges: isList(isRecordOf({ offset: NUMBER }, { length: NUMBER }), Infinity),
    pieceHashes: isRecordOf({ url: LONG_TEXT }, { sha256: NAME, hashOfHashes: NAME }),
    mandatoryIntegrity: isBoolean,
    isShareable: isBoolean,
    request: isRecordOf(
      {},
      {
        headers: HEADERS,
        challengeHeaders: HEADERS,
        allowInsecureRedirect: isBoolean,
        tlsTolerance: isList(isOneOf(TLS_TOLERANCES), TLS_TOLERANCES.length),
        clientCertificate: isText(LIMITS.clientCertificateLengthMax),
      },
    ),
  },
);
