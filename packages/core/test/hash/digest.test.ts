import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  hex,
  matchesDigest,
  parseSha256Hex,
  sha256,
  sha256Hex,
  startDigest,
} from "../../src/hash/digest.ts";

const bytes = fc.uint8Array({ maxLength: 300, size: "max" });

describe("SHA-256", () => {
  it.each([
    // FIPS 180-4 examples
    ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  ])("of %j is known", (text, digest) => {
    const input = new TextEncoder().encode(text);
    expect(sha256Hex(input)).toBe(digest);
    expect(hex(sha256(input))).toBe(digest);
  });

  it("is plain bytes of their own", () => {
    const digest = sha256(new Uint8Array(1));
    expect(digest.constructor).toBe(Uint8Array);
    expect(startDigest().finish().constructor).toBe(Uint8Array);
    expect(digest.buffer.byteLength).toBe(32);
  });

  it("is the same in parts as in one, and of shared memory", () => {
    fc.assert(
      fc.property(bytes, fc.nat(), (input, drawn) => {
        const cut = drawn % (input.length + 1);
        const running = startDigest();
        const reused = input.slice(0, cut);
        running.update(reused);
        reused.fill(0xee); // may be reused afterwards
        running.update(input.subarray(cut));
        expect(running.finish()).toEqual(sha256(input));
        const shared = new Uint8Array(new SharedArrayBuffer(input.length));
        shared.set(input);
        expect(sha256(shared)).toEqual(sha256(input));
      }),
    );
  });

  it("is compared with the place in a table it is meant for, in every byte", () => {
    fc.assert(
      fc.property(bytes, fc.nat({ max: 31 }), (input, at) => {
        const table = new Uint8Array(96);
        table.set(sha256(input), 32);
        expect(matchesDigest(input, table, 32)).toBe(true);
        expect(matchesDigest(input, table, 0)).toBe(false);
        table[32 + at]! ^= 1;
        expect(matchesDigest(input, table, 32)).toBe(false);
      }),
    );
  });

  it("never matches a table that ends early", () => {
    const input = new Uint8Array(3);
    expect(matchesDigest(input, sha256(input).subarray(0, 31), 0)).toBe(false);
    expect(matchesDigest(input, sha256(input), 32)).toBe(false);
  });
});

describe("a SHA-256 as text", () => {
  it("is read in either case", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (digest) => {
        expect(parseSha256Hex(hex(digest))).toEqual(digest);
        expect(parseSha256Hex(hex(digest).toUpperCase())).toEqual(digest);
      }),
    );
  });

  it.each([
    "",
    "a".repeat(63),
    "a".repeat(65),
    "g".repeat(64),
    `${"a".repeat(64)}\n`,
    "0x".repeat(32),
  ])("is refused as %j", (text) => {
    expect(parseSha256Hex(text)).toBeUndefined();
  });
});
