/** What an administrator sees of the scheduler: contents, peers, sums, the month. */
import { describe, expect, test } from "vitest";
import type { PeerReach, Settings } from "@shoal/core";
import { TrafficMeter } from "../../src/schedule/traffic-meter.ts";
import { fetching, Harness, JOB_ID, manifestOf, PIECE_LENGTH, pieces } from "./harness.ts";

const NONE = { linkLocal: 0, lan: 0, group: 0, internet: 0 };

function connect(h: Harness, peerId: string, reach: PeerReach, host = "10.0.0.9"): void {
  h.send({ type: "peerConnected", peerId, host, requestsMax: 8, reach });
}

/** The peer has one piece of ours. */
function serve(h: Harness, { contentId, peerId }: { contentId: string; peerId: string }): void {
  h.send({ type: "pieceRequested", peerId, requestId: 1, contentId, piece: 0 });
  const { transferId, requestId } = h.takeOne("readPiece");
  h.send({ type: "pieceRead", transferId, requestId, bufferId: 1 });
  h.send({ type: "uploadFinished", peerId, requestId: 1, sentBytes: PIECE_LENGTH });
}

function sharing(settings: Partial<Settings> = {}) {
  const h = new Harness({ settings });
  const { contentId, bytes } = manifestOf(4);
  const contents = [{ contentId, manifestBytes: bytes, path: "/tmp/file" }];
  h.send({ type: "stateLoaded", jobs: [], resumable: [], contents });
  const { transferId } = h.takeOne("openShared");
  h.send({ type: "contentOpened", transferId, have: Uint8Array.of(0xf0) });
  return { h, contentId };
}

const overviewOf = (h: Harness) => h.scheduler.overview;

describe("contents", () => {
  test("that are fetched show what came from which class of peers, and who is connected", () => {
    const { h, contentId } = fetching(pieces("...."));
    connect(h, "lan", "subnet");
    connect(h, "far", "public");
    for (const peerId of ["lan", "far"]) h.send({ type: "peerJoined", peerId, contentId });
    h.bitfield("lan", contentId, pieces("11.."));
    const [asked] = h.take("requestPiece");
    if (asked !== undefined) h.deliver(asked);
    expect(overviewOf(h).contents(h.now)).toMatchObject([
      {
        contentId,
        job: { jobId: JOB_ID, fileIndex: 0, state: "transferring" },
        receivedBytes: { ...NONE, lan: PIECE_LENGTH },
        sentBytes: NONE,
        peerConnections: { ...NONE, lan: 1, internet: 1 },
        peerCount: 2,
      },
    ]);
  });

  test("on offer for their own sake show what each class of peers was sent", () => {
    const { h, contentId } = sharing();
    connect(h, "a", "subnet");
    connect(h, "b", "public");
    for (const peerId of ["a", "b"]) serve(h, { contentId, peerId });
    expect(overviewOf(h).contents(h.now)).toMatchObject([
      {
        contentId,
        heldBytes: 4 * PIECE_LENGTH,
        sentBytes: { ...NONE, lan: PIECE_LENGTH, internet: PIECE_LENGTH },
        isOffered: true,
      },
    ]);
    expect(h.scheduler.counters.get("shoal_contents_sent_total")).toBe(1);
  });
});

