/**
 * Contents that exist only by their manifests: the digests are drawn from a seed, and nothing has
 * bytes that match them, because simulated pieces say themselves whether they are corrupt.
 *
 * Called by scenarios and examples.
 */
import { contentIdOf, DIGEST_LENGTH, encodeManifest, PieceLayout, Random } from "@shoal/core";
import type { ContentId } from "@shoal/core";

export interface SimContent {
  readonly layout: PieceLayout;
  readonly contentId: ContentId;
  readonly manifestBytes: Uint8Array;
}

/** A content of `lengthBytes` in pieces of `pieceLengthBytes`, a power of two from 64 KiB. */
export function makeSimContent(options: {
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
  readonly seed: number;
}): SimContent {
  const layout = PieceLayout.fixed(options.lengthBytes, options.pieceLengthBytes);
  const random = new Random(options.seed);
  const drawBytes = (length: number): Uint8Array =>
    Uint8Array.from({ length }, () => random.below(256));
  const contentDigest = drawBytes(DIGEST_LENGTH);
  const manifestBytes = encodeManifest({
    layout,
    pieceDigests: drawBytes(layout.pieceCount * DIGEST_LENGTH),
    contentDigest,
    files: [{ name: "content.bin", length: options.lengthBytes, digest: contentDigest }],
    hints: {},
  });
  return { layout, manifestBytes, contentId: contentIdOf(manifestBytes) };
}
