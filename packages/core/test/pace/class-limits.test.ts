import { describe, expect, it } from "vitest";
import { classLimitsAt, isInWindow } from "../../src/pace/class-limits.ts";
import { LinkCapacity } from "../../src/pace/link-capacity.ts";
import { resolveSettings } from "../../src/registry/settings.ts";

describe("a window of hours", () => {
  it.each([
    [8, 17, 7, false],
    [8, 17, 8, true],
    [8, 17, 16, true],
    [8, 17, 17, false],
    [22, 6, 23, true],
    [22, 6, 0, true],
    [22, 6, 5, true],
    [22, 6, 6, false],
    [22, 24, 23, true],
    [22, 24, 0, false],
    [0, 24, 12, true],
    [5, 5, 5, undefined],
    [0, 0, 0, undefined],
  ])("from %i to %i holds at %i: %s", (from, to, hour, expected) => {
    expect(isInWindow(from, to, hour)).toBe(expected);
  });
});

describe("the limits of a class", () => {
  it("are the stricter of those that hold always and those of the window", () => {
    const settings = resolveSettings({
      foregroundRateBytesPerSec: 500,
      backgroundPercent: 45,
      backgroundWindowFromHour: 8,
      backgroundWindowToHour: 17,
      backgroundWindowInsidePercent: 10,
      backgroundWindowOutsidePercent: 90,
      backgroundWindowInsideRateBytesPerSec: 100,
    });
    expect(classLimitsAt(settings, 9)).toEqual({
      foreground: { rateBytesPerSec: 500, capacityShare: Infinity },
      background: { rateBytesPerSec: 100, capacityShare: 0.1 },
    });
    expect(classLimitsAt(settings, 18).background).toEqual({
      rateBytesPerSec: Infinity,
      capacityShare: 0.45,
    });
  });

  it("are none by default, and at 100 per cent", () => {
    const none = { rateBytesPerSec: Infinity, capacityShare: Infinity };
    for (const foregroundPercent of [0, 100]) {
      const settings = resolveSettings({ foregroundPercent });
      expect(classLimitsAt(settings, 0)).toEqual({ foreground: none, background: none });
    }
  });
});

describe("the capacity of the link", () => {
  it("is the most of two periods, and does not sink because of a limit that follows from it", () => {
    const capacity = new LinkCapacity();
    expect(capacity.limitingBytesPerSec).toBe(Infinity);
    let now = 0;
    const pass = (ms: number, link: number): void => {
      for (const until = now + ms; now < until; now += 200) {
        const limit = 0.45 * capacity.limitingBytesPerSec;
        capacity.note(Math.min(link, limit), now);
      }
    };
    pass(2_000_000, 1_000);
    expect(capacity.measuredBytesPerSec).toBe(1_000);
    pass(10_000, 500);
    expect(capacity.measuredBytesPerSec).toBe(1_000);
    pass(700_000, 500);
    expect(capacity.measuredBytesPerSec).toBe(500);
    pass(310_000, 2_000);
    expect(capacity.measuredBytesPerSec).toBe(2_000);
  });

  it("does not count time in which nothing is fetched", () => {
    const capacity = new LinkCapacity();
    capacity.note(1_000, 0);
    capacity.note(1_000, 4_000);
    capacity.rest();
    capacity.note(10, 10_000_000);
    expect(capacity.limitingBytesPerSec).toBe(1_000);
  });
});
