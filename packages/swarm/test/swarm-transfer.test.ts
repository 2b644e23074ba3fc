/** Two or three swarms over real sockets: messages, pieces, manifests, cancelling, losing a peer. */
import { contentIdOf, KiB, LIMITS, MiB, PieceSet } from "@shoal/core";
import { expect, test, vi } from "vitest";
import { connectedPair, contentId, RawPeer, someBytes, TestSwarm } from "./test-swarm.ts";

/** Answers every request for a piece with bytes that depend on its index. */
function serve(server: TestSwarm, lengthOf: (piece: number) => number): void {
  server.onEvent = (event) => {
    if (event.type !== "pieceRequested") return;
    const { peerId, requestId, piece } = event;
    server.sendPiece(peerId, requestId, server.payload(lengthOf(piece), piece));
  };
}

async function expectNothingBorrowed(...swarms: TestSwarm[]): Promise<void> {
  for (const { pool } of swarms) await expect.poll(() => pool.borrowed).toBe(0);
}

test("greets on both sides, and reports host and requests accepted", async () => {
  const [a, b] = await connectedPair();
  expect(await a.next("peerConnected")).toEqual({
    type: "peerConnected",
    peerId: b.peerId,
    host: "127.0.0.1",
    reach: "host",
    transport: expect.stringMatching(/^(tls|noise)$/) as string,
    requestsMax: LIMITS.requestsPerPeerMax,
  });
  expect((await b.next("peerConnected")).peerId).toBe(a.peerId);
});

test("carries joins, have-maps, haves, claims and leaves in order, in both directions", async () => {
  const [a, b] = await connectedPair();
  const other = contentIdOf(Uint8Array.of(2));
  const bits = PieceSet.full(11).toBytes();
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const { peerId } = to;
    const peerIds = [peerId];
    from.execute({ type: "sendJoin", peerId, contentId });
    from.execute({ type: "sendBitfield", peerId, contentId, pieceCount: 11, bits });
    from.execute({ type: "sendHave", peerIds, contentId, pieces: [3, 4] });
    from.execute({ type: "sendClaim", peerIds, contentId: other, firstPiece: 5, pieceCount: 6 });
    from.execute({ type: "sendLeave", peerId, contentId });
    await to.next("peerLeft");
    const said = { peerId: from.peerId, contentId };
    expect(to.events.slice(1, 6)).toEqual([
      { type: "peerJoined", ...said },
      { type: "peerBitfield", ...said, pieceCount: 11, bits },
      { type: "peerHave", ...said, pieces: [3, 4] },
      { type: "peerClaimed", ...said, contentId: other, firstPiece: 5, pieceCount: 6 },
      { type: "peerLeft", ...said },
    ]);
  }
});

test("announces more pieces than fit into one frame", async () => {
  const [a, b] = await connectedPair();
  const pieces = Array.from({ length: 40_000 }, (_, i) => i);
  a.execute({ type: "sendHave", peerIds: [b.peerId], contentId, pieces });
  await b.next("peerHave", 3);
  expect(b.all("peerHave").flatMap((event) => event.pieces)).toEqual(pieces);
});

test.each([1, 64 * KiB, 262_140, 262_141, MiB - 1, MiB, MiB + 1, 16 * MiB])(
  "delivers a piece of %i bytes and gives all buffers back",
  async (length) => {
    const [a, b] = await connectedPair();
    serve(b, () => length);
    a.requestPiece(b.peerId, 77, 5, length);
    await a.next("peerPiece");
    expect(Buffer.compare(a.pieces.get(77)!, someBytes(length, 5))).toBe(0);
    const finished = await b.next("uploadFinished");
    expect(finished).toMatchObject({ peerId: a.peerId, sentBytes: length });
    await expectNothingBorrowed(a, b);
  },
);

test("keeps eight requests of each side going at once, every byte in its place", async () => {
  const [a, b] = await connectedPair();
  const total = 64;
  const lengthOf = (piece: number): number => 300_000 + piece * 1_001;
  const run = async (from: TestSwarm, to: TestSwarm): Promise<void> => {
    let asked = 0;
    const ask = (): void => {
      if (asked === total) return;
      from.requestPiece(to.peerId, asked, asked, lengthOf(asked));
      asked++;
    };
    const answer = from.onEvent;
    from.onEvent = (event) => {
      answer(event);
      if (event.type === "peerPiece") ask();
    };
    for (let i = 0; i < 8; i++) ask();
    await from.next("peerPiece", total);
  };
  serve(a, lengthOf);
  serve(b, lengthOf);
  await Promise.all([run(a, b), run(b, a)]);
  for (const side of [a, b]) {
    for (let piece = 0; piece < total; piece++) {
      const expected = someBytes(lengthOf(piece), piece);
      expect(Buffer.compare(side.pieces.get(piece)!, expected)).toBe(0);
    }
    expect(side.all("requestRefused")).toEqual([]);
    await side.next("uploadFinished", total);
  }
  await expectNothingBorrowed(a, b);
});

