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
  /** One after the other. */
  readonly pieceDigests: Uint8Array;
}

/**
 * A content of `lengthBytes` in pieces of `pieceLengthBytes`, a power of two from 64 KiB. Where it
 * is a new version of another, each of its pieces is in `sharedShare` of all cases the same as the
 * one in its place there.
 */
export function makeSimContent(options: {
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
  readonly seed: number;
  readonly basedOn?: { readonly content: SimContent; readonly sharedShare: number };
}): SimContent {
  const layout = PieceLayout.fixed(options.lengthBytes, options.pieceLengthBytes);
  const random = new Random(options.seed);
  const drawBytes = (length: number): Uint8Array =>
    Uint8Array.from({ length }, () => random.below(256));
  const contentDigest = drawBytes(DIGEST_LENGTH);
  const pieceDigests = drawBytes(layout.pieceCount * DIGEST_LENGTH);
  const { content: base, sharedShare = 0 } = options.basedOn ?? {};
  for (let at = 0; base !== undefined && at < pieceDigests.length; at += DIGEST_LENGTH) {
    if (random.fraction() >= sharedShare) continue;
    pieceDigests.set(base.pieceDigests.subarray(at, at + DIGEST_LENGTH), at);
  }
  const manifestBytes = encodeManifest({
    layout,
    pieceDigests,
    contentDigest,
    files: [{ name: "content.bin", length: options.lengthBytes, digest: contentDigest }],
    hints: {},
  });
  return { layout, manifestBytes, pieceDigests, contentId: contentIdOf(manifestBytes) };
}
