/** Ranges of a remote file, packed in the order given, against a plain copy of the bytes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkRanges, RangeMap } from "../../src/job/ranges.ts";
import type { JobRange } from "../../src/job/ranges.ts";
import { LIMITS } from "../../src/registry/limits.ts";
import { MiB } from "../../src/units.ts";

/** Ranges without overlap, in any order, of a file that may be long enough for several pieces. */
const cases = fc
  .record({
    remoteLength: fc.integer({ min: 1, max: MiB }),
    cuts: fc.uniqueArray(fc.integer({ min: 0, max: MiB }), { minLength: 2, maxLength: 12 }),
    order: fc.infiniteStream(fc.nat()),
    isOpenEnded: fc.boolean(),
  })
  .map(({ remoteLength, cuts, order, isOpenEnded }) => {
    const inside = [...new Set(cuts.map((cut) => cut % (remoteLength + 1)))].toSorted(byValue);
    const ranges: JobRange[] = [];
    for (let i = 0; i + 1 < inside.length; i += 2) {
      const offset = inside[i]!;
      ranges.push({ offset, length: inside[i + 1]! - offset });
    }
    const last = ranges.at(-1);
    if (last !== undefined && isOpenEnded) ranges[ranges.length - 1] = { offset: last.offset };
    for (let i = ranges.length - 1; i > 0; i--) {
      const j = (order.next().value ?? 0) % (i + 1);
      [ranges[i], ranges[j]] = [ranges[j]!, ranges[i]!];
    }
    return { remoteLength, ranges };
  });

/** Where every packed byte lies in the remote file, by copying. */
function packed(ranges: readonly JobRange[], remoteLength: number): number[] {
  return ranges.flatMap(({ offset, length = remoteLength - offset }) =>
    Array.from({ length }, (_, i) => offset + i),
  );
}

function mapOf(ranges: readonly JobRange[], remoteLength: number): RangeMap {
  const map = RangeMap.of(ranges, remoteLength);
  if ("code" in map) throw new Error(`${map.code}: ${map.message}`);
  return map;
}

const codeOf = (ranges: readonly JobRange[]): string | undefined => checkRanges(ranges)?.code;

