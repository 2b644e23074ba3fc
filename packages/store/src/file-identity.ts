/**
 * Telling whether a name still leads to the file or directory it led to before (R-FS-04).
 *
 * Within one run device and inode decide. Across restarts the device number may change, so the
 * inode and, where the file system has a real one, the time of birth decide. A *stamp* adds
 * length and times: while it is unchanged, nobody has written to the file.
 *
 * Knows the results of `stat` only.
 */
import type { BigIntStats } from "node:fs";

/** Identity as it is stored: inode and birth time. */
export function identityOf(stats: BigIntStats): string {
  return `${stats.ino}:${stats.birthtimeNs}`;
}

/** Whether `stats` belong to what `identityOf` recorded, possibly before a restart. */
export function hasIdentity(stats: BigIntStats, recorded: string): boolean {
  const [inode, birth] = recorded.split(":");
  if (inode !== String(stats.ino)) return false;
  // Without real birth times Node reports the change time, which moves, or zero.
  const isReal = stats.birthtimeNs !== 0n && stats.birthtimeNs !== stats.ctimeNs;
  return !isReal || birth === String(stats.birthtimeNs);
}

/** Whether both are the same file, within one run. */
export function isSameFile(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev;
}

/** Changes whenever the file's bytes, length or metadata change (R-DB-09). */
export function stampOf(stats: BigIntStats): string {
  return `${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`;
}

/** Whether this process's user owns the file. Systems without user ids say yes. */
export function isOurs(stats: BigIntStats): boolean {
  return process.getuid === undefined || stats.uid === BigInt(process.getuid());
}
