/** Requests to a peer that is kept busy are made several at a time. */
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
