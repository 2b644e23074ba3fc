/** Delivery Optimization's piece-hash file: golden text, each check, and hostile input. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentIdOf } from "../../src/content/content-id.ts";
import { decodeManifest } from "../../src/content/manifest.ts";
import { parsePieceHashFile, parseSha256Base64 } from "../../src/content/piece-hash-file.ts";
import type { PieceHashFileResult } from "../../src/content/piece-hash-file.ts";
import { matchesDigest, sha256 } from "../../src/hash/digest.ts";
import { LIMITS } from "../../src/registry/limits.ts";
import { KiB, MiB } from "../../src/units.ts";

const encoder = new TextEncoder();
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** The digests of `content` in pieces of `pieceLength`, computed independently of the layout. */
function digestsOf(content: Uint8Array, pieceLength: number): Uint8Array[] {
  const digests: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += pieceLength) {
    digests.push(sha256(content.subarray(at, at + pieceLength)));
  }
  return digests;
}

interface PieceHashFile {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly hashOfHashes: Uint8Array;
}

function describePieces(content: Uint8Array, pieceLength: number): PieceHashFile {
  const digests = digestsOf(content, pieceLength);
  const hashOfHashes = sha256(Buffer.concat(digests));
  const fields = {
    MajorVersion: 1,
    MinorVersion: 0,
    HashOfHashes: base64(hashOfHashes),
    ContentLength: content.length,
    PieceSize: pieceLength,
    Pieces: digests.map(base64),
  };
  return { fields, hashOfHashes };
}

const CONTENT = new Uint8Array(130 * KiB).map((_, i) => i);
const FILE = describePieces(CONTENT, 64 * KiB);
const DIGEST = base64(sha256(new Uint8Array(0)));

/** Parses the fields of a right file of 3 pieces; `changes` replaces some, or removes them. */
function parse(changes: Readonly<Record<string, unknown>> = {}): PieceHashFileResult {
  const bytes = encoder.encode(JSON.stringify({ ...FILE.fields, ...changes }));
  return parsePieceHashFile(bytes, { hashOfHashes: FILE.hashOfHashes });
}

const parseText = (text: string): PieceHashFileResult =>
  parsePieceHashFile(encoder.encode(text), { hashOfHashes: FILE.hashOfHashes });

