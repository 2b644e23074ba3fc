import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConnectionCount } from "../../src/schedule/connection-count.ts";

interface Server {
  readonly totalBytesPerSec: number;
  readonly perConnectionBytesPerSec: number;
}

const PIECE = 100_000;

/** Runs the count against a server that brings pieces evenly; returns what was wanted over time. */
function drive(count: ConnectionCount, server: Server, durationMs: number, fromMs = 0): number[] {
  const wanted: number[] = [];
  let owedBytes = 0;
  for (let now = fromMs; now < fromMs + durationMs; now++) {
    const { totalBytesPerSec, perConnectionBytesPerSec } = server;
    owedBytes += Math.min(totalBytesPerSec, perConnectionBytesPerSec * count.wanted) / 1_000;
    while (owedBytes >= PIECE) {
      owedBytes -= PIECE;
      count.received(PIECE, true, now);
    }
    wanted.push(count.wanted);
  }
  return wanted;
}

const servers = fc.record({
  totalBytesPerSec: fc.integer({ min: 1_000_000, max: 1_000_000_000 }),
  perConnectionBytesPerSec: fc.integer({ min: 1_000_000, max: 1_000_000_000 }),
});

describe("the number of connections", () => {
  test("is one at first, and what was best before where that is known", () => {
    expect(new ConnectionCount({ max: 4, start: 1 }).wanted).toBe(1);
    expect(new ConnectionCount({ max: 4, start: 3 }).wanted).toBe(3);
    expect(new ConnectionCount({ max: 4, start: 9 }).wanted).toBe(4);
  });

  test("is never below one nor above the maximum, whatever comes when (R-HTTP-09)", () => {
    const arrivals = fc.array(fc.tuple(fc.nat(1_000), fc.nat(10_000_000), fc.boolean()));
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 1, max: 16 }), fc.nat(20), (events, max, start) => {
        const count = new ConnectionCount({ max, start });
        let now = 0;
        for (const [waitMs, bytes, isSteady] of events) {
          now += waitMs;
          if (bytes === 0) count.interrupted();
          else count.received(bytes, isSteady, now);
          expect(count.wanted).toBeGreaterThanOrEqual(1);
          expect(count.wanted).toBeLessThanOrEqual(max);
        }
      }),
    );
  });

  test("reaches the maximum within seconds where each connection is limited", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 16 }),
        fc.integer({ min: 2_000_000, max: 100_000_000 }),
        (max, perConnectionBytesPerSec) => {
          const count = new ConnectionCount({ max, start: 1 });
          drive(count, { totalBytesPerSec: 1e12, perConnectionBytesPerSec }, 5_000);
          expect(count.settled).toBe(max);
        },
      ),
      { numRuns: 30 },
    );
  });

  test("comes back to one where one connection takes all there is", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 16 }),
        fc.integer({ min: 2_000_000, max: 1_000_000_000 }),
        (start, totalBytesPerSec) => {
          const count = new ConnectionCount({ max: 16, start });
          const server = { totalBytesPerSec, perConnectionBytesPerSec: 1e12 };
          const wanted = drive(count, server, 60_000);
          expect(count.settled).toBe(1);
          const late = wanted.slice(-20_000).filter((number) => number > 1).length;
          expect(late / 20_000).toBeLessThan(0.1);
        },
      ),
      { numRuns: 20 },
    );
  });

  test("follows a server that changes its ways", () => {
    const count = new ConnectionCount({ max: 8, start: 1 });
    const limited = { totalBytesPerSec: 1e12, perConnectionBytesPerSec: 5_000_000 };
    const free = { totalBytesPerSec: 100_000_000, perConnectionBytesPerSec: 1e12 };
    drive(count, limited, 20_000);
    expect(count.settled).toBe(8);
    drive(count, free, 200_000, 20_000);
    expect(count.settled).toBe(1);
    drive(count, limited, 200_000, 220_000);
    expect(count.settled).toBe(8);
  });

  test("is the same for the same arrivals", () => {
    fc.assert(
      fc.property(servers, (server) => {
        const runs = [1, 1].map((start) =>
          drive(new ConnectionCount({ max: 8, start }), server, 3_000),
        );
        expect(runs[0]).toEqual(runs[1]);
      }),
      { numRuns: 20 },
    );
  });

  test("is not judged by bytes that come while too few requests are under way", () => {
    const count = new ConnectionCount({ max: 4, start: 1 });
    for (let now = 0; now < 5_000; now += 20) count.received(PIECE, false, now);
    expect(count.wanted).toBe(1);
  });
});
