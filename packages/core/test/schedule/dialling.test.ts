/** Whom an agent is connected with while it fetches nothing. */
import { describe, expect, test } from "vitest";
import { fetching, Harness, pieces } from "./harness.ts";

function discover(h: Harness, peerId: string, isLocal: boolean): void {
  const addresses = [`/ip4/10.0.0.${peerId.length}/tcp/4001`];
  h.send({ type: "peerDiscovered", peerId, addresses, isStatic: false, isLocal });
}

describe("an agent that fetches nothing", () => {
  test("dials a few neighbours, so that its next transfer begins among peers", () => {
    const h = new Harness({ settings: { connectionsIdle: 2 } });
    for (const peerId of ["a", "bb", "ccc", "dddd"]) discover(h, peerId, true);
    expect(h.take("dialPeer").map(({ peerId }) => peerId)).toEqual(["a", "bb"]);
    h.send({ type: "dialFailed", peerId: "a", reason: "refused" });
    expect(h.takeOne("dialPeer").peerId).toBe("ccc");
  });

  test("dials nobody who is far, and no neighbour when none is to be kept", () => {
    const h = new Harness({ settings: { connectionsIdle: 2 } });
    discover(h, "a", false);
    const none = new Harness({ settings: { connectionsIdle: 0 } });
    discover(none, "a", true);
    expect(h.take("dialPeer").concat(none.take("dialPeer"))).toEqual([]);
  });

  test("dials more as soon as it fetches", () => {
    const { h } = fetching(pieces("..."), { settings: { connectionsIdle: 0 } });
    discover(h, "a", true);
    discover(h, "bb", false);
    expect(h.take("dialPeer").map(({ peerId }) => peerId)).toEqual(["a", "bb"]);
  });
});