test("sends small answers while a long one is on its way", async () => {
  const [a, b] = await connectedPair();
  serve(b, (piece) => (piece === 0 ? 16 * MiB : 1_000));
  a.requestPiece(b.peerId, 1, 0, 16 * MiB);
  a.requestPiece(b.peerId, 2, 1, 1_000);
  await a.next("peerPiece", 2);
  expect(a.all("peerPiece").map(({ requestId }) => requestId)).toEqual([2, 1]);
});

test("a refusal reaches the one who asked", async () => {
  const [a, b] = await connectedPair();
  a.requestPiece(b.peerId, 9, 0, MiB);
  const { requestId } = await b.next("pieceRequested");
  b.execute({ type: "refuseRequest", peerId: a.peerId, requestId, reason: "notFound" });
  expect(await a.next("requestRefused")).toEqual({
    type: "requestRefused",
    peerId: b.peerId,
    requestId: 9,
    reason: "notFound",
  });
});

test("stops in the middle of a piece that is cancelled, and goes on with the next", async () => {
  const [a, b] = await connectedPair();
  serve(b, (piece) => (piece === 0 ? 16 * MiB : MiB));
  a.requestPiece(b.peerId, 1, 0, 16 * MiB);
  await expect.poll(() => a.pool.borrowed, { interval: 1 }).toBe(1); // the first slice is in
  a.execute({ type: "cancelRequest", peerId: b.peerId, requestId: 1 });
  a.requestPiece(b.peerId, 2, 1, MiB);
  await a.next("peerPiece");
  expect((await b.next("requestCancelled")).peerId).toBe(a.peerId);
  const finished = await b.next("uploadFinished");
  expect(finished.sentBytes).toBeLessThan(16 * MiB);
  expect(a.pieces.has(1)).toBe(false);
  expect(a.all("requestRefused")).toEqual([]);
  expect(a.all("peerOffended")).toEqual([]);
  await b.next("uploadFinished", 2);
  await expectNothingBorrowed(a, b);
});

test("an answer to a request that was cancelled meanwhile is released, and finished", async () => {
  const [a, b] = await connectedPair();
  a.requestPiece(b.peerId, 1, 0, MiB);
  const { requestId } = await b.next("pieceRequested");
  a.execute({ type: "cancelRequest", peerId: b.peerId, requestId: 1 });
  await b.next("requestCancelled");
  b.sendPiece(a.peerId, requestId, b.payload(MiB, 0));
  expect(await b.next("uploadFinished")).toMatchObject({ requestId, sentBytes: 0 });
  await expectNothingBorrowed(a, b);
});

test("hundreds of requests, cancelled at random moments, leave nothing behind", async () => {
  const [a, b] = await connectedPair();
  serve(b, () => 300_000);
  let open = 0;
  let ended = 0;
  a.onEvent = (event) => {
    if (event.type === "peerPiece") [open, ended] = [open - 1, ended + 1];
  };
  for (let requestId = 1; requestId <= 300; requestId++) {
    await expect.poll(() => open, { interval: 1 }).toBeLessThan(8);
    open++;
    a.requestPiece(b.peerId, requestId, requestId, 300_000);
    if (requestId % 3 === 0) {
      for (let turns = requestId % 7; turns > 0; turns--) await new Promise(setImmediate);
      if (!a.pieces.has(requestId)) {
        a.execute({ type: "cancelRequest", peerId: b.peerId, requestId });
        [open, ended] = [open - 1, ended + 1];
      }
    }
  }
  await expect.poll(() => ended).toBe(300);
  await b.next("uploadFinished", b.all("pieceRequested").length);
  expect(b.all("uploadFinished")).toHaveLength(b.all("pieceRequested").length);
  expect(a.all("peerOffended").concat(b.all("peerOffended"))).toEqual([]);
  for (const [requestId, bytes] of a.pieces) {
    expect(Buffer.compare(bytes, someBytes(300_000, requestId))).toBe(0);
  }
  await expectNothingBorrowed(a, b);
}, 20_000);

test("delivers manifests side by side, of 16 MiB together (R-PEER-14)", async () => {
  const [a, b] = await connectedPair();
  const lengths = [5 * MiB, 12 * MiB, 11 * MiB, MiB];
  for (const [requestId] of lengths.entries()) {
    a.execute({ type: "requestManifest", peerId: b.peerId, requestId, contentId });
  }
  await b.next("manifestRequested", lengths.length);
  for (const [i, { requestId }] of b.all("manifestRequested").entries()) {
    const bytes = someBytes(lengths[i] ?? 0, i);
    b.execute({ type: "sendManifest", peerId: a.peerId, requestId, bytes });
  }
  await b.next("uploadFinished", lengths.length);
  await a.next("peerManifest", 2);
  for (const { requestId, bytes } of a.all("peerManifest")) {
    expect(Buffer.compare(bytes, someBytes(lengths[requestId] ?? 0, requestId))).toBe(0);
  }
  expect(a.all("peerManifest").map(({ requestId }) => requestId)).toEqual([0, 2]);
  const refused = a.all("requestRefused");
  expect(refused.map(({ requestId, reason }) => [requestId, reason])).toEqual([
    [1, "busy"],
    [3, "busy"],
  ]);
  expect(a.all("peerOffended").concat(b.all("peerOffended"))).toEqual([]);
});

