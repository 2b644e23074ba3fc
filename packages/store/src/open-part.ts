/**
 * Opens the content of a job: continues with what an earlier run left, where that is still what
 * was recorded, or begins anew (threat model section 9, steps 1 to 3, and its recovery rules).
 *
 * Knows records, directories and part files. Called by `DiskStore` for `openContent`.
 */
import { join } from "node:path";
import { checkDestination, contentIdOf, decodeManifest, PieceSet, ShoalError } from "@shoal/core";
import type { OpenContent, TransferId } from "@shoal/core";
import type { ContentRecord } from "./content-record.ts";
import { DestinationDirectory } from "./destination-directory.ts";
import { checkSpace } from "./disk-space.ts";
import { stampOf } from "./file-identity.ts";
import { fitOf, growPart, mayHaveGrown } from "./grow-part.ts";
import type { Fit } from "./grow-part.ts";
import { removeLeftovers } from "./leftovers.ts";
import { PartContent } from "./part-content.ts";
import { newPartName, PART_NAME_TRIES_MAX, PartFile } from "./part-file.ts";
import { settleFinalizing } from "./publish-part.ts";
import { checkWholeFile } from "./shared-content.ts";
import { spoolDirectoryOf } from "./state-directory.ts";
import type { StoredManifest } from "./state-rows.ts";
import type { Leftover } from "./state-tables.ts";
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
  const isSpooled = spec.destination === undefined;
  const destination = spec.destination ?? spooledPath(context, spec);
  const problem = checkDestination(destination);
  if (problem !== undefined) throw new ShoalError("ERR_DESTINATION_INVALID", problem);
  const manifest = readManifest(spec);
  const { contentDigest } = spec;
  const parts = { transferId, spec, manifest, contentDigest, isStopped, destination, isSpooled };
  const found = context.tables.content(spec);
  const record = found?.state === "finalizing" ? await settleFinalizing(context, found) : found;
  if (record !== undefined) {
    const resumed = await resume(context, { ...parts, record });
    // A check that was stopped says nothing about the file.
    if (resumed === undefined && isStopped()) throw new ShoalError("ERR_AGENT_CLOSED");
    if (resumed !== undefined) return resumed;
    const leftover = context.tables.forgetContent(record);
    if (record.state !== "published") removeLeftovers(context, [leftover]);
  }
  return create(context, parts);
}

export interface OpenPartOptions {
  readonly transferId: TransferId;
  readonly spec: OpenContent;
  /** Asked while a published file is read; true gives the opening up. */
  readonly isStopped: () => boolean;
}

/** What an open content is made of. */
export interface PartContentParts {
  readonly transferId: TransferId;
  readonly record: ContentRecord;
  readonly manifest: StoredManifest | undefined;
  /** SHA-256 the whole file must have, where the job names one. */
  readonly contentDigest: Uint8Array | undefined;
  /** `undefined` for a content that is published already. */
  readonly part: PartFile | undefined;
  /** It lies in the spool: read, and never published. */
  readonly isSpooled: boolean;
}

interface Parts extends OpenPartOptions {
  readonly manifest: StoredManifest | undefined;
  readonly contentDigest: Uint8Array | undefined;
  readonly destination: string;
  readonly isSpooled: boolean;
}

/** The name stands for a destination in the content's record; no file ever has it. */
function spooledPath({ stateDirectory }: StoreContext, { jobId, fileIndex }: OpenContent): string {
  return join(spoolDirectoryOf(stateDirectory), `${jobId}-${fileIndex}`);
}

