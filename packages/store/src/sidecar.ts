/**
 * Writes a manifest beside the file it describes, as a sidecar: whole or not at all, and durable
 * when it is done.
 */
import { randomBytes } from "node:crypto";
import { open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PART_FILE_PREFIX, ShoalError, SIDECAR_SUFFIX } from "@shoal/core";
import { diskErrorInfo } from "./disk-errors.ts";

/**
 * Writes `bytes` to the sidecar of the file at `path`, in the place of an older one, and returns
 * the sidecar's path. `suffix`: by default that of a plain manifest. Rejects with `ERR_DIRECTORY_MISSING`, `ERR_DIRECTORY_UNWRITABLE`,
 * `ERR_DESTINATION_TYPE`, `ERR_DISK_FULL` or `ERR_DISK_IO`.
 */
export async function writeSidecar(
  path: string,
  bytes: Uint8Array,
  { suffix = SIDECAR_SUFFIX }: { readonly suffix?: string } = {},
): Promise<string> {
  const sidecarPath = join(dirname(path), basename(path) + suffix);
  const temporary = `${PART_FILE_PREFIX}sidecar-${randomBytes(16).toString("hex")}.tmp`;
  const temporaryPath = join(dirname(path), temporary);
  try {
    await writeDurably(temporaryPath, bytes);
    try {
      await rename(temporaryPath, sidecarPath);
    } catch (error) {
      await unlink(temporaryPath);
      throw error;
    }
    await syncDirectory(dirname(path));
    return sidecarPath;
  } catch (cause) {
    throw ShoalError.from(diskErrorInfo(cause, sidecarPath));
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "wx", 0o666);
  try {
    await file.writeFile(bytes);
    await file.sync();
    await file.close();
  } catch (error) {
    await file.close().catch(() => {});
    await unlink(path);
    throw error;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
