/** What reports are measured by. */
import { describe, expect, it } from "vitest";
import { EventTrace, gini, lowerBoundMs, quantile } from "../src/index.ts";

describe("lowerBoundMs", () => {
  const rates = (seed: number, up: number[], down: number[]) => ({
    lengthBytes: 1_000,
    seedRateBytesPerSec: seed,
    upRatesBytesPerSec: up,
    downRatesBytesPerSec: down,
  });

  it("is set by the origin, by the slowest downlink, or by all uplinks together", () => {
    expect(lowerBoundMs(rates(10, [100, 100], [100, 100]))).toBe(100_000);
    expect(lowerBoundMs(rates(100, [100, 100], [100, 5]))).toBe(200_000);
    expect(lowerBoundMs(rates(100, [0, 0, 0, 0], [100, 100, 100, 100]))).toBe(40_000);
  });
});

describe("quantile", () => {
  it("is the nearest rank of values in any order", () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2);
    expect(quantile([4, 1, 3, 2], 0.99)).toBe(4);
    expect(quantile([4, 1, 3, 2], 1)).toBe(4);
    expect(quantile([], 0.5)).toBe(0);
  });
});

describe("gini", () => {
  it("is 0 when all have the same and near 1 when one has all", () => {
    expect(gini([5, 5, 5, 5])).toBe(0);
    expect(gini([0, 0, 0, 8])).toBe(0.75);
    expect(gini([0, 0])).toBe(0);
  });
});

describe("EventTrace", () => {
  const connected = (peerId: string) =>
    ({ type: "peerConnected", peerId, host: "h", requestsMax: 8 }) as const;
  const hashOf = (...steps: Array<[now: number, agent: number, peerId: string]>): string => {
    const trace = new EventTrace();
    for (const [now, agent, peerId] of steps) trace.record(now, agent, connected(peerId));
    return trace.hash;
  };

  it("tells runs apart by time, agent, ids and order, also beyond 32 bits of microseconds", () => {
    const hashes = [
      hashOf([1, 1, "a"], [2, 2, "b"]),
      hashOf([2, 2, "b"], [1, 1, "a"]),
      hashOf([1, 2, "a"], [2, 2, "b"]),
      hashOf([1, 1, "b"], [2, 2, "b"]),
      hashOf([1 + 2 ** 32 / 1_000, 1, "a"], [2, 2, "b"]),
      hashOf(),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(hashOf([1, 1, "a"], [2, 2, "b"])).toBe(hashes[0]);
  });

  it("has one value on every machine", () => {
    expect(hashOf([1, 1, "a"], [2, 2, "b"])).toBe("5848973282b163e2");
  });
});
