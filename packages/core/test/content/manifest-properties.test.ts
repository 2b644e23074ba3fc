/** The manifest's codec over random and hostile input, with cborg as the second opinion. */
import { decode, encode } from "cborg";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeManifest, encodeManifest } from "../../src/content/manifest.ts";
import type { Manifest } from "../../src/content/manifest.ts";
import { manifests } from "./manifest-arbitrary.ts";

/** The dag-cbor rules as cborg knows them. */
const STRICT = {
  strict: true,
  allowIndefinite: false,
  rejectDuplicateMapKeys: true,
  allowUndefined: false,
} as const;

/** What a manifest's bytes hold, written down independently of the encoder. */
function plain(manifest: Manifest): Record<string, unknown> {
  const { boundaries, contentLength } = manifest.layout;
  const isFixed = boundaries.kind === "fixed";
  return {
    version: 1,
    hash: "sha2-256",
    length: contentLength,
    ...(isFixed ? { pieceLength: boundaries.pieceLength } : {}),
    ...(isFixed ? {} : { pieceLengths: bigEndian(boundaries.lengths) }),
    pieces: manifest.pieceDigests,
    ...(manifest.contentDigest === undefined ? {} : { digest: manifest.contentDigest }),
    files: manifest.files.map(({ name, length, digest }) => ({ name, length, digest })),
    ...(Object.keys(manifest.hints).length > 0 ? { hints: { ...manifest.hints } } : {}),
  };
}

function bigEndian(values: Uint32Array): Uint8Array {
  return Uint8Array.from(
    Array.from(values).flatMap((value) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255)),
  );
}

/** Bytes changed in one way each: a bit, a cut, an insertion, a repetition. */
const mutation = fc.record({
  kind: fc.constantFrom("flip", "cut", "insert", "repeat", "set"),
  at: fc.nat(),
  value: fc.nat({ max: 255 }),
});

function mutate(
  bytes: Uint8Array,
  change: { kind: string; at: number; value: number },
): Uint8Array {
  const at = change.at % bytes.length;
  const out = Array.from(bytes);
  if (change.kind === "flip") out[at]! ^= 1 << (change.value & 7);
  else if (change.kind === "set") out[at] = change.value;
  else if (change.kind === "cut") out.length = at;
  else if (change.kind === "insert") out.splice(at, 0, change.value);
  else out.splice(at, 0, ...out.slice(at, at + (change.value % 40)));
  return Uint8Array.from(out);
}

describe("the manifest's codec", () => {
  it("gives back every manifest", () => {
    fc.assert(
      fc.property(manifests, (manifest) => {
        expect(decodeManifest(encodeManifest(manifest))).toEqual({ ok: true, manifest });
      }),
    );
  });

  it("writes the bytes that cborg writes, and cborg reads the same values from them", () => {
    fc.assert(
      fc.property(manifests, (manifest) => {
        const bytes = encodeManifest(manifest);
        const values: unknown = decode(bytes, STRICT);
        expect(values).toEqual(plain(manifest));
        expect(new Uint8Array(encode(values))).toEqual(bytes);
        expect(new Uint8Array(encode(plain(manifest)))).toEqual(bytes);
      }),
    );
  });

  it("answers any bytes without throwing (R-PEER-21)", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300, size: "max" }), (bytes) => {
        expect(decodeManifest(bytes)).toMatchObject({ ok: false });
      }),
      { numRuns: 500 },
    );
  });

  it("accepts changed bytes only where they are the one encoding of another manifest", () => {
    let accepted = 0;
    fc.assert(
      fc.property(manifests, mutation, (manifest, change) => {
        const bytes = mutate(encodeManifest(manifest), change);
        const result = decodeManifest(bytes);
        if (result.ok) accepted++;
        expect(result.ok ? encodeManifest(result.manifest) : bytes).toEqual(bytes);
        const oracle: unknown = result.ok ? decode(bytes, STRICT) : undefined;
        expect(oracle).toEqual(result.ok ? plain(result.manifest) : undefined);
      }),
      { numRuns: 1_000, seed: 1 },
    );
    expect(accepted).toBeGreaterThan(100);
  });

  it("refuses every other order of a map's keys, and keys that stand twice", () => {
    const manifest = fc.sample(manifests, { numRuns: 1, seed: 3 })[0]!;
    const entries = Object.entries(plain(manifest));
    const encodeInOrder = (list: typeof entries): Uint8Array =>
      encode(new Map(list), { mapSorter: () => 0 });
    fc.assert(
      fc.property(fc.shuffledSubarray(entries, { minLength: entries.length }), (shuffled) => {
        const bytes = encodeInOrder(shuffled);
        const isCanonical = Buffer.compare(bytes, encode(plain(manifest))) === 0;
        expect(decodeManifest(bytes).ok).toBe(isCanonical);
      }),
    );
    const bytes = encodeManifest(manifest);
    const version = encode("version");
    const at = Buffer.from(bytes).indexOf(version);
    const pair = bytes.subarray(at, at + version.length + 1);
    const doubled = Uint8Array.of(...bytes.subarray(0, at), ...pair, ...bytes.subarray(at));
    doubled[0]!++;
    expect(decodeManifest(doubled)).toMatchObject({ ok: false });
  });
});
