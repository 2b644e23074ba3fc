/** Members, crew, ownership and claims of one content. */
import { PieceLayout } from "@shoal/core";
import type { ContentId, PeerId } from "@shoal/core";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { ContentSwarm, OWNERSHIP } from "../../src/schedule/content-swarm.ts";
import { chooseCrew, CREW_SIZE } from "../../src/schedule/origin-crew.ts";
import { KiB } from "../../src/units.ts";

const CONTENT = "content" as ContentId;
const PIECES = 64;
const STALL_MS = 2_000;

function peer(index: number): PeerId {
  return `peer-${index}` as PeerId;
}

function swarmOf(self: number): ContentSwarm {
  const layout = PieceLayout.fixed(PIECES * 64 * KiB, 64 * KiB);
  const options = { selfId: peer(self), extentBytes: 64 * KiB, stallTimeoutMs: STALL_MS };
  return new ContentSwarm(layout, { contentId: CONTENT, ...options });
}

/** Swarms of `count` members that all know each other, near or far. */
function acquainted(count: number, now: number, near: (a: number, b: number) => boolean) {
  const swarms = Array.from({ length: count }, (_, self) => swarmOf(self));
  for (const [self, swarm] of swarms.entries()) {
    for (let other = 0; other < count; other++) {
      if (other === self) continue;
      if (near(self, other)) swarm.join(peer(other), now);
      else swarm.presence(peer(other), "fetching", now);
    }
  }
  return swarms;
}

function owners(swarms: readonly ContentSwarm[], piece: number, now: number): number {
  return swarms.filter((swarm) => swarm.ownership(piece, now) !== OWNERSHIP.others).length;
}

describe("ownership", () => {
  it("gives every piece one owner among members that have heard of the same ones", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), (count) => {
        // Near ones in a ring, everybody else far.
        const swarms = acquainted(count, 0, (a, b) => Math.abs(a - b) % (count - 2 || 1) === 1);
        const connected = swarms.filter(({ memberCount }) => memberCount > 0);
        fc.pre(connected.length === count);
        for (let piece = 0; piece < PIECES; piece++) expect(owners(swarms, piece, 0)).toBe(1);
      }),
      { numRuns: 20 },
    );
  });

  it("is the crew's, of which there are few however many members there are", () => {
    const swarms = acquainted(60, 0, () => true);
    expect(swarms.filter((swarm) => swarm.isInCrew(0))).toHaveLength(CREW_SIZE);
    const some = swarms.find((swarm) => !swarm.isInCrew(0));
    for (let piece = 0; piece < PIECES; piece++) {
      expect(some?.ownership(piece, 0)).toBe(OWNERSHIP.others);
    }
  });

  it("counts far members only while there is a near one to get pieces from", () => {
    const swarm = swarmOf(0);
    for (let other = 1; other < 30; other++) swarm.presence(peer(other), "fetching", 0);
    expect(swarm.memberCount).toBe(0);
    expect(swarm.isInCrew(0)).toBe(true);
    expect(swarm.fetchingMemberCount(0)).toBe(0);
    swarm.join(peer(99), 0);
    expect(swarm.fetchingMemberCount(0)).toBeGreaterThan(1);
  });

  it("falls to the next of the crew when the owner is silent for the stall timeout", () => {
    const [first, second] = acquainted(2, 0, () => true);
    if (first === undefined || second === undefined) throw new Error("two swarms");
    const theirs = Array.from({ length: PIECES }, (_, piece) => piece).filter(
      (piece) => first.ownership(piece, 0) === OWNERSHIP.others,
    );
    expect(theirs.length).toBeGreaterThan(0);
    for (const piece of theirs) {
      expect(first.ownership(piece, STALL_MS - 1)).toBe(OWNERSHIP.others);
    }
    for (const piece of theirs) {
      expect(first.ownership(piece, STALL_MS + 1)).toBe(OWNERSHIP.inherited);
    }
    first.heard(peer(1), STALL_MS + 2);
    for (const piece of theirs) {
      expect(first.ownership(piece, STALL_MS + 2)).toBe(OWNERSHIP.others);
    }
  });

  it("is nobody's who left, and not a seed's", () => {
    const swarm = swarmOf(0);
    for (let other = 1; other < 5; other++) swarm.join(peer(other), 0);
    for (let other = 1; other < 3; other++) swarm.leave(peer(other));
    for (let other = 3; other < 5; other++) swarm.setSeed(peer(other), true);
    for (let piece = 0; piece < PIECES; piece++) {
      expect(swarm.ownership(piece, 0)).toBe(OWNERSHIP.own);
    }
  });
});

