import { describe, expect, test } from "vitest";
import { LIMITS, PieceSet } from "@shoal/core";
import { fetching, Harness, pieces } from "./harness.ts";

describe("uploads", () => {
  test("a committed piece is read and sent; one not committed is refused (I-2, R-PEER-26)", () => {
    const { h, contentId } = serving("11..");
    ask(h, contentId, 1, 0);
    ask(h, contentId, 2, 2);
    expect(h.takeOne("refuseRequest")).toMatchObject({ requestId: 2, reason: "notFound" });
    const { requestId, transferId, piece } = h.takeOne("readPiece");
    expect(piece).toBe(0);
    h.send({ type: "pieceRead", transferId, requestId, bufferId: 9 });
    expect(h.takeOne("sendPiece")).toMatchObject({ peerId: "a", requestId: 1, bufferId: 9 });
  });

  test("a piece out of range is refused, whatever its number (R-PEER-26)", () => {
    const { h, contentId } = serving("11..");
    ask(h, contentId, 1, 4_000_000_000);
    expect(h.takeOne("refuseRequest").reason).toBe("notFound");
  });

  test("requests beyond the bound of a peer are answered busy (R-PEER-16)", () => {
    const { h, contentId } = serving("1111");
    for (let i = 1; i <= LIMITS.requestsPerPeerMax + 3; i++) ask(h, contentId, i, i % 4);
    expect(h.take("refuseRequest").map(({ reason }) => reason)).toEqual(["busy", "busy", "busy"]);
  });

  test("requests of all peers together are bounded (R-PEER-16)", () => {
    const { h, contentId } = serving("1111");
    const peerCount = LIMITS.requestsTotalMax / LIMITS.requestsPerPeerMax + 1;
    for (let peer = 0; peer < peerCount; peer++) {
      const peerId = `peer ${peer}`;
      h.send({ type: "peerConnected", peerId, host: `10.0.1.${peer}`, requestsMax: 8 });
      for (let i = 1; i <= LIMITS.requestsPerPeerMax; i++) ask(h, contentId, i, 0, peerId);
    }
    const refused = h.take("refuseRequest").map(({ peerId, reason }) => `${peerId}: ${reason}`);
    expect(refused).toHaveLength(LIMITS.requestsPerPeerMax);
    expect(new Set(refused)).toEqual(new Set([`peer ${peerCount - 1}: busy`]));
  });

  test("one request costs one read, however often it is made (R-PEER-28)", () => {
    const { h, contentId } = serving("1111");
    for (let i = 0; i < 5; i++) ask(h, contentId, 1, 0);
    expect(h.take("readPiece")).toHaveLength(1);
    expect(h.take("refuseRequest").map(({ reason }) => reason)).toEqual(Array(4).fill("busy"));
  });

  test("at most uploadsMax pieces are under way, and places go round (R-PEER-27)", () => {
    const { h, contentId } = serving("1111");
    h.send({ type: "peerConnected", peerId: "b", host: "10.0.0.2", requestsMax: 8 });
    h.send({ type: "peerConnected", peerId: "c", host: "10.0.0.3", requestsMax: 8 });
    for (let i = 1; i <= 4; i++) ask(h, contentId, i, i - 1);
    for (let i = 1; i <= 4; i++) ask(h, contentId, i, i - 1, "b");
    for (let i = 1; i <= 4; i++) ask(h, contentId, i, i - 1, "c");
    const reads = h.take("readPiece");
    expect(reads).toHaveLength(4);
    for (const { requestId, transferId } of reads) {
      h.send({ type: "pieceRead", transferId, requestId, bufferId: 1 });
    }
    const sent = h.take("sendPiece");
    expect(sent.map(({ peerId }) => peerId).toSorted()).toEqual(["a", "a", "b", "b"]);
    h.send({ type: "uploadFinished", peerId: "a", requestId: 1, sentBytes: 65_536 });
    const { requestId, transferId } = h.takeOne("readPiece");
    h.send({ type: "pieceRead", transferId, requestId, bufferId: 1 });
    expect(h.takeOne("sendPiece").peerId).toBe("c");
  });

  test("a cancelled request gives its place and its bytes back", () => {
    const { h, contentId } = serving("1111");
    ask(h, contentId, 1, 0);
    const { requestId, transferId } = h.takeOne("readPiece");
    h.send({ type: "requestCancelled", peerId: "a", requestId: 1 });
    h.send({ type: "pieceRead", transferId, requestId, bufferId: 5 });
    expect(h.take("sendPiece")).toEqual([]);
    expect(h.takeOne("releaseBuffer")).toEqual({ type: "releaseBuffer", bufferId: 5 });
  });

  test("a peer that disconnects frees its places", () => {
    const { h, contentId } = serving("1111");
    for (let i = 1; i <= 4; i++) ask(h, contentId, i, i - 1);
    h.take("readPiece");
    h.send({ type: "peerDisconnected", peerId: "a", reason: "gone" });
    h.send({ type: "peerConnected", peerId: "b", host: "10.0.0.2", requestsMax: 8 });
    for (let i = 1; i <= 4; i++) ask(h, contentId, i, i - 1, "b");
    expect(h.take("readPiece")).toHaveLength(2);
  });

  test("who asks about a content hears what we hold of it, now or when there is something", () => {
    const { h, contentId } = fetching(pieces("...."));
    for (const range of h.take("fetchRange")) h.deliverRange(range);
    h.peer("a", contentId);
    expect(h.take("sendBitfield")).toEqual([]);
    h.commit([0, 1, 2, 3]);
    expect(h.takeOne("sendHave")).toMatchObject({ peerIds: ["a"], pieces: [0, 1, 2, 3] });
    h.peer("b", contentId);
    expect(h.takeOne("sendBitfield")).toMatchObject({ peerId: "b", pieceCount: 4 });
  });
});

function serving(drawn: string): { h: Harness; contentId: string } {
  const { h, contentId } = fetching(pieces(drawn));
  h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.1", requestsMax: 8 });
  void PieceSet;
  return { h, contentId };
}

function ask(h: Harness, contentId: string, requestId: number, piece: number, peerId = "a"): void {
  h.send({ type: "pieceRequested", peerId, requestId, contentId, piece });
}
