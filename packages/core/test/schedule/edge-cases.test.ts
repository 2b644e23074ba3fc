/** Ways in which transfers once could stall, leak or be misled; each by the rule that forbids it. */
import { describe, expect, test } from "vitest";
import { LIMITS, PieceLayout, PieceSet } from "@shoal/core";
import { ContentSwarm } from "../../src/schedule/content-swarm.ts";
import { fetching, Harness, JOB_ID, manifestOf, pieces, PIECE_LENGTH, request } from "./harness.ts";

const OTHER_JOB_ID = "00000000-0000-4000-8000-000000000002";

describe("two transfers at once", () => {
  test("a peer that one transfer has kept busy is asked by the other soon after it is free", () => {
    const h = new Harness();
    const [one, two] = [manifestOf(1), manifestOf(2)];
    h.send({ type: "peerConnected", peerId: "seed", host: "10.0.0.1", requestsMax: 8 });
    fromPeersAlone(h, JOB_ID, one);
    fromPeersAlone(h, OTHER_JOB_ID, two);
    const asked = h.takeOne("requestPiece");
    h.deliver(asked);
    h.commit([0]);
    h.advanceTo(10);
    expect(h.takeOne("requestPiece")).toMatchObject({ peerId: "seed" });
  });

  test("a second job of a content hears of the peers that the first one heard of", () => {
    const { h, contentId, manifestBytes } = fetching(pieces("...."), { url: undefined });
    h.peer("seed", contentId, pieces("111."));
    h.send({ type: "peerHave", peerId: "seed", contentId, pieces: [3] });
    h.take("requestPiece");
    h.create({ ...request(), jobId: OTHER_JOB_ID, files: [{ contentId, destination: "/tmp/b" }] });
    const asked = h.takeOne("requestManifest");
    const { peerId, requestId } = asked;
    h.send({ type: "peerManifest", peerId, requestId, bytes: manifestBytes });
    h.open(pieces("111."));
    h.verb("cancel");
    h.advanceTo(1_000);
    expect(h.takeOne("requestPiece")).toMatchObject({ peerId: "seed", piece: 3 });
  });

  test("a job of a content that is only served asks the connected peers anew", () => {
    const { h, contentId } = fetching(pieces("1111"));
    h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.1", requestsMax: 8 });
    h.take("sendJoin");
    const { transferId } = h.takeOne("verifyContent");
    h.send({ type: "contentVerified", transferId });
    h.create({ ...request(), jobId: OTHER_JOB_ID, files: [{ contentId, destination: "/tmp/b" }] });
    expect(h.takeOne("sendJoin")).toMatchObject({ peerId: "a", contentId });
  });

  test("who asks about a content that two transfers hold is told once, of the larger part", () => {
    const { h, contentId, manifestBytes } = fetching(pieces("11.."));
    h.create({
      ...request(),
      jobId: OTHER_JOB_ID,
      files: [{ url: "http://origin.test/b", contentId, destination: "/tmp/b" }],
    });
    const { requestId, transferId } = h.takeOne("fetchManifest");
    const fetched = { requestId, transferId, bytes: manifestBytes, overTls: false };
    h.send({ type: "manifestFetched", ...fetched });
    h.open(pieces("1..."));
    h.peer("a", contentId);
    expect(h.takeOne("sendBitfield").bits).toEqual(pieces("11..").toBytes());
  });

  test("a second transfer that begins to serve a content does not take back what was announced", () => {
    const { h, contentId, manifestBytes } = fetching(pieces("11.."));
    h.peer("a", contentId);
    h.take("sendBitfield");
    h.create({
      ...request(),
      jobId: OTHER_JOB_ID,
      files: [{ url: "http://origin.test/b", contentId, destination: "/tmp/b" }],
    });
    const { requestId, transferId } = h.takeOne("fetchManifest");
    const fetched = { requestId, transferId, bytes: manifestBytes, overTls: false };
    h.send({ type: "manifestFetched", ...fetched });
    h.open(pieces("1..."));
    expect(h.take("sendBitfield")).toEqual([]);
  });
});

