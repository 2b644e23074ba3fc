/**
 * What the database says about one content of a job, and its check on the way in: every value
 * read back is treated like network input (R-DB-05).
 *
 * States of a content's record:
 *
 *   receiving  -> finalizing   the file is complete and durable, its move is about to happen
 *   finalizing -> published    the destination has the file, durably
 *   finalizing -> receiving    the move did not happen
 *
 * Knows values. Does no SQL and no file access. Used by `StateTables`, `PartContent` and recovery.
 */
import { checkDestination, LIMITS, PieceLayout, PieceSet } from "@shoal/core";
import type { ContentId, JobId } from "@shoal/core";
import { isPartName } from "./part-file.ts";
import type { Row } from "./state-database.ts";
import type { StoredManifest } from "./state-rows.ts";

const CONTENT_STATES = ["receiving", "finalizing", "published"] as const;
export type ContentState = (typeof CONTENT_STATES)[number];

/** Names a content of a job. */
export interface ContentKey {
  readonly jobId: JobId;
  readonly fileIndex: number;
}

export interface ContentRecord extends ContentKey {
  readonly destination: string;
  /** Of the destination's directory, as `DestinationDirectory.identity`. */
  readonly directoryIdentity: string;
  readonly partName: string;
  readonly partIdentity: string;
  readonly layout: PieceLayout;
  readonly contentId?: ContentId;
  readonly validatorKey?: string;
  /** Bit map of pieces whose data was synced before it was committed. */
  readonly have: Uint8Array;
  readonly state: ContentState;
  /** The part file's stamp when it was last closed, or the published file's. */
  readonly stamp?: string;
  /** The last run ended without order: claims count only after they have been hashed again. */
  readonly mustRecheck: boolean;
  /** As above, until the whole file has been read back (R-MAN-14). */
  readonly mustReadBack: boolean;
}

/**
 * Checks a row; `undefined` when any part of it is not as written by this version. A row that names
 * a manifest comes with it.
 */
export function parseContentRow(row: Row, manifest?: StoredManifest): ContentRecord | undefined {
  const { job_id: jobId, file_index: fileIndex, destination, state, have } = row;
  if (typeof jobId !== "string" || !/^[0-9a-f-]{36}$/.test(jobId)) return undefined;
  if (!isIndex(fileIndex, LIMITS.filesPerJobMax)) return undefined;
  if (typeof destination !== "string" || checkDestination(destination) !== undefined) {
    return undefined;
  }
  const known = CONTENT_STATES.find((name) => name === state);
  const partName = row["part_name"];
  if (known === undefined || typeof partName !== "string" || !isPartName(partName)) {
    return undefined;
  }
  const layout = manifest?.manifest.layout ?? parseLayout(row);
  if (layout === undefined || layout.contentLength !== row["length"]) return undefined;
  if (!(have instanceof Uint8Array)) return undefined;
  if (PieceSet.fromBytes(layout.pieceCount, have) === undefined) return undefined;
  const directoryIdentity = row["directory_identity"];
  const partIdentity = row["part_identity"];
  if (typeof directoryIdentity !== "string" || typeof partIdentity !== "string") return undefined;
  const validatorKey = row["validator_key"];
  const stamp = row["stamp"];
  return {
    jobId,
    fileIndex,
    destination,
    directoryIdentity,
    partName,
    partIdentity,
    layout,
    ...(manifest === undefined ? {} : { contentId: manifest.contentId }),
    ...(typeof validatorKey === "string" ? { validatorKey } : {}),
    have,
    state: known,
    ...(typeof stamp === "string" ? { stamp } : {}),
    mustRecheck: row["must_recheck"] !== 0,
    mustReadBack: row["must_read_back"] !== 0,
  };
}

/** The layout's columns: one of the two is null. */
export function layoutColumns(layout: PieceLayout): {
  readonly pieceLength: number | null;
  readonly pieceLengths: Uint8Array | null;
} {
  const { boundaries } = layout;
  if (boundaries.kind === "fixed") {
    return { pieceLength: boundaries.pieceLength, pieceLengths: null };
  }
  const bytes = new Uint8Array(boundaries.lengths.length * 4);
  const view = new DataView(bytes.buffer);
  boundaries.lengths.forEach((length, i) => view.setUint32(i * 4, length));
  return { pieceLength: null, pieceLengths: bytes };
}

function parseLayout(row: Row): PieceLayout | undefined {
  const { length, piece_length: pieceLength, piece_lengths: pieceLengths } = row;
  if (!isIndex(length, LIMITS.contentLengthMax + 1)) return undefined;
  if (isIndex(pieceLength, LIMITS.contentLengthMax + 1) && pieceLength > 0) {
    const isTooFine = length / pieceLength > LIMITS.piecesPerManifestMax;
    return isTooFine ? undefined : PieceLayout.fixed(length, pieceLength);
  }
  if (!(pieceLengths instanceof Uint8Array) || pieceLengths.length % 4 !== 0) return undefined;
  const view = new DataView(pieceLengths.buffer, pieceLengths.byteOffset, pieceLengths.length);
  const lengths = new Uint32Array(pieceLengths.length / 4);
  let total = 0;
  for (let i = 0; i < lengths.length; i++) {
    const pieceBytes = view.getUint32(i * 4);
    if (pieceBytes === 0) return undefined;
    lengths[i] = pieceBytes;
    total += pieceBytes;
  }
  return total === length ? PieceLayout.explicit(lengths) : undefined;
}

function isIndex(value: unknown, limit: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < limit;
}
