/**
 * Keeps core from getting slower, by counts that are the same on every machine (`count-work.ts`).
 * Nothing here is timed, so nothing depends on what else the machine does.
 *
 * How to read a failure. A whole swarm over its bound: the message names the lines that pass most
 * elements now; run the test on the commit before, with the bound lowered, and compare the two
 * lists. What is new on top is the cause: mostly a loop over all peers, pieces or transfers where
 * one of them has changed. A growth over its bound: an event costs more where there is more of
 * what the test's name says, although the event is about one of it. Where the work is worth it,
 * say why in the commit and raise the bound to what is counted, with the same tenth above.
 */
import type { SchedulerEvent } from "@shoal/core";
import { PieceSet } from "@shoal/core";
import { Engine } from "@shoal/engine";
import { parseCrowdFlags, runCrowd, SimPayloads, VirtualClock } from "@shoal/sim";
import { describe, expect, it } from "vitest";
import { fetching, manifestOf } from "../../packages/core/test/schedule/harness.ts";
import type { Harness } from "../../packages/core/test/schedule/harness.ts";
import { countWork } from "./count-work.ts";

/** Some more of something, and how much more work per event it may be. */
const GROWTH_MAX = 1.25;
const EVENTS = 200;

interface SwarmWork {
  /** Of each piece that is delivered to one agent. */
  readonly events: number;
  readonly wakeUps: number;
  /** Of each event. */
  readonly lookups: number;
  readonly steps: number;
}

function crowd(peers: number): SwarmWork & { readonly sites: readonly string[] } {
  const words = `flash-crowd --peers ${peers} --length-mib 128 --seed 42`;
  const { result, work } = countWork(() => runCrowd(parseCrowdFlags(words.split(" "))));
  const deliveries = peers * 32;
  return {
    events: result.events / deliveries,
    wakeUps: result.wakeUps / deliveries,
    lookups: work.lookups / result.events,
    steps: work.steps / result.events,
    sites: work.sites,
  };
}

describe("a simulated swarm", () => {
  /** What was counted when the bounds were set is a tenth below each. */
  const bounds: readonly (readonly [peers: number, most: SwarmWork])[] = [
    [20, { events: 22.2, wakeUps: 29, lookups: 21.2, steps: 49 }],
    [40, { events: 23.8, wakeUps: 27, lookups: 20.4, steps: 50 }],
  ];
  for (const [peers, most] of bounds) {
    it(`of ${peers} agents takes no more events, and no more work for each, than it did`, () => {
      const { sites, ...counted } = crowd(peers);
      const over = Object.entries(most).filter(([name, bound]) => {
        return counted[name as keyof SwarmWork] > bound;
      });
      // What is passed most is told with what is wrong.
      expect(over.length === 0 ? {} : { over, counted, sites }).toEqual({});
    });
  }
});

/** What an event costs the scheduler and the loop, apart from what ports do about it. */
function workPerEvent({ scheduler }: Harness, events: readonly SchedulerEvent[]): number {
  const clock = new VirtualClock();
  const engine = new Engine({ scheduler, clock, payloads: new SimPayloads() });
  const port = { execute: () => undefined, close: () => Promise.resolve() };
  engine.start({ store: port, origin: port, swarm: port });
  const { work } = countWork(() => {
    for (const event of events) engine.sink(event);
  });
  return (work.lookups + work.steps) / events.length;
}

const PIECES = 1_024;

/** A transfer that peers have nothing for yet, among `peers` that are connected. */
function site(peers: number) {
  const { h, contentId } = fetching(new PieceSet(PIECES), { settings: { connectionsWanted: 4 } });
  for (let i = 0; i < peers; i++) {
    const peerId = `peer ${i}`;
    h.send({ type: "peerConnected", peerId, host: `10.0.${i >> 8}.${i & 255}`, requestsMax: 8 });
    h.send({ type: "peerJoined", peerId, contentId });
    h.bitfield(peerId, contentId, new PieceSet(PIECES));
  }
  return { h, contentId };
}

/** One peer's announcements, which are news each. */
function haves(contentId: string): SchedulerEvent[] {
  return Array.from({ length: EVENTS }, (_, piece) => {
    return { type: "peerHave", peerId: "peer 0", contentId, pieces: [piece] };
  });
}

function presences(contentId: string, members: number, count = EVENTS): SchedulerEvent[] {
  return Array.from({ length: count }, (_, i) => {
    const peerId = `member ${i % members}`;
    const addresses = [`/ip4/10.9.0.1/tcp/4001/p2p/${i % members}`];
    return { type: "presenceHeard", peerId, addresses, contentId, role: "fetching" };
  });
}

function share(h: Harness, count: number): void {
  for (let i = 0; i < count; i++) {
    const { bytes: manifestBytes, contentId } = manifestOf(PIECES + 1 + i);
    h.send({ type: "contentShared", content: { contentId, manifestBytes, path: `/srv/${i}` } });
    const { transferId } = h.takeOne("openShared");
    const have = PieceSet.full(PIECES + 1 + i).toBytes();
    h.send({ type: "contentOpened", transferId, have });
  }
}

function discoveries(count: number): SchedulerEvent[] {
  return Array.from({ length: count }, (_, i) => {
    const addresses = [`/ip4/10.8.${i >> 8}.${i & 255}/tcp/4001`];
    return { type: "peerDiscovered", peerId: `known ${i}`, addresses, isStatic: false };
  });
}

describe("the scheduler's work", () => {
  it.each<[name: string, few: number, many: number, cost: Cost]>([
    ["a HAVE does not grow with the peers that are connected", 5, 50, costOfHave],
    ["a HAVE does not grow with the contents that are served", 5, 200, costOfHaveAmong],
    ["a presence does not grow with the contents that are served", 5, 200, costOfPresence],
    ["a presence does not grow with the members there are", 600, 1_500, costAmongMembers],
    ["a hint does not grow with the peers that are known", 30, 300, costOfHint],
  ])("for %s", (_, few, many, cost) => {
    const [small, large] = [cost(few), cost(many)];
    expect(large).toBeLessThanOrEqual(small * GROWTH_MAX + 1);
  });
});

type Cost = (count: number) => number;

function costOfHave(peers: number): number {
  const { h, contentId } = site(peers);
  return workPerEvent(h, haves(contentId));
}

function costOfHaveAmong(contents: number): number {
  const { h, contentId } = site(5);
  share(h, contents);
  return workPerEvent(h, haves(contentId));
}

function costOfPresence(contents: number): number {
  const { h, contentId } = site(5);
  share(h, contents);
  for (const event of presences(contentId, EVENTS)) h.send(event);
  return workPerEvent(h, presences(contentId, EVENTS));
}

function costAmongMembers(members: number): number {
  const { h, contentId } = site(5);
  for (const event of presences(contentId, members, 2 * members)) h.send(event);
  return workPerEvent(h, presences(contentId, members, 2 * members));
}

function costOfHint(known: number): number {
  const { h } = site(5);
  for (const event of discoveries(known)) h.send(event);
  const [again] = discoveries(1);
  return workPerEvent(
    h,
    Array.from({ length: EVENTS }, () => again!),
  );
}
