/** The model of links: fair shares, rates, and what happens when a flow is taken out. */
import { describe, expect, it } from "vitest";
import { Downlink, FairLink, VirtualClock } from "../src/index.ts";
import type { Flow } from "../src/index.ts";

const SECOND = 1_000;

/** A flow of so many bytes that notes when the last of them arrives. */
class Parcel implements Flow {
  readonly downlink: Downlink;
  readonly rateBytesPerSecMax: number;
  arrivedAt = Number.NaN;
  #remaining: number;

  constructor(bytes: number, downlink: Downlink, rateBytesPerSecMax = Infinity) {
    this.#remaining = bytes;
    this.downlink = downlink;
    this.rateBytesPerSecMax = rateBytesPerSecMax;
  }

  nextSliceBytes(sliceBytesMax: number): number {
    return Math.min(this.#remaining, sliceBytesMax);
  }

  sliceSent(bytes: number, arrivesAt: number): boolean {
    this.#remaining -= bytes;
    if (this.#remaining === 0) this.arrivedAt = arrivesAt;
    return this.#remaining > 0;
  }
}

function linkOf(rateBytesPerSec: number, sliceBytesMax = 10) {
  const clock = new VirtualClock();
  return { clock, link: new FairLink({ clock }, { rateBytesPerSec, sliceBytesMax }) };
}

describe("FairLink", () => {
  it("takes as long as the slower of the two links, not as long as both", () => {
    const { clock, link } = linkOf(100);
    const fast = new Parcel(100, new Downlink(1_000));
    link.add(fast);
    clock.run(10 * SECOND);
    expect(fast.arrivedAt).toBe(SECOND);
    const slow = new Parcel(100, new Downlink(50));
    link.add(slow);
    clock.run(20 * SECOND);
    expect(slow.arrivedAt).toBeCloseTo(12 * SECOND, 0);
  });

  it("gives n flows an n-th each, and all of it to those that are left", () => {
    const { clock, link } = linkOf(100);
    const flows = [300, 100, 100].map((bytes) => new Parcel(bytes, new Downlink(1_000)));
    for (const flow of flows) link.add(flow);
    clock.run(10 * SECOND);
    const [long, first, second] = flows;
    expect(first?.arrivedAt).toBeGreaterThan(2.7 * SECOND);
    expect(second?.arrivedAt).toBe(3 * SECOND);
    expect(long?.arrivedAt).toBe(5 * SECOND);
    expect(link.sentBytes).toBe(500);
  });

  it("keeps a flow to its own rate and gives the rest to others", () => {
    const { clock, link } = linkOf(100);
    const capped = new Parcel(100, new Downlink(1_000), 20);
    const other = new Parcel(160, new Downlink(1_000));
    link.add(capped);
    link.add(other);
    clock.run(10 * SECOND);
    expect(other.arrivedAt).toBeLessThan(2.1 * SECOND);
    expect(capped.arrivedAt).toBeGreaterThan(4.5 * SECOND);
    expect(capped.arrivedAt).toBeLessThan(5 * SECOND);
  });

  it("is free at once when the flow in service is taken out, and counts what had left", () => {
    const { clock, link } = linkOf(100, 100);
    const first = new Parcel(100, new Downlink(1_000));
    const second = new Parcel(50, new Downlink(1_000));
    link.add(first);
    link.add(second);
    clock.run(0.25 * SECOND);
    expect(link.remove(first)).toBe(25);
    expect(link.remove(first)).toBe(0);
    clock.run(10 * SECOND);
    expect(second.arrivedAt).toBe(0.75 * SECOND);
    expect(first.arrivedAt).toBeNaN();
    expect(link.sentBytes).toBe(75);
  });

  it("shares a downlink among senders without losing any of its rate", () => {
    const clock = new VirtualClock();
    const downlink = new Downlink(100);
    const parcels = [1, 2, 3, 4].map(() => {
      const link = new FairLink({ clock }, { rateBytesPerSec: 100, sliceBytesMax: 10 });
      const parcel = new Parcel(100, downlink);
      link.add(parcel);
      return parcel;
    });
    clock.run(10 * SECOND);
    const last = Math.max(...parcels.map(({ arrivedAt }) => arrivedAt));
    expect(last).toBeCloseTo(4 * SECOND, 0);
  });
});
