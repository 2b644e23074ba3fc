/** What is asked of peers far away while others are near. */
import { describe, expect, it } from "vitest";
import { PieceSet } from "@shoal/core";
import type { ContentId, PeerReach } from "@shoal/core";
import { fetching, Harness, PIECE_LENGTH, pieces } from "./harness.ts";

const STALL_MS = 2_000;

interface Case {
  readonly h: Harness;
  readonly contentId: ContentId;
}

/** A job that only peers can deliver; the one that gave the manifest holds nothing and is far. */
function wanting(drawn: string, selfId = "self"): Case {
  return fetching(pieces(drawn), { url: undefined, selfId });
}

function join(
  { h, contentId }: Case,
  peerId: string,
  { reach, have }: { readonly reach: PeerReach; readonly have: PieceSet },
): void {
  const host = `${peerId}.test`;
  h.send({ type: "peerConnected", peerId, host, reach, requestsMax: 8 });
  h.send({ type: "peerJoined", peerId, contentId });
  h.bitfield(peerId, contentId, have);
}

/** The pieces that a peer is asked for. */
function asked(h: Harness, peerId: string): number[] {
  const commands = h.take("requestPiece").filter((command) => command.peerId === peerId);
  return commands.map(({ piece }) => piece);
}

function claim({ h, contentId }: Case, peerId: string, piece: number): void {
  h.send({ type: "peerClaimed", peerId, contentId, firstPiece: piece, pieceCount: 1 });
}

describe("a peer far away", () => {
  it("is asked like any other while nobody is nearer", () => {
    const all = wanting("....");
    for (const peerId of ["far", "other"]) {
      join(all, peerId, { reach: "private", have: PieceSet.full(4) });
    }
    expect(all.h.take("requestPiece")).toHaveLength(2);
    expect(all.h.take("sendClaim")).toEqual([]);
  });

  it("is not asked for what a near one has", () => {
    const all = wanting("....");
    join(all, "near", { reach: "subnet", have: PieceSet.full(4) });
    join(all, "far", { reach: "private", have: PieceSet.full(4) });
    all.h.advanceTo(STALL_MS);
    expect(asked(all.h, "far")).toEqual([]);
  });

  it("is asked for what near ones lack, and that is claimed until they know of it", () => {
    const all = wanting("11..");
    const { h } = all;
    join(all, "near", { reach: "subnet", have: pieces("11..") });
    join(all, "far", { reach: "public", have: PieceSet.full(4) });
    h.advanceTo(STALL_MS);
    const [command, ...rest] = h.take("requestPiece");
    if (command === undefined) throw new Error("nothing is asked");
    expect([command.peerId, rest]).toEqual(["far", []]);
    const claims = h.take("sendClaim");
    expect(claims.length).toBeGreaterThan(2);
    for (const { peerIds, firstPiece, pieceCount } of claims) {
      expect([firstPiece, pieceCount]).toEqual([command.piece, 1]);
      expect(peerIds).toContain("near");
      expect(peerIds).not.toContain("far");
    }
    h.deliver(command);
    h.advanceTo(h.now + 600);
    h.take("sendClaim");
    h.commit([command.piece]);
    expect(h.takeOne("sendHave").pieces).toEqual([command.piece]);
    h.advanceTo(h.now + STALL_MS);
    expect(h.take("sendClaim").filter(({ firstPiece }) => firstPiece === command.piece)).toEqual(
      [],
    );
  });

  it("is left to the near one that claims the piece, as long as the claim is repeated", () => {
    const all = wanting(".");
    const { h } = all;
    join(all, "near", { reach: "subnet", have: pieces(".") });
    claim(all, "near", 0);
    join(all, "far", { reach: "private", have: pieces("1") });
    for (let i = 0; i < 4; i++) {
      h.advanceTo(h.now + STALL_MS / 2);
      expect(asked(h, "far")).toEqual([]);
      claim(all, "near", 0);
    }
    h.advanceTo(h.now + 2 * STALL_MS + 200);
    expect(asked(h, "far")).toEqual([0]);
  });

  it("is asked at once by one of two near each other, by the other after a part of the stall timeout", () => {
    const all = ["a", "b"].map((selfId) => wanting(".", selfId));
    for (const [index, each] of all.entries()) {
      join(each, index === 0 ? "b" : "a", { reach: "subnet", have: pieces(".") });
      join(each, "far", { reach: "private", have: pieces("1") });
    }
    const first = all.map(({ h }) => asked(h, "far").length);
    expect(first.filter((count) => count === 1)).toHaveLength(1);
    const waiting = all[first.indexOf(0)];
    waiting?.h.advanceTo(STALL_MS);
    expect(waiting && asked(waiting.h, "far")).toEqual([0]);
  });

  it("is asked for what a near one has, when that one has stalled (R-SCH-02)", () => {
    const all = wanting(".");
    join(all, "near", { reach: "subnet", have: pieces("1") });
    join(all, "far", { reach: "private", have: pieces("1") });
    all.h.advanceTo(10_500);
    expect(asked(all.h, "far")).toEqual([0]);
  });

  it("is asked when claims hold everything back for long and nothing comes (R-SCH-03)", () => {
    const all = wanting("..");
    join(all, "near", { reach: "subnet", have: pieces("..") });
    join(all, "far", { reach: "private", have: pieces("11") });
    asked(all.h, "far");
    all.h.send({ type: "peerDisconnected", peerId: "far", reason: "test" });
    for (const piece of [0, 1]) claim(all, "near", piece);
    join(all, "far", { reach: "private", have: pieces("11") });
    for (let i = 0; i < 11; i++) {
      all.h.advanceTo(all.h.now + 1_000);
      for (const piece of [0, 1]) claim(all, "near", piece);
    }
    expect(asked(all.h, "far")).toHaveLength(1);
  });

  it("takes over from near ones that are much slower than it", () => {
    const count = 64;
    const all = wanting(".".repeat(count));
    const { h } = all;
    join(all, "near", { reach: "subnet", have: PieceSet.full(count) });
    join(all, "far", { reach: "private", have: PieceSet.full(count) });
    let fromFar = 0;
    // The near one gives a piece a second, the far one whatever it is asked for in 10 ms.
    for (let second = 0; second < 12; second++) {
      let near = h.take("requestPiece");
      for (let i = 0; i < 100; i++) {
        for (const command of near.filter(({ peerId }) => peerId === "far")) {
          h.deliver(command);
          fromFar++;
        }
        near = near.filter(({ peerId }) => peerId === "near");
        h.advanceTo(h.now + 10);
        near.push(...h.take("requestPiece"));
      }
      for (const command of near) h.deliver(command);
    }
    expect(fromFar).toBeGreaterThan(count / 2);
    expect(h.job?.transferredBytes).toBe(count * PIECE_LENGTH);
  });
});