describe("the crew", () => {
  it("replaces a far member that has not been heard of for long", () => {
    const swarms = acquainted(30, 0, (a, b) => b === (a + 1) % 30);
    const outside = swarms.findIndex((swarm) => !swarm.isInCrew(0));
    const swarm = swarms[outside];
    if (swarm === undefined) throw new Error("somebody is outside");
    expect(swarm.isInCrew(7_000)).toBe(false);
    expect(swarm.isInCrew(9_000)).toBe(true);
  });

  it("remembers only so many far members, the highest in rank", () => {
    const swarm = swarmOf(0);
    swarm.join(peer(1), 0);
    let added = 0;
    for (let other = 2; other < 502; other++) {
      if (swarm.presence(peer(other), "fetching", 0)) added++;
      expect(swarm.fetchingMemberCount(0)).toBeLessThanOrEqual(CREW_SIZE);
    }
    expect(added).toBeLessThan(100);
  });

  test("everybody who has heard of the same members names the same crew", () => {
    const ranks = fc.uniqueArray(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1 });
    fc.assert(
      fc.property(ranks, (all) => {
        const members = all.map((rank) => ({
          peerId: String(rank) as PeerId,
          hash: rank,
          rank,
          silentAt: 1,
        }));
        const crew = members.filter((self) => {
          const others = members.filter((other) => other !== self);
          return chooseCrew(others, self.rank).isSelfIn;
        });
        expect(crew).toHaveLength(Math.min(CREW_SIZE, members.length));
      }),
    );
  });
});

describe("claims", () => {
  it("hold others back as long as they are repeated, and no longer", () => {
    const swarm = swarmOf(0);
    swarm.join(peer(1), 0);
    swarm.claim(peer(1), 10, 4, 0);
    expect(swarm.isClaimed(10, 1_999)).toBe(true);
    swarm.claim(peer(1), 10, 4, 1_900);
    swarm.heard(peer(1), 3_000);
    expect(swarm.isClaimed(13, 3_800)).toBe(true);
    // It is still heard of, but says nothing of this run any more.
    swarm.heard(peer(1), 3_850);
    expect(swarm.isClaimed(13, 3_901)).toBe(false);
    expect(swarm.hasClaims(3_901)).toBe(false);
  });

  it("end with the last piece, and with the member", () => {
    const swarm = swarmOf(0);
    swarm.join(peer(1), 0);
    swarm.claim(peer(1), 0, 4, 0);
    swarm.delivered(peer(1), [2]);
    expect(swarm.isClaimed(3, 1)).toBe(true);
    swarm.delivered(peer(1), [3]);
    expect(swarm.isClaimed(3, 2)).toBe(false);
    swarm.claim(peer(1), 8, 4, 3);
    swarm.leave(peer(1));
    expect(swarm.isClaimed(8, 3)).toBe(false);
  });

  it("of pieces that do not exist are cut, and too many replace the oldest (R-SCH-04)", () => {
    const swarm = swarmOf(0);
    swarm.join(peer(1), 0);
    swarm.claim(peer(1), PIECES + 5, 4, 0);
    swarm.claim(peer(1), PIECES - 1, 2 ** 31, 0);
    expect(swarm.isClaimed(PIECES - 1, 0)).toBe(true);
    for (let first = 0; first < 40; first++) swarm.claim(peer(1), first, 1, 0);
    expect(swarm.isClaimed(PIECES - 1, 0)).toBe(false);
    expect(swarm.isClaimed(39, 0)).toBe(true);
  });
});

describe("members that have held everybody back in vain (R-SCH-03)", () => {
  it("own and claim nothing for a while, unless they have delivered", () => {
    const swarm = swarmOf(0);
    for (let other = 1; other < 30; other++) swarm.presence(peer(other), "fetching", 0);
    swarm.join(peer(50), 0);
    swarm.join(peer(51), 0);
    swarm.claim(peer(50), 0, PIECES, 0);
    expect(swarm.isClaimed(5, 10)).toBe(true);
    swarm.distrust(10);
    expect(swarm.isClaimed(5, 10)).toBe(false);
    expect(swarm.fetchingMemberCount(10)).toBe(0);
    for (let piece = 0; piece < PIECES; piece++) {
      expect(swarm.ownership(piece, 10)).toBe(OWNERSHIP.own);
    }
    swarm.claim(peer(50), 0, 4, 20);
    expect(swarm.isClaimed(0, 20)).toBe(false);
    swarm.proved(peer(51));
    swarm.claim(peer(51), 8, 4, 30);
    expect(swarm.isClaimed(8, 30)).toBe(true);
    expect(swarm.fetchingMemberCount(30)).toBe(1);
  });

  it("are believed again later, and for longer not the next time", () => {
    const swarm = swarmOf(0);
    swarm.join(peer(50), 0);
    const isBelieved = (now: number): boolean => {
      swarm.heard(peer(50), now);
      return swarm.fetchingMemberCount(now) === 1;
    };
    swarm.distrust(0);
    expect([isBelieved(59_000), isBelieved(61_000)]).toEqual([false, true]);
    swarm.distrust(61_000);
    expect([isBelieved(180_000), isBelieved(182_000)]).toEqual([false, true]);
  });
});
