/**
 * Moves a verified part file to its destination, durably, and finishes or undoes a move that a
 * crash cut short. The order is that of threat model section 9, steps 9 to 13:
 *
 *   mode, times, fsync -> commit `finalizing` -> rename or link
 *                      -> sync directory -> commit `published`
 *
 * At every instant the destination has what was there before, or the complete file (I-1).
 *
 * Knows one record and one part file. Called by `PartContent` and at start.
 */
import type { BigIntStats } from "node:fs";
import { basename } from "node:path";
import { ShoalError } from "@shoal/core";
import type { ContentId, UnixMillis } from "@shoal/core";
import type { ContentRecord } from "./content-record.ts";
import { DestinationDirectory } from "./destination-directory.ts";
import { hasIdentity, isSameFile, stampOf } from "./file-identity.ts";
import type { PartFile } from "./part-file.ts";
import { privateOwner } from "./private-content.ts";
import { statComplete } from "./shared-content.ts";
import type { StoreContext } from "./store-context.ts";

export interface PublishOptions {
  readonly record: ContentRecord;
  readonly overwrite: boolean;
  /** The published file's modification time. */
  readonly modifiedAt?: UnixMillis | undefined;
}

/**
 * Publishes. Throws `ERR_DESTINATION_EXISTS`, `ERR_DESTINATION_TYPE`, `ERR_DESTINATION_MOVED`,
 * `ERR_CONTENT_MISMATCH` or what the disk throws; calling again continues from wherever it failed.
 */
export async function publishPart(
  context: StoreContext,
  part: PartFile,
  { record, overwrite, modifiedAt }: PublishOptions,
): Promise<void> {
  const { directory } = part;
  directory.checkInPlace();
  const existing = directory.statDestination(record.destination);
  if (existing === undefined || !isSameFile(existing, part.stats())) {
    if (existing !== undefined && !overwrite) {
      throw new ShoalError("ERR_DESTINATION_EXISTS", record.destination);
    }
    await part.finish(context.publishedMode, modifiedAt);
    // Some file systems move the time of birth when the modification time is set before it.
    const partIdentity = part.identity;
    const { tables } = context;
    const intent = { state: "finalizing", partIdentity } as const;
    await tables.grouped(() => tables.updateContent(record, intent));
    move(context, part, { record, overwrite });
  }
  const stats = directory.statDestination(record.destination);
  if (stats === undefined || !isSameFile(stats, part.stats())) {
    throw new ShoalError("ERR_DISK_IO", `${record.destination} was replaced while publishing`);
  }
  await finishPublication(context, directory, { record, stats, stamp: stampOf });
}

/**
 * Settles a record that says `finalizing`: the destination has the file, or the part file still
 * has its own name, or both are gone. Returns the record as it is afterwards; `undefined` when it
 * is forgotten. Throws when the directory cannot be looked at now.
 */
export async function settleFinalizing(
  context: StoreContext,
  record: ContentRecord,
): Promise<ContentRecord | undefined> {
  const { disk, tables } = context;
  const { destination, directoryIdentity, partIdentity, partName } = record;
  const directory = DestinationDirectory.openParent(disk, destination, directoryIdentity);
  try {
    const stats = directory.stat(basename(destination));
    const part = directory.stat(partName);
    if (stats?.isFile() === true && hasIdentity(stats, partIdentity)) {
      // Whether the user has changed the file since the crash is not known: no stamp, so its
      // bytes are hashed before it is served.
      const noStamp = (): undefined => undefined;
      await finishPublication(context, directory, { record, stats, stamp: noStamp });
    } else if (part?.isFile() === true && hasIdentity(part, partIdentity)) {
      tables.updateContent(record, { state: "receiving", mustReadBack: true });
    } else {
      tables.forgetContent(record);
    }
    return tables.content(record);
  } finally {
    directory.close();
  }
}

/** Moves the file, or takes the intent back when it did not move. */
function move(
  { tables }: StoreContext,
  part: PartFile,
  { record, overwrite }: { record: ContentRecord; overwrite: boolean },
): void {
  try {
    part.moveTo(basename(record.destination), overwrite);
  } catch (error) {
    const stats = part.directory.stat(basename(record.destination));
    // `link` may have worked where removing the part's own name did not.
    if (stats !== undefined && isSameFile(stats, part.stats())) return;
    tables.updateContent(record, { state: "receiving" });
    throw error;
  }
}

async function finishPublication(
  context: StoreContext,
  directory: DestinationDirectory,
  {
    record,
    stats,
    stamp,
  }: {
    record: ContentRecord;
    stats: BigIntStats;
    stamp: (stats: BigIntStats) => string | undefined;
  },
): Promise<void> {
  const { disk, tables, cacheRows, now } = context;
  const part = directory.stat(record.partName);
  if (part !== undefined && isSameFile(part, stats)) disk.unlink(directory.child(record.partName));
  await directory.sync();
  const published = directory.stat(basename(record.destination)) ?? stats;
  const publishedStamp = stamp(published);
  const { contentId, destination: path, layout } = record;
  const manifest = contentId === undefined ? undefined : tables.manifest(contentId);
  await tables.grouped(() => {
    const change = { state: "published", mustRecheck: false, mustReadBack: false } as const;
    tables.updateContent(record, { ...change, stamp: publishedStamp ?? "" });
    if (manifest === undefined || isSharedByHand(context, manifest.contentId)) return;
    const shared = { contentId: manifest.contentId, path, length: layout.contentLength };
    const stamped = publishedStamp === undefined ? shared : { ...shared, stamp: publishedStamp };
    const hasCopy = cacheRows.get(manifest.contentId)?.isCopy === true;
    if (!hasCopy) tables.share(stamped, manifest.bytes);
    const privateTo = privateOwner(tables.job(record.jobId), record);
    cacheRows.published(manifest.contentId, { path, privateTo, now: now() });
  });
}

/** What its user shares stays as it is, as long as the file is there. */
function isSharedByHand({ disk, tables, cacheRows }: StoreContext, contentId: ContentId): boolean {
  const shared = tables.sharedContent(contentId);
  if (shared === undefined || cacheRows.has(contentId)) return false;
  return statComplete(disk, shared.path, shared.length) !== undefined;
}
