/**
 * A complete file that peers are served from, published by a job or shared by hand. The file
 * belongs to the user: it may change or vanish at any time, so it is opened for every read and
 * every piece is verified (R-CACHE-02).
 *
 * Knows one record of the `shared` table. Called by `DiskStore`.
 */
import type { BigIntStats } from "node:fs";
import { PieceSet, ShoalError } from "@shoal/core";
import type { ContentId, PieceIndex, PieceLayout } from "@shoal/core";
import { closeQuietly, lstatIfExists, readFully } from "./disk.ts";
import type { Disk } from "./disk.ts";
import { stampOf } from "./file-identity.ts";
import { openForReading, readVerifiedPiece } from "./read-piece.ts";
import { findWrongPieces } from "./scan-pieces.ts";
import type { StoredManifest } from "./state-rows.ts";
import type { StoreContext } from "./store-context.ts";

export class SharedContent {
  readonly layout: PieceLayout;
  readonly record: { readonly contentId: ContentId; readonly destination: string };
  readonly isPublished = true;
  /** Where it is read once it is not where it was any more. */
  servedPath: string | undefined;
  readonly #context: StoreContext;
  readonly #manifest: StoredManifest;
  readonly #have: PieceSet;

  private constructor(context: StoreContext, manifest: StoredManifest, path: string) {
    this.#context = context;
    this.#manifest = manifest;
    this.record = { contentId: manifest.contentId, destination: path };
    this.layout = manifest.manifest.layout;
    this.#have = PieceSet.full(this.layout.pieceCount);
  }

  /**
   * Opens a recorded file. One whose stamp is unchanged since its bytes were last digested is taken
   * as it is, since every read is verified; any other is read and digested first. Throws
   * `ERR_FILE_UNREADABLE` or `ERR_CONTENT_MISMATCH`; `undefined` when it was stopped.
   */
  static async open(
    context: StoreContext,
    contentId: ContentId,
    isStopped: () => boolean,
  ): Promise<SharedContent | undefined> {
    const { disk, tables } = context;
    const record = tables.sharedContent(contentId);
    const manifest = tables.manifest(contentId);
    if (record === undefined || manifest === undefined) {
      throw new ShoalError("ERR_FILE_UNREADABLE", `${contentId} is not shared`);
    }
    const { path } = record;
    const stats = statComplete(disk, path, record.length);
    if (stats === undefined) throw new ShoalError("ERR_FILE_UNREADABLE", path);
    const content = new SharedContent(context, manifest, path);
    const stamp = stampOf(stats);
    if (record.stamp === stamp) return content;
    const { layout } = content;
    const isRight = await checkWholeFile(disk, path, { layout, manifest, isStopped });
    if (isStopped()) return undefined;
    tables.stampShared(contentId, isRight ? stamp : undefined);
    if (!isRight) throw new ShoalError("ERR_CONTENT_MISMATCH", path);
    return content;
  }

  /** Bit map of pieces that can be read. */
  get have(): Uint8Array {
    return this.#have.toBytes();
  }

  /** Fills `bytes` with a piece, verified; false, from then on, when that fails. */
  read(piece: PieceIndex, bytes: Uint8Array): boolean {
    if (!this.#have.has(piece)) return false;
    const { disk, tables, doubt } = this.#context;
    const { manifest, contentId } = this.#manifest;
    const path = this.servedPath ?? this.record.destination;
    if (readVerifiedPiece(disk, path, { manifest, piece, bytes })) return true;
    this.#have.delete(piece);
    try {
      tables.stampShared(contentId, undefined);
    } catch {
      doubt();
    }
    return false;
  }
}

/** The file's state when it is a regular file of this length. */
export function statComplete(disk: Disk, path: string, length: number): BigIntStats | undefined {
  try {
    const stats = lstatIfExists(disk, path);
    return stats?.isFile() === true && stats.size === BigInt(length) ? stats : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Reads a complete file and compares it with all that is known: piece digests, the digest of the
 * whole, or only the length. False when it does not match, cannot be read, or the check is stopped.
 */
export async function checkWholeFile(
  disk: Disk,
  path: string,
  options: {
    readonly layout: PieceLayout;
    readonly manifest: StoredManifest | undefined;
    readonly contentDigest?: Uint8Array | undefined;
    readonly isStopped?: () => boolean;
  },
): Promise<boolean> {
  const { layout, manifest, contentDigest, isStopped = () => false } = options;
  if (statComplete(disk, path, layout.contentLength) === undefined) return false;
  let fd: number;
  try {
    fd = openForReading(disk, path);
  } catch {
    return false;
  }
  try {
    const finding = await findWrongPieces(layout, {
      read: (bytes, position) => readFully(disk, fd, bytes, position),
      wants: () => true,
      isStopped,
      ...(manifest === undefined ? {} : { pieceDigests: manifest.manifest.pieceDigests }),
      ...(contentDigest === undefined ? {} : { whole: contentDigest }),
    });
    return finding === "right";
  } finally {
    closeQuietly(disk, fd);
  }
}
