/** Whom a transfer asks for its manifest, and when it asks again. */
import { describe, expect, test } from "vitest";
import { LIMITS, PieceSet } from "@shoal/core";
import type { ContentId } from "@shoal/core";
import { fetching, Harness, manifestOf, pieces, request } from "./harness.ts";

const { bytes, contentId } = manifestOf(4);

/** A job that knows its content's name only, and peers that hold all of it. */
function asking(...peerIds: readonly string[]): Harness {
  const h = new Harness();
  h.create({ ...request(), files: [{ contentId, destination: "/tmp/file" }] });
  for (const peerId of peerIds) h.peer(peerId, contentId, pieces("1111"));
  return h;
}

function refuse(h: Harness, reason: "busy" | "notFound"): string {
  const { peerId, requestId } = h.takeOne("requestManifest");
  h.send({ type: "requestRefused", peerId, requestId, reason });
  return peerId;
}

const idOf = (i: number): string => `00000000-0000-4000-8000-0000000001${i}0`;

/** Jobs for contents of so many different lengths, which one peer has all of. */
function jobsOf(count: number, among?: Harness) {
  const h = among ?? new Harness({ settings: { activeJobsMax: 20 } });
  if (among === undefined) {
    h.send({ type: "peerConnected", peerId: "seed", host: "10.0.0.1", requestsMax: 8 });
  }
  const all = Array.from({ length: count }, (_, i) => manifestOf(i + 5));
  for (const [i, one] of all.entries()) {
    const files = [{ contentId: one.contentId, destination: `/tmp/file-${i}` }];
    h.create({ ...request(), jobId: idOf(i), files });
    h.send({ type: "peerJoined", peerId: "seed", contentId: one.contentId });
    h.bitfield("seed", one.contentId, PieceSet.full(i + 5));
  }
  const byId = new Map<ContentId, Uint8Array>(all.map((one) => [one.contentId, one.bytes]));
  return { h, byId };
}

describe("several manifests of one peer", () => {
  test("are asked for side by side, a few at a time, the next when one has come", () => {
    const { h, byId } = jobsOf(7);
    const asked = h.take("requestManifest");
    expect(asked).toHaveLength(LIMITS.manifestsPerPeerMax);
    for (const { peerId, requestId, contentId: named } of asked.slice(0, 2)) {
      const answer = byId.get(named) ?? new Uint8Array();
      h.send({ type: "peerManifest", peerId, requestId, bytes: answer });
    }
    expect(h.take("openContent")).toHaveLength(2);
    h.advanceTo(h.now);
    expect(h.take("requestManifest")).toHaveLength(2);
  });

  test("never are as many again once the peer was too busy", () => {
    const { h } = jobsOf(7);
    const [first, second, ...rest] = h.take("requestManifest");
    for (const { peerId, requestId } of rest) {
      h.send({ type: "requestRefused", peerId, requestId, reason: "busy" });
    }
    expect(rest.length).toBeGreaterThan(0);
    h.advanceTo(h.now + 1_000);
    expect(h.take("requestManifest")).toEqual([]);
    for (const asked of [first, second]) {
      const { peerId, requestId } = asked ?? { peerId: "", requestId: NaN };
      h.send({ type: "requestRefused", peerId, requestId, reason: "notFound" });
    }
    h.advanceTo(h.now + 1_000);
    expect(h.take("requestManifest")).toHaveLength(2);
  });

  test("find a place though pieces of another content have taken all (R-PEER-16)", () => {
    const { h, contentId: large } = fetching(new PieceSet(64), {
      url: undefined,
      settings: { activeJobsMax: 20 },
    });
    h.peer("seed", large, PieceSet.full(64));
    let pieceRequests = h.take("requestPiece");
    for (; pieceRequests.length < LIMITS.requestsPerPeerMax; h.commit([])) {
      const [next, ...others] = pieceRequests;
      if (next === undefined) throw new Error("nothing is asked for");
      h.deliver(next);
      pieceRequests = [...others, ...h.take("requestPiece")];
    }
    jobsOf(1, h);
    expect(h.take("requestManifest")).toEqual([]);
    const [next] = pieceRequests;
    if (next !== undefined) h.deliver(next);
    h.advanceTo(h.now);
    expect(h.take("requestPiece")).toEqual([]);
    expect(h.take("requestManifest")).toHaveLength(1);
  });
});

describe("a peer that is too busy for a manifest", () => {
  test("is asked again after a pause, and its answer is taken", () => {
    const h = asking("seed");
    expect(refuse(h, "busy")).toBe("seed");
    expect(h.take("requestManifest")).toEqual([]);
    expect(h.job?.state).toBe("connecting");
    h.advanceTo(h.now + 100);
    const { peerId, requestId } = h.takeOne("requestManifest");
    h.send({ type: "peerManifest", peerId, requestId, bytes });
    h.takeOne("openContent");
  });

  test("is asked after the others", () => {
    const h = asking("first", "second");
    expect(refuse(h, "busy")).toBe("first");
    h.advanceTo(h.now + 100);
    expect(refuse(h, "busy")).toBe("second");
    h.advanceTo(h.now + 100);
    expect(refuse(h, "busy")).toBe("first");
  });

  test("is asked once in a pause, however often it says so", () => {
    const h = asking("seed");
    let asked = 0;
    for (const endAt = h.now + 1_000; h.now < endAt; h.advanceTo(h.now + 1)) {
      for (const { peerId, requestId } of h.take("requestManifest")) {
        asked++;
        h.send({ type: "requestRefused", peerId, requestId, reason: "busy" });
      }
    }
    expect(asked).toBeGreaterThan(1);
    expect(asked).toBeLessThanOrEqual(1_000 / 20 + 1);
  });
});

test("a peer that has no such manifest is not asked again", () => {
  const h = asking("seed");
  refuse(h, "notFound");
  h.advanceTo(h.now + 1_000);
  expect(h.take("requestManifest")).toEqual([]);
});
