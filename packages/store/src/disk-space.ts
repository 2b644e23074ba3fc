/**
 * Whether a file fits on its file system, before it is begun or made longer, and what is done where
 * it does not: copies of the cache are given up, and it is tried once more (R-FS-11).
 *
 * Knows what the file system counts. Called by `openPart`, `growPart` and `PartContent`.
 */
import { MiB, ShoalError } from "@shoal/core";
import type { DestinationDirectory } from "./destination-directory.ts";
import { diskErrorInfo } from "./disk-errors.ts";
import type { DiskSpace } from "./disk.ts";
import type { StoreContext } from "./store-context.ts";

/**
 * Throws `ERR_DISK_FULL` unless `length` bytes and a reserve are free. The reserve is 1 % of the
 * file system, but at least 16 MiB, so that small disks can be used, and at most 256 MiB. Where the
 * file system does not count its space, creating the file tells whether there is any.
 */
export function checkSpace(
  { disk, makeRoom }: StoreContext,
  directory: DestinationDirectory,
  length: number,
): void {
  const path = directory.child("");
  const space = disk.space(path);
  const missingBytes = missingBytesOf(space, length);
  if (missingBytes <= 0) return;
  if (makeRoom(path, missingBytes) && missingBytesOf(disk.space(path), length) <= 0) return;
  const needs = `${space.freeBytes} bytes free, ${length} and a reserve are needed`;
  throw new ShoalError("ERR_DISK_FULL", `${directory.path} has ${needs}`);
}

/** Writes `length` bytes, and once more if the disk was full and room could be made. */
export function writeWithRoom(
  { makeRoom }: StoreContext,
  { directory, length }: { readonly directory: DestinationDirectory; readonly length: number },
  write: () => void,
): void {
  try {
    write();
  } catch (error) {
    const isFull = diskErrorInfo(error, "").code === "ERR_DISK_FULL";
    if (!isFull || !makeRoom(directory.child(""), length)) throw error;
    write();
  }
}

function missingBytesOf({ freeBytes, totalBytes }: DiskSpace, length: number): number {
  if (totalBytes === 0) return 0;
  const reserveBytes = Math.max(16 * MiB, Math.min(256 * MiB, totalBytes / 100));
  return length + reserveBytes - freeBytes;
}
