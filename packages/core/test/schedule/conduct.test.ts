/** Scores, bans and counts by address: what makes them, what ends them, what outlives a run. */
import { describe, expect, test } from "vitest";
import { addressKey, LIMITS, parseConductRecord, PieceSet } from "@shoal/core";
import type { ConductRecord, Offence } from "@shoal/core";
import { addressKeyOf } from "../../src/schedule/address-key.ts";
import { fetching, Harness, pieces, PIECE_LENGTH, WALL_AT } from "./harness.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function connect(h: Harness, peerId: string, host: string): void {
  h.send({ type: "peerConnected", peerId, host, requestsMax: 8 });
}

function offend(h: Harness, peerId: string, offence: Offence, times = 1): void {
  for (let i = 0; i < times; i++) h.send({ type: "peerOffended", peerId, offence });
}

/** Connects a peer that gets itself banned. */
function ban(h: Harness, peerId: string, host: string): void {
  connect(h, peerId, host);
  offend(h, peerId, "corruptManifest", 2);
  h.send({ type: "peerDisconnected", peerId, reason: "banned" });
}

function discover(h: Harness, peerId: string, ...addresses: string[]): void {
  h.send({ type: "peerDiscovered", peerId, addresses, isStatic: false });
}

/** Whom the agent sent away. */
function sentAway(h: Harness): string[] {
  return h.take("disconnectPeer").map(({ peerId }) => peerId);
}

/** Everything the run has asked the store to remember, the newest of each. */
function stored(h: Harness): ConductRecord[] {
  const records = new Map<string, ConductRecord>();
  for (const command of h.take("saveConduct")) {
    for (const { kind, subject } of command.forgotten) records.delete(`${kind} ${subject}`);
    for (const record of command.records) {
      const key = `${record.kind} ${record.subject}`;
      records.delete(key);
      records.set(key, record);
    }
  }
  return [...records.values()];
}

function banned(h: Harness): string[] {
  return h.scheduler.bans.bans(h.now).map(({ subject }) => subject);
}

