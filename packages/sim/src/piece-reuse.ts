/**
 * Which missing pieces of a content lie on the simulated disk already, in other contents, by their
 * digests; the simulated part of what the store port promises with `reusable`. Equal pieces inside
 * one content are fetched each for itself, because simulated digests are all different.
 *
 * Pure; called by `SimStore`.
 */
import { decodeManifest, DIGEST_LENGTH, PieceSet } from "@shoal/core";
import type { PieceIndex } from "@shoal/core";
import type { DiskFile, SimDisk } from "./sim-disk.ts";

/** A missing piece, and whether what lies in its place is not what its digest says. */
export interface ReusablePiece {
  readonly piece: PieceIndex;
  readonly isDamaged: boolean;
}

/** The same as a bit map; `undefined` for none. */
export function bitMapOf(found: readonly ReusablePiece[], file: DiskFile): Uint8Array | undefined {
  if (found.length === 0) return undefined;
  const set = new PieceSet(file.layout.pieceCount);
  for (const { piece } of found) set.add(piece);
  return set.toBytes();
}

/** The missing pieces of `file` that other files of the disk have, in order. */
export function reusablePieces(disk: SimDisk, file: DiskFile): ReusablePiece[] {
  const others = otherFiles(disk, file);
  if (file.manifest === undefined || others.length === 0) return [];
  const found: ReusablePiece[] = [];
  const wanted = digestsOf(file.manifest.bytes);
  const places = new Map<string, boolean>();
  for (const { manifest, committed, damaged } of others) {
    if (manifest === undefined) continue;
    const digests = digestsOf(manifest.bytes);
    for (const piece of committed) places.set(digests[piece] ?? "", damaged.has(piece));
  }
  for (const [piece, digest] of wanted.entries()) {
    const isDamaged = places.get(digest);
    if (isDamaged === undefined || file.committed.has(piece)) continue;
    found.push({ piece, isDamaged });
  }
  return found;
}

function otherFiles(disk: SimDisk, file: DiskFile): DiskFile[] {
  const all = new Set([...disk.published.values(), ...disk.files.values()]);
  return [...all].filter((other) => other !== file && other.manifest !== undefined);
}

/** The piece digests of a manifest as hex, in order; none when it cannot be read. */
function digestsOf(manifestBytes: Uint8Array): readonly string[] {
  const known = DIGESTS.get(manifestBytes);
  if (known !== undefined) return known;
  const result = decodeManifest(manifestBytes);
  const digests: string[] = [];
  if (result.ok) {
    const { pieceDigests } = result.manifest;
    for (let at = 0; at < pieceDigests.length; at += DIGEST_LENGTH) {
      const digest = pieceDigests.subarray(at, at + DIGEST_LENGTH);
      digests.push(Buffer.from(digest).toString("hex"));
    }
  }
  DIGESTS.set(manifestBytes, digests);
  return digests;
}

/** All agents of a simulation share the bytes of a manifest, so each is read once. */
const DIGESTS = new WeakMap<Uint8Array, readonly string[]>();
