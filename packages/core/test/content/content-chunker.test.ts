/** Content-defined chunking against a plain reference version, and what it is for. */
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  chooseNominalLength,
  chunkLengths,
  ContentChunker,
  GEAR,
} from "../../src/content/content-chunker.ts";
import { hex, sha256 } from "../../src/hash/digest.ts";
import { LIMITS } from "../../src/registry/limits.ts";
import { Random } from "../../src/random.ts";
import { KiB, MiB } from "../../src/units.ts";

/** The specification of docs/manifest.md, word for word: each hash is made from its own window. */
function referenceLengths(bytes: Uint8Array, nominal: number): number[] {
  const { min, max, bits } = chunkLengths(nominal);
  const lengths: number[] = [];
  let start = 0;
  for (let end = 1; end <= bytes.length; end++) {
    const length = end - start;
    const window = bytes.subarray(Math.max(start + min, end - 32), end);
    let hash = 0n;
    if (length > min) for (const byte of window) hash = hash * 2n + BigInt(GEAR[byte]! >>> 0);
    const isCut = length > min && (hash & 0xffff_ffffn) >> (32n - BigInt(bits)) === 0n;
    if (!isCut && length < max && end < bytes.length) continue;
    lengths.push(length);
    start = end;
  }
  return lengths;
}

/** Cuts `bytes`, given in parts of `partLength`. */
function lengthsOf(bytes: Uint8Array, nominal: number, partLength = bytes.length): number[] {
  const chunker = new ContentChunker(nominal);
  const lengths: number[] = [];
  let start = 0;
  for (let offset = 0; offset < bytes.length; offset += partLength) {
    const part = bytes.subarray(offset, offset + partLength);
    for (let at = 0; at < part.length;) {
      const cut = chunker.next(part, at);
      if (cut < 0) break;
      lengths.push(offset + cut - start);
      start = offset + cut;
      at = cut;
    }
  }
  if (start < bytes.length) lengths.push(bytes.length - start);
  return lengths;
}

function randomBytes(seed: number, length: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length }, () => random.below(256));
}

function chunksOf(bytes: Uint8Array, nominal: number): Map<string, number> {
  const chunks = new Map<string, number>();
  let start = 0;
  for (const length of lengthsOf(bytes, nominal)) {
    chunks.set(hex(sha256(bytes.subarray(start, start + length))), length);
    start += length;
  }
  return chunks;
}

it("cuts as the plain reference version does, whatever the parts are", () => {
  const content = fc.oneof(
    fc.uint8Array({ minLength: 0, maxLength: 4_000 }),
    fc
      .tuple(fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 1, max: 20_000 }))
      .map(([seed, length]) => randomBytes(seed, length)),
  );
  const nominal = fc.constantFrom(64, 256, 1_024);
  const property = fc.property(
    content,
    nominal,
    fc.integer({ min: 1, max: 3_000 }),
    (bytes, nominalLength, partLength) => {
      const expected = referenceLengths(bytes, nominalLength);
      expect(lengthsOf(bytes, nominalLength, partLength)).toEqual(expected);
    },
  );
  fc.assert(property, { numRuns: 60 });
});

it("makes the same cuts in every version of the program", () => {
  const bytes = randomBytes(7, 300_000);
  expect(hex(sha256(bytes)).slice(0, 16)).toMatchInlineSnapshot(`"a1cc7bd324e592a3"`);
  expect(lengthsOf(bytes, 16 * KiB)).toMatchInlineSnapshot(`
    [
      35668,
      8220,
      4901,
      8928,
      10738,
      5486,
      10011,
      10119,
      12371,
      5301,
      4236,
      13081,
      13047,
      36622,
      32618,
      21885,
      6510,
      7771,
      19040,
      10060,
      4654,
      5408,
      10597,
      2728,
    ]
  `);
  expect([...GEAR.subarray(0, 3)].map((value) => (value >>> 0).toString(16))).toEqual([
    "6e340b9c",
    "4bf5122f",
    "dbc1b4c9",
  ]);
});

it("keeps lengths within their bounds and near three quarters of the nominal length", () => {
  const nominal = 4 * KiB;
  const { min, max } = chunkLengths(nominal);
  const lengths = lengthsOf(randomBytes(3, 2 * MiB), nominal);
  for (const length of lengths.slice(0, -1)) {
    expect(length).toBeGreaterThan(min);
    expect(length).toBeLessThanOrEqual(max);
  }
  const mean = (2 * MiB) / lengths.length;
  expect(mean).toBeGreaterThan(0.65 * nominal);
  expect(mean).toBeLessThan(0.85 * nominal);
});

it("cuts a run of one byte at the maximum, so that all its pieces are one chunk", () => {
  const nominal = 4 * KiB;
  const lengths = lengthsOf(new Uint8Array(10 * chunkLengths(nominal).max), nominal);
  expect(new Set(lengths).size).toBe(1);
});

it("keeps the chunks away from an insertion", () => {
  const nominal = 4 * KiB;
  const before = randomBytes(11, MiB);
  const after = new Uint8Array(before.length + 100);
  after.set(before.subarray(0, 500_000));
  after.set(randomBytes(12, 100), 500_000);
  after.set(before.subarray(500_000), 500_100);
  const known = chunksOf(before, nominal);
  const fresh = [...chunksOf(after, nominal)].filter(([digest]) => !known.has(digest));
  const freshBytes = fresh.reduce((sum, [, length]) => sum + length, 0);
  expect(freshBytes).toBeLessThan(8 * nominal);
});

it("chooses a nominal length that keeps every content within a manifest's pieces (R-MAN-10)", () => {
  expect(chooseNominalLength(0)).toBe(64 * KiB);
  expect(chooseNominalLength(4096 * MiB)).toBe(64 * KiB);
  expect(chooseNominalLength(4096 * MiB + 1)).toBe(128 * KiB);
  const length = 2 ** 39;
  const nominal = chooseNominalLength(length);
  expect(length / nominal).toBeLessThanOrEqual(LIMITS.piecesPerManifestMax);
  expect(chunkLengths(nominal).max).toBeLessThanOrEqual(LIMITS.pieceLengthMax);
});