describe("what peers say before the part file is open", () => {
  test("pieces announced while the part file is opened are not forgotten", () => {
    const h = new Harness();
    const { bytes, contentId } = manifestOf(4);
    h.create({ ...request(), files: [{ contentId, destination: "/tmp/file" }] });
    h.peer("giver", contentId, pieces("1..."));
    const { requestId } = h.takeOne("requestManifest");
    h.send({ type: "peerManifest", peerId: "giver", requestId, bytes });
    h.send({ type: "peerHave", peerId: "giver", contentId, pieces: [2] });
    h.open(pieces("1..."));
    expect(h.takeOne("requestPiece")).toMatchObject({ peerId: "giver", piece: 2 });
  });

  test("announcements of pieces that no content can have are dropped, and cost the peer", () => {
    const h = new Harness();
    const { bytes, contentId } = manifestOf(4);
    h.create({ ...request(), files: [{ contentId, destination: "/tmp/file" }] });
    h.peer("liar", contentId, pieces("1..."));
    const { requestId } = h.takeOne("requestManifest");
    h.send({ type: "peerHave", peerId: "liar", contentId, pieces: [2 ** 32 - 1, 9] });
    h.send({ type: "peerManifest", peerId: "liar", requestId, bytes });
    h.open(pieces("1..."));
    const offence = { type: "peerOffended", peerId: "liar", offence: "malformedFrame" };
    expect(h.notices).toContainEqual(offence);
  });

  test("a peer that keeps its manifest to itself does not stop others from giving theirs", () => {
    const h = new Harness();
    const { bytes, contentId } = manifestOf(4);
    h.create({ ...request(), files: [{ contentId, destination: "/tmp/file" }] });
    h.peer("mute", contentId, pieces("1111"));
    expect(h.takeOne("requestManifest").peerId).toBe("mute");
    h.peer("giver", contentId, pieces("1111"));
    h.advanceTo(5_000);
    const { peerId, requestId } = h.takeOne("requestManifest");
    expect(peerId).toBe("giver");
    h.send({ type: "peerManifest", peerId, requestId, bytes });
    expect(h.takeOne("cancelRequest").peerId).toBe("mute");
    h.takeOne("openContent");
  });
});

