/** Shares of what one transfer asks of peers: by address, and of peers without proof. */
import { MiB, resolveSettings } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { ManifestPlaces } from "../../src/schedule/manifest-places.ts";
import { RateMeter } from "../../src/schedule/pace.ts";
import type { Link } from "../../src/schedule/peer-link.ts";
import { TrafficMeter } from "../../src/schedule/traffic-meter.ts";
import { SlotShares } from "../../src/schedule/slot-shares.ts";

/** A peer by its picture: its address, and `!` when it has proved itself. */
function linkOf(peerId: string, drawn: string): Link {
  return {
    peerId,
    peerClass: "lan",
    proximity: 1,
    address: drawn.replace("!", ""),
    slot: 0,
    requestsMax: 8,
    outstanding: 0,
    yielding: 0,
    isFull: false,
    manifests: new ManifestPlaces(),
    unverified: 0,
    goodPieces: drawn.endsWith("!") ? 2 : 0,
    busyUntil: 0,
    stalledUntil: 0,
    received: new RateMeter(0),
    msPerByte: 0,
    connectedAt: 0,
    transport: undefined,
    traffic: { received: new TrafficMeter(), sent: new TrafficMeter() },
  };
}

/** Shares of 8 MiB, so that four pieces of 1 MiB are half. `idle` peers have nothing to give. */
function sharesOf(drawn: Readonly<Record<string, string>>, idle: readonly string[] = []) {
  const links = new Map(Object.entries(drawn).map(([id, text]) => [id, linkOf(id, text)]));
  const canGive = ({ peerId }: Link): boolean => !idle.includes(peerId);
  const shares = new SlotShares({ links, canGive }, resolveSettings({ inFlightBytesMax: 8 * MiB }));
  let lastId = 0;
  /** Asks until it is refused; returns how many pieces that were. */
  const fill = (peerId: string, countMax = 8): number => {
    const link = links.get(peerId)!;
    let count = 0;
    while (count < countMax && shares.admits(link, MiB)) {
      shares.asked(++lastId, link, MiB);
      count++;
    }
    return count;
  };
  const end = (): void => {
    for (let id = 1; id <= lastId; id++) shares.ended(id);
  };
  return { fill, end };
}

describe("an address (R-SCH-08)", () => {
  test("has half at most, however many of its peers ask", () => {
    const { fill } = sharesOf({ a: "one!", b: "one!", c: "two!" });
    expect([fill("a", 3), fill("b"), fill("a"), fill("c")]).toEqual([3, 1, 0, 4]);
  });

  test("has all when nobody elsewhere has anything to give", () => {
    expect(sharesOf({ a: "one!", b: "one!" }).fill("a")).toBe(8);
    expect(sharesOf({ a: "one!", c: "two!" }, ["c"]).fill("a")).toBe(8);
  });

  test("has its half again when what was asked of it has ended", () => {
    const { fill, end } = sharesOf({ a: "one!", c: "two!" });
    expect(fill("a")).toBe(4);
    end();
    expect(fill("a")).toBe(4);
  });

  test("may always be asked for one piece, however long", () => {
    const links = new Map([
      ["a", linkOf("a", "one!")],
      ["c", linkOf("c", "two!")],
    ]);
    const settings = resolveSettings({ inFlightBytesMax: MiB });
    const shares = new SlotShares({ links, canGive: () => true }, settings);
    expect(shares.admits(links.get("a")!, 16 * MiB)).toBe(true);
  });
});

describe("peers on probation (R-SCH-06)", () => {
  test("have half together, while proven peers have something to give", () => {
    const { fill } = sharesOf({ a: "one", b: "two", c: "three", d: "four!" });
    expect([fill("a", 2), fill("b", 2), fill("c"), fill("d")]).toEqual([2, 2, 0, 4]);
  });

  test("have all when no proven peer has anything to give", () => {
    const { fill } = sharesOf({ a: "one", b: "two", d: "four!" }, ["d"]);
    expect([fill("a", 4), fill("b", 4)]).toEqual([4, 4]);
  });
});
