/** What is done for many pieces at a time: requests to a peer that is kept busy, and commits. */
import { expect, test } from "vitest";
import { PieceSet } from "@shoal/core";
import { fetching } from "./harness.ts";

/** How many requests were made after each of the answers of one fast peer, in order. */
function requestsAfterEachAnswer(requestsMax: number): number[] {
  const count = 256;
  const { h, contentId } = fetching(new PieceSet(count), { url: undefined });
  h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.5", requestsMax });
  h.send({ type: "peerJoined", peerId: "a", contentId });
  h.bitfield("a", contentId, PieceSet.full(count));
  const owed = h.take("requestPiece");
  const made: number[] = [];
  for (let next = owed.shift(); next !== undefined; next = owed.shift()) {
    h.advanceTo(h.now + 1);
    h.deliver(next);
    const more = h.take("requestPiece");
    made.push(more.length);
    owed.push(...more);
  }
  return made;
}

test("a fast peer that owes all it may is asked again once half of it has been answered", () => {
  const made = requestsAfterEachAnswer(8);
  expect(new Set(made.slice(100, 200))).toEqual(new Set([0, 4]));
  expect(made.reduce((sum, requests) => sum + requests, 1)).toBe(256);
});

test("a peer that takes two requests at a time is asked after every answer", () => {
  expect(requestsAfterEachAnswer(2).slice(100, 104)).toEqual([1, 1, 1, 1]);
});

test.each([
  ["a seed alone", 0, false],
  ["a peer that lacks pieces", 1, true],
])("while %s listens, pieces wait for a commit, or do not", (_, leechers, isCommitted) => {
  const count = 64;
  const { h, contentId } = fetching(new PieceSet(count), {
    url: undefined,
    settings: { syncDelayMs: 2_000 },
  });
  const connect = (peerId: string, host: string, have: PieceSet): void => {
    h.send({ type: "peerConnected", peerId, host, requestsMax: 8 });
    h.send({ type: "peerJoined", peerId, contentId });
    h.bitfield(peerId, contentId, have);
  };
  // The one that gave the manifest had nothing else.
  h.send({ type: "peerDisconnected", peerId: "giver", reason: "gone" });
  connect("seed", "10.0.0.5", PieceSet.full(count));
  if (leechers > 0) connect("leecher", "10.0.0.6", new PieceSet(count));
  h.deliver(h.take("requestPiece")[0]!);
  h.advanceTo(h.now + 200);
  expect(h.take("commitPieces").length > 0).toBe(isCommitted);
});
