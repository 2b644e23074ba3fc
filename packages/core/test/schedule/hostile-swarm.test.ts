/** Members, near and far, that want others to stop fetching; and policy that moves meanwhile. */
import { PieceLayout, PieceSet } from "@shoal/core";
import type { ContentId } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { ContentSwarm } from "../../src/schedule/content-swarm.ts";
import { CREW_SIZE, crewRank, crewSeed } from "../../src/schedule/origin-crew.ts";
import { hashText32 } from "../../src/random.ts";
import { KiB } from "../../src/units.ts";
import { fetching, Harness, PIECE_LENGTH, pieces } from "./harness.ts";

/** Identities that come before "self" in the order of the content's members, the lowest first. */
function crewOf(contentId: ContentId, count: number): string[] {
  const rank = (peerId: string): number => crewRank(hashText32(peerId), crewSeed(contentId));
  const ids = Array.from({ length: 10_000 }, (_, i) => `sybil-${i}`);
  const above = ids.filter((peerId) => rank(peerId) > rank("self")).slice(0, count);
  return above.toSorted((a, b) => rank(a) - rank(b));
}

function hear(h: Harness, contentId: ContentId, peerId: string, role: "fetching" | "left"): void {
  h.send({ type: "presenceHeard", peerId, addresses: [], contentId, role });
}

/** Fetches, is connected with a member that does nothing, and has as many runs as it may. */
function busyMember() {
  const site = fetching(new PieceSet(2_000));
  site.h.peer("near", site.contentId, new PieceSet(2_000));
  site.h.advanceTo(5_000);
  return site;
}

describe("runs that are left to others", () => {
  test("because a crew was heard of are taken up when it gives nothing (R-SCH-03)", () => {
    const { h, contentId } = busyMember();
    expect(h.take("fetchRange").length).toBeGreaterThan(0);
    for (const peerId of crewOf(contentId, CREW_SIZE)) hear(h, contentId, peerId, "fetching");
    expect(h.take("cancelOrigin").length).toBeGreaterThan(0);
    h.advanceTo(17_000);
    expect(h.take("fetchRange").length).toBeGreaterThan(0);
  });

  test("because another claims them are taken up when it gives nothing (R-SCH-03)", () => {
    const { h, contentId } = busyMember();
    h.take("fetchRange");
    for (let i = 0; h.take("cancelOrigin").length === 0; i++) {
      h.send({ type: "peerConnected", peerId: `c${i}`, host: "10.0.0.2", requestsMax: 8 });
      const claim = { contentId, firstPiece: 0, pieceCount: 2_000 };
      h.send({ type: "peerClaimed", peerId: `c${i}`, ...claim });
    }
    h.take("fetchRange");
    h.advanceTo(17_000);
    expect(h.take("fetchRange").length).toBeGreaterThan(0);
  });

  test("are few, however often a far crew comes and goes (R-SCH-03)", () => {
    const { h, contentId } = busyMember();
    const crew = crewOf(contentId, CREW_SIZE);
    let given = 0;
    for (let i = 0; i < 60; i++) {
      for (const peerId of crew) hear(h, contentId, peerId, "fetching");
      h.advanceTo(h.now + 50);
      for (const peerId of crew) hear(h, contentId, peerId, "left");
      h.advanceTo(h.now + 550);
      if (h.take("cancelOrigin").length > 0) given++;
    }
    expect(given).toBeLessThanOrEqual(2 * CREW_SIZE);
  });

  test("are few, however many identities claim everything (R-SCH-03)", () => {
    const { h, contentId } = fetching(new PieceSet(64));
    let given = 0;
    for (let i = 0; i < 200; i++) {
      const peerId = `claimer-${i}`;
      h.send({ type: "peerConnected", peerId, host: "10.0.0.2", requestsMax: 8 });
      h.send({ type: "peerClaimed", peerId, contentId, firstPiece: 0, pieceCount: 64 });
      h.send({ type: "peerDisconnected", peerId, reason: "gone" });
      h.advanceTo(h.now + 300);
      if (h.take("cancelOrigin").length > 0) given++;
    }
    expect(given).toBeLessThanOrEqual(2 * CREW_SIZE);
  });
});

describe("the crew", () => {
  test("takes in whoever comes before this agent alone, in whatever order they are heard", () => {
    const layout = PieceLayout.fixed(8 * 64 * KiB, 64 * KiB);
    const contentId = "content" as ContentId;
    const options = { contentId, selfId: "self", extentBytes: 64 * KiB, stallTimeoutMs: 2_000 };
    const rank = (peerId: string): number => crewRank(hashText32(peerId), crewSeed(contentId));
    const falling = crewOf(contentId, CREW_SIZE).toSorted((a, b) => rank(b) - rank(a));
    const [near = "", ...far] = falling;
    const swarm = new ContentSwarm(layout, options);
    swarm.join(near, 0);
    for (const peerId of far) {
      expect(swarm.isInCrew(0)).toBe(true);
      swarm.presence(peerId, "fetching", 0);
    }
    expect(swarm.isInCrew(0)).toBe(false);
  });
});

describe("claims", () => {
  test("of a member that says it holds everything end when they are not repeated", () => {
    const layout = PieceLayout.fixed(8 * 64 * KiB, 64 * KiB);
    const contentId = "content" as ContentId;
    const options = { contentId, selfId: "self", extentBytes: 64 * KiB, stallTimeoutMs: 2_000 };
    const swarm = new ContentSwarm(layout, options);
    swarm.join("liar", 0);
    swarm.setSeed("liar", true);
    swarm.claim("liar", 0, 8, 0);
    expect(swarm.isClaimed(3, 2_500)).toBe(false);
  });
});

describe("presence of a holder", () => {
  const settings = { batteryUploadPercentMin: 50 };
  const onBattery = { isOnBattery: true, batteryPercent: 20 };
  const setMachine = (h: Harness, facts: object): void =>
    h.run((scheduler) => scheduler.setMachine(facts, h.now));

  test("is taken back while policy forbids uploads, and given again afterwards", () => {
    const { h, contentId } = fetching(pieces("1111"), { settings });
    h.verify();
    expect(h.take("publishPresence").at(-1)).toMatchObject({ contentId, role: "holding" });
    setMachine(h, onBattery);
    expect(h.take("publishPresence").at(-1)).toMatchObject({ contentId, role: "left" });
    h.advanceTo(300_000);
    expect(h.take("publishPresence")).toEqual([]);
    setMachine(h, { isOnBattery: false });
    expect(h.take("publishPresence").at(-1)).toMatchObject({ contentId, role: "holding" });
  });
});

describe("uploads", () => {
  test("of one peer that reads slowly leave room for others (R-PEER-27)", () => {
    const { h, contentId } = fetching(pieces("1111"));
    const ask = (peerId: string, requestId: number): void =>
      h.send({ type: "pieceRequested", peerId, requestId, contentId, piece: requestId % 4 });
    h.peer("slow", contentId);
    h.peer("quick", contentId);
    for (let requestId = 1; requestId <= 20; requestId++) {
      ask("slow", requestId);
      for (const { requestId: readId, transferId } of h.take("readPiece")) {
        h.send({ type: "pieceRead", transferId, requestId: readId, bufferId: 1 });
      }
      h.advanceTo(h.now + 4_000);
      if (requestId < 4) continue;
      const ended = { peerId: "slow", requestId: requestId - 3, sentBytes: PIECE_LENGTH };
      h.send({ type: "uploadFinished", ...ended });
    }
    h.take("refuseRequest");
    ask("quick", 1);
    expect(h.take("refuseRequest")).toEqual([]);
  });
});
