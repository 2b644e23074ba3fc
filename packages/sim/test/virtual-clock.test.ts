/** Virtual time: order, cancellation, and instants that cannot be missed. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtualClock } from "../src/index.ts";

describe("VirtualClock", () => {
  it("runs wake-ups by instant, and those of one instant in the order they were scheduled", () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.schedule(2, () => seen.push("b"));
    clock.schedule(1, () => seen.push("a"));
    clock.schedule(2, () => seen.push("c"));
    clock.run(5);
    expect(seen).toEqual(["a", "b", "c"]);
    expect(clock.now()).toBe(5);
    expect(clock.handled).toBe(3);
  });

  it("shows a date that goes with virtual time and can be set, which wake-ups do not notice", () => {
    const clock = new VirtualClock();
    const begunAt = clock.wallNow();
    let ranAt = 0;
    clock.schedule(1_000, () => (ranAt = clock.now()));
    clock.run(500);
    expect(clock.wallNow()).toBe(begunAt + 500);
    clock.jumpWall(-1_000_000);
    clock.run(1_500);
    expect(ranAt).toBe(1_000);
    expect(clock.wallNow()).toBe(begunAt + 1_500 - 1_000_000);
  });

  it("runs what is scheduled for the past after what is already due now", () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.schedule(3, () => {
      clock.schedule(1, () => seen.push(`late at ${clock.now()}`));
      seen.push("first");
    });
    clock.schedule(3, () => seen.push("second"));
    clock.run(3);
    expect(seen).toEqual(["first", "second", "late at 3"]);
  });

  it("does not run what was cancelled, however much that is", () => {
    const clock = new VirtualClock();
    let ran = 0;
    const cancels = Array.from({ length: 5_000 }, (_, i) => clock.schedule(i, () => ran++));
    for (const cancel of cancels.slice(1)) cancel();
    for (const cancel of cancels.slice(1)) cancel();
    expect(clock.pending).toBe(1);
    clock.run(10_000);
    expect(ran).toBe(1);
    cancels[0]?.();
    expect(clock.pending).toBe(0);
  });

  it("never comes to an infinite instant, and steps no further than there is to go", () => {
    const clock = new VirtualClock();
    clock.schedule(Infinity, () => expect.unreachable());
    expect(clock.step()).toBe(false);
    expect(clock.runUntil(() => false, 1_000)).toBe(false);
  });

  it("wakes at or after the instant asked for, so that a deadline has passed when it is due", () => {
    const instant = fc.double({ min: 0, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(instant, (at) => {
        const clock = new VirtualClock();
        let wokeAt = -1;
        clock.schedule(at, () => (wokeAt = clock.now()));
        clock.step();
        expect(wokeAt).toBeGreaterThanOrEqual(at);
        expect(wokeAt - at).toBeLessThan(0.002);
      }),
    );
  });
});
