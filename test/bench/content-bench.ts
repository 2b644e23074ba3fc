/** Manifests and digests: what publishing, opening and verifying a content cost. */
import {
  decodeManifest,
  encodeManifest,
  KiB,
  LIMITS,
  MiB,
  PieceLayout,
  sha256,
  contentIdOf,
} from "@shoal/core";
import type { Manifest } from "@shoal/core";
import { medianUs } from "./measure.ts";
import type { Figure } from "./measure.ts";

export function benchManifest(): Figure[] {
  return [4_096, LIMITS.piecesPerManifestMax].flatMap((pieceCount) => {
    const manifest = manifestOf(pieceCount);
    const bytes = encodeManifest(manifest);
    const once = { runs: 21, count: 1 };
    return [
      {
        name: `encode a manifest of ${pieceCount} pieces`,
        value: medianUs(once, () => void encodeManifest(manifest)),
        unit: "us" as const,
      },
      {
        name: `decode a manifest of ${pieceCount} pieces`,
        value: medianUs(once, () => void decodeManifest(bytes)),
        unit: "us" as const,
      },
      {
        name: `content id of a manifest of ${pieceCount} pieces`,
        value: medianUs(once, () => void contentIdOf(bytes)),
        unit: "us" as const,
      },
    ];
  });
}

export function benchDigest(): Figure[] {
  const piece = new Uint8Array(MiB).fill(0x5a);
  const shared = new Uint8Array(new SharedArrayBuffer(MiB)).fill(0x5a);
  return [piece, shared].map((bytes, index) => {
    const count = 8;
    const us = medianUs({ runs: 31, count }, () => {
      for (let i = 0; i < count; i++) sha256(bytes);
    });
    const memory = index === 0 ? "own" : "shared";
    return { name: `SHA-256 of 1 MiB, ${memory} memory`, value: 1e6 / us, unit: "MiB/s" as const };
  });
}

function manifestOf(pieceCount: number): Manifest {
  const length = pieceCount * 64 * KiB;
  const digest = sha256(new Uint8Array(1));
  return {
    layout: PieceLayout.fixed(length, 64 * KiB),
    pieceDigests: new Uint8Array(pieceCount * 32).fill(7),
    contentDigest: digest,
    files: [{ name: "file.bin", length, digest }],
    hints: {},
  };
}
