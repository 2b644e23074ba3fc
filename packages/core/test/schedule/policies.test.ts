/** Policy inside the scheduler: the machine's gates, files of no peers, limits of uploads, least rates. */
import { describe, expect, test } from "vitest";
import type { MachineFacts, PeerReach, Settings } from "@shoal/core";
import { PieceSet } from "@shoal/core";
import { fetching, Harness, manifestOf, PIECE_LENGTH, pieces, request } from "./harness.ts";

const setMachine = (h: Harness, facts: MachineFacts): void =>
  h.run((scheduler) => scheduler.setMachine(facts, h.now));

function connect(h: Harness, peerId: string, reach?: PeerReach): void {
  const found = { type: "peerConnected", peerId, host: "10.0.0.9", requestsMax: 8 } as const;
  h.send({ ...found, ...(reach && { reach }) });
}

function ask(h: Harness, contentId: string, requestId: number, piece: number, peerId = "a"): void {
  h.send({ type: "pieceRequested", peerId, requestId, contentId, piece });
}

function serving(settings: Partial<Settings> = {}, reach?: PeerReach) {
  const { h, contentId } = fetching(pieces("1111...."), { settings });
  connect(h, "a", reach);
  return { h, contentId };
}

/** The piece that is being read leaves for its peer. */
function send(h: Harness, requestId: number, sentBytes = PIECE_LENGTH): void {
  const read = h.takeOne("readPiece");
  h.send({
    type: "pieceRead",
    transferId: read.transferId,
    requestId: read.requestId,
    bufferId: 1,
  });
  h.send({ type: "uploadFinished", peerId: "a", requestId, sentBytes });
}

describe("the gate", () => {
  test("sends everybody away when it closes, dials nobody, and dials at once when it opens", () => {
    const { h, contentId } = fetching(pieces("...."), { settings: { peerRamBytesMin: 4 } });
    const addresses = ["/ip4/10.0.0.1/tcp/4001"];
    h.send({ type: "peerDiscovered", peerId: "static", addresses, isStatic: true });
    expect(h.takeOne("dialPeer").peerId).toBe("static");
    connect(h, "static");
    h.peer("a", contentId, pieces("1111"));
    setMachine(h, { ramBytes: 3 });
    expect(h.take("disconnectPeer").map(({ peerId }) => peerId)).toEqual(["static", "a"]);
    h.send({ type: "peerDisconnected", peerId: "static", reason: "policy" });
    h.send({ type: "peerDisconnected", peerId: "a", reason: "policy" });
    h.advanceTo(60_000);
    expect(h.take("dialPeer")).toEqual([]);
    connect(h, "b");
    expect(h.takeOne("disconnectPeer").peerId).toBe("b");
    expect(h.take("fetchRange").length).toBeGreaterThan(0);
    setMachine(h, { ramBytes: 4 });
    expect(h.takeOne("dialPeer").peerId).toBe("static");
    connect(h, "static");
    expect(h.take("sendJoin").at(-1)).toMatchObject({ peerId: "static", contentId });
  });

  test("moves once for each change, and says so", () => {
    const { h } = fetching(pieces("...."), { settings: { peerRamBytesMin: 4 } });
    for (const ramBytes of [8, 3, 2, 3, 9, 8]) setMachine(h, { ramBytes });
    const notices = h.notices.filter(({ type }) => type === "policyChanged");
    expect(notices).toHaveLength(2);
    expect(notices[0]).toMatchObject({ peering: { reasons: ["ramTooSmall"] } });
  });

  test("leaves peers found by local discovery alone on VPN", () => {
    const h = new Harness({ settings: { vpnPeers: 0 } });
    const addresses = ["/ip4/10.0.0.1/tcp/4001"];
    for (const peerId of ["near", "far"]) {
      const isLocal = peerId === "near";
      h.send({ type: "peerDiscovered", peerId, addresses, isStatic: true, isLocal });
      connect(h, peerId);
    }
    setMachine(h, { hasVpn: true });
    expect(h.takeOne("disconnectPeer").peerId).toBe("far");
  });

  test("takes back what was offered when uploads stop, and offers it anew afterwards", () => {
    const { h, contentId } = fetching(pieces("1111...."), {
      settings: { batteryUploadPercentMin: 50 },
    });
    h.peer("a", contentId);
    expect(h.takeOne("sendBitfield").bits).toEqual(Uint8Array.of(0xf0));
    ask(h, contentId, 1, 0);
    ask(h, contentId, 2, 1);
    ask(h, contentId, 3, 2);
    setMachine(h, { isOnBattery: true, batteryPercent: 49 });
    expect(h.takeOne("sendBitfield").bits).toEqual(Uint8Array.of(0));
    expect(h.takeOne("refuseRequest")).toMatchObject({ requestId: 3, reason: "busy" });
    ask(h, contentId, 4, 0);
    expect(h.takeOne("refuseRequest")).toMatchObject({ requestId: 4, reason: "notFound" });
    h.send({ type: "manifestRequested", peerId: "a", requestId: 5, contentId });
    expect(h.takeOne("refuseRequest")).toMatchObject({ requestId: 5, reason: "notFound" });
    expect(h.take("disconnectPeer")).toEqual([]);
    setMachine(h, { isOnBattery: true, batteryPercent: 50 });
    expect(h.takeOne("sendBitfield").bits).toEqual(Uint8Array.of(0xf0));
  });

  test("does not claim or announce what peers may not have", () => {
    const { h, contentId } = fetching(new PieceSet(64), {
      settings: { batteryUploadPercentMin: 101 },
      members: ["b"],
    });
    setMachine(h, { isOnBattery: true });
    h.take("sendClaim");
    h.peer("c", contentId);
    for (const range of h.take("fetchRange")) h.deliverRange(range);
    h.advanceTo(5_000);
    h.commit(Array.from({ length: 64 }, (_, piece) => piece));
    expect(h.take("sendClaim")).toEqual([]);
    expect(h.take("sendHave")).toEqual([]);
  });
});

