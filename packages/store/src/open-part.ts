/**
 * Opens the content of a job: continues with what an earlier run left, where that is still what
 * was recorded, or begins anew (threat model section 9, steps 1 to 3, and its recovery rules).
 *
 * Knows records, directories and part files. Called by `DiskStore` for `openContent`.
 */
import {
  checkDestination,
  contentIdOf,
  decodeManifest,
  MiB,
  PieceSet,
  ShoalError,
} from "@shoal/core";
import type { OpenContent, TransferId } from "@shoal/core";
import type { ContentRecord } from "./content-record.ts";
import { DestinationDirectory } from "./destination-directory.ts";
import type { DiskSpace } from "./disk.ts";
import { stampOf } from "./file-identity.ts";
import { removeLeftover } from "./leftovers.ts";
import { PartContent } from "./part-content.ts";
import { newPartName, PART_NAME_TRIES_MAX, PartFile } from "./part-file.ts";
import { settleFinalizing } from "./publish-part.ts";
import { checkWholeFile } from "./shared-content.ts";
import type { Leftover, StoredManifest } from "./state-tables.ts";
import type { StoreContext } from "./store-context.ts";

/**
 * Opens or creates the part file and the record of `spec`. What needs `recheck` says so in its
 * record. Throws `ERR_DESTINATION_INVALID` for a place inside the state directory (R-FS-03),
 * `ERR_DIRECTORY_MISSING`, `ERR_DIRECTORY_UNWRITABLE`, `ERR_DESTINATION_TYPE`,
 * `ERR_DESTINATION_MOVED`, `ERR_DISK_FULL`, `ERR_MANIFEST_MISMATCH`, `ERR_MANIFEST_MALFORMED`, or
 * what the disk throws.
 */
export async function openPart(
  context: StoreContext,
  { transferId, spec, isStopped }: OpenPartOptions,
): Promise<PartContent> {
  const problem = checkDestination(spec.destination);
  if (problem !== undefined) throw new ShoalError("ERR_DESTINATION_INVALID", problem);
  const manifest = readManifest(spec);
  const found = context.tables.content(spec);
  const record = found?.state === "finalizing" ? await settleFinalizing(context, found) : found;
  const parts = { transferId, manifest, contentDigest: spec.contentDigest, isStopped };
  if (record !== undefined) {
    const resumed = await resume(context, { ...parts, spec, record });
    // A check that was stopped says nothing about the file.
    if (resumed === undefined && isStopped()) throw new ShoalError("ERR_AGENT_CLOSED");
    if (resumed !== undefined) return resumed;
    const leftover = context.tables.forgetContent(record);
    if (record.state !== "published") removeLeftover(context, leftover);
  }
  return create(context, { ...parts, spec });
}

export interface OpenPartOptions {
  readonly transferId: TransferId;
  readonly spec: OpenContent;
  /** Asked while a published file is read; true gives the opening up. */
  readonly isStopped: () => boolean;
}

interface Parts extends OpenPartOptions {
  readonly manifest: StoredManifest | undefined;
  readonly contentDigest: Uint8Array | undefined;
}

function readManifest({ manifest }: OpenContent): StoredManifest | undefined {
  if (manifest === undefined) return undefined;
  const { contentId, bytes } = manifest;
  if (contentIdOf(bytes) !== contentId) throw new ShoalError("ERR_MANIFEST_MISMATCH", contentId);
  const result = decodeManifest(bytes);
  if (!result.ok) throw new ShoalError("ERR_MANIFEST_MALFORMED", result.reason);
  return { contentId, bytes, manifest: result.manifest };
}

/** `undefined` when nothing of the record can be used. */
async function resume(
  context: StoreContext,
  { record, spec, manifest, ...rest }: Parts & { readonly record: ContentRecord },
): Promise<PartContent | undefined> {
  if (!isSameContent(record, spec)) return undefined;
  const { disk } = context;
  const { destination, directoryIdentity, layout } = record;
  const directory = DestinationDirectory.openParent(disk, destination, directoryIdentity);
  let isKept = false;
  try {
    const existing = directory.statDestination(destination);
    if (record.state === "published") {
      const isThere =
        existing !== undefined &&
        (stampOf(existing) === record.stamp ||
          (await checkWholeFile(disk, destination, { layout, ...rest, manifest })));
      const whole = { ...record, have: PieceSet.full(layout.pieceCount).toBytes() };
      const parts = { ...rest, manifest, record: whole, part: undefined };
      return isThere ? new PartContent(context, parts) : undefined;
    }
    const part = PartFile.resume(disk, directory, {
      name: record.partName,
      identity: record.partIdentity,
      length: layout.contentLength,
    });
    if (part === undefined) return undefined;
    const isAsLeft = !record.mustRecheck && record.stamp === part.stamp;
    // Changed since a stop in order, and nothing to compare its bytes with.
    if (!isAsLeft && !record.mustRecheck && manifest === undefined) {
      part.close();
      return undefined;
    }
    isKept = true;
    const caution = isAsLeft ? {} : { mustRecheck: true, mustReadBack: true };
    if (!isAsLeft) context.tables.updateContent(record, caution);
    const parts = { ...rest, manifest, record: { ...record, ...caution }, part };
    return new PartContent(context, parts);
  } finally {
    if (!isKept) directory.close();
  }
}