describe("a piece-hash file", () => {
  // 65,537 bytes of 0xaa, and its hash of hashes by another program.
  const golden = [
    `{"MajorVersion":1,"MinorVersion":0,`,
    `"HashOfHashes":"lN9Ge6n6drHAlkXWDo1OjWe7taOaiD1PhlJtFhbf8VU=",`,
    `"ContentLength":65537,"PieceSize":65536,"Pieces":[`,
    `"mt33ayCxFjl9XGTB4EprR0urJfD3wKun3Iuecrr+SJE=",`,
    `"vO72VbWgNJEfHDcYzgVlMbRe8DtMex8VYp6GcpQBGn0="]}`,
  ].join("");
  const hashOfHashes = Buffer.from(
    "94df467ba9fa76b1c09645d60e8d4e8d67bbb5a39a883d4f86526d1616dff155",
    "hex",
  );

  it("becomes the same manifest for everybody, whatever else it says", () => {
    const result = parsePieceHashFile(encoder.encode(golden), { hashOfHashes });
    if (!result.ok) throw new Error(result.reason);
    expect(result.contentId).toBe("bafyreiehgunrahq3cl2gr2amhho4uysvydh54zyiymkexutfaarlmwyqii");
    expect(result.manifest.layout).toMatchObject({ contentLength: 65_537, pieceCount: 2 });
    const members = Object.entries(JSON.parse(golden) as Record<string, unknown>);
    const other = { Note: { Tool: ["x"] }, ...Object.fromEntries(members.toReversed()) };
    const text = `\uFEFF ${JSON.stringify({ ...other, PieceSize: "65536", MinorVersion: 7 })}\r\n`;
    const bytes = encoder.encode(text);
    const again = parsePieceHashFile(bytes, { digest: sha256(bytes), hashOfHashes });
    expect(again).toEqual(result);
  });

  it("verifies every piece of its content, and no other bytes", () => {
    const drawn = fc.record({
      content: fc.uint8Array({ minLength: 1, maxLength: 40 }),
      repeats: fc.integer({ min: 1, max: 8 * KiB }),
      pieceLength: fc.constantFrom(64 * KiB, 128 * KiB, MiB),
      at: fc.nat(),
    });
    fc.assert(
      fc.property(drawn, ({ content: seed, repeats, pieceLength, at }) => {
        const content = new Uint8Array(Buffer.alloc(seed.length * repeats, seed));
        const { fields, hashOfHashes: expected } = describePieces(content, pieceLength);
        const bytes = encoder.encode(JSON.stringify(fields));
        const result = parsePieceHashFile(bytes, { hashOfHashes: expected });
        if (!result.ok) throw new Error(result.reason);
        const { manifest } = result;
        expect(decodeManifest(result.bytes)).toEqual({ ok: true, manifest });
        expect(contentIdOf(result.bytes)).toBe(result.contentId);
        const { layout, pieceDigests } = manifest;
        expect(layout.contentLength).toBe(content.length);
        for (let piece = 0; piece < layout.pieceCount; piece++) {
          const chunk = content.subarray(layout.start(piece), layout.end(piece));
          expect(matchesDigest(chunk, pieceDigests, piece * 32)).toBe(true);
        }
        const piece = layout.pieceAt(at % content.length);
        const wrong = content.slice(layout.start(piece), layout.end(piece));
        wrong[at % wrong.length]! ^= 1;
        expect(matchesDigest(wrong, pieceDigests, piece * 32)).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ["lengths as decimal text", { ContentLength: "133120", PieceSize: "65536" }],
    ["a later minor version", { MinorVersion: 9 }],
    ["members nobody knows", { pieces: 1, "": null, Extra: { Pieces: [[]] } }],
    ["a member named like a trap", JSON.parse(`{"__proto__":{"Pieces":[]},"constructor":1}`)],
  ] as ReadonlyArray<readonly [string, Record<string, unknown>]>)(
    "is accepted with %s",
    (_, changes) => {
      expect(parse(changes)).toEqual(parse());
      expect(parse(changes).ok).toBe(true);
    },
  );

  it("of an empty content has no pieces", () => {
    const { fields, hashOfHashes: expected } = describePieces(new Uint8Array(0), MiB);
    const bytes = encoder.encode(JSON.stringify(fields));
    const result = parsePieceHashFile(bytes, { hashOfHashes: expected });
    expect(result).toMatchObject({ ok: true, manifest: { layout: { pieceCount: 0 } } });
  });

  it("of the most pieces is accepted, and of one more is not (R-MAN-10)", () => {
    const most = Array.from({ length: LIMITS.piecesPerManifestMax }, () => DIGEST);
    const digests = Buffer.concat(most.map((text) => Buffer.from(text, "base64")));
    const expected = sha256(digests);
    const parseMany = (Pieces: readonly string[]): PieceHashFileResult => {
      const ContentLength = Pieces.length * MiB;
      const fields = { ...FILE.fields, HashOfHashes: base64(expected), ContentLength };
      const bytes = encoder.encode(JSON.stringify({ ...fields, PieceSize: MiB, Pieces }));
      return parsePieceHashFile(bytes, { hashOfHashes: expected });
    };
    expect(parseMany(most)).toMatchObject({ ok: true });
    expect(parseMany([...most, DIGEST])).toMatchObject({ ok: false, reason: "too many pieces" });
  });
});

describe("a malformed piece-hash file", () => {
  const refused: ReadonlyArray<readonly [string, Record<string, unknown>, RegExp]> = [
    ["another major version", { MajorVersion: 2 }, /version/],
    ["a version that is text", { MajorVersion: "1" }, /version/],
    ["a minor version below zero", { MinorVersion: -1 }, /version/],
    ["a hash of hashes of 31 bytes", { HashOfHashes: base64(new Uint8Array(31)) }, /HashOf/],
    ["a length below zero", { ContentLength: -1 }, /ContentLength/],
    ["half a byte", { ContentLength: 1.5 }, /ContentLength/],
    ["a length in hexadecimal", { ContentLength: "0x20800" }, /ContentLength/],
    ["a length with a sign", { ContentLength: "+133120" }, /ContentLength/],
    ["one byte too many (R-MAN-10)", { ContentLength: 2 ** 40 + 1 }, /ContentLength/],
    ["an endless length", { ContentLength: "9".repeat(400) }, /ContentLength/],
    ["pieces of no length", { PieceSize: 0 }, /PieceSize/],
    ["pieces of 32 KiB (R-MAN-10)", { PieceSize: 32 * KiB }, /PieceSize/],
    ["pieces of 32 MiB (R-MAN-10)", { PieceSize: 32 * MiB }, /PieceSize/],
    ["pieces of 96 KiB (R-MAN-10)", { PieceSize: 96 * KiB }, /PieceSize/],
    ["pieces of 4 GiB and 64 KiB", { PieceSize: 2 ** 32 + 64 * KiB }, /PieceSize/],
    ["pieces that are no array", { Pieces: { length: 3 } }, /array/],
    ["one piece too few (R-MAN-10)", { Pieces: [DIGEST, DIGEST] }, /2 digests for 3/],
    ["one piece too many", { Pieces: [DIGEST, DIGEST, DIGEST, DIGEST] }, /4 digests for 3/],
    ["another count for its length", { ContentLength: 128 * KiB }, /3 digests for 2/],
    ["a digest that is a number", { Pieces: [DIGEST, 7, DIGEST] }, /piece 1/],
    ["a digest in an array", { Pieces: [DIGEST, DIGEST, [DIGEST]] }, /piece 2/],
    ["a digest in hexadecimal", { Pieces: ["ab".repeat(32), DIGEST, DIGEST] }, /piece 0/],
  ];
  it.each(refused)("is refused with %s", (_, changes, reason) => {
    expect(parse(changes)).toEqual({
      ok: false,
      code: "ERR_PIECE_HASHES_MALFORMED",
      reason: expect.stringMatching(reason) as string,
    });
  });

  it.each(Object.keys(FILE.fields))("is refused without its %s, and in other case", (name) => {
    for (const other of [undefined, name.toLowerCase()]) {
      const changes = other === undefined ? {} : { [other]: FILE.fields[name] };
      expect(parse({ ...changes, [name]: undefined })).toMatchObject({
        code: "ERR_PIECE_HASHES_MALFORMED",
      });
    }
  });

  it.each(["", "blah", "null", "7", '"{}"', "[]", "{", '{"a":1,}', "{}{}", "\0"])(
    "is refused when it is %j",
    (text) => {
      expect(parseText(text)).toMatchObject({
        code: "ERR_PIECE_HASHES_MALFORMED",
      });
    },
  );

  it("is refused in another encoding than UTF-8", () => {
    const bytes = Buffer.from(JSON.stringify(FILE.fields), "utf16le");
    expect(parsePieceHashFile(bytes, FILE)).toMatchObject({ code: "ERR_PIECE_HASHES_MALFORMED" });
    const latin = Buffer.from(JSON.stringify({ ...FILE.fields, Note: "\u00e9" }), "latin1");
    expect(parsePieceHashFile(latin, FILE)).toMatchObject({ code: "ERR_PIECE_HASHES_MALFORMED" });
  });

  it("is refused before it is parsed when it is too long or too rich (R-MAN-09)", () => {
    const long = new Uint8Array(LIMITS.manifestBytesMax + 1).fill(0x20);
    expect(parsePieceHashFile(long, FILE)).toMatchObject({
      code: "ERR_PIECE_HASHES_MALFORMED",
      reason: expect.stringMatching(/exceed/) as string,
    });
    const { pieceHashFileExtrasMax: extrasMax, piecesPerManifestMax } = LIMITS;
    const nested = (depth: number): unknown => JSON.parse("[".repeat(depth) + "]".repeat(depth));
    expect(parse({ Extra: nested(extrasMax - 2) })).toMatchObject({ ok: true });
    for (const Extra of [
      nested(extrasMax - 1),
      ",".repeat(piecesPerManifestMax + extrasMax),
      Array.from({ length: extrasMax }, () => ({})),
    ]) {
      expect(parse({ Extra })).toMatchObject({
        reason: expect.stringMatching(/members/) as string,
      });
    }
  });
});

describe("a piece-hash file of other digests", () => {
  const wrong = new Uint8Array(32);
  const mismatch = { ok: false, code: "ERR_PIECE_HASHES_MISMATCH" };

  it("is refused before it is parsed when its own is named (R-MAN-02)", () => {
    const garbage = encoder.encode("blah");
    expect(parsePieceHashFile(garbage, { digest: wrong })).toMatchObject({
      code: "ERR_PIECE_HASHES_DIGEST_MISMATCH",
    });
    expect(parsePieceHashFile(garbage, { digest: sha256(garbage) })).toMatchObject({
      code: "ERR_PIECE_HASHES_MALFORMED",
    });
  });

  it("is refused when its pieces are others than its hash of hashes says", () => {
    const Pieces = (FILE.fields["Pieces"] as readonly string[]).toReversed();
    expect(parse({ Pieces })).toMatchObject(mismatch);
    expect(parse({ HashOfHashes: DIGEST })).toMatchObject(mismatch);
  });

  it("is refused when its hash of hashes is not the job's, though its own digest is", () => {
    const bytes = encoder.encode(JSON.stringify(FILE.fields));
    const digest = sha256(bytes);
    expect(parsePieceHashFile(bytes, { digest, hashOfHashes: wrong })).toMatchObject(mismatch);
    expect(parsePieceHashFile(bytes, { digest })).toMatchObject({ ok: true });
  });

  it("cannot be asked about without a digest to compare with", () => {
    const bytes = encoder.encode(JSON.stringify(FILE.fields));
    expect(() => parsePieceHashFile(bytes, {})).toThrow("compare");
    expect(() => parsePieceHashFile(bytes, { digest: wrong.subarray(1) })).toThrow("32 bytes");
    expect(() => parsePieceHashFile(bytes, { hashOfHashes: wrong.subarray(1) })).toThrow("hash of");
  });
});

describe("hostile piece-hash files", () => {
  const names = fc.constantFrom(...Object.keys(FILE.fields));

  it("of any bytes are answered without throwing (R-PEER-21)", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300, size: "max" }), (bytes) => {
        expect(parsePieceHashFile(bytes, { digest: sha256(bytes) })).toMatchObject({ ok: false });
      }),
      { numRuns: 500 },
    );
  });

  it("of any JSON are answered without throwing, whole or as one member", () => {
    fc.assert(
      fc.property(fc.json(), names, (json, name) => {
        const members = JSON.stringify({ ...FILE.fields, [name]: undefined }).slice(0, -1);
        expect(parseText(json).ok).toBe(false);
        const result = parseText(`${members},${JSON.stringify(name)}:${json}}`);
        expect(result.ok ? result : parse()).toEqual(parse());
      }),
      { numRuns: 500 },
    );
  });

  it("with any bytes changed are accepted only as the same pieces", () => {
    const right = encoder.encode(JSON.stringify(FILE.fields));
    let accepted = 0;
    fc.assert(
      fc.property(fc.nat(), fc.uint8Array({ maxLength: 3 }), fc.nat(3), (at, insert, cut) => {
        const index = at % right.length;
        const parts = [right.subarray(0, index), insert, right.subarray(index + cut)];
        const result = parsePieceHashFile(Buffer.concat(parts), FILE);
        const found = result.ok ? sha256(result.manifest.pieceDigests) : FILE.hashOfHashes;
        if (result.ok) accepted++;
        expect(found).toEqual(FILE.hashOfHashes);
      }),
      { numRuns: 1_000, seed: 1 },
    );
    expect(accepted).toBeGreaterThan(10);
  });
});

describe("a SHA-256 in base64", () => {
  it("is read as Node writes it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (digest) => {
        expect(parseSha256Base64(base64(digest))).toEqual(digest);
      }),
    );
  });

  it.each([
    ["", "no text"],
    ["blah", "words"],
    [DIGEST.slice(0, -1), "no padding"],
    [` ${DIGEST}`, "a blank before it"],
    [`${DIGEST}\n`, "a line end"],
    [DIGEST.replace("/", "_").replaceAll("+", "-").replace("=", ""), "another alphabet"],
    [`${DIGEST.slice(0, 42)}V=`, "stray bits"],
    [base64(new Uint8Array(33)), "33 bytes"],
    [base64(new Uint8Array(31)), "31 bytes"],
  ])("is not %j: %s", (text) => {
    expect(parseSha256Base64(text)).toBeUndefined();
  });
});
