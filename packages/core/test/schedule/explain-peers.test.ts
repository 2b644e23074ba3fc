/** Why a peer is used or not: every code, provoked. */
import { describe, expect, test } from "vitest";
import { LIMITS, PieceSet, REASONS } from "@shoal/core";
import type { ContentId, ExplainedPeer, PeerReason, ReasonRow, Settings } from "@shoal/core";
import { fetching, Harness, JOB_ID, manifestOf, PIECE_LENGTH, pieces, request } from "./harness.ts";

type Case = { readonly h: Harness; readonly contentId: ContentId };

function peersOf(h: Harness): readonly ExplainedPeer[] {
  return h.scheduler.explain(JOB_ID, h.now)?.files[0]?.peers ?? [];
}

function peerOf(h: Harness, peerId = "p"): ExplainedPeer | undefined {
  return peersOf(h).find((peer) => peer.peerId === peerId);
}

/** A job that only peers can deliver, so that everything is asked of them. */
function wanting(drawn: string, settings: Partial<Settings> = {}): Case {
  return fetching(pieces(drawn), { url: undefined, settings });
}

function discover(h: Harness, peerId = "p", addresses = ["/ip4/10.0.0.9/tcp/1"]): void {
  h.send({ type: "peerDiscovered", peerId, addresses, isStatic: false });
}

function connect({ h, contentId }: Case, peerId: string, host: string, have: PieceSet): void {
  h.send({ type: "peerConnected", peerId, host, requestsMax: 8 });
  h.send({ type: "peerJoined", peerId, contentId });
  h.bitfield(peerId, contentId, have);
}

/** Answers until the peer is past probation. */
function prove(h: Harness, peerId: string, count = 2): void {
  for (let pieceCount = 0; pieceCount < count;) {
    for (const command of h.take("requestPiece")) {
      if (command.peerId !== peerId) continue;
      h.deliver(command);
      pieceCount++;
    }
  }
}

/** Sixteen pieces may be under way. */
const SMALL = { inFlightBytesMax: 16 * PIECE_LENGTH };

