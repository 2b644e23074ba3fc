/** The manifest's golden bytes, and every limit of R-MAN-10, one field at a time. */
import { describe, expect, it } from "vitest";
import { encodeCbor } from "../../src/content/canonical-cbor.ts";
import type { CborValue } from "../../src/content/canonical-cbor.ts";
import { contentIdOf } from "../../src/content/content-id.ts";
import { PieceLayout } from "../../src/content/layout.ts";
import { decodeManifest, encodeManifest, pieceDigest } from "../../src/content/manifest.ts";
import type { Manifest } from "../../src/content/manifest.ts";
import { hex, sha256 } from "../../src/hash/digest.ts";
import { LIMITS } from "../../src/registry/limits.ts";
import { KiB, MiB } from "../../src/units.ts";

const EMPTY_DIGEST = sha256(new Uint8Array(0));
const filled = (value: number): Uint8Array => new Uint8Array(32).fill(value);
const hexOf = (lines: readonly string[]): string => lines.join("").replaceAll(" ", "");

/** Two pieces of a content of 65,537 bytes. */
const FIXED: Manifest = {
  layout: PieceLayout.fixed(64 * KiB + 1, 64 * KiB),
  pieceDigests: new Uint8Array(64).fill(0x11),
  contentDigest: filled(0x22),
  files: [{ name: "a.txt", length: 64 * KiB + 1, digest: filled(0x22) }],
  hints: { cacheAgeSec: 60 },
};
const FIXED_HEX = [
  "a8", //                                                map of 8
  "64 68617368 68 736861322d323536", //                   "hash": "sha2-256"
  "65 66696c6573 81", //                                  "files": array of 1
  "a3", //                                                  map of 3
  `64 6e616d65 65 612e747874`, //                           "name": "a.txt"
  `66 646967657374 5820 ${"22".repeat(32)}`, //             "digest": 32 bytes
  "66 6c656e677468 1a 00010001", //                         "length": 65537
  "65 68696e7473 a1", //                                  "hints": map of 1
  "6b 6361636865416765536563 18 3c", //                     "cacheAgeSec": 60
  `66 646967657374 5820 ${"22".repeat(32)}`, //           "digest": 32 bytes
  "66 6c656e677468 1a 00010001", //                       "length": 65537
  `66 706965636573 5840 ${"11".repeat(64)}`, //           "pieces": 64 bytes
  "67 76657273696f6e 01", //                              "version": 1
  "6b 70696563654c656e677468 1a 00010000", //             "pieceLength": 65536
];

/** Pieces of 1 and 300 bytes, each a file. */
const EXPLICIT: Manifest = {
  layout: PieceLayout.explicit(Uint32Array.of(1, 300)),
  pieceDigests: new Uint8Array(64).fill(0x11),
  contentDigest: filled(0x22),
  files: [
    { name: "a", length: 1, digest: filled(0x33) },
    { name: "é", length: 300, digest: filled(0x44) },
  ],
  hints: {},
};
const EXPLICIT_HEX = [
  "a7", //                                                map of 7
  "64 68617368 68 736861322d323536", //                   "hash": "sha2-256"
  "65 66696c6573 82", //                                  "files": array of 2
  `a3 64 6e616d65 61 61`, //                                "name": "a"
  `66 646967657374 5820 ${"33".repeat(32)}`, //             "digest": 32 bytes
  "66 6c656e677468 01", //                                  "length": 1
  `a3 64 6e616d65 62 c3a9`, //                              "name": "é" in UTF-8
  `66 646967657374 5820 ${"44".repeat(32)}`, //             "digest": 32 bytes
  "66 6c656e677468 19 012c", //                             "length": 300
  `66 646967657374 5820 ${"22".repeat(32)}`, //           "digest": 32 bytes
  "66 6c656e677468 19 012d", //                           "length": 301
  `66 706965636573 5840 ${"11".repeat(64)}`, //           "pieces": 64 bytes
  "67 76657273696f6e 01", //                              "version": 1
  "6c 70696563654c656e67746873 48 00000001 0000012c", //  "pieceLengths": 1, 300
];

/** The pieces of `FIXED`, from a publisher who knew no other digest. */
const PIECES_ONLY: Manifest = {
  layout: FIXED.layout,
  pieceDigests: FIXED.pieceDigests,
  files: [],
  hints: {},
};
const PIECES_ONLY_HEX = [
  "a6", //                                                map of 6
  "64 68617368 68 736861322d323536", //                   "hash": "sha2-256"
  "65 66696c6573 80", //                                  "files": array of 0
  "66 6c656e677468 1a 00010001", //                       "length": 65537
  `66 706965636573 5840 ${"11".repeat(64)}`, //           "pieces": 64 bytes
  "67 76657273696f6e 01", //                              "version": 1
  "6b 70696563654c656e677468 1a 00010000", //             "pieceLength": 65536
];

