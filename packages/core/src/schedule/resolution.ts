/**
 * What is known of a file's content once it is resolved, and what store and fetcher are told of it.
 *
 * Knows layouts, manifests and validators; how they are found out is `Resolver`'s. Called by
 * `Transfer`, `JobFile` and `Resolver`.
 */
import { contentIdOf } from "../content/content-id.ts";
import { choosePieceLength, PieceLayout } from "../content/layout.ts";
import { decodeManifest } from "../content/manifest.ts";
import { parseSha256Hex, sha256Hex } from "../hash/digest.ts";
import type { JobFileSpec } from "../job/file-spec.ts";
import type { RangeMap } from "../job/ranges.ts";
import { validatorKey as keyOf } from "../ports/origin-port.ts";
import type { OriginEvent, Validator } from "../ports/origin-port.ts";
import type { OpenContent } from "../ports/store-port.ts";
import type { ContentId, JobId } from "../units.ts";
import type { FetcherOptions } from "./fetcher-options.ts";
import type { FileSource, FileSources } from "./file-sources.ts";

/** What a transfer needs to know to open its part file. */
export interface Resolution {
  readonly layout: PieceLayout;
  readonly manifest?: { readonly contentId: ContentId; readonly bytes: Uint8Array };
  /** The manifest is what a publisher has announced for the URL, which may come to mean another. */
  readonly isAnnounced?: boolean;
  readonly validator?: Validator;
  readonly validatorKey?: string;
  readonly acceptsRanges: boolean;
  /** Without a manifest, the one place the bytes are from: others may have others (R-HTTP-11). */
  readonly sourceUrl?: string;
  /** SHA-256 of the whole file as its source states it, 64 lower-case hex digits. */
  readonly sha256?: string;
  /** Where the pieces lie, when only ranges of the remote file are wanted. */
  readonly rangeMap?: RangeMap;
}

/** Trust level T2 for what an earlier run stored: its bytes are checked against the id again. */
export function resolutionOf(manifest: {
  readonly contentId: ContentId;
  readonly bytes: Uint8Array;
}): Resolution | undefined {
  const decoded = decodeManifest(manifest.bytes);
  if (!decoded.ok || contentIdOf(manifest.bytes) !== manifest.contentId) return undefined;
  return { layout: decoded.manifest.layout, manifest, acceptsRanges: true };
}

/**
 * One line that differs whenever the file at the source does; only a strong ETag lets a later run
 * continue what this one stored (R-HTTP-13). Those of two places always differ (R-HTTP-11).
 */
function sourceKey(
  { kind, url }: FileSource,
  { length, validator }: { readonly length: number; readonly validator: Validator },
): string | undefined {
  const key = validator.etag === undefined ? undefined : keyOf(length, validator);
  if (key === undefined || kind === "origin") return key;
  return `${key} ${sha256Hex(new TextEncoder().encode(url)).slice(0, 32)}`;
}

/** Trust level T0, or T1 where the origin states a digest: what a probe has told of the file. */
export function probedResolution(
  event: Extract<OriginEvent, { type: "originProbed" }>,
  source: FileSource,
  rangeMap: RangeMap | undefined,
): Resolution {
  const { length, validator, acceptsRanges, sha256 } = event;
  const key = sourceKey(source, event);
  return {
    layout: rangeMap?.layout ?? unverifiedLayout(length),
    validator,
    acceptsRanges,
    sourceUrl: source.url,
    // Without TLS it proves nothing, and still finds damage on the way (T1).
    ...(sha256 !== undefined && rangeMap === undefined && { sha256 }),
    ...(rangeMap && { rangeMap }),
    ...(key === undefined ? {} : { validatorKey: key }),
  };
}

/** A content without a manifest is cut by its length alone, so that every run cuts it the same. */
export function unverifiedLayout(length: number): PieceLayout {
  return PieceLayout.fixed(length, choosePieceLength(length));
}

/** The file of a job that is opened. */
interface OpenedFile {
  readonly jobId: JobId;
  readonly fileIndex: number;
  readonly file: JobFileSpec;
  /**
   * Stands in for a validator where the origin has none. No other opening has the same, so what is
   * stored is not continued; once complete, a later run finds it by the key that the store kept.
   */
  readonly onceKey: string;
}

/** What the store is asked to open for a file of a job. */
export function openSpec(
  { layout, manifest, validatorKey, sha256 }: Resolution,
  { jobId, fileIndex, file, onceKey }: OpenedFile,
): OpenContent {
  const expected = file.sha256 ?? sha256;
  const digest = expected === undefined ? undefined : parseSha256Hex(expected);
  const key = validatorKey ?? (manifest === undefined ? onceKey : undefined);
  return {
    jobId,
    fileIndex,
    layout,
    ...(file.destination === undefined ? {} : { destination: file.destination }),
    ...(manifest === undefined ? {} : { manifest }),
    ...(digest === undefined ? {} : { contentDigest: digest }),
    ...(key === undefined ? {} : { validatorKey: key }),
  };
}

/** What a fetcher is told of a file of a job. */
export function fetcherOptions(
  { layout, manifest, validator, acceptsRanges, rangeMap, sourceUrl, isAnnounced }: Resolution,
  sources: FileSources,
): Omit<
  FetcherOptions,
  | "transferId"
  | "have"
  | "record"
  | "bytes"
  | "receivedBytes"
  | "urgency"
  | "mayServe"
  | "isStreamed"
> {
  return {
    contentId: manifest?.contentId,
    layout,
    sources,
    sourceUrl,
    acceptsRanges,
    isAnnounced: isAnnounced === true,
    ...(validator && { validator }),
    ...(rangeMap && { rangeMap }),
  };
}