const CASES: Array<[PeerReason, () => Harness, object?]> = [
  [
    "asked",
    () => {
      const all = wanting(".".repeat(64));
      connect(all, "p", "10.0.0.2", PieceSet.full(64));
      prove(all.h, "p");
      return all.h;
    },
    { isUsed: true, pieceCount: 2, bytes: 2 * PIECE_LENGTH, address: "10.0.0.2" },
  ],
  [
    "idle",
    () => {
      const all = wanting("....");
      connect(all, "q", "10.0.0.3", pieces("1..."));
      connect(all, "p", "10.0.0.2", pieces("1..."));
      return all.h;
    },
  ],
  [
    "notDialled",
    () => {
      const { h } = wanting("..", { dialsMax: 1 });
      h.verb("suspend");
      discover(h);
      return h;
    },
  ],
  [
    "dialling",
    () => {
      const { h } = wanting("..");
      discover(h);
      return h;
    },
  ],
  [
    "dialFailed",
    () => {
      const { h } = wanting("..");
      discover(h);
      h.send({ type: "dialFailed", peerId: "p", reason: "ECONNREFUSED" });
      return h;
    },
    { detail: "ECONNREFUSED", waitMs: expect.any(Number) as number, isUsed: false },
  ],
  [
    "noAddress",
    () => {
      const { h } = wanting("..");
      discover(h, "p", []);
      return h;
    },
  ],
  [
    "dialsFull",
    () => {
      const { h } = wanting("..", { dialsMax: 1 });
      discover(h, "first");
      discover(h);
      return h;
    },
  ],
  [
    "connectionsFull",
    () => {
      const { h } = wanting("..", { connectionsMax: 1 });
      discover(h);
      return h;
    },
  ],
  [
    "disconnected",
    () => {
      const all = wanting("..");
      discover(all.h);
      connect(all, "p", "10.0.0.9", pieces("11"));
      all.h.send({ type: "peerDisconnected", peerId: "p", reason: "reset" });
      return all.h;
    },
    { detail: "reset", waitMs: expect.any(Number) as number },
  ],
  [
    "banned",
    () => {
      const all = wanting("........");
      connect(all, "p", "10.0.0.2", PieceSet.full(8));
      for (let i = 0; i < 2; i++) all.h.deliver(all.h.takeOne("requestPiece"), "corrupt");
      return all.h;
    },
    { detail: "corruptPiece", waitMs: 24 * 3_600_000, isUsed: false },
  ],
  [
    "addressBanned",
    () => {
      const all = wanting("........");
      for (const peerId of ["x", "y", "z"]) {
        connect(all, peerId, "10.0.0.9", PieceSet.full(8));
        const asked = all.h.take("requestPiece").find((command) => command.peerId === peerId);
        if (asked !== undefined) all.h.deliver(asked, "corrupt");
        all.h.send({ type: "peerDisconnected", peerId, reason: "gone" });
      }
      discover(all.h);
      return all.h;
    },
    { detail: "corruptPiece" },
  ],
  [
    "notMember",
    () => {
      const { h } = wanting("..");
      h.send({ type: "peerConnected", peerId: "p", host: "10.0.0.2", requestsMax: 8 });
      return h;
    },
  ],
  [
    "left",
    () => {
      const all = wanting("..");
      connect(all, "p", "10.0.0.2", pieces(".."));
      all.h.send({ type: "peerLeft", peerId: "p", contentId: all.contentId });
      return all.h;
    },
  ],
  [
    "holdsNothing",
    () => {
      const all = wanting("..");
      connect(all, "p", "10.0.0.2", pieces(".."));
      return all.h;
    },
  ],
  [
    "nothingNew",
    () => {
      const all = wanting("1.");
      connect(all, "p", "10.0.0.2", pieces("1."));
      return all.h;
    },
  ],
  [
    "probation",
    () => {
      const all = wanting("..");
      connect(all, "p", "10.0.0.2", pieces("11"));
      return all.h;
    },
    { isUsed: true, requestCount: 1 },
  ],
  [
    "addressProbation",
    () => {
      const all = wanting(".".repeat(64));
      for (const peerId of ["x", "y", "p"]) {
        connect(all, peerId, "10.0.0.2", PieceSet.full(64));
      }
      return all.h;
    },
  ],
  [
    "addressShareFull",
    () => {
      const all = wanting(".".repeat(96), SMALL);
      connect(all, "x", "10.0.0.2", PieceSet.full(96));
      prove(all.h, "x", 30);
      connect(all, "q", "10.0.0.3", PieceSet.full(96));
      connect(all, "p", "10.0.0.2", PieceSet.full(96));
      return all.h;
    },
  ],
  [
    "busy",
    () => {
      const all = wanting("..");
      connect(all, "p", "10.0.0.2", pieces("11"));
      const { requestId } = all.h.takeOne("requestPiece");
      all.h.send({ type: "requestRefused", peerId: "p", requestId, reason: "busy" });
      return all.h;
    },
    { waitMs: expect.any(Number) as number },
  ],
  [
    "stalled",
    () => {
      const all = wanting("..");
      connect(all, "p", "10.0.0.2", pieces("11"));
      all.h.advanceTo(10_001);
      return all.h;
    },
  ],
  [
    "othersAsked",
    () => {
      // This agent owns the one extent, and has asked the origin for all of it.
      const { h, contentId } = fetching(new PieceSet(40), { selfId: "left", members: ["r2"] });
      connect({ h, contentId }, "p", "10.0.0.2", PieceSet.full(40));
      return h;
    },
  ],
  [
    "probationShareFull",
    () => {
      const all = wanting(".".repeat(96), SMALL);
      connect(all, "q", "10.0.0.3", PieceSet.full(96));
      prove(all.h, "q", 2);
      for (let i = 0; i < 8; i++) connect(all, `x${i}`, `10.0.1.${i}`, PieceSet.full(96));
      connect(all, "p", "10.0.0.2", PieceSet.full(96));
      return all.h;
    },
  ],
  [
    "inFlightFull",
    () => {
      const all = wanting(".".repeat(96), SMALL);
      connect(all, "x", "10.0.0.3", PieceSet.full(96));
      prove(all.h, "x", 30);
      connect(all, "y", "10.0.0.4", PieceSet.full(96));
      prove(all.h, "y", 30);
      connect(all, "p", "10.0.0.2", PieceSet.full(96));
      return all.h;
    },
  ],
  [
    "givesManifest",
    () => {
      const h = new Harness();
      const { contentId } = manifestOf(2);
      h.create(request({ contentId }));
      h.peer("p", contentId, pieces("11"));
      return h;
    },
  ],
  [
    "nothingMissing",
    () => {
      const all = wanting("1.");
      connect(all, "p", "10.0.0.2", pieces("11"));
      all.h.deliver(all.h.takeOne("requestPiece"));
      all.h.advanceTo(5_000);
      all.h.commit([1]);
      return all.h;
    },
    { pieceCount: 1, bytes: PIECE_LENGTH, isUsed: false },
  ],
  [
    "leftToNeighbours",
    () => {
      const all = wanting(".".repeat(64));
      all.h.send({
        type: "peerConnected",
        peerId: "near",
        host: "10.0.0.3",
        reach: "subnet",
        requestsMax: 8,
      });
      all.h.send({ type: "peerJoined", peerId: "near", contentId: all.contentId });
      all.h.bitfield("near", all.contentId, PieceSet.full(64));
      connect(all, "p", "10.1.0.2", PieceSet.full(64));
      return all.h;
    },
  ],
  [
    "limitReached",
    () => {
      const all = wanting(".".repeat(64), { downloadRateBytesPerSec: 16_384 });
      connect(all, "p", "10.0.0.2", PieceSet.full(64));
      for (let i = 0; i < 4; i++) for (const c of all.h.take("requestPiece")) all.h.deliver(c);
      return all.h;
    },
  ],
];