describe("a file that is too short for peers", () => {
  test("joins nobody, hears nobody and is not given", () => {
    const { h, contentId } = fetching(pieces("11.."), {
      settings: { peerFileBytesMin: 4 * PIECE_LENGTH + 1 },
    });
    h.take("sendJoin");
    h.peer("a", contentId, pieces("1111"));
    expect(h.take("sendJoin")).toEqual([]);
    expect(h.take("requestPiece")).toEqual([]);
    expect(h.take("sendBitfield")).toEqual([]);
    ask(h, contentId, 1, 0);
    expect(h.takeOne("refuseRequest").reason).toBe("notFound");
    expect(h.take("fetchRange").length).toBeGreaterThan(0);
    expect(h.job?.files[0]?.downloadMode).toBe(99);
  });

  test("leaves the swarm it joined before its length was known", () => {
    const { h } = fetching(pieces("...."), {
      settings: { peerFileBytesMin: 4 * PIECE_LENGTH + 1 },
      members: ["a"],
    });
    expect(h.takeOne("sendLeave").peerId).toBe("a");
    expect(h.take("requestPiece")).toEqual([]);
  });
});

describe("a private file (R-PRIV-02)", () => {
  const { contentId, bytes } = manifestOf(4);

  function open(file: Parameters<typeof request>[0]): Harness {
    const h = new Harness();
    h.create(request({ contentId, ...file }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.open(pieces("11.."));
    h.peer("a", contentId, pieces("1111"));
    ask(h, contentId, 1, 0);
    return h;
  }

  test.each([
    ["a query string", { url: "http://origin.test/file?token=1" }],
    ["a mirror with one", { mirrors: ["http://mirror.test/file?token=1"] }],
    ["header fields", { request: { headers: [["X-Token", "1"]] as const } }],
    ["credentials", { request: { challengeHeaders: [["Authorization", "x"]] as const } }],
    ["a certificate", { request: { clientCertificate: "pem" } }],
  ])("is asked of peers and not given to them: %s", (_, file) => {
    const h = open(file as Parameters<typeof request>[0]);
    expect(h.takeOne("refuseRequest").reason).toBe("notFound");
    expect(h.take("sendBitfield")).toEqual([]);
    expect(h.take("readPiece")).toEqual([]);
    expect(h.take("requestPiece").length).toBeGreaterThan(0);
  });

  test("is given where the job says that it may be", () => {
    const h = open({ url: "http://origin.test/file?token=1", isShareable: true });
    expect(h.take("refuseRequest")).toEqual([]);
    expect(h.take("readPiece")).toHaveLength(1);
  });

  test("of an earlier run is not opened for peers", () => {
    const h = new Harness();
    const stored = { contentId, manifestBytes: bytes, path: "/tmp/file" };
    const contents = [{ ...stored, isPrivate: true }];
    h.send({ type: "stateLoaded", jobs: [], resumable: [], contents });
    expect(h.take("openShared")).toEqual([]);
    h.send({ type: "stateLoaded", jobs: [], resumable: [], contents: [stored] });
    expect(h.take("openShared")).toHaveLength(1);
  });
});

describe("limits of uploads", () => {
  const settings = { internetUploadMonthBytesMax: 2 * PIECE_LENGTH, uploadsPerPeerMax: 1 };

  test("end at the month's cap for peers of the Internet, and begin again with the month", () => {
    const { h, contentId } = serving(settings, "public");
    h.wallAt = Date.UTC(2026, 0, 31, 23, 59);
    for (const id of [1, 2]) {
      ask(h, contentId, id, 0);
      send(h, id);
    }
    expect(h.take("saveUsage").at(-1)?.usage).toMatchObject({
      month: "2026-01",
      internetSentBytes: 2 * PIECE_LENGTH,
    });
    ask(h, contentId, 3, 0);
    expect(h.takeOne("refuseRequest")).toMatchObject({ requestId: 3, reason: "busy" });
    h.wallAt = Date.UTC(2025, 11, 1);
    ask(h, contentId, 4, 0);
    expect(h.takeOne("refuseRequest").requestId).toBe(4);
    h.wallAt = Date.UTC(2026, 1, 1);
    ask(h, contentId, 5, 0);
    expect(h.take("refuseRequest")).toEqual([]);
  });

  test("count what earlier runs have sent in the month", () => {
    const h = new Harness({ settings });
    const usage = { month: "2026-01", internetSentBytes: 2 * PIECE_LENGTH };
    const { contentId, bytes } = manifestOf(4);
    const contents = [{ contentId, manifestBytes: bytes, path: "/tmp/file" }];
    h.send({ type: "stateLoaded", jobs: [], resumable: [], contents, usage });
    const { transferId } = h.takeOne("openShared");
    h.send({ type: "contentOpened", transferId, have: Uint8Array.of(0xf0) });
    connect(h, "a", "public");
    connect(h, "b", "subnet");
    ask(h, contentId, 1, 0);
    expect(h.takeOne("refuseRequest")).toMatchObject({ peerId: "a", reason: "busy" });
    ask(h, contentId, 1, 0, "b");
    expect(h.take("readPiece")).toHaveLength(1);
  });

  test("are stored within a second of what was sent", () => {
    const { h, contentId } = serving({ uploadsPerPeerMax: 1 }, "public");
    ask(h, contentId, 1, 0);
    send(h, 1);
    expect(h.take("saveUsage")).toEqual([]);
    h.advanceTo(1_000);
    expect(h.take("saveUsage")).toHaveLength(1);
    expect(h.scheduler.counters.get("shoal_internet_sent_bytes_total")).toBe(PIECE_LENGTH);
  });

  test("to the LAN hold back the LAN alone", () => {
    const { h, contentId } = serving({
      lanUploadRateBytesPerSec: PIECE_LENGTH,
      uploadsPerPeerMax: 1,
    });
    connect(h, "far", "public");
    ask(h, contentId, 1, 0);
    send(h, 1);
    ask(h, contentId, 2, 0);
    ask(h, contentId, 1, 1, "far");
    const read = h.takeOne("readPiece");
    expect(read.piece).toBe(1);
    h.advanceTo(500);
    expect(h.take("readPiece")).toEqual([]);
    h.advanceTo(1_100);
    expect(h.takeOne("readPiece").piece).toBe(0);
  });
});

describe("the least rate of background files", () => {
  function slowPeer(priority: "normal" | "foreground", least: number) {
    const settings = { backgroundQosBytesPerSec: least, stallTimeoutMs: 1_000 };
    const h = new Harness({ settings: { ...settings, peerSilenceMs: 60_000 } });
    const { bytes, contentId } = manifestOf(64);
    h.create({ ...request({ contentId }), priority });
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.peer("a", contentId, PieceSet.full(64));
    h.open(new PieceSet(64));
    h.deliver(h.takeOne("requestPiece"));
    for (let at = 500; at <= 1_500; at += 500) h.advanceTo(at);
    return h.notices.filter((notice) => notice.type === "originAsked").map(({ reason }) => reason);
  }

  test("lets the origin be asked for what a slow peer has", () => {
    expect(slowPeer("normal", 10 * 2 ** 20)).toContain("belowQos");
  });

  test("does not matter to foreground files, nor where it is reached or not set", () => {
    expect(slowPeer("foreground", 10 * 2 ** 20)).not.toContain("belowQos");
    expect(slowPeer("normal", 1)).not.toContain("belowQos");
    expect(slowPeer("normal", 0)).not.toContain("belowQos");
  });
});
