/** The model of sites: shared WAN links, delays, loss and NAT. */
import { describe, expect, it } from "vitest";
import { Downlink, FairLink, makeSimContent, Site, SimWorld, VirtualClock } from "../src/index.ts";
import type { Crossing, Flow, SimAgent } from "../src/index.ts";
import { crossingTo, lossyRateBytesPerSec, siteLatencyMs } from "../src/sim-site.ts";

const SECOND = 1_000;
const CONTENT = makeSimContent({ lengthBytes: 1_000, pieceLengthBytes: 65_536, seed: 1 });

/** A flow of so many bytes that notes when the last of them arrives. */
class Parcel implements Flow {
  readonly downlink: Crossing;
  readonly rateBytesPerSecMax: number;
  arrivedAt = Number.NaN;
  #remaining: number;

  constructor(bytes: number, downlink: Crossing, rateBytesPerSecMax = Infinity) {
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

function siteOf(rateBytesPerSec: number, options: { lossShare?: number; hasNat?: boolean } = {}) {
  const rates = { upRateBytesPerSec: rateBytesPerSec, downRateBytesPerSec: rateBytesPerSec };
  return new Site(`site of ${rateBytesPerSec}`, { ...rates, ...options });
}

function uplinkOf(clock: VirtualClock): FairLink {
  return new FairLink({ clock }, { rateBytesPerSec: 1_000, sliceBytesMax: 10 });
}

describe("a site's WAN link", () => {
  it("is shared by all who send out of the site, and left alone by those inside", () => {
    const clock = new VirtualClock();
    const [here, there] = [siteOf(100), siteOf(10_000)];
    const sent = [1, 2].map(() => {
      const parcel = new Parcel(
        500,
        crossingTo(here, { site: there, downlink: new Downlink(1_000) }),
      );
      uplinkOf(clock).add(parcel);
      return parcel;
    });
    const inside = new Parcel(500, crossingTo(here, { site: here, downlink: new Downlink(1_000) }));
    uplinkOf(clock).add(inside);
    clock.run(60 * SECOND);
    for (const { arrivedAt } of sent) expect(arrivedAt).toBeGreaterThan(9.5 * SECOND);
    expect(Math.max(...sent.map(({ arrivedAt }) => arrivedAt))).toBeCloseTo(10 * SECOND, 3);
    expect(inside.arrivedAt).toBe(0.5 * SECOND);
    expect(there.receivedBytes).toBe(1_000);
    expect(here.receivedBytes).toBe(0);
  });

  it("is shared by all who send into the site, the origin too", () => {
    const clock = new VirtualClock();
    const [here, there] = [siteOf(10_000), siteOf(100)];
    const place = () => ({ site: there, downlink: new Downlink(1_000) });
    const parcels = [here, undefined].map((from) => new Parcel(500, crossingTo(from, place())));
    for (const parcel of parcels) uplinkOf(clock).add(parcel);
    clock.run(60 * SECOND);
    expect(Math.max(...parcels.map(({ arrivedAt }) => arrivedAt))).toBeCloseTo(10 * SECOND, 3);
  });

  it("leaves the sender's link to others while it is full", () => {
    const clock = new VirtualClock();
    const uplink = uplinkOf(clock);
    const here = siteOf(10);
    const slow = new Parcel(500, crossingTo(here, { downlink: new Downlink(1_000) }));
    const quick = new Parcel(500, crossingTo(here, { site: here, downlink: new Downlink(1_000) }));
    uplink.add(slow);
    uplink.add(quick);
    clock.run(10 * SECOND);
    expect(quick.arrivedAt).toBeLessThan(0.6 * SECOND);
    // Two slices are on their way, and the rest waits at the sender.
    expect(uplink.sentBytes).toBeLessThan(500 + 10 * 10 + 3 * 10);
    clock.run(60 * SECOND);
    expect(slow.arrivedAt).toBeCloseTo(50 * SECOND, 3);
  });
});

describe("a path between sites", () => {
  it("takes the delays of both, or what is set for the two", () => {
    const [a, b] = [siteOf(1), siteOf(2)];
    expect(siteLatencyMs(a, a)).toBe(0);
    expect(siteLatencyMs(a, b)).toBe(20);
    expect(siteLatencyMs(undefined, b)).toBe(10);
    a.setLatency(b, 150);
    expect(siteLatencyMs(b, a)).toBe(150);
  });

  it("gives a flow less the more packets are lost and the longer the way is", () => {
    const lossy = siteOf(1, { lossShare: 0.01 });
    expect(lossyRateBytesPerSec(lossy, lossy, 10)).toBe(Infinity);
    expect(lossyRateBytesPerSec(siteOf(1), undefined, 10)).toBe(Infinity);
    const near = lossyRateBytesPerSec(lossy, undefined, 10);
    // 1,460 bytes per 20 ms, times the root of 1.5 over that of 0.01.
    expect(near).toBeCloseTo(73_000 * 12.247, -2);
    expect(lossyRateBytesPerSec(lossy, undefined, 20)).toBeCloseTo(near / 2, 3);
    expect(lossyRateBytesPerSec(lossy, siteOf(2, { lossShare: 0.01 }), 10)).toBeLessThan(near);
  });

  it("holds a flow to its rate even where it fits into one slice", () => {
    const clock = new VirtualClock();
    const link = new FairLink({ clock }, { rateBytesPerSec: 1_000, sliceBytesMax: 1_000 });
    const parcel = new Parcel(100, new Downlink(1_000), 100);
    link.add(parcel);
    clock.run(10 * SECOND);
    expect(parcel.arrivedAt).toBeGreaterThan(0.85 * SECOND);
  });
});

describe("a NAT", () => {
  /** Two agents, the first of which is told about the second, for a while. */
  function connectionsAfterDial(dialler: Site | undefined, target: Site | undefined): number {
    const world = new SimWorld({ seed: 1, origin: { rateBytesPerSec: 1_000 } });
    const rates = { upRateBytesPerSec: 1_000, downRateBytesPerSec: 1_000 };
    const [first, second] = [dialler, target].map((site) => {
      return world.addAgent({ ...rates, ...(site && { site }) });
    }) as [SimAgent, SimAgent];
    second.start();
    first.start();
    world.clock.run(100);
    world.download(first, { url: "http://origin.example/file", content: CONTENT });
    world.network.introduce(first.peerId, { count: 1, withinMs: 1 });
    world.clock.run(20 * SECOND);
    return first.connectionCount;
  }

  it("lets agents of the site dial out, and each other", () => {
    const site = siteOf(1_000, { hasNat: true });
    expect(connectionsAfterDial(site, undefined)).toBe(1);
    expect(connectionsAfterDial(site, site)).toBe(1);
  });

  it("lets nobody in", () => {
    const site = siteOf(1_000, { hasNat: true });
    expect(connectionsAfterDial(undefined, site)).toBe(0);
    expect(connectionsAfterDial(siteOf(1_000), site)).toBe(0);
  });
});
