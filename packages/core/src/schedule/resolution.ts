/**
 * What is known of a file's content once it is resolved, and what store and fetcher are told of it.
 *
 * Knows layouts, manifests and validators; how they are found out is `Resolver`'s. Called by
 * `Transfer`, `JobFile` and `Resolver`.
 */
import { contentIdOf } from "../content/content-id.ts";
import { choosePieceLength, PieceLayout } from "../content/layout.ts";
import { decodeManifest } from "../content/manifest.ts";
import { parseSha256Hex } from "../hash/digest.ts";
import type { JobFileSpec } from "../job/file-spec.ts";
import type { RangeMap } from "../job/ranges.ts";
import type { Validator } from "../ports/origin-port.ts";
import type { OpenContent } from "../ports/store-port.ts";
import type { ContentId, JobId } from "../units.ts";
import type { FetcherOptions } from "./fetcher-options.ts";

/** What a transfer needs to know to open its part file. */
export interface Resolution {
  readonly layout: PieceLayout;
  readonly manifest?: { readonly contentId: ContentId; readonly bytes: Uint8Array };
  readonly validator?: Validator;
  readonly validatorKey?: string;
  readonly acceptsRanges: boolean;
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

/** A content without a manifest is cut by its length alone, so that every run cuts it the same. */
export function unverifiedLayout(length: number): PieceLayout {
  return PieceLayout.fixed(length, choosePieceLength(length));
}

/** What the store is asked to open for a file of a job. */
export function openSpec(
  { layout, manifest, validatorKey: key }: Resolution,
  {
    jobId,
    fileIndex,
    file,
  }: { readonly jobId: JobId; readonly fileIndex: number; readonly file: JobFileSpec },
): OpenContent {
  const digest = file.sha256 === undefined ? undefined : parseSha256Hex(file.sha256);
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
  { layout, manifest, validator, acceptsRanges, rangeMap }: Resolution,
  { url, request }: JobFileSpec,
): Omit<FetcherOptions, "transferId" | "have" | "bytes" | "urgency"> {
  return {
    contentId: manifest?.contentId,
    layout,
    url,
    acceptsRanges,
    ...(validator && { validator }),
    ...(rangeMap && { rangeMap }),
    ...(request && { request }),
  };
}