describe("the origin among peers", () => {
  test("an origin whose file is not the manifest's is not asked again at once", () => {
    const { h } = fetching(new PieceSet(1024));
    const error = { code: "ERR_REMOTE_CHANGING", message: "another length" } as const;
    let asked = 0;
    for (let turn = 0; turn < 50; turn++) {
      for (const { requestId, transferId } of h.take("fetchRange")) {
        asked++;
        const failure = { kind: "changed", error } as const;
        h.send({ type: "originFailed", requestId, transferId, failure });
      }
    }
    expect(asked).toBeLessThan(5);
    for (let turn = 0; turn < 20; turn++) {
      h.advanceTo(h.now + 40_000);
      for (const { requestId, transferId } of h.take("fetchRange")) {
        const failure = { kind: "changed", error } as const;
        h.send({ type: "originFailed", requestId, transferId, failure });
      }
    }
    const { state, error: shown } = h.job ?? {};
    expect([state, shown?.code]).toEqual(["error", "ERR_ORIGIN_CONTENT_MISMATCH"]);
  });

  test("claims that lead to nothing do not hold up the origin for ever (R-SCH-03)", () => {
    const { h, contentId } = fetching(new PieceSet(64), { members: ["liar"] });
    const claim = { peerId: "liar", contentId, firstPiece: 0, pieceCount: 64 } as const;
    h.send({ type: "peerClaimed", ...claim });
    const asked = new Set<number>();
    for (let at = 500; at <= 30_000; at += 500) {
      for (const range of h.take("fetchRange")) {
        for (let i = 0; i < range.pieceCount; i++) asked.add(range.firstPiece + i);
        h.deliverRange(range);
      }
      h.send({ type: "peerClaimed", ...claim });
      h.advanceTo(at);
    }
    expect(asked.size).toBe(64);
  });

  test("without an origin of its own a job waits for what members say they fetch", () => {
    const { h, contentId } = fetching(pieces(".."), { url: undefined });
    h.peer("fetcher", contentId);
    for (let at = 500; at <= 30_000; at += 500) {
      const claim = { firstPiece: 0, pieceCount: 2 };
      h.send({ type: "peerClaimed", peerId: "fetcher", contentId, ...claim });
      h.advanceTo(at);
    }
    h.send({ type: "peerHave", peerId: "fetcher", contentId, pieces: [0] });
    expect(h.takeOne("requestPiece")).toMatchObject({ peerId: "fetcher", piece: 0 });
    expect(h.job?.state).toBe("connecting");
  });

  test("time in which a run was under way does not count as idle time", () => {
    const settings = { originExtentBytes: PIECE_LENGTH, originConnectionsMax: 1 };
    const options = { selfId: "left", members: ["right"], settings };
    const { h, contentId } = fetching(new PieceSet(32), options);
    for (let runs = h.take("fetchRange"); runs.length > 0; runs = h.take("fetchRange")) {
      h.advanceTo(h.now + 1_900);
      h.send({ type: "peerJoined", peerId: "right", contentId });
      for (const run of runs) h.deliverRange(run);
    }
    expect(h.now).toBeGreaterThan(10_000);
    const reasons = h.notices.flatMap((n) => (n.type === "originAsked" ? [n.reason] : []));
    expect(new Set(reasons)).toEqual(new Set(["owned"]));
  });

  test("a member that comes and goes makes runs be given up once only", () => {
    const settings = { originExtentBytes: PIECE_LENGTH, originRunBytes: 256 * 1024 };
    const { h, contentId } = fetching(new PieceSet(256), { selfId: "left", settings });
    h.peer("right", contentId);
    h.send({ type: "peerLeft", peerId: "right", contentId });
    h.take("cancelOrigin");
    for (let turn = 0; turn < 10; turn++) {
      h.advanceTo(h.now + 1_500);
      h.send({ type: "peerJoined", peerId: "right", contentId });
      h.send({ type: "peerLeft", peerId: "right", contentId });
    }
    expect(h.take("cancelOrigin")).toEqual([]);
  });

  test("a run whose pieces have all come from peers is withdrawn", () => {
    const { h, contentId } = fetching(pieces(".."), { selfId: "owner", members: ["a"] });
    const run = h.takeOne("fetchRange");
    h.bitfield("a", contentId, pieces("11"));
    for (let turn = 0; turn < 2; turn++) h.deliver(h.takeOne("requestPiece"));
    expect(h.takeOne("cancelOrigin").requestId).toBe(run.requestId);
  });

  test("a stream ends with the last piece that is missing", () => {
    const { h } = fetching(pieces("1..1111111111111"));
    const { requestId, transferId } = h.takeOne("fetchRange");
    const error = { code: "ERR_ORIGIN_PROTOCOL", message: "200" } as const;
    const failure = { kind: "rangeUnsupported", error } as const;
    h.send({ type: "originFailed", requestId, transferId, failure });
    h.advanceTo(100);
    const stream = { mode: "stream", firstPiece: 1, pieceCount: 2 };
    expect(h.takeOne("fetchRange")).toMatchObject(stream);
  });

  test("overlapping claims of many members are counted in full", () => {
    const layout = PieceLayout.fixed(32 * PIECE_LENGTH, PIECE_LENGTH);
    const bounds = { extentBytes: PIECE_LENGTH, stallTimeoutMs: 2_000 };
    const options = { contentId: undefined, selfId: "self", ...bounds };
    const swarm = new ContentSwarm(layout, options);
    for (let member = 0; member < 16; member++) {
      swarm.join(`member ${member}`, 0);
      for (let first = 0; first < 16; first++) swarm.claim(`member ${member}`, first, 32, 0);
    }
    expect(swarm.isClaimed(20, 1)).toBe(true);
  });
});

