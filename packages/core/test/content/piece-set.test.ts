/** `PieceSet` against a plain set, and its bytes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../src/assert.ts";
import { PieceSet } from "../../src/content/piece-set.ts";

const changes = fc.array(fc.record({ add: fc.boolean(), at: fc.nat() }), {
  maxLength: 100,
  size: "max",
});

describe("a piece set", () => {
  it("answers as a plain set does after any changes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), changes, (pieceCount, list) => {
        const set = new PieceSet(pieceCount);
        const plain = new Set<number>();
        for (const { add, at } of list) {
          const piece = at % pieceCount;
          const isChange = plain.has(piece) !== add;
          expect(add ? set.add(piece) : set.delete(piece)).toBe(isChange);
          if (add) plain.add(piece);
          else plain.delete(piece);
        }
        expect(set.size).toBe(plain.size);
        expect(set.isFull).toBe(plain.size === pieceCount);
        expect([...set]).toEqual([...plain].sort((a, b) => a - b));
        for (let piece = 0; piece < pieceCount; piece++) {
          expect(set.has(piece)).toBe(plain.has(piece));
        }
        const copy = PieceSet.fromBytes(pieceCount, set.toBytes());
        expect(copy === undefined ? undefined : [...copy]).toEqual([...set]);
        expect(copy?.size).toBe(set.size);
      }),
    );
  });

  it("has the most significant bit first on the wire", () => {
    const set = new PieceSet(10);
    for (const piece of [0, 7, 9]) set.add(piece);
    expect(set.toBytes()).toEqual(Uint8Array.of(0b1000_0001, 0b0100_0000));
  });

  it("is full without spare bits", () => {
    for (let pieceCount = 0; pieceCount <= 17; pieceCount++) {
      const set = PieceSet.full(pieceCount);
      expect(set.size).toBe(pieceCount);
      expect(set.isFull).toBe(true);
      expect([...set]).toHaveLength(pieceCount);
      expect(PieceSet.fromBytes(pieceCount, set.toBytes())?.isFull).toBe(true);
    }
  });

  it("is not read from bytes of another length, nor with spare bits", () => {
    fc.assert(
      fc.property(fc.nat({ max: 40 }), fc.uint8Array({ maxLength: 6 }), (pieceCount, bytes) => {
        const isLength = bytes.length === Math.ceil(pieceCount / 8);
        const bits = Array.from(bytes).flatMap((byte) =>
          Array.from({ length: 8 }, (_, i) => (byte >> (7 - i)) & 1),
        );
        const isRight = isLength && bits.slice(pieceCount).every((bit) => bit === 0);
        expect(PieceSet.fromBytes(pieceCount, bytes) !== undefined).toBe(isRight);
      }),
    );
  });

  it("is emptied by clear, and its bytes are copies", () => {
    const set = PieceSet.full(9);
    const bytes = set.toBytes();
    set.clear();
    expect(set.size).toBe(0);
    expect(bytes).toEqual(Uint8Array.of(0xff, 0x80));
    expect([...set]).toEqual([]);
  });

  it.each([-1, 9, Number.NaN])("refuses piece %d of 9", (piece) => {
    expect(() => new PieceSet(9).add(piece)).toThrow(AssertionError);
    expect(() => new PieceSet(9).delete(piece)).toThrow(AssertionError);
    expect(new PieceSet(9).has(piece)).toBe(false);
  });
});