describe("what counts as one address", () => {
  test.each([
    ["10.1.2.3", "10.1.2.3"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["2001:DB8::1", "2001:db8:0:0::/64"],
    ["2001:db8:0:0:ffff::2", "2001:db8:0:0::/64"],
    ["2001:0db8:0001:0000:0:0:0:1", "2001:db8:1:0::/64"],
    ["fe80::1%eth0", "fe80::1"],
    ["::1", "::1"],
  ])("%s counts as %s", (host, key) => {
    expect(addressKey(host)).toBe(key);
  });

  test("multiaddrs count by their IP address, and names as none", () => {
    expect(addressKeyOf("/ip4/10.0.0.1/tcp/4001")).toBe("10.0.0.1");
    expect(addressKeyOf("/ip6zone/eth0/ip6/fe80::1/tcp/4001")).toBe("fe80::1");
    expect(addressKeyOf("/dns4/peer.test/tcp/4001")).toBeUndefined();
  });
});

describe("bans that last", () => {
  test("a ban is stored at once, and the next run refuses the peer (R-BAN-03)", () => {
    const first = new Harness();
    ban(first, "bad", "10.0.0.1");
    const conduct = stored(first);
    expect(conduct.map(({ kind, subject }) => `${kind} ${subject}`)).toContain("peer bad");
    const wallAt = WALL_AT + HOUR_MS;
    const second = new Harness({ conduct, wallAt });
    expect(second.take("setRefusal")).toMatchObject([{ kind: "peer", subject: "bad" }]);
    connect(second, "bad", "10.0.0.2");
    expect(sentAway(second)).toEqual(["bad"]);
    expect(second.scheduler.bans.bans(0)).toEqual([
      {
        kind: "peer",
        subject: "bad",
        offence: "corruptManifest",
        bannedAt: WALL_AT,
        until: WALL_AT + DAY_MS,
      },
    ]);
  });

  test("one corrupt piece before a restart and one after it are two (R-BAN-01, R-SCH-07)", () => {
    const first = new Harness();
    connect(first, "bad", "10.0.0.1");
    offend(first, "bad", "corruptPiece");
    first.advanceTo(10_000);
    const conduct = stored(first);
    const second = new Harness({ conduct, wallAt: WALL_AT + HOUR_MS });
    connect(second, "bad", "10.0.0.1");
    offend(second, "bad", "corruptPiece");
    expect(banned(second)).toEqual(["bad"]);
    const third = new Harness({ conduct, wallAt: WALL_AT + DAY_MS });
    connect(third, "bad", "10.0.0.1");
    offend(third, "bad", "corruptPiece");
    expect(banned(third)).toEqual([]);
  });

  test("every ban is twice as long as the one before, up to a week (R-BAN-01)", () => {
    const h = new Harness();
    const lengths: number[] = [];
    for (let round = 0; round < 5; round++) {
      ban(h, "bad", `10.0.1.${round}`);
      const { bannedAt, until } = h.scheduler.bans.bans(h.now)[0]!;
      lengths.push((until - bannedAt) / DAY_MS);
      h.advanceTo(h.now + until - bannedAt);
      expect(banned(h)).toEqual([]);
      connect(h, "bad", "10.0.2.1");
      expect(sentAway(h).slice(1)).toEqual([]);
      h.send({ type: "peerDisconnected", peerId: "bad", reason: "" });
    }
    expect(lengths).toEqual([1, 2, 4, 7, 7]);
  });

  test.each([
    [-5 * 365 * DAY_MS, [DAY_MS]],
    [5 * 365 * DAY_MS, []],
  ])(
    "a clock set by %d ms between runs makes no ban longer than it was (R-TIME-03)",
    (shiftMs, leftMs) => {
      const first = new Harness();
      ban(first, "bad", "10.0.0.1");
      const second = new Harness({ conduct: stored(first), wallAt: WALL_AT + shiftMs });
      const left = second.scheduler.bans.bans(0);
      expect(left.map(({ until }) => until - (WALL_AT + shiftMs))).toEqual(leftMs);
    },
  );

  test("setting the clock does not end a ban of this run (R-TIME-02)", () => {
    const h = new Harness();
    ban(h, "bad", "10.0.0.1");
    h.wallAt += 365 * DAY_MS;
    h.advanceTo(DAY_MS - 1);
    expect(banned(h)).toEqual(["bad"]);
    h.advanceTo(DAY_MS);
    expect(banned(h)).toEqual([]);
  });

  test("a ban that is removed is forgotten by the store, and the peer is welcome (R-BAN-05)", () => {
    const h = new Harness();
    ban(h, "bad", "10.0.0.1");
    sentAway(h);
    h.take("setRefusal");
    expect(h.run(({ bans }) => bans.removeBan("nobody", h.now))).toBe(false);
    expect(h.run(({ bans }) => bans.removeBan("bad", h.now))).toBe(true);
    expect(h.takeOne("setRefusal")).toMatchObject({ subject: "bad", isRefused: false });
    expect(h.take("saveConduct").at(-1)?.forgotten).toEqual([{ kind: "peer", subject: "bad" }]);
    connect(h, "bad", "10.0.0.1");
    expect(sentAway(h)).toEqual([]);
  });

  test("a banned peer is not dialled, and is again when the ban is over (R-BAN-05)", () => {
    const { h } = fetching(pieces("...."), { settings: { banMs: HOUR_MS } });
    ban(h, "bad", "10.0.0.1");
    discover(h, "bad", "/ip4/10.0.0.1/tcp/4001");
    h.advanceTo(HOUR_MS - 1);
    expect(h.take("dialPeer")).toEqual([]);
    h.advanceTo(HOUR_MS);
    expect(h.takeOne("dialPeer").peerId).toBe("bad");
  });

  test("identities without number do not fill the memory, nor push out bans (R-BAN-03, R-DB-06)", () => {
    const h = new Harness();
    ban(h, "bad", "10.0.0.1");
    for (let i = 0; i < LIMITS.bansMax + 100; i++) {
      const peerId = `fresh ${i}`;
      connect(h, peerId, `10.${i & 7}.0.2`);
      offend(h, peerId, "malformedFrame");
      h.send({ type: "peerDisconnected", peerId, reason: "" });
    }
    h.advanceTo(h.now + 60_000);
    expect(banned(h)).toEqual(["bad"]);
    expect(stored(h).length).toBeLessThanOrEqual(LIMITS.bansMax);
  });

  test("records that are not as we write them are not used (R-DB-05)", () => {
    const h = new Harness();
    ban(h, "bad", "10.0.0.1");
    const [record] = stored(h);
    expect(parseConductRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
    for (const change of [
      { kind: "job" },
      { subject: "" },
      { subject: 1 },
      { score: -101 },
      { score: Number.NaN },
      { changedAt: 1.5 },
      { corruptAt: [1, 2, 3, 4] },
      { bannedPeersAt: "x" },
      { banCount: -1 },
      { ban: { at: 1, until: 2, offence: "none" } },
      { more: 1 },
    ]) {
      expect([change, parseConductRecord({ ...record, ...change })]).toEqual([change, undefined]);
    }
  });
});

test("a piece that a peer claims and does not have costs score, and is not asked of it again (R-SCH-04)", () => {
  const { h, contentId } = fetching(pieces(".."), { url: undefined });
  h.peer("liar", contentId, pieces("11"));
  const asked = new Set<number>();
  for (const { peerId, requestId, piece } of [h.takeOne("requestPiece")]) {
    asked.add(piece);
    h.send({ type: "requestRefused", peerId, requestId, reason: "notFound" });
  }
  const offence = { type: "peerOffended", peerId: "liar", offence: "notFound" };
  expect(h.notices).toContainEqual(offence);
  const { peerId, requestId, piece } = h.takeOne("requestPiece");
  expect(asked.has(piece)).toBe(false);
  h.send({ type: "requestRefused", peerId, requestId, reason: "notFound" });
  h.advanceTo(60_000);
  expect(h.take("requestPiece")).toEqual([]);
  expect(stored(h)).toMatchObject([{ subject: "liar", score: -10 }]);
});

describe("who is blamed", () => {
  /** Everybody that has been named for an offence. */
  const blamed = (h: Harness): string[] =>
    h.notices.flatMap((notice) => (notice.type === "peerOffended" ? [notice.peerId] : []));

  test("nobody, for what went wrong after the disk had it (R-BAN-04)", () => {
    const { h, contentId } = fetching(pieces(".."), { url: undefined });
    h.peer("honest", contentId, pieces("11"));
    const { requestId } = h.takeOne("requestPiece");
    h.send({ type: "peerPiece", peerId: "honest", requestId, bufferId: 7 });
    const { transferId, piece: lost } = h.takeOne("storePiece");
    h.send({ type: "pieceStored", transferId, piece: lost });
    h.advanceTo(h.now + 3_000);
    h.commit([lost]);
    const next = h.takeOne("requestPiece");
    h.send({ type: "pieceLost", transferId, piece: lost, requestId: 0 });
    h.deliver(next);
    // The lost piece is asked for again, of the same peer.
    expect(h.takeOne("requestPiece")).toMatchObject({ peerId: "honest", piece: lost });
    expect(blamed(h)).toEqual([]);
  });

  test("whoever did it, whatever others say (R-BAN-06)", () => {
    const { h, contentId } = fetching(pieces("...."), { url: undefined });
    for (const peerId of ["honest", "accuser"]) h.peer(peerId, contentId, pieces("1111"));
    for (const { peerId, requestId } of h.take("requestPiece")) {
      if (peerId === "accuser") {
        h.send({ type: "requestRefused", peerId, requestId, reason: "notFound" });
      }
    }
    h.send({ type: "peerHave", peerId: "accuser", contentId, pieces: [99] });
    h.bitfield("accuser", contentId, pieces("11111"));
    offend(h, "accuser", "surplusBytes", 4);
    expect(new Set(blamed(h))).toEqual(new Set(["accuser"]));
    expect(banned(h)).toEqual(["accuser"]);
    expect(sentAway(h)).not.toContain("honest");
  });
});

describe("what counts against an address", () => {
  test("three corrupt pieces of three identities refuse their address for an hour (R-BAN-02)", () => {
    const h = new Harness();
    for (const peerId of ["a", "b", "c"]) {
      connect(h, peerId, "2001:db8::" + peerId);
      offend(h, peerId, "corruptPiece");
    }
    const address = "2001:db8:0:0::/64";
    expect(h.notices).toContainEqual({ type: "addressBanned", address, offence: "corruptPiece" });
    expect(h.take("setRefusal")).toMatchObject([{ kind: "address", subject: address }]);
    expect(sentAway(h)).toEqual(["a", "b", "c"]);
    connect(h, "d", "2001:db8:0:0:1::d");
    expect(sentAway(h)).toEqual(["d"]);
    connect(h, "other", "2001:db8:0:1::d");
    expect(sentAway(h)).toEqual([]);
    h.advanceTo(HOUR_MS);
    connect(h, "d", "2001:db8:0:0:1::d");
    expect(sentAway(h)).toEqual([]);
  });

  test("three banned identities refuse their address, two do not (R-BAN-02)", () => {
    const h = new Harness();
    for (const peerId of ["a", "b", "c"]) {
      expect(banned(h)).not.toContain("10.0.0.1");
      connect(h, peerId, "10.0.0.1");
      offend(h, peerId, "malformedFrame", 4);
      h.send({ type: "peerDisconnected", peerId, reason: "" });
    }
    expect(banned(h)).toContain("10.0.0.1");
  });

  test("offences an hour apart do not add up, nor those that nobody is sure of (R-BAN-02)", () => {
    const h = new Harness();
    for (const peerId of ["a", "b", "c", "d"]) {
      connect(h, peerId, "10.0.0.1");
      offend(h, peerId, "corruptPiece");
      offend(h, peerId, "stall", 3);
      h.advanceTo(h.now + HOUR_MS / 2);
    }
    expect(banned(h)).toEqual([]);
  });

  test("who has proved itself stays connected when its neighbours are refused (R-BAN-02)", () => {
    const { h, contentId } = fetching(new PieceSet(8), { url: undefined });
    h.send({ type: "peerConnected", peerId: "good", host: "10.0.0.7", requestsMax: 8 });
    h.send({ type: "peerJoined", peerId: "good", contentId });
    h.bitfield("good", contentId, PieceSet.full(8));
    for (let i = 0; i < 2; i++) h.deliver(h.take("requestPiece")[0]!);
    for (const peerId of ["a", "b", "c"]) ban(h, peerId, "10.0.0.7");
    expect(banned(h)).toContain("10.0.0.7");
    expect(sentAway(h)).not.toContain("good");
  });

  test("a refused address outlives the run, and is not dialled (R-BAN-02, R-BAN-03)", () => {
    const first = new Harness();
    for (const peerId of ["a", "b", "c"]) ban(first, peerId, "10.0.0.1");
    const conduct = stored(first);
    const { h } = fetching(pieces("...."), { conduct, wallAt: WALL_AT + 60_000 });
    discover(h, "new", "/ip4/10.0.0.1/tcp/4001");
    expect(h.take("dialPeer")).toEqual([]);
    discover(h, "new", "/ip4/10.0.0.2/tcp/4001");
    expect(h.takeOne("dialPeer").addresses).toEqual(["/ip4/10.0.0.2/tcp/4001"]);
    h.send({
      type: "peerDiscovered",
      peerId: "named",
      addresses: ["/ip4/10.0.0.1/tcp/4002"],
      isStatic: true,
    });
    expect(h.takeOne("dialPeer").peerId).toBe("named");
  });
});

test("a peer of another version is not dialled for ten minutes, though the user named it (R-PEER-25)", () => {
  const { h } = fetching(pieces("...."));
  const of = (peerId: string) => ({
    peerId,
    addresses: [`/ip4/10.0.0.${peerId.length}/tcp/4001`],
    isStatic: true,
  });
  h.send({ type: "peerDiscovered", ...of("old") });
  h.send({ type: "peerDiscovered", ...of("gone") });
  expect(h.take("dialPeer")).toHaveLength(2);
  h.send({ type: "dialFailed", peerId: "old", reason: "version 2", isForeign: true });
  h.send({ type: "dialFailed", peerId: "gone", reason: "refused" });
  h.advanceTo(h.now + 599_000);
  expect(new Set(h.take("dialPeer").map(({ peerId }) => peerId))).toEqual(new Set(["gone"]));
  h.advanceTo(h.now + 1_000);
  expect(h.take("dialPeer").map(({ peerId }) => peerId)).toContain("old");
});

describe("dials by address", () => {
  test("ids and ports announced for one host are dialled no more often than one (R-PEER-29)", () => {
    const { h } = fetching(pieces("...."));
    let dials = 0;
    for (let i = 0; i < 100; i++) {
      discover(h, `ghost ${i}`, `/ip4/10.0.0.1/tcp/${2_000 + i}`);
      for (const { peerId } of h.take("dialPeer")) {
        dials++;
        h.send({ type: "dialFailed", peerId, reason: "refused" });
      }
      h.advanceTo(h.now + 1_000);
    }
    expect(dials).toBeGreaterThan(2);
    // 5, 10, 20, 40 s …, of eight dials each at most.
    expect(dials).toBeLessThanOrEqual(5 * 8);
    discover(h, "elsewhere", "/ip4/10.0.0.2/tcp/4001");
    expect(h.take("dialPeer").map(({ peerId }) => peerId)).toContain("elsewhere");
  });

  test("a host that answers is dialled at once for its other agents (R-PEER-29)", () => {
    const { h } = fetching(pieces("...."));
    discover(h, "dead", "/ip4/10.0.0.1/tcp/4001");
    h.send({ type: "dialFailed", peerId: "dead", reason: "refused" });
    connect(h, "alive", "10.0.0.1");
    h.take("dialPeer");
    discover(h, "third", "/ip4/10.0.0.1/tcp/4003");
    expect(h.takeOne("dialPeer").peerId).toBe("third");
  });
});

describe("requests by address", () => {
  /** Connects a peer from a host that holds everything. */
  function seed(h: Harness, peerId: string, host: string, of: { id: string; count: number }): void {
    connect(h, peerId, host);
    h.send({ type: "peerJoined", peerId, contentId: of.id });
    h.bitfield(peerId, of.id, PieceSet.full(of.count));
  }

  test("identities without proof share two pieces if they share an address (R-SCH-06)", () => {
    const { h, contentId } = fetching(new PieceSet(64), { url: undefined });
    for (let i = 0; i < 6; i++) seed(h, `same ${i}`, "10.0.0.5", { id: contentId, count: 64 });
    const asked = h.take("requestPiece");
    expect(asked).toHaveLength(2);
    for (let i = 0; i < 6; i++) {
      seed(h, `apart ${i}`, `10.0.1.${i}`, { id: contentId, count: 64 });
    }
    expect(h.take("requestPiece")).toHaveLength(6);
    for (const command of asked) h.deliver(command);
    expect(h.take("requestPiece")).toHaveLength(2);
  });

  test("what is asked of one address is half at most while another can give (R-SCH-08)", () => {
    const count = 512;
    const settings = { inFlightBytesMax: 1024 * 1024 };
    const { h, contentId } = fetching(new PieceSet(count), { url: undefined, settings });
    const of = { id: contentId, count };
    const owed = new Map<string, ReturnType<typeof h.take<"requestPiece">>>();
    const collect = (): void => {
      for (const command of h.take("requestPiece")) {
        owed.set(command.peerId, [...(owed.get(command.peerId) ?? []), command]);
      }
    };
    for (const peerId of ["a", "b", "c", "d"]) seed(h, peerId, "10.0.0.5", of);
    for (let turn = 0; turn < 60; turn++) {
      collect();
      h.advanceTo(h.now + 2);
      for (const [peerId, [first, ...rest]] of owed) {
        if (first === undefined) continue;
        owed.set(peerId, rest);
        h.deliver(first);
      }
    }
    seed(h, "honest", "10.0.0.6", of);
    collect();
    for (let turn = 0; turn < 40; turn++) {
      const [[peerId, [next, ...rest]] = ["", []]] = [...owed]
        .filter(([id]) => id !== "honest")
        .toSorted(([, one], [, other]) => other.length - one.length);
      if (next === undefined) break;
      owed.set(peerId, rest);
      h.deliver(next);
      collect();
    }
    const bytes = ["a", "b", "c", "d"].reduce(
      (sum, peerId) => sum + (owed.get(peerId)?.length ?? 0) * PIECE_LENGTH,
      0,
    );
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(settings.inFlightBytesMax / 2);
  });
});
