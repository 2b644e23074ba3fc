import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hashText32, mix32, Random } from "../src/random.ts";

/** From a separate implementation of sfc32 and splitmix32 in 32-bit integers of another language. */
const GOLDEN = [1_959_603_763, 2_423_114_712, 2_466_933_512, 4_144_396_390];
const seeds = fc.nat({ max: 2 ** 32 - 1 });

describe("Random", () => {
  it("gives the same numbers for the same seed on every machine", () => {
    const random = new Random(42);
    const numbers = Array.from({ length: 4 }, () => random.uint32());
    expect(numbers).toEqual(GOLDEN);
  });

  it("gives other numbers for another seed", () => {
    const firsts = new Set(Array.from({ length: 1_000 }, (_, seed) => new Random(seed).uint32()));
    expect(firsts.size).toBe(1_000);
  });

  it("stays inside every range", () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 2 ** 32 }), (seed, count) => {
        const random = new Random(seed);
        const drawn = random.below(count);
        expect(Number.isSafeInteger(drawn) && drawn >= 0 && drawn < count).toBe(true);
        const fraction = random.fraction();
        expect(fraction >= 0 && fraction < 1).toBe(true);
        const jittered = random.jitter(1_000, 0.2);
        expect(jittered >= 800 && jittered <= 1_200).toBe(true);
      }),
    );
  });

  it("spreads evenly", () => {
    const random = new Random(7);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 100_000; i++) counts[random.below(10)]!++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });
});

describe("mixing", () => {
  it("is one to one on a sample and keeps 32 bits", () => {
    const mixed = new Set(Array.from({ length: 10_000 }, (_, i) => mix32(i)));
    expect(mixed.size).toBe(10_000);
    for (const value of mixed) expect(value).toBe(value | 0);
  });

  it("of text is an unsigned 32-bit number that differs with the text", () => {
    const hashes = new Set(Array.from({ length: 10_000 }, (_, i) => hashText32(`peer-${i}`)));
    expect(hashes.size).toBeGreaterThan(9_990);
    for (const hash of hashes) expect(hash).toBe(hash >>> 0);
  });
});
