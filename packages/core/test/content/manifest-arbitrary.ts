/** Random manifests that are right, for property tests. */
import fc from "fast-check";
import { isFileName } from "../../src/content/file-name.ts";
import { PieceLayout } from "../../src/content/layout.ts";
import type { Manifest, ManifestFile, ManifestHints } from "../../src/content/manifest.ts";
import { sha256 } from "../../src/hash/digest.ts";
import { KiB } from "../../src/units.ts";

const EMPTY_DIGEST = sha256(new Uint8Array(0));
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
const fileName = fc
  .oneof(fc.string({ maxLength: 20 }), fc.string({ unit: "binary", maxLength: 20 }))
  .filter(isFileName);
const fixedLayout = fc
  .record({
    contentLength: fc.oneof(fc.nat({ max: 4 * 1024 * KiB }), fc.constantFrom(0, 1, 64 * KiB)),
    exponent: fc.integer({ min: 16, max: 24 }),
  })
  .map(({ contentLength, exponent }) => PieceLayout.fixed(contentLength, 2 ** exponent));
const explicitLayout = fc
  .array(fc.integer({ min: 1, max: 16 * 1024 * KiB }), { maxLength: 12 })
  .map((lengths) => PieceLayout.explicit(Uint32Array.from(lengths)));
const whole = fc.maxSafeNat();
const hints: fc.Arbitrary<ManifestHints> = fc.record(
  { foregroundRateBytesPerSec: whole, backgroundRateBytesPerSec: whole, cacheAgeSec: whole },
  { requiredKeys: [] },
);

export const layouts: fc.Arbitrary<PieceLayout> = fc.oneof(fixedLayout, explicitLayout);

const manifestsWithDigest: fc.Arbitrary<Manifest> = fc
  .record({
    layout: layouts,
    names: fc.uniqueArray(fileName, { minLength: 1, maxLength: 4 }),
    cuts: fc.array(fc.nat(), { minLength: 3, maxLength: 3 }),
    digest,
    fill: fc.nat({ max: 255 }),
    hints,
  })
  .map(({ layout, names, cuts, digest: drawn, fill, hints: drawnHints }) => {
    const digestOf = (length: number): Uint8Array => (length === 0 ? EMPTY_DIGEST : drawn);
    const { contentLength, pieceCount } = layout;
    const files: ManifestFile[] = [];
    let begin = 0;
    for (const [index, name] of names.entries()) {
      const left = contentLength - begin;
      const isLast = index === names.length - 1;
      const length = isLast ? left : (cuts[index] ?? 0) % (left + 1);
      files.push({ name, length, digest: digestOf(length) });
      begin += length;
    }
    return {
      layout,
      pieceDigests: new Uint8Array(32 * pieceCount).fill(fill),
      contentDigest: digestOf(contentLength),
      files,
      hints: drawnHints,
    };
  });

/** The same as a publisher writes them who knows nothing but the pieces' digests. */
const manifestsOfPieces = manifestsWithDigest.map(
  ({ layout, pieceDigests, hints: drawnHints }): Manifest => {
    return { layout, pieceDigests, files: [], hints: drawnHints };
  },
);

export const manifests = fc.oneof(
  { arbitrary: manifestsWithDigest, weight: 3 },
  { arbitrary: manifestsOfPieces, weight: 1 },
);