test("losing the peer in the middle of everything releases every buffer on both sides (R-PEER-24)", async () => {
  const [a, b] = await connectedPair();
  serve(a, () => 16 * MiB);
  serve(b, () => 16 * MiB);
  for (let i = 0; i < 4; i++) {
    a.requestPiece(b.peerId, i, i, 16 * MiB);
    b.requestPiece(a.peerId, i, i, 16 * MiB);
  }
  await expect.poll(() => a.pool.borrowed, { interval: 1, timeout: 5_000 }).toBeGreaterThan(4);
  await expect.poll(() => b.pool.borrowed, { interval: 1, timeout: 5_000 }).toBeGreaterThan(4);
  a.execute({ type: "disconnectPeer", peerId: b.peerId, reason: "enough" });
  expect(await a.next("peerDisconnected")).toMatchObject({ peerId: b.peerId, reason: "enough" });
  expect((await b.next("peerDisconnected")).peerId).toBe(a.peerId);
  for (const side of [a, b]) {
    expect(side.all("uploadFinished")).toHaveLength(side.all("pieceRequested").length);
    expect(side.all("peerOffended")).toEqual([]);
    expect(side.events.at(-1)?.type).toBe("peerDisconnected");
  }
  await expectNothingBorrowed(a, b);
});

test("an answer for a peer that has gone is released, and finished", async () => {
  const [a, b] = await connectedPair();
  a.requestPiece(b.peerId, 1, 0, MiB);
  const { requestId } = await b.next("pieceRequested");
  a.execute({ type: "disconnectPeer", peerId: b.peerId, reason: "gone" });
  await b.next("peerDisconnected");
  b.sendPiece(a.peerId, requestId, b.payload(MiB, 0));
  expect(await b.next("uploadFinished")).toMatchObject({ requestId, sentBytes: 0 });
  await expectNothingBorrowed(a, b);
});

test("a peer that does not read delays nobody else and is dropped (R-PEER-27)", async () => {
  const [a, b] = await connectedPair({ stallTimeoutMs: 400 });
  serve(b, () => 16 * MiB);
  const slow = await RawPeer.dial(b);
  slow.send({ type: "hello", version: 1, requestsMax: 8 });
  await b.next("peerConnected", 2);
  slow.stream.pause();
  for (let id = 1; id <= 4; id++) slow.send({ type: "request", id, contentId, piece: id });
  await b.next("pieceRequested", 4);
  a.requestPiece(b.peerId, 1, 1, 16 * MiB);
  await a.next("peerPiece");
  const gone = await b.next("peerDisconnected");
  expect(gone.peerId).not.toBe(a.peerId);
  expect(gone.reason).toContain("400 ms");
  await slow.untilClosed();
  await b.next("uploadFinished", 5);
  await expectNothingBorrowed(a, b);
});

test("an answer that takes too long is given up, and the next one goes on (R-PEER-27)", async () => {
  const b = await TestSwarm.start();
  serve(b, () => MiB);
  const slow = await RawPeer.greet(b);
  slow.stream.pause();
  for (let id = 1; id <= 4; id++) slow.send({ type: "request", id, contentId, piece: id });
  await b.next("pieceRequested", 4);
  const askedAt = performance.now();
  vi.useFakeTimers({ toFake: ["performance"] });
  try {
    vi.advanceTimersByTime(askedAt + 65_000); // 1 MiB at 16 KiB/s is 64 s; the fake begins at 0
    slow.stream.resume();
    expect((await slow.next("refuse")).reason).toBe("busy");
    await b.next("uploadFinished", 4);
    slow.send({ type: "request", id: 5, contentId, piece: 5 });
    expect((await b.next("uploadFinished", 5)).sentBytes).toBe(MiB);
  } finally {
    vi.useRealTimers();
  }
  expect(b.all("peerOffended")).toEqual([]);
  await expectNothingBorrowed(b);
});

test("closes within three seconds in the middle of transfers, releases all, says nothing more", async () => {
  const [a, b] = await connectedPair();
  serve(b, () => 16 * MiB);
  for (let i = 0; i < 4; i++) a.requestPiece(b.peerId, i, i, 16 * MiB);
  await expect.poll(() => a.pool.borrowed, { interval: 1 }).toBeGreaterThan(0);
  const beganAt = performance.now();
  const before = b.events.length;
  await b.swarm.close();
  expect(performance.now() - beganAt).toBeLessThan(3_000);
  expect((await a.next("peerDisconnected")).peerId).toBe(b.peerId);
  b.sendPiece(a.peerId, 1, b.payload(MiB, 0));
  expect(b.events).toHaveLength(before);
  await expectNothingBorrowed(a, b);
  await b.swarm.close();
});