describe("peers", () => {
  test("stand as they do, those connected first, each with the reason", () => {
    const { h, contentId } = fetching(pieces("...."));
    const addresses = ["/ip4/10.0.0.1/tcp/4001"];
    h.send({ type: "peerDiscovered", peerId: "dialled", addresses, isStatic: true });
    h.send({ type: "peerDiscovered", peerId: "failed", addresses, isStatic: false, isLocal: true });
    h.send({ type: "dialFailed", peerId: "failed", reason: "refused" });
    connect(h, "bad", "subnet", "10.0.0.2");
    h.send({ type: "peerOffended", peerId: "bad", offence: "corruptPiece" });
    h.send({ type: "peerOffended", peerId: "bad", offence: "corruptPiece" });
    h.send({ type: "peerDisconnected", peerId: "bad", reason: "banned" });
    connect(h, "near", "subnet");
    const peers = overviewOf(h).peers(undefined, h.now);
    expect(peers[0]).toMatchObject({ peerId: "near", state: "connected", foundBy: "inbound" });
    expect(peers[0]?.standing).toBeUndefined();
    const byId = new Map(peers.map((peer) => [peer.peerId, peer]));
    expect(byId.get("dialled")).toMatchObject({
      state: "dialling",
      foundBy: "static",
      standing: { code: "dialling" },
    });
    expect(byId.get("failed")).toMatchObject({
      state: "known",
      foundBy: "mdns",
      standing: { code: "dialFailed", detail: "refused" },
    });
    expect(byId.get("bad")).toMatchObject({ state: "refused", standing: { code: "banned" } });
    expect(overviewOf(h).peers(contentId, h.now)).toEqual([]);
    expect(overviewOf(h).totals(h.now)).toMatchObject({
      peersByState: { connected: 1, dialling: 1, known: 1, refused: 1 },
      peerConnections: { ...NONE, lan: 1 },
    });
  });

  test("show what went each way, and its mean over 20 s", () => {
    const { h, contentId } = sharing();
    connect(h, "a", "subnet");
    h.advanceTo(5_000);
    serve(h, { contentId, peerId: "a" });
    const sent = { sentBytes: PIECE_LENGTH, receivedBytes: 0, receivedBytesPerSec: 0 };
    const shown = () => overviewOf(h).peers(undefined, h.now)[0];
    expect(shown()).toMatchObject({
      ...sent,
      sentBytesPerSec: expect.closeTo(3_277, -3) as number,
    });
    h.advanceTo(40_000);
    expect(shown()).toMatchObject({ ...sent, sentBytesPerSec: 0 });
    expect(overviewOf(h).totals(h.now).uploadBytesPerSec).toBe(0);
  });
});

describe("a meter of traffic", () => {
  test("means over 20 s whatever has begun lately, and forgets what is older", () => {
    const meter = new TrafficMeter();
    expect(meter.rateBytesPerSec(0)).toBe(0);
    meter.add(200_000, 1_000);
    expect(meter.rateBytesPerSec(1_000)).toBeCloseTo(10_000, -3.5);
    expect(meter.rateBytesPerSec(10_000)).toBeCloseTo(10_000, -3.5);
    expect(meter.rateBytesPerSec(22_000)).toBe(0);
    expect(meter.bytes).toBe(200_000);
  });
});

describe("the month", () => {
  test("counts all classes over runs, and is stored only where something has moved", () => {
    const { h, contentId } = sharing();
    connect(h, "a", "subnet");
    serve(h, { contentId, peerId: "a" });
    const save = () => h.run((scheduler) => scheduler.overview.saveMonth(h.now));
    save();
    save();
    const [{ usage } = { usage: undefined }, ...more] = h.take("saveUsage");
    expect(more).toEqual([]);
    expect(usage).toMatchObject({
      month: "2026-01",
      internetSentBytes: 0,
      totals: { sentBytes: { ...NONE, lan: PIECE_LENGTH } },
    });
    const later = sharing();
    later.h.send({
      type: "stateLoaded",
      jobs: [],
      resumable: [],
      contents: [],
      ...(usage && { usage }),
    });
    connect(later.h, "a", "subnet");
    serve(later.h, { contentId, peerId: "a" });
    expect(overviewOf(later.h).month(later.h.now)).toMatchObject({
      month: "2026-01",
      sentBytes: { ...NONE, lan: 2 * PIECE_LENGTH },
      isUploadLimitReached: false,
    });
  });

  test("begins anew with the calendar, and not when the clock is set back (R-TIME-02)", () => {
    const { h, contentId } = sharing();
    connect(h, "a", "public");
    serve(h, { contentId, peerId: "a" });
    const month = () => h.run((scheduler) => scheduler.overview.month(h.now));
    const sent = () => month().sentBytes.internet;
    expect(sent()).toBe(PIECE_LENGTH);
    h.wallAt = Date.UTC(2025, 11, 1);
    h.advanceTo(1_000);
    expect(sent()).toBe(PIECE_LENGTH);
    h.wallAt = Date.UTC(2026, 1, 1);
    h.advanceTo(2_000);
    expect(month()).toMatchObject({ month: "2026-02", sentBytes: NONE });
    serve(h, { contentId, peerId: "a" });
    expect(sent()).toBe(PIECE_LENGTH);
  });
});