describe("golden bytes", () => {
  it.each([
    [
      "fixed pieces",
      FIXED,
      FIXED_HEX,
      "bafyreihhoikr6q2a3fvytqjpk5jb2c3nb422ltz64xscecpmcd3o4qkppm",
    ],
    [
      "explicit pieces",
      EXPLICIT,
      EXPLICIT_HEX,
      "bafyreihtdrydvclj3mssju6playie3u4jgbzj4ptz6xuyttdh4tb3opoma",
    ],
    [
      "piece digests only",
      PIECES_ONLY,
      PIECES_ONLY_HEX,
      "bafyreidq7g6rrtpgszzoiwt4gftt4yx6smd5ys25sa7ahxlhrmfcx34q7q",
    ],
  ] as const)("of a manifest with %s stay what they are", (_, manifest, golden, contentId) => {
    const bytes = encodeManifest(manifest);
    expect(hex(bytes)).toBe(hexOf(golden));
    expect(contentIdOf(bytes)).toBe(contentId);
    expect(decodeManifest(bytes)).toEqual({ ok: true, manifest });
  });

  it("gives each piece its digest", () => {
    const digests = Uint8Array.from({ length: 64 }, (_, i) => (i < 32 ? 1 : 2));
    expect(pieceDigest({ ...FIXED, pieceDigests: digests }, 1)).toEqual(filled(2));
  });
});

type Fields = Record<string, CborValue | undefined>;

/** The fields of a right manifest of 3 pieces; `changes` replaces some, or removes them. */
function encode(changes: Fields = {}): Uint8Array {
  const fields: Fields = {
    version: 1,
    hash: "sha2-256",
    length: 130 * KiB,
    pieceLength: 64 * KiB,
    pieces: new Uint8Array(96),
    digest: filled(9),
    files: [file({ length: 130 * KiB })],
    ...changes,
  };
  const entries = Object.entries(fields).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, value] as const],
  );
  return encodeCbor({ entries });
}

function file(changes: Fields = {}): CborValue {
  const fields: Fields = { name: "f", length: 0, digest: filled(9), ...changes };
  const entries = Object.entries(fields).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, value] as const],
  );
  return { entries };
}

const words = (...values: number[]): Uint8Array => wordsOf(values);

function wordsOf(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setUint32(4 * i, value));
  return bytes;
}

function empty(changes: Fields = {}): Fields {
  const files = [file({ length: 0, digest: EMPTY_DIGEST })];
  return { length: 0, pieces: new Uint8Array(0), digest: EMPTY_DIGEST, files, ...changes };
}

const explicit = (lengths: Uint8Array, changes: Fields = {}): Fields => ({
  pieceLength: undefined,
  pieceLengths: lengths,
  ...changes,
});
/** As many pieces as a manifest may have, and `more`. */
const many = (more: number): Fields => {
  const count = LIMITS.piecesPerManifestMax + more;
  const length = count * 64 * KiB;
  return { length, pieces: new Uint8Array(32 * count), files: [file({ length })] };
};
const files = (count: number): CborValue[] =>
  Array.from({ length: count }, (_, i) =>
    file(i === 0 ? { length: 130 * KiB } : { name: `f${i}`, digest: EMPTY_DIGEST }),
  );

describe("a manifest at its limits (R-MAN-10)", () => {
  const accepted: ReadonlyArray<readonly [string, Fields]> = [
    ["a plain manifest", {}],
    ["the most pieces", many(0)],
    ["the longest content", longest(0)],
    ["pieces of 16 MiB", { pieceLength: 16 * MiB, pieces: filled(0) }],
    ["an empty content", empty()],
    ["piece digests only", { digest: undefined, files: [] }],
    ["an empty content without a digest", empty({ digest: undefined, files: [] })],
    ["an empty content with explicit pieces", explicit(words(), empty({ pieceLength: undefined }))],
    ["explicit pieces", explicit(words(1, 64 * KiB, 66 * KiB - 1))],
    ["the most files", { files: files(LIMITS.filesPerManifestMax) }],
    [
      "the longest file name",
      { files: [file({ name: "é".repeat(127) + "x", length: 130 * KiB })] },
    ],
    [
      "all hints",
      {
        hints: {
          entries: [
            ["cacheAgeSec", 0],
            ["backgroundRateBytesPerSec", 1],
          ],
        },
      },
    ],
  ];
  it.each(accepted)("is accepted with %s", (_, changes) => {
    expect(decodeManifest(encode(changes))).toMatchObject({ ok: true });
  });
});

function longest(more: number): Fields {
  const length = LIMITS.contentLengthMax + more;
  const pieceLength = 16 * MiB;
  const pieces = new Uint8Array(32 * Math.ceil(length / pieceLength));
  return { length, pieceLength, pieces, files: [file({ length })] };
}

