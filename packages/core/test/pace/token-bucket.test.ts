import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TokenBucket } from "../../src/pace/token-bucket.ts";

const BURST_MS = 100;

/** Waits and pieces; a bucket is asked after each wait, and spends only what it allows. */
const steps = fc.array(
  fc.record({ waitMs: fc.nat({ max: 500 }), bytes: fc.integer({ min: 1, max: 1_000_000 }) }),
  { maxLength: 100 },
);
const rate = fc.integer({ min: 1, max: 100_000_000 });

describe("a token bucket", () => {
  it("never allows more than rate * t + burst and one piece, over any span", () => {
    fc.assert(
      fc.property(rate, steps, (rateBytesPerSec, list) => {
        const bucket = new TokenBucket(rateBytesPerSec, 0);
        const spent: Array<{ readonly at: number; readonly bytes: number }> = [];
        let now = 0;
        for (const { waitMs, bytes } of list) {
          now += waitMs;
          if (!bucket.canSpend(now)) continue;
          bucket.spend(bytes, now);
          spent.push({ at: now, bytes });
        }
        const burst = Math.max(1, (rateBytesPerSec * BURST_MS) / 1_000);
        spent.forEach((first, from) => {
          let sum = 0;
          let largest = 0;
          for (const { at, bytes } of spent.slice(from)) {
            sum += bytes;
            largest = Math.max(largest, bytes);
            const allowed = (rateBytesPerSec * (at - first.at)) / 1_000 + burst + largest;
            expect(sum).toBeLessThanOrEqual(allowed * (1 + 1e-9) + 1);
          }
        });
      }),
    );
  });

  it("is ready when it says, and loses nothing to whoever comes then", () => {
    fc.assert(
      fc.property(rate, fc.integer({ min: 1, max: 1_000_000 }), (rateBytesPerSec, bytes) => {
        const bucket = new TokenBucket(rateBytesPerSec, 0);
        let [now, spent] = [0, 0];
        for (let i = 0; i < 50; i++) {
          const readyAt = bucket.readyAt(now);
          expect(readyAt === now || readyAt >= now + 1).toBe(true);
          now = readyAt;
          expect(bucket.canSpend(now)).toBe(true);
          bucket.spend(bytes, now);
          spent += bytes;
        }
        // The last is not paid for yet, and each wait is rounded up to a millisecond.
        const paidBytes = spent - bytes + bytes * 0.001;
        expect(paidBytes).toBeGreaterThanOrEqual((rateBytesPerSec * (now - 51)) / 1_000 - bytes);
      }),
    );
  });

  it("counts what came before a change of rate at the old one", () => {
    const bucket = new TokenBucket(1_000, 0);
    bucket.spend(1_100, 0);
    bucket.setRate(10_000, 500);
    expect(bucket.readyAt(500)).toBeCloseTo(550, 1);
    bucket.setRate(Infinity, 520);
    expect(bucket.canSpend(520)).toBe(true);
  });

  it("does not save up more than its burst, and takes back what was not used", () => {
    const bucket = new TokenBucket(1_000, 0);
    bucket.spend(200, 10_000);
    expect(bucket.readyAt(10_000)).toBeCloseTo(10_100, 1);
    bucket.refund(200, 10_000);
    expect(bucket.canSpend(10_000)).toBe(true);
  });

  it("survives a clock that stands still", () => {
    const bucket = new TokenBucket(1_000, 5_000);
    bucket.spend(200, 5_000);
    expect(bucket.canSpend(4_000)).toBe(false);
    expect(bucket.canSpend(5_101)).toBe(true);
  });
});