/** The directory of the part file. Users' files stay out of the state directory (R-FS-03). */
function openDirectory(
  { disk, stateDirectory }: StoreContext,
  { destination, isSpooled }: Parts,
  recordedIdentity?: string,
): DestinationDirectory {
  if (isSpooled) return DestinationDirectory.openParent(disk, destination);
  const directory = DestinationDirectory.openParent(disk, destination, recordedIdentity);
  if (!directory.isWithin(stateDirectory)) return directory;
  directory.close();
  throw new ShoalError("ERR_DESTINATION_INVALID", `${destination} lies in the state directory`);
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
  { record, ...parts }: Parts & { readonly record: ContentRecord },
): Promise<PartContent | undefined> {
  const { destination, isStopped, manifest, spec } = parts;
  if (record.destination !== destination) return undefined;
  const fit = fitOf(record, spec);
  if (fit === "other") return undefined;
  const { disk } = context;
  const { layout } = record;
  const directory = openDirectory(context, parts, record.directoryIdentity);
  let content: PartContent | undefined;
  try {
    const existing = directory.statDestination(destination);
    if (record.state !== "published") {
      content = await resumePart(context, directory, { ...parts, record, fit });
    } else if (fit === "same" && existing !== undefined) {
      const { contentDigest } = spec;
      const isThere =
        stampOf(existing) === record.stamp ||
        (await checkWholeFile(disk, destination, { layout, manifest, contentDigest, isStopped }));
      const whole = { ...record, have: PieceSet.full(layout.pieceCount).toBytes() };
      if (isThere) return new PartContent(context, { ...parts, record: whole, part: undefined });
    }
    return content;
  } finally {
    if (content === undefined) directory.close();
  }
}

/** Opens the recorded part file; the content owns `directory` then. */
async function resumePart(
  context: StoreContext,
  directory: DestinationDirectory,
  { record, fit, ...parts }: Parts & { readonly record: ContentRecord; readonly fit: Fit },
): Promise<PartContent | undefined> {
  const { manifest, spec } = parts;
  const part = PartFile.resume(context.disk, directory, {
    name: record.partName,
    identity: record.partIdentity,
    length: record.layout.contentLength,
    mayBeLonger: mayHaveGrown(record),
  });
  if (part === undefined) return undefined;
  try {
    const isAsLeft = !record.mustRecheck && record.stamp === part.stamp;
    // Changed since a stop in order, and nothing to compare its bytes with.
    if (!isAsLeft && !record.mustRecheck && manifest === undefined) {
      part.close();
      return undefined;
    }
    const caution = isAsLeft ? {} : { mustRecheck: true, mustReadBack: true };
    if (!isAsLeft) context.tables.updateContent(record, caution);
    const old = { ...record, ...caution };
    const { layout } = spec;
    const now = fit === "same" ? old : await growPart(context, part, { record: old, layout });
    return new PartContent(context, { ...parts, record: now, part });
  } catch (error) {
    if (!part.isClosed) part.close();
    throw error;
  }
}

async function create(context: StoreContext, parts: Parts): Promise<PartContent> {
  const { tables } = context;
  const { spec, manifest, destination } = parts;
  const directory = openDirectory(context, parts);
  const layout = manifest?.manifest.layout ?? spec.layout;
  let part: PartFile | undefined;
  try {
    directory.statDestination(destination);
    // Before the space: where nothing may be written, free space is not what is missing.
    directory.checkWritable();
    checkSpace(context, directory, layout.contentLength);
    part = await createPart(context, directory, parts);
    const record: ContentRecord = {
      jobId: spec.jobId,
      fileIndex: spec.fileIndex,
      destination,
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
    await tables.grouped(() => tables.insertContent(record, manifest?.bytes));
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
  removeLeftovers(context, [leftoverOf(part.directory, part.name)]);
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
    await context.tables.grouped(() => context.tables.addLeftover(leftover));
    try {
      const part = await PartFile.create(context.disk, directory, { name, length });
      if (part !== undefined) return part;
      context.tables.removeLeftovers([name]);
    } catch (error) {
      removeLeftovers(context, [leftover]);
      throw error;
    }
  }
  throw new ShoalError("ERR_DISK_IO", `no free name in ${directory.path}`);
}
