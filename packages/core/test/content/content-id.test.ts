import fc from "fast-check";
import { CID } from "multiformats/cid";
import { create } from "multiformats/hashes/digest";
import { describe, expect, it } from "vitest";
import {
  chunkIdFromDigest,
  contentIdFromDigest,
  contentIdOf,
  digestOfContentId,
  parseContentId,
} from "../../src/content/content-id.ts";
import { sha256 } from "../../src/hash/digest.ts";

const BYTES = new TextEncoder().encode("abc");
/** dag-cbor, sha2-256 of "abc". */
const ID = "bafyreif2pall7dybz7vecqka3zo24irdwabwdi4wc55jznaq75q7eaavvu";
const digests = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe("a content id", () => {
  it("is the CIDv1 of the bytes, in base32", () => {
    expect(contentIdOf(BYTES)).toBe(ID);
    expect(contentIdFromDigest(sha256(BYTES))).toBe(ID);
    // 0x01 version, 0x71 dag-cbor, 0x12 sha2-256, 0x20 its length
    expect(Array.from(CID.parse(ID).bytes.subarray(0, 4))).toEqual([0x01, 0x71, 0x12, 0x20]);
  });

  it("of a chunk is a raw CIDv1 and no content id", () => {
    const chunkId = chunkIdFromDigest(sha256(BYTES));
    expect(chunkId).toBe("bafkreif2pall7dybz7vecqka3zo24irdwabwdi4wc55jznaq75q7eaavvu");
    expect(parseContentId(chunkId)).toBeUndefined();
  });

  it("is parsed back from every digest", () => {
    fc.assert(
      fc.property(digests, (digest) => {
        const contentId = contentIdFromDigest(digest);
        expect(parseContentId(contentId)).toBe(contentId);
        expect(digestOfContentId(contentId)).toEqual(digest);
      }),
    );
  });

  const refused: ReadonlyArray<readonly [string, string]> = [
    ["nothing", ""],
    ["white space around it", ` ${ID}`],
    ["white space after it", `${ID}\n`],
    ["a cut id", ID.slice(0, -1)],
    ["a longer id", `${ID}a`],
    ["version 0", CID.createV0(create(0x12, sha256(BYTES))).toString()],
    ["the codec raw", CID.createV1(0x55, create(0x12, sha256(BYTES))).toString()],
    ["the hash sha2-512", CID.createV1(0x71, create(0x13, new Uint8Array(64))).toString()],
    ["the hash identity", CID.createV1(0x71, create(0, new Uint8Array(32))).toString()],
    ["a short digest", CID.createV1(0x71, create(0x12, new Uint8Array(20))).toString()],
    ["an endless id", ID.repeat(1_000)],
  ];
  it.each(refused)("is refused with %s (R-MAN-03)", (_, text) => {
    expect(parseContentId(text)).toBeUndefined();
  });

  it("is refused or brought to its one form, whatever the text", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => ID + text),
        ),
        (text) => {
          const parsed = parseContentId(text);
          expect(parsed === undefined || parseContentId(parsed) === parsed).toBe(true);
        },
      ),
    );
    fc.assert(
      fc.property(
        fc.nat({ max: ID.length - 1 }),
        fc.constantFrom("a", "z", "2", "A", "="),
        (at, letter) => {
          const parsed = parseContentId(ID.slice(0, at) + letter + ID.slice(at + 1));
          expect(parsed === undefined || parsed.length === ID.length).toBe(true);
        },
      ),
    );
  });
});
