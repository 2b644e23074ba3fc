/**
 * Reads one piece of a complete file and verifies it before anyone gets it (R-CACHE-02). The file
 * is opened for each read: it belongs to the user, who may move, replace or delete it at any time,
 * and an open descriptor would keep a deleted file's space.
 *
 * Used for published and for shared files. Whether bytes are a piece is asked for part files, too.
 */
import fs from "node:fs";
import { DIGEST_LENGTH, matchesDigest } from "@shoal/core";
import type { Manifest, PieceIndex, PieceLayout } from "@shoal/core";
import { closeQuietly, readFully } from "./disk.ts";
import type { Disk } from "./disk.ts";

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;

/** Opens a complete file for reading. Never follows a symbolic link, never waits for a FIFO. */
export function openForReading(disk: Disk, path: string): number {
  return disk.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
}

/** Fills `bytes`; false when the file cannot be read there or nothing says that they match. */
export function readVerifiedPiece(
  disk: Disk,
  path: string,
  options: {
    readonly manifest: Manifest | undefined;
    readonly piece: PieceIndex;
    readonly bytes: Uint8Array;
  },
): boolean {
  const { manifest, piece, bytes } = options;
  if (manifest === undefined) return false;
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

/** Whether these bytes are the piece's. Without digests only the length can be wrong. */
export function isPiece(
  bytes: Uint8Array,
  layout: PieceLayout,
  { piece, digests }: { readonly piece: PieceIndex; readonly digests: Uint8Array | undefined },
): boolean {
  if (bytes.length !== layout.length(piece)) return false;
  return digests === undefined || matchesDigest(bytes, digests, piece * DIGEST_LENGTH);
}