describe("peers", () => {
  test("what a peer owes is withdrawn when it leaves the content but stays connected", () => {
    const { h, contentId } = fetching(pieces(".."), { url: undefined });
    h.peer("a", contentId, pieces("11"));
    const { requestId } = h.takeOne("requestPiece");
    h.send({ type: "peerLeft", peerId: "a", contentId });
    expect(h.takeOne("cancelRequest")).toMatchObject({ peerId: "a", requestId });
  });

  test("a banned peer is asked for nothing more", () => {
    const { h, contentId } = fetching(new PieceSet(8), { url: undefined });
    h.peer("bad", contentId, PieceSet.full(8));
    h.deliver(h.takeOne("requestPiece"), "corrupt");
    h.deliver(h.takeOne("requestPiece"), "corrupt");
    h.takeOne("disconnectPeer");
    expect(h.take("requestPiece")).toEqual([]);
  });

  test("a peer that says it takes no requests at all is asked for one at a time", () => {
    const { h, contentId } = fetching(new PieceSet(8), { url: undefined });
    h.send({ type: "peerConnected", peerId: "odd", host: "10.0.0.1", requestsMax: 0 });
    h.send({ type: "peerJoined", peerId: "odd", contentId });
    h.bitfield("odd", contentId, PieceSet.full(8));
    for (let piece = 0; piece < 8; piece++) h.deliver(h.takeOne("requestPiece"));
    expect(h.take("requestPiece")).toEqual([]);
  });

  test("dials that end in one connection too many give their places back", () => {
    const settings = { connectionsMax: 2, dialsMax: 1, dialBackoffMsMin: 1_000 };
    const h = new Harness({ settings });
    discover(h, "late", true);
    h.takeOne("dialPeer");
    for (const peerId of ["a", "b", "late"]) {
      h.send({ type: "peerConnected", peerId, host: "10.0.0.1", requestsMax: 8 });
    }
    expect(h.takeOne("disconnectPeer").peerId).toBe("late");
    for (const peerId of ["late", "a", "b"]) {
      h.send({ type: "peerDisconnected", peerId, reason: "" });
    }
    h.advanceTo(10_000);
    expect(h.takeOne("dialPeer").peerId).toBe("late");
  });

  test("identities that got themselves banned do not keep others from being known (R-PEER-18)", () => {
    const { h } = fetching(pieces("...."));
    for (let i = 0; i < LIMITS.peersKnownMax; i++) {
      const peerId = `bad ${i}`;
      h.send({ type: "peerConnected", peerId, host: `10.1.${i >> 8}.${i & 255}`, requestsMax: 8 });
      for (let n = 0; n < 4; n++) {
        h.send({ type: "peerOffended", peerId, offence: "malformedFrame" });
      }
      h.send({ type: "peerDisconnected", peerId, reason: "" });
    }
    discover(h, "honest", false);
    expect(h.takeOne("dialPeer").peerId).toBe("honest");
  });

  test("a hint does not replace the address that the user gave for a peer (R-PEER-29)", () => {
    const h = new Harness();
    const [own, second, hint] = [
      "/ip4/10.0.0.1/tcp/4001",
      "/ip4/10.0.0.2/tcp/4001",
      "/ip4/10.0.0.9/tcp/1",
    ];
    h.send({ type: "peerDiscovered", peerId: "a", addresses: [own!], isStatic: true });
    h.take("dialPeer");
    h.send({ type: "peerDiscovered", peerId: "a", addresses: [second!], isStatic: true });
    h.send({ type: "peerDiscovered", peerId: "a", addresses: [hint!], isStatic: false });
    h.send({ type: "dialFailed", peerId: "a", reason: "" });
    h.advanceTo(60_000);
    const { addresses } = h.take("dialPeer")[0] ?? {};
    expect(addresses?.slice(0, 2).toSorted()).toEqual([own, second]);
  });

  test("interest in a content is noted however many the peer took part in before", () => {
    const h = new Harness();
    h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.1", requestsMax: 8 });
    for (let i = 0; i <= LIMITS.contentsPerPeerMax; i++) {
      h.send({ type: "peerJoined", peerId: "a", contentId: `old ${i}` });
    }
    const { bytes, contentId } = manifestOf(2);
    h.send({ type: "peerJoined", peerId: "a", contentId });
    h.create(request({ contentId }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.open(pieces("1."));
    expect(h.takeOne("sendBitfield").peerId).toBe("a");
  });
});

describe("jobs and the disk", () => {
  test("a job suspended during its last check still says what is on the disk", () => {
    const { h } = fetching(pieces("1111"));
    const { transferId } = h.takeOne("verifyContent");
    h.verb("suspend");
    h.send({ type: "contentClosed", transferId });
    expect(h.job).toMatchObject({ state: "suspended", transferredBytes: 4 * PIECE_LENGTH });
  });

  test("what failed a job for good is not believed again after suspend and resume", () => {
    const { h } = fetching(pieces("1111"));
    const { transferId } = h.takeOne("verifyContent");
    h.send({ type: "contentMismatch", transferId, pieces: [] });
    expect(h.job?.state).toBe("error");
    h.verb("suspend");
    h.verb("resume");
    h.send({ type: "contentClosed", transferId });
    expect(h.take("openContent")).toEqual([]);
    h.takeOne("fetchManifest");
  });

  test("a file damaged between its check and its publication is mended by the next acknowledge", () => {
    const { h } = fetching(pieces("1111"));
    const { transferId } = h.takeOne("verifyContent");
    h.send({ type: "contentVerified", transferId });
    h.verb("acknowledge");
    h.takeOne("publishContent");
    const error = { code: "ERR_CONTENT_MISMATCH", message: "damaged" } as const;
    h.send({ type: "publishFailed", transferId, error });
    expect(h.job?.state).toBe("transferred");
    h.verb("acknowledge");
    expect(h.takeOne("closeContent").outcome).toBe("keep");
    h.send({ type: "contentClosed", transferId });
    h.open(pieces("11.1"));
    h.deliverRange(h.takeOne("fetchRange"));
    h.commit([2]);
    const again = h.takeOne("verifyContent").transferId;
    h.send({ type: "contentVerified", transferId: again });
    h.takeOne("publishContent");
  });

  test("a resumed job no longer shows the error it was stopped by", () => {
    const h = new Harness();
    h.create(request());
    const { requestId, transferId } = h.takeOne("probeOrigin");
    const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "404" } as const;
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "fatal", error } });
    h.verb("resume");
    expect(h.job?.state).toBe("connecting");
    expect(h.job?.error).toBeUndefined();
  });

  test("without patience for a lack of progress the first transient error is the end (R-TIME-05)", () => {
    const h = new Harness({ settings: { originFailuresMax: 1 } });
    h.create({ ...request(), noProgressTimeoutMs: 0 });
    const { requestId, transferId } = h.takeOne("probeOrigin");
    const error = { code: "ERR_ORIGIN_UNREACHABLE", message: "" } as const;
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "transient", error } });
    expect(h.job).toMatchObject({ state: "error", error });
  });

  test("a shared file that cannot be opened is closed", () => {
    const h = new Harness();
    const { bytes, contentId } = manifestOf(2);
    const content = { contentId, manifestBytes: bytes, path: "/tmp/file" };
    h.send({ type: "contentShared", content });
    const { transferId } = h.takeOne("openShared");
    const error = { code: "ERR_DISK_IO", message: "" } as const;
    h.send({ type: "contentFailed", transferId, error });
    expect(h.takeOne("closeContent").transferId).toBe(transferId);
  });

  test("a piece that comes for a transfer that has begun anew is given back", () => {
    const h = new Harness();
    h.create(request());
    const { requestId, transferId } = h.takeOne("probeOrigin");
    h.send({ type: "rangePiece", requestId: requestId + 1, transferId, piece: 0, bufferId: 5 });
    expect(h.takeOne("releaseBuffer")).toEqual({ type: "releaseBuffer", bufferId: 5 });
  });
});

/** A job without a URL, whose manifest and pieces the connected peer "seed" has. */
function fromPeersAlone(h: Harness, jobId: string, content: ReturnType<typeof manifestOf>): void {
  const { contentId, bytes, length } = content;
  const pieceCount = length / PIECE_LENGTH;
  h.create({ ...request(), jobId, files: [{ contentId, destination: `/tmp/${jobId}` }] });
  h.bitfield("seed", contentId, PieceSet.full(pieceCount));
  const { requestId } = h.takeOne("requestManifest");
  h.send({ type: "peerManifest", peerId: "seed", requestId, bytes });
  h.open(new PieceSet(pieceCount));
}

function discover(h: Harness, peerId: string, isStatic: boolean): void {
  h.send({ type: "peerDiscovered", peerId, addresses: ["/ip4/10.0.0.1/tcp/4001"], isStatic });
}
