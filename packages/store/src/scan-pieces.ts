/**
 * Reads a file from start to end and digests it piece by piece, in steps of at most 1 MiB with a
 * turn of the event loop between them, so that whoever shares the thread is not held up
 * (R-PROC-05).
 *
 * Cost: one read and two digests per byte, about 0.9 GB/s; one digest when the whole is not asked
 * for. Used by the final check, by recovery and by `describeFile`.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { DIGEST_LENGTH, MiB, startDigest } from "@shoal/core";
import type { PieceIndex, PieceLayout } from "@shoal/core";

const STEP_BYTES = MiB;

export interface ScanOptions {
  /** Fills the bytes; false when the file does not have them. May throw. */
  readonly read: (bytes: Uint8Array, position: number) => boolean;
  /** Which pieces to digest; the others are skipped unless the whole is asked for. */
  readonly wants: (piece: PieceIndex) => boolean;
  readonly withWhole: boolean;
  /** Takes a piece's digest; `undefined` when its bytes cannot be read. */
  readonly onPiece: (piece: PieceIndex, digest: Uint8Array | undefined) => void;
  /** Asked between steps; true ends the scan early. */
  readonly isStopped: () => boolean;
}

/**
 * `stopped`, or the digest of the whole file: `undefined` when not asked for or not readable. A
 * read that throws counts as one that cannot be read.
 */
export type ScanResult =
  | { readonly stopped: true }
  | { readonly stopped: false; readonly whole?: Uint8Array };

export async function scanPieces(layout: PieceLayout, options: ScanOptions): Promise<ScanResult> {
  const { wants, withWhole, onPiece, isStopped } = options;
  const buffer = new Uint8Array(STEP_BYTES);
  const whole = startDigest();
  let isWholeReadable = withWhole;
  let bytesThisTurn = 0;
  for (let piece = 0; piece < layout.pieceCount; piece++) {
    if (!withWhole && !wants(piece)) continue;
    const digest = startDigest();
    let isReadable = true;
    const end = layout.end(piece);
    for (let at = layout.start(piece); at < end && isReadable; at += STEP_BYTES) {
      const bytes = buffer.subarray(0, Math.min(STEP_BYTES, end - at));
      isReadable = canRead(options, bytes, at);
      if (!isReadable) break;
      digest.update(bytes);
      if (isWholeReadable) whole.update(bytes);
      bytesThisTurn += bytes.length;
      if (bytesThisTurn < STEP_BYTES) continue;
      bytesThisTurn = 0;
      await nextTurn();
      if (isStopped()) return { stopped: true };
    }
    if (!isReadable) isWholeReadable = false;
    if (wants(piece)) onPiece(piece, isReadable ? digest.finish() : undefined);
  }
  return isWholeReadable ? { stopped: false, whole: whole.finish() } : { stopped: false };
}

function canRead({ read }: ScanOptions, bytes: Uint8Array, position: number): boolean {
  try {
    return read(bytes, position);
  } catch {
    return false; // R-FS-10: what cannot be read is missing.
  }
}

/** What a check found: nothing wrong, these pieces (none: only the whole), or it was stopped. */
export type Finding = "right" | "stopped" | readonly PieceIndex[];

export interface CheckOptions extends Pick<ScanOptions, "read" | "wants" | "isStopped"> {
  /** A manifest's digest table; absent: no piece is looked at. */
  readonly pieceDigests?: Uint8Array;
  /** What the whole file must digest to, if that is asked. */
  readonly whole?: Uint8Array;
}

/** Compares a file with the digests it should have. */
export async function findWrongPieces(
  layout: PieceLayout,
  { pieceDigests, whole, read, wants, isStopped }: CheckOptions,
): Promise<Finding> {
  const wrong: PieceIndex[] = [];
  const result = await scanPieces(layout, {
    read,
    wants: (piece) => pieceDigests !== undefined && wants(piece),
    isStopped,
    withWhole: whole !== undefined,
    onPiece: (piece, digest) => {
      const at = piece * DIGEST_LENGTH;
      const expected = pieceDigests?.subarray(at, at + DIGEST_LENGTH);
      if (expected === undefined || !isSameDigest(digest, expected)) wrong.push(piece);
    },
  });
  if (result.stopped) return "stopped";
  if (wrong.length > 0) return wrong;
  return whole === undefined || isSameDigest(result.whole, whole) ? "right" : [];
}

/** Whether two digests are equal. */
export function isSameDigest(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}
