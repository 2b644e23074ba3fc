/**
 * Whether a file fits on its file system, before it is begun or made longer (R-FS-11).
 *
 * Knows what the file system counts. Called by `openPart` and `growPart`.
 */
import { MiB, ShoalError } from "@shoal/core";
import type { DestinationDirectory } from "./destination-directory.ts";
import type { Disk } from "./disk.ts";

/**
 * Throws `ERR_DISK_FULL` unless `length` bytes and a reserve are free. The reserve is 1 % of the
 * file system, but at least 16 MiB, so that small disks can be used, and at most 256 MiB. Where the
 * file system does not count its space, creating the file tells whether there is any.
 */
export function checkSpace(disk: Disk, directory: DestinationDirectory, length: number): void {
  const { freeBytes, totalBytes } = disk.space(directory.child(""));
  if (totalBytes === 0) return;
  const reserveBytes = Math.max(16 * MiB, Math.min(256 * MiB, totalBytes / 100));
  if (freeBytes >= length + reserveBytes) return;
  const needs = `${freeBytes} bytes free, ${length} and a reserve are needed`;
  throw new ShoalError("ERR_DISK_FULL", `${directory.path} has ${needs}`);
}
