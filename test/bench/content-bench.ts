/** Manifests and digests: what publishing, opening and verifying a content cost. */
import { hash } from "node:crypto";
import {
  decodeManifest,
  encodeManifest,
  KiB,
  LIMITS,
  MiB,
  PieceLayout,
  contentIdOf,
  matchesDigest,
  sha256,
  startDigest,
} from "@shoal/core";
import type { Manifest } from "@shoal/core";
import { inMibPerSec, inUs } from "./measure.ts";
import type { Subject } from "./measure.ts";

export function manifestSubjects(): Subject[] {
  return [4_096, LIMITS.piecesPerManifestMax].flatMap((pieceCount) => {
    const manifest = manifestOf(pieceCount);
    const bytes = encodeManifest(manifest);
    const once = { runs: 21, count: 1, figure: inUs };
    const of = `of a manifest of ${pieceCount} pieces`;
    return [
      { name: `encoding ${of}`, ...once, run: () => void encodeManifest(manifest) },
      { name: `decoding ${of}`, ...once, run: () => void decodeManifest(bytes) },
      { name: `content id ${of}`, ...once, run: () => void contentIdOf(bytes) },
    ];
  });
}

/** What a digest costs through `core/hash` and beside it, in memory of its own and shared. */
export function digestSubjects(): Subject[] {
  const own = new Uint8Array(MiB).fill(0x5a);
  const shared = new Uint8Array(new SharedArrayBuffer(MiB)).fill(0x5a);
  const expected = sha256(own);
  const running = (bytes: Uint8Array): void => {
    const digest = startDigest();
    for (let at = 0; at < MiB; at += 64 * KiB) digest.update(bytes.subarray(at, at + 64 * KiB));
    digest.finish();
  };
  const subjects: [name: string, digest: () => unknown][] = [
    ["node:crypto, SHA-256 of 1 MiB", () => hash("sha256", own, "buffer")],
    ["SHA-256 of 1 MiB", () => sha256(own)],
    ["SHA-256 of 1 MiB of shared memory", () => sha256(shared)],
    ["SHA-256 of 1 MiB, compared with a digest", () => matchesDigest(own, expected, 0)],
    ["SHA-256 of 1 MiB in parts of 64 KiB", () => running(own)],
  ];
  return subjects.map(([name, digest]) => {
    const count = 8;
    const run = (): void => {
      for (let i = 0; i < count; i++) digest();
    };
    return { name, runs: 31, count, run, figure: inMibPerSec };
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