/** Whether the record's progress belongs to the content that is asked for. */
function isSameContent(record: ContentRecord, spec: OpenContent): boolean {
  if (record.destination !== spec.destination) return false;
  if (record.layout.contentLength !== spec.layout.contentLength) return false;
  if (record.contentId !== spec.manifest?.contentId) return false;
  if (record.contentId !== undefined) return true;
  const isSameLayout =
    record.layout.pieceCount === spec.layout.pieceCount &&
    record.layout.pieceLengthMax === spec.layout.pieceLengthMax;
  return (
    isSameLayout && spec.validatorKey !== undefined && record.validatorKey === spec.validatorKey
  );
}

async function create(context: StoreContext, parts: Parts): Promise<PartContent> {
  const { disk, tables } = context;
  const { spec, manifest } = parts;
  const directory = DestinationDirectory.openParent(disk, spec.destination);
  const layout = manifest?.manifest.layout ?? spec.layout;
  let part: PartFile | undefined;
  try {
    if (directory.isWithin(context.stateDirectory)) {
      const details = `${spec.destination} lies in the state directory`;
      throw new ShoalError("ERR_DESTINATION_INVALID", details);
    }
    directory.statDestination(spec.destination);
    // Before the space: where nothing may be written, free space is not what is missing.
    directory.checkWritable();
    checkSpace(disk.space(directory.child("")), layout.contentLength, directory.path);
    part = await createPart(context, directory, parts);
    const record: ContentRecord = {
      jobId: spec.jobId,
      fileIndex: spec.fileIndex,
      destination: spec.destination,
      directoryIdentity: directory.identity,
      partName: part.name,
      partIdentity: part.identity,
      layout,
      ...(manifest === undefined ? {} : { contentId: manifest.contentId }),
      ...(spec.validatorKey === undefined ? {} : { validatorKey: spec.validatorKey }),
      have: new PieceSet(layout.pieceCount).toBytes(),
      state: "receiving",
      mustRecheck: false,
      mustReadBack: false,
    };
    tables.insertContent(record, manifest?.bytes);
    return new PartContent(context, { ...parts, record, part });
  } catch (error) {
    if (part !== undefined) abandon(context, part);
    directory.close();
    throw error;
  }
}

/** Removes a part file that no record came to own. */
function abandon(context: StoreContext, part: PartFile): void {
  try {
    part.close();
  } catch {
    // The file goes away.
  }
  removeLeftover(context, leftoverOf(part.directory, part.name));
}

function leftoverOf({ path, identity }: DestinationDirectory, name: string): Leftover {
  return { directory: path, directoryIdentity: identity, name };
}

/** The name is recorded before the file exists, so that no crash leaves a file nobody knows of. */
async function createPart(
  context: StoreContext,
  directory: DestinationDirectory,
  { spec, manifest }: Parts,
): Promise<PartFile> {
  const { contentLength: length } = manifest?.manifest.layout ?? spec.layout;
  for (let i = 0; i < PART_NAME_TRIES_MAX; i++) {
    const name = newPartName(spec.jobId);
    const leftover = leftoverOf(directory, name);
    context.tables.addLeftover(leftover);
    try {
      const part = await PartFile.create(context.disk, directory, { name, length });
      if (part !== undefined) return part;
      context.tables.removeLeftover(name);
    } catch (error) {
      removeLeftover(context, leftover);
      throw error;
    }
  }
  throw new ShoalError("ERR_DISK_IO", `no free name in ${directory.path}`);
}

/**
 * R-FS-11, before a file is begun: what it needs and a reserve must be free. The reserve is 1 % of
 * the file system, but at least 16 MiB, so that small disks can be used, and at most 256 MiB. Where
 * the file system does not count its space, creating the file tells whether there is any.
 */
function checkSpace({ freeBytes, totalBytes }: DiskSpace, length: number, path: string): void {
  if (totalBytes === 0) return;
  const reserveBytes = Math.max(16 * MiB, Math.min(256 * MiB, totalBytes / 100));
  if (freeBytes >= length + reserveBytes) return;
  const details = `${path} has ${freeBytes} bytes free, ${length} and a reserve are needed`;
  throw new ShoalError("ERR_DISK_FULL", details);
}