describe("a peer", () => {
  test("has a case for every code that the table has for peers", () => {
    const codes = Object.entries<ReasonRow>(REASONS).filter(([, { about }]) => about === "peer");
    expect(CASES.map(([code]) => code).toSorted()).toEqual(codes.map(([code]) => code).toSorted());
  });

  test.each(CASES)("%s", (...[code, make, facts]: (typeof CASES)[number]) => {
    const peer = peerOf(make());
    expect(peer).toMatchObject({ code, ...facts });
    expect(peer?.words).not.toBe("");
  });

  test("is not listed for a file that nobody fetches now", () => {
    const all = wanting("..");
    connect(all, "p", "10.0.0.2", pieces("11"));
    all.h.verb("suspend");
    all.h.close();
    expect(peersOf(all.h)).toEqual([]);
  });

  test("bans that end are not shown any longer, and neither are those that are lifted (R-BAN-05)", () => {
    const make = CASES.find(([code]) => code === "banned")![1];
    const h = make();
    h.send({ type: "peerDisconnected", peerId: "p", reason: "banned" });
    expect(peerOf(h)?.code).toBe("banned");
    h.run((scheduler) => scheduler.bans.removeBan("p", h.now));
    expect(peerOf(h)?.code).toBe("disconnected");
  });

  test("is listed once, those connected first, and at most so many of those that are known", () => {
    const all = wanting("..");
    for (let i = 0; i < LIMITS.explainedPeersMax + 20; i++) {
      discover(all.h, `p${i}`, [`/ip4/10.1.${i >> 8}.${i & 255}/tcp/1`]);
    }
    connect(all, "late", "10.0.0.2", pieces("11"));
    const file = all.h.scheduler.explain(JOB_ID, all.h.now)?.files[0];
    expect(file?.peers).toHaveLength(LIMITS.explainedPeersMax);
    expect(new Set(file?.peers.map(({ peerId }) => peerId)).size).toBe(LIMITS.explainedPeersMax);
    expect(file?.peers.slice(0, 2).map(({ peerId }) => peerId)).toEqual(["giver", "late"]);
    expect(file?.peerCount).toBe(LIMITS.explainedPeersMax + 22);
  });
});