describe("a manifest outside its limits", () => {
  const refused: ReadonlyArray<readonly [string, Fields, RegExp]> = [
    ["one piece too many (R-MAN-10)", many(1), /exceeds/],
    ["one piece too many of explicit length", tooManyExplicit(), /exceeds/],
    ["one byte too many (R-MAN-10)", longest(1), /exceeds/],
    ["pieces of 32 KiB (R-MAN-10)", { pieceLength: 32 * KiB }, /power of two/],
    ["pieces of 32 MiB (R-MAN-10)", { pieceLength: 32 * MiB }, /exceeds/],
    ["pieces of 96 KiB (R-MAN-10)", { pieceLength: 96 * KiB }, /power of two/],
    ["pieces of no length", { pieceLength: 0 }, /power of two/],
    ["one digest too few (R-MAN-10)", { pieces: new Uint8Array(64) }, /for 3 pieces/],
    ["one digest too many", { pieces: new Uint8Array(128) }, /for 3 pieces/],
    ["half a digest", { pieces: new Uint8Array(90) }, /for 3 pieces/],
    ["a short digest", { digest: new Uint8Array(31) }, /32 bytes/],
    ["a long digest", { digest: new Uint8Array(33) }, /exceeds/],
    ["an empty content of another digest (R-MAN-10)", empty({ digest: filled(0) }), /R-MAN-10/],
    [
      "an empty file of another digest (R-MAN-10)",
      { files: [file({ length: 130 * KiB }), file({ name: "g" })] },
      /R-MAN-10/,
    ],
    ["one file too many (R-MAN-10)", { files: files(LIMITS.filesPerManifestMax + 1) }, /exceed/],
    ["no file", { files: [] }, /no files/],
    ["files but no digest of the content", { digest: undefined }, /without a digest/],
    ["files of another length (R-MAN-10)", { files: [file({ length: 1 })] }, /add up/],
    ["two files of one name", { files: [file({ length: 130 * KiB }), file()] }, /twice|R-MAN-10/],
    ["a short file digest", { files: [file({ digest: filled(1).subarray(1) })] }, /32 bytes/],
    ["an explicit length of 0", explicit(words(0, 130 * KiB)), /out of range/],
    ["an explicit length above 16 MiB", explicit(words(16 * MiB + 1)), /out of range/],
    ["explicit lengths of another sum", explicit(words(1, 2, 3)), /add up/],
    ["a torn explicit length", explicit(new Uint8Array(11)), /whole number/],
    ["two kinds of pieces", { pieceLengths: words(130 * KiB) }, /exactly one/],
    ["no kind of pieces", { pieceLength: undefined }, /exactly one/],
    ["another version", { version: 2 }, /version/],
    ["another hash (R-MAN-03)", { hash: "sha1" }, /hash/],
    ["a field nobody knows", { urls: [] }, /unknown field/],
    ["a hint nobody knows", { hints: { entries: [["speed", 1]] } }, /unknown hint/],
    ["a file field nobody knows", { files: [file({ mode: 1 })] }, /unknown field|exceed/],
    ["a length that is text", { length: "1" }, /type/],
    ["files that are a map", { files: { entries: [] } }, /type/],
  ];
  it.each(refused)("is refused with %s", (_, changes, reason) => {
    expect(decodeManifest(encode(changes))).toMatchObject({
      ok: false,
      reason: expect.stringMatching(reason) as string,
    });
  });

  it.each(["version", "hash", "length", "pieces", "files"])("is refused without its %s", (name) => {
    expect(decodeManifest(encode({ [name]: undefined }))).toMatchObject({ ok: false });
  });

  it.each(["name", "length", "digest"])("is refused without a file's %s", (name) => {
    const changes = { files: [file({ length: 130 * KiB, [name]: undefined })] };
    expect(decodeManifest(encode(changes))).toMatchObject({ ok: false });
  });

  it.each(["", ".", "..", "a/b", "a\\b", "C:", "a\0b", "\n", ".shoal-x", "é".repeat(128)])(
    "is refused with the file name %j (R-MAN-11)",
    (name) => {
      const changes = { files: [file({ name, length: 130 * KiB })] };
      expect(decodeManifest(encode(changes))).toMatchObject({ ok: false });
    },
  );

  it("is refused before parsing when it is longer than R-MAN-09 allows", () => {
    const bytes = new Uint8Array(LIMITS.manifestBytesMax + 1);
    expect(decodeManifest(bytes)).toMatchObject({
      ok: false,
      reason: expect.stringMatching("exceed") as string,
    });
  });
});

function tooManyExplicit(): Fields {
  const count = LIMITS.piecesPerManifestMax + 1;
  const lengths = wordsOf(Array.from({ length: count }, () => 1));
  return explicit(lengths, { length: count, files: [file({ length: count })] });
}
