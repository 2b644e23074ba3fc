/** What agents tell the whole group, whom they connect with then, and how pieces are announced. */
import { PieceSet } from "@shoal/core";
import type { PresenceRole } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { fetching, Harness, pieces } from "./harness.ts";

const MINUTE_MS = 60_000;

function hear(h: Harness, contentId: string, peerId: string, role: PresenceRole): void {
  const addresses = [`/ip4/10.0.1.1/tcp/4001/p2p/${peerId}`];
  h.send({ type: "presenceHeard", peerId, addresses, contentId, role });
}

/** A member that fetches, and is connected with one other so that members count. */
function member(selfId = "self") {
  const site = fetching(new PieceSet(64), { selfId });
  site.h.peer("near", site.contentId, new PieceSet(64));
  return site;
}

describe("presence", () => {
  test("is published once when a transfer begins, and as a holder's when it is complete", () => {
    const { h, contentId } = fetching(pieces("..."), { url: undefined });
    expect(h.takeOne("publishPresence")).toMatchObject({ contentId, role: "fetching" });
    h.peer("a", contentId, pieces("111"));
    for (let i = 0; i < 3; i++) h.deliver(h.take("requestPiece")[0]!);
    h.commit([0, 1, 2]);
    h.verify();
    expect(h.takeOne("publishPresence")).toMatchObject({ contentId, role: "holding" });
  });

  test("is taken back when the job is given up and nothing is held", () => {
    const { h, contentId } = fetching(pieces("..."));
    h.take("publishPresence");
    h.verb("cancel");
    h.close();
    expect(h.takeOne("publishPresence")).toMatchObject({ contentId, role: "left" });
    h.advanceTo(10 * MINUTE_MS);
    expect(h.take("publishPresence")).toEqual([]);
  });

  test("of the crew is repeated before anybody takes it for silent, and answers newcomers", () => {
    const { h, contentId } = member();
    h.take("publishPresence");
    h.advanceTo(10_000);
    const beats = h.take("publishPresence").length;
    expect(beats).toBeGreaterThanOrEqual(3);
    expect(beats).toBeLessThanOrEqual(4);
    hear(h, contentId, "newcomer", "fetching");
    h.advanceTo(10_450);
    expect(h.take("publishPresence").length).toBeGreaterThanOrEqual(1);
    hear(h, contentId, "newcomer", "fetching");
    h.advanceTo(10_700);
    expect(h.take("publishPresence")).toEqual([]);
  });

  test("of a crowd of newcomers is answered together", () => {
    const { h, contentId } = member();
    h.advanceTo(5_000);
    h.take("publishPresence");
    for (let i = 0; i < 500; i++) hear(h, contentId, `crowd-${i}`, "fetching");
    h.advanceTo(5_250);
    expect(h.take("publishPresence").length).toBeLessThanOrEqual(2);
  });

  test("of a holder answers a newcomer, unless enough others have", () => {
    const holder = (): ReturnType<typeof fetching> => {
      const site = fetching(pieces("1"), { url: undefined });
      site.h.verify();
      site.h.advanceTo(1_000);
      site.h.take("publishPresence");
      return site;
    };
    const asked = holder();
    hear(asked.h, asked.contentId, "newcomer", "fetching");
    asked.h.advanceTo(2_000);
    expect(asked.h.takeOne("publishPresence").role).toBe("holding");
    const spared = holder();
    hear(spared.h, spared.contentId, "newcomer", "fetching");
    for (let i = 0; i < 4; i++) hear(spared.h, spared.contentId, `holder-${i}`, "holding");
    spared.h.advanceTo(2_000);
    expect(spared.h.take("publishPresence")).toEqual([]);
  });

  test.each([
    [10, 10],
    [100, 10],
    [400, 2],
    [1_000, 1],
  ])(
    "of a holder among %i members is repeated %i times in a quarter of an hour",
    (members, least) => {
      const { h, contentId } = fetching(pieces("11"));
      h.verify();
      for (let i = 0; i < members; i++) hear(h, contentId, `holder ${i}`, "holding");
      h.take("publishPresence");
      h.advanceTo(15 * MINUTE_MS);
      const { length } = h.take("publishPresence");
      expect(length).toBeGreaterThanOrEqual(least);
      expect(length).toBeLessThanOrEqual(1.5 * least + 1);
    },
  );

  test("of strangers that leave makes nobody forgotten", () => {
    const { h, contentId } = fetching(pieces("11"));
    h.verify();
    for (let i = 0; i < 512; i++) hear(h, contentId, `holder ${i}`, "holding");
    for (let i = 0; i < 512; i++) hear(h, contentId, `stranger ${i}`, "left");
    h.take("publishPresence");
    for (let i = 0; i < 512; i++) hear(h, contentId, `holder ${i}`, "fetching");
    h.advanceTo(MINUTE_MS / 2);
    expect(h.take("publishPresence")).toEqual([]);
  });

  test("of a content that we have nothing to do with is passed over", () => {
    const { h } = member();
    hear(h, "other", "stranger", "holding");
    hear(h, "other", "stranger", "fetching");
    expect(h.take("dialPeer")).toEqual([]);
  });
});

