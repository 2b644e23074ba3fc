import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { divideFairly } from "../../src/pace/fair-shares.ts";
import type { Share, SharedLimit } from "../../src/pace/fair-shares.ts";

const flow = (demandBytesPerSec = Infinity, weight = 1): Share => ({ demandBytesPerSec, weight });
const limit = (rateBytesPerSec: number, ...members: number[]): SharedLimit => ({
  rateBytesPerSec,
  members,
});

const COUNT = 6;
const share = fc.record({
  demandBytesPerSec: fc.oneof(fc.constant(Infinity), fc.integer({ min: 0, max: 1_000 })),
  weight: fc.constantFrom(0.5, 1),
});
const shared = fc.record({
  rateBytesPerSec: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 1_000 })),
  members: fc.uniqueArray(fc.nat({ max: COUNT - 1 }), { minLength: 1 }),
});

describe("dividing limits fairly", () => {
  it.each([
    ["equally", [flow(), flow()], [limit(8, 0, 1)], [4, 4]],
    [
      "what one does not want to others",
      [flow(), flow(), flow(1)],
      [limit(8, 0, 1, 2)],
      [3.5, 3.5, 1],
    ],
    ["what is left to who asked for less", [flow(1)], [limit(8, 0)], [8]],
    ["nothing to what asks for nothing", [flow(), flow(0)], [limit(8, 0, 1)], [8, 0]],
    [
      "by weight",
      [flow(Infinity, 0.5), flow(Infinity, 0.5), flow()],
      [limit(8, 0, 1, 2)],
      [2, 2, 4],
    ],
    ["within limits that nest", [flow(), flow()], [limit(8, 0, 1), limit(2, 0)], [2, 6]],
    [
      "within limits that overlap",
      [flow(), flow(), flow()],
      [limit(4, 0, 1), limit(9, 1, 2)],
      [2, 2, 7],
    ],
    ["no limit to others", [flow(1), flow()], [limit(8, 1)], [Infinity, 8]],
    ["nothing among none", [], [limit(8)], []],
  ])("gives %s", (_, shares, limits, rates) => {
    expect(divideFairly(shares, limits)).toEqual(rates);
  });

  it("exceeds no limit, and leaves nobody below one that is not used up", () => {
    fc.assert(
      fc.property(
        fc.array(share, { minLength: COUNT, maxLength: COUNT }),
        fc.array(shared, { maxLength: 6 }),
        (shares, limits) => {
          const rates = divideFairly(shares, limits);
          const used = limits.map(({ members }) =>
            members.reduce((sum, index) => sum + (rates[index] ?? 0), 0),
          );
          const isUsedUp = limits.map(
            ({ rateBytesPerSec }, i) => (used[i] ?? 0) >= rateBytesPerSec * (1 - 1e-9),
          );
          limits.forEach(({ rateBytesPerSec }, i) => {
            if (rateBytesPerSec === Infinity) return;
            expect(used[i]).toBeLessThanOrEqual(rateBytesPerSec * (1 + 1e-9));
          });
          rates.forEach((rate, index) => {
            expect(rate).toBeGreaterThanOrEqual(0);
            if (rate === Infinity || shares[index]?.demandBytesPerSec === 0) return;
            const holding = limits.filter(
              ({ members }, i) => isUsedUp[i] && members.includes(index),
            );
            expect(holding.length).toBeGreaterThan(0);
          });
        },
      ),
    );
  });
});
