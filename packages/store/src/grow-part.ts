/**
 * Whether the progress that a record speaks of belongs to the content that is asked for, and how a
 * part file grows when ranges were added to its job: new pieces follow the old ones.
 *
 *   mark `mustRecheck` -> make the file longer, fsync -> commit layout, bit map and the old mark
 *
 * A crash in between leaves the old record, and a file that may be longer than it says; the mark,
 * which an unclean stop sets too, makes the next opening cut it back. No claim is ever made of what
 * was added.
 *
 * Knows one record and one part file. Called by `openPart`.
 */
import type { OpenContent, PieceLayout } from "@shoal/core";
import { PieceSet } from "@shoal/core";
import type { ContentRecord } from "./content-record.ts";
import { checkSpace } from "./disk-space.ts";
import type { PartFile } from "./part-file.ts";
import type { StoreContext } from "./store-context.ts";

/** `grown`: the recorded layout is the beginning of the new one. */
export type Fit = "same" | "grown" | "other";

/** How the recorded progress fits the content that is asked for, the destination apart. */
export function fitOf(record: ContentRecord, spec: OpenContent): Fit {
  const { contentId, layout, validatorKey } = record;
  if (contentId !== spec.manifest?.contentId) return "other";
  if (contentId !== undefined) {
    return layout.contentLength === spec.layout.contentLength ? "same" : "other";
  }
  if (!spec.validatorKey || validatorKey !== spec.validatorKey) return "other";
  return fitOfLayouts(layout, spec.layout);
}

/** Whether a crash may have left the part file longer than the record says. */
export function mayHaveGrown({ contentId, layout, mustRecheck }: ContentRecord): boolean {
  return mustRecheck && contentId === undefined && layout.boundaries.kind === "explicit";
}

/**
 * Makes the part file longer and returns the record that says so, durably. Throws `ERR_DISK_FULL`
 * or what the disk throws; the progress is kept, and growing can be tried again.
 */
export async function growPart(
  context: StoreContext,
  part: PartFile,
  { record, layout }: { readonly record: ContentRecord; readonly layout: PieceLayout },
): Promise<ContentRecord> {
  const { tables } = context;
  checkSpace(context, part.directory, layout.contentLength - record.layout.contentLength);
  tables.updateContent(record, { mustRecheck: true });
  await part.grow(layout.contentLength);
  const have = new PieceSet(layout.pieceCount).toBytes();
  have.set(record.have);
  const { mustRecheck } = record;
  tables.updateContent(record, { layout, have, mustRecheck });
  return { ...record, layout, have };
}

function fitOfLayouts(old: PieceLayout, now: PieceLayout): Fit {
  const [before, after] = [old.boundaries, now.boundaries];
  if (before.kind === "fixed" || after.kind === "fixed") {
    const isSame =
      before.kind === after.kind &&
      old.contentLength === now.contentLength &&
      old.pieceCount === now.pieceCount &&
      old.pieceLengthMax === now.pieceLengthMax;
    return isSame ? "same" : "other";
  }
  const beginning = after.lengths.subarray(0, before.lengths.length);
  if (Buffer.compare(bytesOf(beginning), bytesOf(before.lengths)) !== 0) return "other";
  return after.lengths.length === before.lengths.length ? "same" : "grown";
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
