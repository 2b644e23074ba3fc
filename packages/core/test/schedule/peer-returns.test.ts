/** Jobs that found nobody who could deliver, and somebody comes. */
import { PieceSet } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { fetching, Harness, pieces } from "./harness.ts";

/** A job whose only source has gone, which has waited for others in vain. */
function deserted(): ReturnType<typeof fetching> {
  const site = fetching(pieces(".."), { url: undefined });
  site.h.send({ type: "peerDisconnected", peerId: "giver", reason: "gone" });
  site.h.advanceTo(30_000);
  expect(site.h.job).toMatchObject({ state: "transientError", error: { code: "ERR_NO_SOURCE" } });
  site.h.close();
  site.h.take("openContent");
  return site;
}

function connect(h: Harness, peerId: string): void {
  h.send({ type: "peerConnected", peerId, host: "10.0.0.7", requestsMax: 8 });
}

describe("a job that waits because nobody could deliver", () => {
  test("tries again soon when a peer connects, and not only when its turn comes", () => {
    const { h, contentId } = deserted();
    connect(h, "back");
    h.advanceTo(h.now + 1_000);
    h.open(pieces(".."));
    h.send({ type: "peerJoined", peerId: "back", contentId });
    h.bitfield("back", contentId, PieceSet.full(2));
    expect(h.take("requestPiece")).toHaveLength(1);
  });

  test("waits for its turn as long as nobody comes", () => {
    const { h } = deserted();
    h.advanceTo(h.now + 500_000);
    expect(h.take("openContent")).toEqual([]);
  });

  test("is not tried more often because many come", () => {
    const { h } = deserted();
    for (let i = 0; i < 50; i++) connect(h, `crowd-${i}`);
    h.advanceTo(h.now + 1_500);
    expect(h.take("openContent")).toHaveLength(1);
  });

  test("and for another reason is left alone", () => {
    const { h } = fetching(pieces("...."));
    const { transferId } = h.takeOne("fetchRange");
    const full = { code: "ERR_DISK_FULL", message: "full" } as const;
    h.send({ type: "contentFailed", transferId, error: full });
    h.close();
    connect(h, "somebody");
    h.advanceTo(h.now + 10_000);
    expect(h.take("openContent")).toEqual([]);
    expect(h.job?.state).toBe("transientError");
  });
});