describe("the map of ranges", () => {
  it("puts every byte where copying the ranges one after the other would put it", () => {
    fc.assert(
      fc.property(cases, ({ ranges, remoteLength }) => {
        expect(checkRanges(ranges)).toBeUndefined();
        const map = mapOf(ranges, remoteLength);
        const expected = packed(ranges, remoteLength);
        expect(map.layout.contentLength).toBe(expected.length);
        for (let piece = 0; piece < map.layout.pieceCount; piece++) {
          const start = map.layout.start(piece);
          const length = map.layout.length(piece);
          const from = map.remoteStart(piece);
          expect(expected[start]).toBe(from);
          // The bytes between follow each other, because there are as many as positions.
          expect(expected[start + length - 1]).toBe(from + length - 1);
        }
      }),
      { numRuns: 25 },
    );
  });

  it("never runs across a gap, and as far as there is none", () => {
    fc.assert(
      fc.property(cases, fc.nat(), fc.integer({ min: 1, max: 20 }), (drawn, at, wanted) => {
        const map = mapOf(drawn.ranges, drawn.remoteLength);
        const { layout } = map;
        if (layout.pieceCount === 0) return;
        const first = at % layout.pieceCount;
        const count = Math.min(wanted, layout.pieceCount - first);
        const together = map.piecesTogether(first, count);
        const follows = (piece: number): boolean =>
          map.remoteStart(piece) === map.remoteStart(piece - 1) + layout.length(piece - 1);
        for (let i = 1; i < together; i++) expect(follows(first + i)).toBe(true);
        expect(together < count && follows(first + together)).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  it("leaves pieces as they are when ranges are added", () => {
    fc.assert(
      fc.property(cases, ({ ranges, remoteLength }) => {
        const before = mapOf(ranges.slice(0, -1), remoteLength);
        const after = mapOf(ranges, remoteLength);
        for (let piece = 0; piece < before.layout.pieceCount; piece++) {
          expect(after.remoteStart(piece)).toBe(before.remoteStart(piece));
          expect(after.layout.length(piece)).toBe(before.layout.length(piece));
        }
      }),
      { numRuns: 60 },
    );
  });

  it("packs the documented example: 100-199, 900-999, 400-499 become 300 bytes", () => {
    const ranges = [100, 900, 400].map((offset) => ({ offset, length: 100 }));
    const map = mapOf(ranges, 1_000);
    expect(map.layout.contentLength).toBe(300);
    expect([0, 1, 2].map((piece) => map.remoteStart(piece))).toEqual([100, 900, 400]);
    expect([0, 1, 2].map((piece) => map.layout.start(piece))).toEqual([0, 100, 200]);
  });

  const beyond: ReadonlyArray<readonly [string, JobRange, number]> = [
    ["ends beyond the file", { offset: 0, length: 11 }, 10],
    ["begins at the file's end", { offset: 10 }, 10],
    ["begins beyond the file's end", { offset: 11 }, 10],
    ["is of an empty file", { offset: 0 }, 0],
  ];
  it.each(beyond)("refuses a range that %s", (_, range, remoteLength) => {
    expect(RangeMap.of([range], remoteLength)).toMatchObject({ code: "ERR_RANGE_INVALID" });
  });
});

describe("ranges that may be asked for", () => {
  it("have no overlaps and no duplicates, whatever their order", () => {
    const first = { offset: 0, length: 10 };
    expect(codeOf([first, { offset: 5, length: 10 }])).toBe("ERR_RANGES_OVERLAP");
    expect(codeOf([{ offset: 5, length: 10 }, first])).toBe("ERR_RANGES_OVERLAP");
    expect(codeOf([first, first])).toBe("ERR_RANGES_OVERLAP");
    expect(codeOf([{ offset: 3 }, { offset: 90, length: 1 }])).toBe("ERR_RANGES_OVERLAP");
    expect(codeOf([first, { offset: 10, length: 10 }])).toBeUndefined();
  });

  it("are compared before an empty one is refused", () => {
    const empty = { offset: 100, length: 0 };
    expect(codeOf([{ offset: 100, length: 5 }, empty])).toBe("ERR_RANGES_OVERLAP");
    expect(codeOf([empty, { offset: 100, length: 5 }])).toBe("ERR_RANGES_OVERLAP");
    expect(codeOf([empty])).toBe("ERR_RANGE_INVALID");
  });

  it.each([-1, 0.5, NaN, Infinity, LIMITS.contentLengthMax + 1, 2 ** 64 - 1])(
    "have offsets and lengths that are numbers of bytes, not %d",
    (value) => {
      expect(codeOf([{ offset: value }])).toBe("ERR_RANGE_INVALID");
      expect(codeOf([{ offset: 0, length: value }])).toBe("ERR_RANGE_INVALID");
    },
  );

  it("are at most a stated number", () => {
    const ranges = Array.from({ length: LIMITS.rangesPerFileMax }, (_, i) => ({
      offset: 2 * i,
      length: 1,
    }));
    expect(codeOf(ranges)).toBeUndefined();
    expect(codeOf([...ranges, { offset: 1e9, length: 1 }])).toBe("ERR_RANGE_LIMIT");
  });

  it("are refused or accepted as counting their bytes would have it", () => {
    const range = fc.record({ offset: fc.nat(30), length: fc.nat(6) });
    fc.assert(
      fc.property(fc.array(range, { maxLength: 6 }), (ranges) => {
        const bytes = packed(ranges, 100);
        const isFree = new Set(bytes).size === bytes.length;
        const hasEmpty = ranges.some(({ length }) => length === 0);
        expect(checkRanges(ranges) === undefined).toBe(isFree && !hasEmpty);
      }),
      { numRuns: 500 },
    );
  });
});

function byValue(a: number, b: number): number {
  return a - b;
}
