import { describe, expect, it } from "vitest";
import { BackgroundYield } from "../../src/pace/background-yield.ts";

const LINK = 10_000_000;
const STEP_MS = 200;

/** A job on a link of which it can have `offered(now)`; its rate is averaged over two seconds. */
class Life {
  readonly machine = new BackgroundYield();
  readonly #last = Array.from({ length: 2_000 / STEP_MS }, () => 0);
  now = 0;

  /** The mean rate over the span. */
  pass(spanMs: number, offered: number): number {
    let sum = 0;
    for (let i = 0; i < spanMs / STEP_MS; i++) {
      const rate = Math.min(offered, this.machine.limitBytesPerSec);
      sum += rate;
      this.#last.shift();
      this.#last.push(rate);
      this.machine.note(
        this.#last.reduce((all, each) => all + each, 0) / this.#last.length,
        this.now,
      );
      this.now += STEP_MS;
    }
    return sum / (spanMs / STEP_MS);
  }
}

describe("a background download", () => {
  it("takes all of a link that nobody else wants", () => {
    expect(new Life().pass(60_000, LINK)).toBe(LINK);
  });

  it("leaves others more than half of what it could have next to them, and goes on", () => {
    const life = new Life();
    life.pass(20_000, LINK);
    life.pass(5_000, LINK / 2);
    const rate = life.pass(60_000, LINK / 2);
    expect(rate / LINK).toBeLessThan(0.35);
    expect(rate / LINK).toBeGreaterThan(0.1);
  });

  it("has all of the link again within 15 s", () => {
    const life = new Life();
    life.pass(20_000, LINK);
    life.pass(30_000, LINK / 2);
    life.pass(15_000, LINK);
    expect(life.pass(10_000, LINK)).toBe(LINK);
  });

  it("does not yield to variations, nor to an origin that falls silent", () => {
    const life = new Life();
    for (let i = 0; i < 20; i++)
      expect(life.pass(1_000, LINK * (i % 2 ? 0.8 : 1))).toBeGreaterThan(0);
    expect(life.machine.limitBytesPerSec).toBe(Infinity);
    life.pass(400, 0);
    life.pass(10_000, 0);
    life.pass(6_000, LINK);
    expect(life.pass(5_000, LINK)).toBe(LINK);
  });

  it("takes a link that has become slower for what it is after some minutes", () => {
    const life = new Life();
    life.pass(20_000, LINK);
    life.pass(330_000, LINK / 4);
    expect(life.pass(60_000, LINK / 4)).toBeGreaterThan(0.95 * (LINK / 4));
  });
});
