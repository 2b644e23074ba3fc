/**
 * What the operating system and SQLite report, as the errors of core's table (R-FS-11 to R-FS-13).
 * Used wherever an operation ends in an event or a rejection.
 */
import { errorInfo, ShoalError } from "@shoal/core";
import type { ErrorCode, ErrorInfo } from "@shoal/core";
import { errnoOf } from "./disk.ts";

const CODE_BY_ERRNO: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: "ERR_DISK_FULL",
  EDQUOT: "ERR_DISK_FULL",
  EFBIG: "ERR_DISK_FULL",
  ENOENT: "ERR_DIRECTORY_MISSING",
  ENOTDIR: "ERR_DIRECTORY_MISSING",
  EACCES: "ERR_DIRECTORY_UNWRITABLE",
  EPERM: "ERR_DIRECTORY_UNWRITABLE",
  EROFS: "ERR_DIRECTORY_UNWRITABLE",
  EEXIST: "ERR_DESTINATION_EXISTS",
  EISDIR: "ERR_DESTINATION_TYPE",
  ELOOP: "ERR_DESTINATION_TYPE",
  EXDEV: "ERR_DESTINATION_TYPE",
  EBUSY: "ERR_DESTINATION_TYPE",
  EMFILE: "ERR_DESCRIPTORS_EXHAUSTED",
  ENFILE: "ERR_DESCRIPTORS_EXHAUSTED",
  ENAMETOOLONG: "ERR_DESTINATION_INVALID",
};

/** SQLite's primary result code for "database or disk is full". */
const SQLITE_FULL = 13;

/** What went wrong on `path`. Everything unknown is `ERR_DISK_IO`, which is transient. */
export function diskErrorInfo(error: unknown, path: string): ErrorInfo {
  if (error instanceof ShoalError) return { code: error.code, message: error.message };
  if (isDatabaseFull(error)) return errorInfo("ERR_DISK_FULL", path);
  const errno = errnoOf(error);
  const code = errno === undefined ? undefined : CODE_BY_ERRNO[errno];
  const reason = errno ?? (error instanceof Error ? error.message : String(error));
  return errorInfo(code ?? "ERR_DISK_IO", `${path} (${reason})`);
}

/** Whether an error is SQLite's way of saying that the disk is full. */
export function isDatabaseFull(error: unknown): boolean {
  return sqliteCodeOf(error) === SQLITE_FULL;
}

/** SQLite's primary result code; `undefined` for errors of other kinds. */
export function sqliteCodeOf(error: unknown): number | undefined {
  if (errnoOf(error) !== "ERR_SQLITE_ERROR") return undefined;
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === "number" ? errcode & 0xff : undefined;
}
