/** The reader and writer of canonical CBOR, byte by byte (RFC 8949, appendix A, and dag-cbor). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CborError, CborReader, encodeCbor } from "../../src/content/canonical-cbor.ts";
import type { CborValue } from "../../src/content/canonical-cbor.ts";
import { hex } from "../../src/hash/digest.ts";

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));
const readerOf = (text: string): CborReader => new CborReader(bytesOf(text));

describe("the writer", () => {
  const golden: ReadonlyArray<readonly [string, CborValue]> = [
    ["00", 0],
    ["17", 23],
    ["1818", 24],
    ["18ff", 255],
    ["190100", 256],
    ["19ffff", 65_535],
    ["1a00010000", 65_536],
    ["1affffffff", 2 ** 32 - 1],
    ["1b0000000100000000", 2 ** 32],
    ["1b001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["60", ""],
    ["62c3bc", "ü"],
    ["40", new Uint8Array(0)],
    ["4401020304", Uint8Array.of(1, 2, 3, 4)],
    ["80", []],
    ["83010203", [1, 2, 3]],
    ["a0", { entries: [] }],
    [
      "a3616201616302626161 03".replaceAll(" ", ""), // {"b": 1, "c": 2, "aa": 3}
      {
        entries: [
          ["aa", 3],
          ["c", 2],
          ["b", 1],
        ],
      },
    ],
  ];
  it.each(golden)("writes %s", (text, value) => {
    expect(hex(encodeCbor(value))).toBe(text);
  });

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])("refuses %d", (value) => {
    expect(() => encodeCbor(value)).toThrow(CborError);
  });
});

describe("the reader", () => {
  it("reads back every integer", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const reader = new CborReader(encodeCbor(value));
        expect(reader.uint(Number.MAX_SAFE_INTEGER)).toBe(value);
        reader.end();
      }),
    );
  });

  it("reads views of byte strings, not copies", () => {
    const bytes = bytesOf("4401020304");
    const view = new CborReader(bytes).bytes(4);
    bytes[1] = 9;
    expect(view[0]).toBe(9);
  });

  it("hands each key of a map to its caller in order", () => {
    const keys: string[] = [];
    const reader = readerOf("a2616101626162 02".replaceAll(" ", ""));
    reader.map(2, 2, (key) => {
      keys.push(`${key}=${reader.uint(2)}`);
    });
    reader.end();
    expect(keys).toEqual(["a=1", "ab=2"]);
  });

  const refused: ReadonlyArray<readonly [string, string, (reader: CborReader) => unknown]> = [
    ["an integer not in its shortest form", "1817", (r) => r.uint(99)],
    ["16 bits where 8 would do", "1900ff", (r) => r.uint(999)],
    ["32 bits where 16 would do", "1a0000ffff", (r) => r.uint(99_999)],
    ["64 bits where 32 would do", "1b00000000ffffffff", (r) => r.uint(2 ** 40)],
    ["an integer beyond 2^53-1", "1b0020000000000000", (r) => r.uint(Number.MAX_SAFE_INTEGER)],
    ["the largest integer", "1bffffffffffffffff", (r) => r.uint(Number.MAX_SAFE_INTEGER)],
    ["an integer above the bound", "05", (r) => r.uint(4)],
    ["a negative integer", "20", (r) => r.uint(4)],
    ["an indefinite byte string", "5f4101ff", (r) => r.bytes(4)],
    ["an indefinite array", "9f01ff", (r) => r.array(4)],
    ["an indefinite map", "bf616101ff", (r) => r.map(4, 4, () => undefined)],
    ["a reserved length", "1c", (r) => r.uint(4)],
    ["a length past the end", "4401", (r) => r.bytes(4)],
    ["a length beyond memory", "5b001fffffffffffff", (r) => r.bytes(Number.MAX_SAFE_INTEGER)],
    ["a string longer than its bound", "4401020304", (r) => r.bytes(3)],
    ["text that is not UTF-8", "62c328", (r) => r.text(4)],
    ["a surrogate in UTF-8", "63eda080", (r) => r.text(4)],
    ["an array with too many items", "83010203", (r) => r.array(2)],
    ["a map with too many keys", "a2616101616202", (r) => r.map(1, 4, () => r.uint(9))],
    ["keys out of order", "a2616201616102", (r) => r.map(2, 4, () => r.uint(9))],
    ["a key that stands twice", "a2616101616102", (r) => r.map(2, 4, () => r.uint(9))],
    ["a longer key before a shorter one", "a26261610161 6202", (r) => r.map(2, 4, () => r.uint(9))],
    ["a key that is no text", "a10101", (r) => r.map(2, 4, () => r.uint(9))],
    ["a map that ends early", "a16161", (r) => r.map(2, 4, () => r.uint(9))],
    ["a float", "fb3ff0000000000000", (r) => r.uint(4)],
    ["null", "f6", (r) => r.uint(4)],
    ["a tag", "d82a40", (r) => r.bytes(4)],
    ["no bytes at all", "", (r) => r.uint(4)],
    ["bytes after the end", "0000", (r) => (r.uint(4), r.end())],
  ];
  it.each(refused)("refuses %s", (_, text, read) => {
    expect(() => read(readerOf(text.replaceAll(" ", "")))).toThrow(CborError);
  });
});
