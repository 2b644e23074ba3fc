/**
 * What rows of the state database mean, checked on the way in: every value read back is treated
 * like network input (R-DB-05). A content's own columns are `content-record.ts`'s business.
 *
 * Knows values. Does no SQL. Used by `StateTables`.
 */
import { contentIdOf, decodeManifest, errorInfo, parseJobRecord, PieceSet } from "@shoal/core";
import type { ContentId, JobRecord, Manifest, ResumableContent } from "@shoal/core";
import { parseContentRow } from "./content-record.ts";
import type { ContentRecord } from "./content-record.ts";
import type { Row } from "./state-database.ts";

/** A manifest and the bytes it was decoded from. */
export interface StoredManifest {
  readonly contentId: ContentId;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
}

/** A complete file whose manifest we have. */
export interface SharedRecord {
  readonly contentId: ContentId;
  readonly path: string;
  readonly length: number;
  /** The file's stamp when its bytes were last known to match; absent: hash them first. */
  readonly stamp?: string;
}

/** A content's record and its manifest. */
export interface StoredContentRecord {
  readonly record: ContentRecord;
  readonly manifest: StoredManifest | undefined;
}

/** Takes `manifest_bytes` beside the content's columns; `undefined` when any of it is damaged. */
export function parseContent(row: Row): StoredContentRecord | undefined {
  const contentId = row["content_id"];
  if (typeof contentId !== "string") {
    const record = parseContentRow(row);
    return record === undefined ? undefined : { record, manifest: undefined };
  }
  const manifest = parseManifest(contentId, row["manifest_bytes"]);
  if (manifest === undefined) return undefined;
  const record = parseContentRow(row, manifest);
  return record === undefined ? undefined : { record, manifest };
}

/** `undefined` when the bytes are not the manifest of this id. */
export function parseManifest(contentId: ContentId, bytes: unknown): StoredManifest | undefined {
  if (!(bytes instanceof Uint8Array) || contentIdOf(bytes) !== contentId) return undefined;
  const result = decodeManifest(bytes);
  return result.ok ? { contentId, bytes, manifest: result.manifest } : undefined;
}

/** A damaged record gives a job in `error`; a row without a job id nothing. */
export function parseJobRow(row: Row): JobRecord | undefined {
  const { job_id: jobId, record } = row;
  if (typeof jobId !== "string" || typeof record !== "string") return undefined;
  const job = parseJobRecord(parseJson(record));
  if (job !== undefined && job.jobId === jobId) return job;
  // No older than this start: what is old is cleaned up, and this is to be seen before.
  const now = Date.now();
  return parseJobRecord({
    jobId,
    owner: "",
    sequence: 0,
    displayName: jobId,
    priority: "normal",
    overwrite: false,
    allowsCellular: true,
    isVolatile: false,
    attributes: {},
    state: "error",
    hasStarted: true,
    createdAt: now,
    modifiedAt: now,
    files: [],
    error: errorInfo("ERR_STATE_INVALID", jobId),
  });
}

export function parseSharedRow(row: Row): SharedRecord | undefined {
  const { content_id: contentId, path, length, stamp } = row;
  if (typeof contentId !== "string" || typeof path !== "string") return undefined;
  if (!path.startsWith("/") && !/^[A-Za-z]:[\\/]/.test(path)) return undefined;
  if (typeof length !== "number") return undefined;
  return { contentId, path, length, ...(typeof stamp === "string" ? { stamp } : {}) };
}

/** What the scheduler is told of a content whose part file can be opened again. */
export function resumableOf(
  { jobId, fileIndex, layout, validatorKey, have }: ContentRecord,
  manifest: StoredManifest | undefined,
): ResumableContent {
  const { contentId, bytes } = manifest ?? {};
  const pieces = PieceSet.fromBytes(layout.pieceCount, have);
  return {
    jobId,
    fileIndex,
    length: layout.contentLength,
    storedBytes: pieces === undefined ? 0 : layout.bytesOf(pieces),
    ...(contentId === undefined || bytes === undefined ? {} : { manifest: { contentId, bytes } }),
    ...(validatorKey === undefined ? {} : { validatorKey }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
