/** Whom a transfer asks for its manifest, and when it asks again. */
import { describe, expect, test } from "vitest";
import { Harness, manifestOf, pieces, request } from "./harness.ts";

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
