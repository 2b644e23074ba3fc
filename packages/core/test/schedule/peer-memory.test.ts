/** Peers that have delivered outlive a run; what is remembered of them is a hint, bounded and old. */
import { describe, expect, test } from "vitest";
import { LIMITS, PieceSet, parseRememberedPeer } from "@shoal/core";
import type { RememberedPeer } from "@shoal/core";
import { Outbox } from "../../src/schedule/outbox.ts";
import { PeerMemory } from "../../src/schedule/peer-memory.ts";
import { WallClock } from "../../src/schedule/wall-clock.ts";
import { fetching, Harness, WALL_AT } from "./harness.ts";

const DAY_MS = 24 * 3_600_000;
const HOST = "10.0.0.7";
const ADDRESS = `/ip4/${HOST}/tcp/4001`;

const peerOf = (peerId: string, seenAt = WALL_AT): RememberedPeer => ({
  peerId,
  addresses: [ADDRESS],
  seenAt,
});

function memory() {
  const outbox = new Outbox();
  const wallClock = new WallClock();
  wallClock.tell(WALL_AT, 0);
  const peers = new PeerMemory({ outbox, wallClock });
  /** What is saved when it is time to. */
  const saved = (): readonly RememberedPeer[] | undefined => {
    peers.handleTimeout(peers.pollDeadline());
    const command = outbox.pollCommand()?.command;
    return command?.type === "savePeers" ? command.peers : undefined;
  };
  return { peers, saved };
}

describe("a peer that has delivered", () => {
  test("is remembered with the addresses of the host that delivered only (R-PEER-29)", () => {
    const { peers, saved } = memory();
    const addresses = ["/ip4/10.0.0.8/tcp/4001", ADDRESS, `/ip4/${HOST}/tcp/4002`];
    peers.delivered({ peerId: "a", addresses }, HOST, 0);
    expect(saved()).toEqual([{ ...peerOf("a"), addresses: addresses.slice(1) }]);
    expect(peers.pollDeadline()).toBe(Infinity);
  });

  test("is not remembered when it has dialled us and nobody knows where it listens", () => {
    const { peers } = memory();
    peers.delivered({ peerId: "a", addresses: [] }, HOST, 0);
    expect(peers.pollDeadline()).toBe(Infinity);
  });

  test("is forgotten when others were seen later, and when it is banned", () => {
    const { peers, saved } = memory();
    for (let i = 0; i <= LIMITS.rememberedPeersMax; i++) {
      peers.delivered({ peerId: `peer ${i}`, addresses: [ADDRESS] }, HOST, i);
    }
    peers.forget("peer 1", 100);
    const ids = saved()?.map(({ peerId }) => peerId);
    expect(ids).toHaveLength(LIMITS.rememberedPeersMax - 1);
    expect(ids?.[0]).toBe("peer 2");
  });

  test("is tried by the next run, the one seen last first, unless that was long ago", () => {
    const { peers } = memory();
    const stored = [peerOf("old", WALL_AT - 31 * DAY_MS), peerOf("a"), peerOf("b")];
    expect(peers.load(stored, 0)).toEqual([peerOf("b"), peerOf("a")]);
  });

  test("is dialled by the next run as soon as a transfer wants peers", () => {
    expect(new Harness({ peers: [peerOf("a")] }).take("dialPeer")).toEqual([]);
    const { h } = fetching(new PieceSet(4), { peers: [peerOf("a")] });
    expect(h.take("dialPeer")).toMatchObject([{ peerId: "a", addresses: [ADDRESS] }]);
  });
});

test.each<[string, unknown]>([
  ["no object", "a"],
  ["no address", { ...peerOf("a"), addresses: [] }],
  ["an address too long", { ...peerOf("a"), addresses: ["/".repeat(300)] }],
  ["too many addresses", { ...peerOf("a"), addresses: Array.from({ length: 9 }, () => ADDRESS) }],
  ["no id", { ...peerOf("") }],
  ["a time that is none", { ...peerOf("a"), seenAt: -1 }],
  ["a field too many", { ...peerOf("a"), score: 1 }],
])("a stored record with %s is left out (R-DB-05)", (_name, value) => {
  expect(parseRememberedPeer(value)).toBeUndefined();
});
