/**
 * The file system as the store uses it: one small interface, so that tests can make the n-th call
 * of any kind fail (R-TEST-01), and loops that turn short reads and writes into whole ones
 * (R-FS-08).
 *
 * Knows descriptors and bytes. Knows neither pieces nor contents. Used by everything in this
 * package that touches files.
 */
import fs from "node:fs";
import type { BigIntStats } from "node:fs";
import { promisify } from "node:util";

/** Bytes on one file system, as an unprivileged user sees them. */
export interface DiskSpace {
  readonly freeBytes: number;
  /** 0 on file systems that do not count, such as /proc. */
  readonly totalBytes: number;
}

/**
 * The calls that may fail. All but the syncs run on the calling thread; the syncs run on the thread
 * pool, so that hashing and writing go on meanwhile. Every failure is Node's error with its `code`.
 */
export interface Disk {
  readonly open: (path: string, flags: number, mode: number) => number;
  readonly close: (fd: number) => void;
  /** Returns the bytes read; 0 at the end of the file. */
  readonly read: (fd: number, bytes: Uint8Array, position: number) => number;
  /** Returns the bytes written, which may be fewer than given. */
  readonly write: (fd: number, bytes: Uint8Array, position: number) => number;
  readonly stat: (fd: number) => BigIntStats;
  /** Does not follow a symbolic link in the last component. */
  readonly lstat: (path: string) => BigIntStats;
  readonly truncate: (fd: number, length: number) => void;
  readonly chmod: (fd: number, mode: number) => void;
  /** Sets the times of access and modification, in milliseconds since 1970. */
  readonly setTimes: (fd: number, unixMs: number) => void;
  readonly rename: (from: string, to: string) => void;
  readonly link: (from: string, to: string) => void;
  readonly unlink: (path: string) => void;
  /** Copies a file to a new name; with `mustShare` only if both then share their blocks. */
  readonly copy: (from: string, to: string, mustShare: boolean) => Promise<void>;
  readonly space: (path: string) => DiskSpace;
  /** The path without symbolic links. */
  readonly realPath: (path: string) => string;
  /** Throws unless this process may create names in the directory. */
  readonly checkWritable: (path: string) => void;
  /** Data and what is needed to read it back. */
  readonly syncData: (fd: number) => Promise<void>;
  /** Data and all metadata; for a directory, its names. */
  readonly sync: (fd: number) => Promise<void>;
}

const copyFile = promisify(fs.copyFile);
const fdatasync = promisify(fs.fdatasync);
const fsync = promisify(fs.fsync);

/** The real file system. */
export const realDisk: Disk = {
  open: (path, flags, mode) => fs.openSync(path, flags, mode),
  close: (fd) => fs.closeSync(fd),
  read: (fd, bytes, position) => fs.readSync(fd, bytes, 0, bytes.length, position),
  write: (fd, bytes, position) => fs.writeSync(fd, bytes, 0, bytes.length, position),
  stat: (fd) => fs.fstatSync(fd, { bigint: true }),
  lstat: (path) => fs.lstatSync(path, { bigint: true }),
  truncate: (fd, length) => fs.ftruncateSync(fd, length),
  chmod: (fd, mode) => fs.fchmodSync(fd, mode),
  setTimes: (fd, unixMs) => fs.futimesSync(fd, unixMs / 1_000, unixMs / 1_000),
  rename: (from, to) => fs.renameSync(from, to),
  link: (from, to) => fs.linkSync(from, to),
  unlink: (path) => fs.unlinkSync(path),
  copy: (from, to, mustShare) => {
    const { COPYFILE_EXCL, COPYFILE_FICLONE, COPYFILE_FICLONE_FORCE } = fs.constants;
    return copyFile(
      from,
      to,
      COPYFILE_EXCL | (mustShare ? COPYFILE_FICLONE_FORCE : COPYFILE_FICLONE),
    );
  },
  space: (path) => {
    const { bavail, blocks, bsize } = fs.statfsSync(path);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  },
  realPath: (path) => fs.realpathSync.native(path),
  checkWritable: (path) => fs.accessSync(path, fs.constants.W_OK | fs.constants.X_OK),
  syncData: (fd) => fdatasync(fd),
  sync: (fd) => fsync(fd),
};

/** Writes all of `bytes` at `position`. Throws what the disk throws. */
export function writeFully(disk: Disk, fd: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.length) {
    const count = disk.write(fd, bytes.subarray(done), position + done);
    if (count <= 0) throw Object.assign(new Error("ENOSPC: nothing written"), { code: "ENOSPC" });
    done += count;
  }
}

/** Fills `bytes` from `position`; false when the file ends before. Throws what the disk throws. */
export function readFully(disk: Disk, fd: number, bytes: Uint8Array, position: number): boolean {
  let done = 0;
  while (done < bytes.length) {
    const count = disk.read(fd, bytes.subarray(done), position + done);
    if (count <= 0) return false;
    done += count;
  }
  return true;
}

/** Closes after the work on a descriptor has failed: the first failure is the one to report. */
export function closeQuietly(disk: Disk, fd: number): void {
  try {
    disk.close(fd);
  } catch {
    // The caller already reports a failure of the same descriptor.
  }
}

/** `lstat`, with `undefined` for a name that does not exist. */
export function lstatIfExists(disk: Disk, path: string): BigIntStats | undefined {
  try {
    return disk.lstat(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** The `code` of a Node error, such as `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : undefined;
}
