/** Where pieces begin and end: fixed and explicit layouts by the same properties. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../src/assert.ts";
import { choosePieceLength, PieceLayout } from "../../src/content/layout.ts";
import { LIMITS } from "../../src/registry/limits.ts";
import { KiB, MiB } from "../../src/units.ts";
import { layouts } from "./manifest-arbitrary.ts";

const filledLayouts = layouts.filter((layout) => layout.pieceCount > 0);

describe("a piece layout", () => {
  it("covers the content with pieces that follow one another", () => {
    fc.assert(
      fc.property(layouts, (layout) => {
        let end = 0;
        for (let piece = 0; piece < layout.pieceCount; piece++) {
          expect(layout.start(piece)).toBe(end);
          expect(layout.length(piece)).toBeGreaterThan(0);
          expect(layout.length(piece)).toBeLessThanOrEqual(layout.pieceLengthMax);
          end = layout.end(piece);
        }
        expect(end).toBe(layout.contentLength);
      }),
    );
  });

  it("finds the piece of each byte: pieceAt is the inverse of start and end", () => {
    fc.assert(
      fc.property(filledLayouts, fc.nat(), (layout, drawn) => {
        const piece = drawn % layout.pieceCount;
        expect(layout.pieceAt(layout.start(piece))).toBe(piece);
        expect(layout.pieceAt(layout.end(piece) - 1)).toBe(piece);
        const offset = drawn % layout.contentLength;
        const holder = layout.pieceAt(offset);
        expect(layout.start(holder)).toBeLessThanOrEqual(offset);
        expect(layout.end(holder)).toBeGreaterThan(offset);
      }),
    );
  });

  it("fits as many whole pieces into a length as there is room for, and at least one", () => {
    fc.assert(
      fc.property(filledLayouts, fc.nat(), fc.nat({ max: 64 * MiB }), (layout, drawn, bytes) => {
        const first = drawn % layout.pieceCount;
        const count = layout.piecesWithin(first, bytes);
        const last = first + count - 1;
        const span = layout.end(last) - layout.start(first);
        expect(count === 1 || span <= bytes).toBe(true);
        const isAll = last === layout.pieceCount - 1;
        expect(isAll || layout.end(last + 1) - layout.start(first) > bytes).toBe(true);
      }),
    );
  });

  it("is the same whether fixed or the same lengths are listed", () => {
    const fixed = PieceLayout.fixed(200_000, 64 * KiB);
    const listed = PieceLayout.explicit(Uint32Array.of(65_536, 65_536, 65_536, 3_392));
    expect(listed.pieceCount).toBe(fixed.pieceCount);
    for (let piece = 0; piece < 4; piece++) expect(listed.end(piece)).toBe(fixed.end(piece));
    expect(listed.pieceLengthMax).toBe(fixed.pieceLengthMax);
  });

  it("of an empty content has no pieces", () => {
    for (const layout of [PieceLayout.fixed(0, 1), PieceLayout.explicit(new Uint32Array(0))]) {
      expect(layout.pieceCount).toBe(0);
      expect(layout.contentLength).toBe(0);
      expect(layout.pieceLengthMax).toBe(0);
      expect(() => layout.pieceAt(0)).toThrow(AssertionError);
    }
  });

  it("of the longest content needs no more than whole numbers", () => {
    const layout = PieceLayout.fixed(LIMITS.contentLengthMax, 16 * MiB);
    const last = layout.pieceCount - 1;
    expect(layout.end(last)).toBe(LIMITS.contentLengthMax);
    expect(layout.pieceAt(LIMITS.contentLengthMax - 1)).toBe(last);
  });

  it.each([
    ["a piece before the first", () => PieceLayout.fixed(10, 5).start(-1)],
    ["a piece after the last", () => PieceLayout.fixed(10, 5).end(2)],
    ["an offset past the end", () => PieceLayout.fixed(10, 5).pieceAt(10)],
    ["a negative length", () => PieceLayout.fixed(-1, 5)],
    ["pieces without length", () => PieceLayout.fixed(10, 0)],
    ["an explicit piece without length", () => PieceLayout.explicit(Uint32Array.of(1, 0))],
  ])("refuses %s", (_, mistake) => {
    expect(mistake).toThrow(AssertionError);
  });
});

describe("the piece length chosen for a content", () => {
  it("is one that a manifest may have, and never gives too many pieces (R-MAN-10)", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: LIMITS.contentLengthMax }), (contentLength) => {
        const pieceLength = choosePieceLength(contentLength);
        expect(Math.log2(pieceLength) % 1).toBe(0);
        expect(pieceLength).toBeGreaterThanOrEqual(LIMITS.pieceLengthMin);
        expect(pieceLength).toBeLessThanOrEqual(LIMITS.pieceLengthMax);
        const pieceCount = Math.ceil(contentLength / pieceLength);
        expect(pieceCount).toBeLessThanOrEqual(LIMITS.piecesPerManifestMax);
      }),
    );
  });

  it.each([
    [0, 256 * KiB],
    [50 * MiB, 256 * KiB],
    [200 * MiB, 512 * KiB],
    [4_096 * MiB, MiB],
    [4_096 * MiB + 1, 2 * MiB],
    [LIMITS.contentLengthMax, 16 * MiB],
  ])("of %d bytes is %d", (contentLength, pieceLength) => {
    expect(choosePieceLength(contentLength)).toBe(pieceLength);
  });
});
