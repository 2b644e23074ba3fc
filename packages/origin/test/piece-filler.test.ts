import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { PieceBufferPool, PieceLayout } from "@shoal/core";
import type { PieceBytes } from "@shoal/core";
import { PieceFiller } from "../src/piece-filler.ts";
import { patternOf } from "./origin-harness.ts";

describe("PieceFiller", () => {
  it("yields the same pieces however the bytes are cut, with one buffer at a time", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 });
    const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 200 }));
    fc.assert(
      fc.property(lengths, cuts, fc.nat(), fc.nat(), fc.boolean(), (sizes, cut, a, b, whole) => {
        const layout = PieceLayout.explicit(Uint32Array.from(sizes));
        const content = patternOf(layout.contentLength);
        const firstPiece = a % sizes.length;
        const pieceCount = 1 + (b % (sizes.length - firstPiece));
        const startOffset = whole ? 0 : layout.start(firstPiece);
        const pool = new PieceBufferPool();
        const got: number[] = [];
        const filler = new PieceFiller(
          { layout, firstPiece, pieceCount, startOffset },
          {
            pool,
            onPiece: (piece, payload) => {
              const expected = content.subarray(layout.start(piece), layout.end(piece));
              expect(Buffer.from(payload.bytes)).toEqual(Buffer.from(expected));
              got.push(piece);
              payload.release();
            },
          },
        );
        for (let offset = startOffset; offset < content.length;) {
          const step = cut.next().value ?? 1;
          filler.push(content.subarray(offset, offset + step));
          offset = Math.min(offset + step, content.length);
          expect(filler.nextOffset).toBe(offset);
          expect(pool.borrowed).toBeLessThanOrEqual(1);
        }
        expect(got).toEqual(Array.from({ length: pieceCount }, (_, i) => firstPiece + i));
        expect(filler.isComplete).toBe(true);
        expect(pool.borrowed).toBe(0);
      }),
    );
  });

  it("gives a partly filled buffer back when it is abandoned, even from inside a piece", () => {
    const pool = new PieceBufferPool();
    const layout = PieceLayout.fixed(100, 10);
    const filler: PieceFiller = new PieceFiller(
      { layout, firstPiece: 0, pieceCount: 10, startOffset: 0 },
      {
        pool,
        onPiece: (_, bytes) => {
          bytes.release();
          filler.abandon();
        },
      },
    );
    filler.push(patternOf(35));
    expect(pool.borrowed).toBe(0);
  });

  it("copies by no way that goes word by word into shared memory", () => {
    const pool = new PieceBufferPool();
    const layout = PieceLayout.fixed(4 * 65_536, 65_536);
    let pieceCount = 0;
    const onPiece = (_: number, bytes: PieceBytes): void => {
      pieceCount++;
      bytes.release();
    };
    const run = { layout, firstPiece: 0, pieceCount: 4, startOffset: 0 };
    const filler = new PieceFiller(run, { pool, onPiece });
    const slow = vi.spyOn(Uint8Array.prototype, "set");
    try {
      for (let i = 0; i < 8; i++) filler.push(new Uint8Array(32_768));
      expect(pieceCount).toBe(4);
      expect(slow).not.toHaveBeenCalled();
    } finally {
      slow.mockRestore();
    }
  });
});
