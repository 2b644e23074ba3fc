/**
 * Reads one piece of a complete file and verifies it before anyone gets it (R-CACHE-02). The file
 * is opened for each read: it belongs to the user, who may move, replace or delete it at any time,
 * and an open descriptor would keep a deleted file's space.
 *
 * Used for published and for shared files.
 */
import fs from "node:fs";
import { DIGEST_LENGTH, matchesDigest } from "@shoal/core";
import type { Manifest, PieceIndex } from "@shoal/core";
import { closeQuietly, readFully } from "./disk.ts";
import type { Disk } from "./disk.ts";

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;

/** Opens a complete file for reading. Never follows a symbolic link, never waits for a FIFO. */
export function openForReading(disk: Disk, path: string): number {
  return disk.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
}

/** Fills `bytes`; false when the file cannot be read there or the bytes do not match. */
export function readVerifiedPiece(
  disk: Disk,
  path: string,
  { manifest, piece, bytes }: { manifest: Manifest; piece: PieceIndex; bytes: Uint8Array },
): boolean {
  let fd: number;
  try {
    fd = openForReading(disk, path);
  } catch {
    return false; // R-FS-10: what cannot be read is missing.
  }
  try {
    return (
      disk.stat(fd).isFile() &&
      readFully(disk, fd, bytes, manifest.layout.start(piece)) &&
      matchesDigest(bytes, manifest.pieceDigests, piece * DIGEST_LENGTH)
    );
  } catch {
    return false;
  } finally {
    closeQuietly(disk, fd);
  }
}