describe("who is heard of", () => {
  test("is dialled when it holds what we fetch, though nobody discovered it", () => {
    const { h, contentId } = member();
    hear(h, contentId, "holder", "holding");
    const { peerId, addresses } = h.takeOne("dialPeer");
    expect(peerId).toBe("holder");
    expect(addresses).toEqual(["/ip4/10.0.1.1/tcp/4001/p2p/holder"]);
  });

  test("is dialled by few of many, so that members make a random graph", () => {
    let dials = 0;
    for (let self = 0; self < 40; self++) {
      const { h, contentId } = member(`self-${self}`);
      for (let i = 0; i < 200; i++) hear(h, contentId, `crowd-${i}`, "fetching");
      h.take("dialPeer");
      hear(h, contentId, "newcomer", "holding");
      for (let i = 0; i < 50; i++) hear(h, contentId, `late-${i}`, "fetching");
      dials += h.take("dialPeer").length;
    }
    expect(dials).toBeLessThan(40 * 10);
  });

  test("is not dialled beyond the connections that are wanted, unless it is of the crew", () => {
    const settings = { connectionsWanted: 2, connectionsMax: 16, dialsMax: 16 };
    const { h, contentId } = fetching(new PieceSet(64), { settings });
    for (const peerId of ["a", "b", "c"]) h.peer(peerId, contentId, new PieceSet(64));
    h.take("dialPeer");
    hear(h, contentId, "holder", "holding");
    expect(h.take("dialPeer")).toEqual([]);
    hear(h, contentId, "fellow", "fetching");
    expect(h.takeOne("dialPeer").peerId).toBe("fellow");
  });
});

describe("a new piece", () => {
  test("is announced to a few at once, to all a little later, and to nobody that has all", () => {
    const { h, contentId } = fetching(new PieceSet(8), { url: undefined });
    h.peer("seed", contentId, PieceSet.full(8));
    for (let i = 0; i < 9; i++) h.peer(`m${i}`, contentId, new PieceSet(8));
    h.deliver(h.take("requestPiece")[0]!);
    h.advanceTo(100);
    h.commit([0]);
    const told = h.take("sendHave").flatMap(({ peerIds }) => peerIds);
    expect(new Set(told).size).toBe(3);
    expect(told).not.toContain("seed");
    h.advanceTo(2_200);
    const rest = h.take("sendHave").filter(({ pieces: list }) => list.includes(0));
    expect(rest).toHaveLength(1);
    expect(rest[0]?.peerIds.toSorted()).toEqual([
      "giver",
      ...Array.from({ length: 9 }, (_, i) => `m${i}`),
    ]);
  });

  test("is not announced at once to whom has announced it", () => {
    const { h, contentId } = fetching(new PieceSet(8), { url: undefined });
    h.peer("seed", contentId, PieceSet.full(8));
    for (let i = 0; i < 9; i++) h.peer(`m${i}`, contentId, new PieceSet(8));
    const first = h.take("requestPiece")[0]!;
    const { piece } = first;
    for (const peerId of ["giver", ...Array.from({ length: 8 }, (_, i) => `m${i}`)]) {
      h.send({ type: "peerHave", peerId, contentId, pieces: [piece] });
    }
    h.deliver(first);
    h.advanceTo(100);
    h.commit([piece]);
    expect(h.take("sendHave").flatMap(({ peerIds }) => peerIds)).toEqual(["m8"]);
  });

  test("is announced to all before the transfer ends", () => {
    const { h, contentId } = fetching(pieces("1111111."), { url: undefined });
    h.peer("seed", contentId, PieceSet.full(8));
    for (let i = 0; i < 9; i++) h.peer(`m${i}`, contentId, new PieceSet(8));
    h.deliver(h.takeOne("requestPiece"));
    h.commit([7]);
    const told = new Set(h.take("sendHave").flatMap(({ peerIds }) => peerIds));
    expect(told.size).toBe(10);
  });
});
