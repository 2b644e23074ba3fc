/** Peers that break the protocol: each offence is named, the connection ends, nothing leaks. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { KiB, LIMITS, MiB } from "@shoal/core";
import type { Offence } from "@shoal/core";
import { expect, test } from "vitest";
import { encodeFrame, encodePieceDataHeader } from "../src/frames.ts";
import { connectedPair, contentId, RawPeer, rawNode, TestSwarm } from "./test-swarm.ts";

function hexBytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

function dataFrame(id: number, length: number): Uint8Array {
  return Buffer.concat([encodePieceDataHeader(id, length), new Uint8Array(length)]);
}

/** Waits until the swarm has dropped the peer, and returns how it went. */
async function dropped(swarm: TestSwarm, peer: RawPeer): Promise<unknown> {
  const { offence } = await swarm.next("peerOffended");
  await swarm.next("peerDisconnected");
  await peer.untilClosed();
  const ends = swarm.events.map(({ type }) => type).slice(-2);
  return { offence, ends, borrowed: swarm.pool.borrowed };
}

/** The offence is told first, then the end, and no buffer is kept. */
function byOffence(offence: Offence): unknown {
  return { offence, ends: ["peerOffended", "peerDisconnected"], borrowed: 0 };
}

const hello = encodeFrame({ type: "hello", version: 1, requestsMax: 8 });

test.each<[string, Uint8Array, Offence]>([
  ["an unknown type", hexBytes("00000000 7f000000"), "malformedFrame"],
  ["a giant frame", hexBytes("ffffffff 05000000"), "malformedFrame"],
  ["a second HELLO", hello, "malformedFrame"],
  ["a have-map with spare bits", spareBits(), "malformedFrame"],
  ["a MANIFEST nobody asked for", hexBytes("00000008 0c000000 00000001 00000009"), "surplusBytes"],
  ["an ANNOUNCEMENT nobody asked for", hexBytes("00000005 0f000000 00000001 00"), "surplusBytes"],
  ["an ANNOUNCEMENT of 4 KiB and a byte", hexBytes("00001005 0f000000"), "malformedFrame"],
  ["data nobody asked for", dataFrame(1, 100), "surplusBytes"],
  ["a REFUSE for nothing", hexBytes("00000005 0a000000 00000001 00"), "surplusBytes"],
  ["a CANCEL of the future", hexBytes("00000004 09000000 00000001"), "malformedFrame"],
])("drops a peer that sends %s", async (_, bytes, offence) => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  peer.sendBytes(bytes);
  expect(await dropped(a, peer)).toEqual(byOffence(offence));
});

function spareBits(): Uint8Array {
  const bits = Uint8Array.of(0x01);
  return encodeFrame({ type: "bitfield", contentId, pieceCount: 7, bits });
}

test("drops a peer whose request numbers do not grow", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  peer.send({ type: "request", id: 5, contentId, piece: 1 });
  peer.send({ type: "request", id: 5, contentId, piece: 2 });
  expect(await dropped(a, peer)).toEqual(byOffence("malformedFrame"));
});

/** A swarm that has asked a raw peer for a piece of 1,000 bytes. */
async function asked(): Promise<[TestSwarm, RawPeer]> {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  const { peerId } = await a.next("peerConnected");
  a.requestPiece(peerId, 42, 7, 1_000);
  expect(await peer.next("request")).toMatchObject({ id: 1, contentId, piece: 7 });
  return [a, peer];
}

test("R-PEER-15: drops a peer that sends more than the piece in one frame", async () => {
  const [a, peer] = await asked();
  peer.sendBytes(dataFrame(1, 1_001));
  expect(await dropped(a, peer)).toEqual(byOffence("surplusBytes"));
  expect(a.all("peerPiece")).toEqual([]);
});

test("R-PEER-15: drops a peer that sends more after the piece's last byte", async () => {
  const [a, peer] = await asked();
  peer.sendBytes(Buffer.concat([dataFrame(1, 600), dataFrame(1, 400), dataFrame(1, 1)]));
  expect(await dropped(a, peer)).toEqual(byOffence("surplusBytes"));
  expect(a.all("peerPiece")).toHaveLength(1);
});

test("a peer that sends less and refuses the rest has refused", async () => {
  const [a, peer] = await asked();
  peer.sendBytes(dataFrame(1, 999));
  peer.send({ type: "refuse", id: 1, reason: "busy" });
  expect(await a.next("requestRefused")).toMatchObject({ requestId: 42, reason: "busy" });
  expect(a.pool.borrowed).toBe(0);
  expect(a.all("peerPiece")).toEqual([]);
});

test("a piece stays unfinished until its last byte, and is released with the link", async () => {
  const [a, peer] = await asked();
  peer.sendBytes(dataFrame(1, 999));
  await expect.poll(() => a.pool.borrowed).toBe(1);
  peer.connection.abort(new Error("gone"));
  await a.next("peerDisconnected");
  expect(a.pool.borrowed).toBe(0);
});

test("late data after our CANCEL is dropped without offence, but only as much as was asked", async () => {
  const [a, peer] = await asked();
  const { peerId } = await a.next("peerConnected");
  a.execute({ type: "cancelRequest", peerId, requestId: 42 });
  expect(await peer.next("cancel")).toMatchObject({ id: 1 });
  peer.sendBytes(dataFrame(1, 1_000));
  a.requestPiece(peerId, 43, 8, 10);
  await peer.next("request", 2);
  peer.sendBytes(dataFrame(2, 10));
  await a.next("peerPiece");
  expect(a.all("peerOffended")).toEqual([]);
  peer.sendBytes(dataFrame(1, 1));
  expect(await dropped(a, peer)).toEqual(byOffence("surplusBytes"));
});

test("R-PEER-14: drops a peer that begins manifests of more than 16 MiB together", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  const { peerId } = await a.next("peerConnected");
  for (const requestId of [1, 2]) {
    a.execute({ type: "requestManifest", peerId, requestId, contentId });
  }
  await peer.next("manifestRequest", 2);
  peer.send({ type: "manifest", id: 1, length: LIMITS.manifestBytesMax });
  peer.send({ type: "manifest", id: 2, length: 1 });
  expect(await dropped(a, peer)).toEqual(byOffence("surplusBytes"));
});

test("drops a peer that answers a manifest request with data alone, or with two lengths", async () => {
  for (const answer of [
    dataFrame(1, 10),
    Buffer.concat([
      encodeFrame({ type: "manifest", id: 1, length: 10 }),
      encodeFrame({ type: "manifest", id: 1, length: 10 }),
    ]),
  ]) {
    const a = await TestSwarm.start();
    const peer = await RawPeer.greet(a);
    const { peerId } = await a.next("peerConnected");
    a.execute({ type: "requestManifest", peerId, requestId: 1, contentId });
    await peer.next("manifestRequest");
    peer.sendBytes(answer);
    expect(await dropped(a, peer)).toEqual(byOffence("malformedFrame"));
  }
});

test("R-PEER-16: refuses requests beyond eight as busy, and reports the flood once a second", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  for (let id = 1; id <= 200; id++) peer.send({ type: "request", id, contentId, piece: id });
  expect(await peer.next("refuse", 192)).toMatchObject({ id: 200, reason: "busy" });
  expect(a.all("pieceRequested")).toHaveLength(LIMITS.requestsPerPeerMax);
  expect(a.all("peerOffended").map(({ offence }) => offence)).toEqual(["requestFlood"]);
  expect(peer.closed).toBe(false);
});

test("a cancelled request makes room for the next at once", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  for (let id = 1; id <= 50; id++) {
    peer.send({ type: "request", id, contentId, piece: id });
    if (id > 7) peer.send({ type: "cancel", id });
  }
  await a.next("requestCancelled", 43);
  expect(a.all("pieceRequested")).toHaveLength(50);
  expect(a.all("peerOffended")).toEqual([]);
  expect(await peer.next("refuse", 43)).toMatchObject({ id: 50, reason: "cancelled" });
});

test("R-PEER-25: closes a connection that does not greet in time", async () => {
  const a = await TestSwarm.start({ handshakeTimeoutMs: 200 });
  const beganAt = performance.now();
  const silent = await RawPeer.dial(a);
  const partial = await RawPeer.dial(a);
  partial.sendBytes(hello.subarray(0, 10));
  const node = await rawNode({});
  const { multiaddr } = await import("@multiformats/multiaddr");
  const withoutStream = await node.dial(multiaddr(a.swarm.addresses[0]));
  await silent.untilClosed();
  await partial.untilClosed();
  await expect.poll(() => withoutStream.status).not.toBe("open");
  expect(performance.now() - beganAt).toBeLessThan(2_000);
  expect(a.events).toEqual([]);
});

test("R-PEER-25: a dial ends when the peer does not greet back", async () => {
  const a = await TestSwarm.start({ handshakeTimeoutMs: 200 });
  const node = await rawNode({ onStream: () => {} });
  a.dial({ peerId: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) });
  expect((await a.next("dialFailed")).reason).toContain("no greeting within 200 ms");
});

test("R-PEER-25: accepts no frame before HELLO", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.dial(a);
  peer.send({ type: "join", contentId });
  await peer.untilClosed();
  expect(a.events.map(({ type }) => type)).toEqual(["peerOffended"]);
});

test("greets a peer of another version and closes politely", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.dial(a);
  peer.send({ type: "hello", version: 2, requestsMax: 8 });
  expect(await peer.next("hello")).toMatchObject({ version: 1 });
  await peer.untilClosed();
  expect(a.events).toEqual([]);
});

/** A swarm that was told to ask a peer with such features for an announcement. */
async function askedForAnnouncement(features: number): Promise<[TestSwarm, RawPeer]> {
  const a = await TestSwarm.start();
  const peer = await RawPeer.dial(a);
  peer.send({ type: "hello", version: 1, features, requestsMax: 8 });
  const { peerId } = await a.next("peerConnected");
  a.execute({ type: "requestAnnouncement", peerId, requestId: 70, tag: new Uint8Array(32) });
  return [a, peer];
}

test("asks no peer for announcements whose HELLO does not say that it knows the frames", async () => {
  const [a] = await askedForAnnouncement(0);
  const refused = await a.next("requestRefused");
  expect(refused).toMatchObject({ requestId: 70, reason: "notFound" });
});

test("drops a peer that answers a question for an announcement with a manifest", async () => {
  const [a, peer] = await askedForAnnouncement(1);
  expect(await peer.next("announcementRequest")).toMatchObject({ id: 1 });
  peer.send({ type: "manifest", id: 1, length: 5 });
  expect(await dropped(a, peer)).toEqual(byOffence("malformedFrame"));
});

test("R-PEER-25: says of a peer it has dialled that it speaks another version", async () => {
  const a = await TestSwarm.start();
  const node = await rawNode({
    onStream: (peer) => peer.send({ type: "hello", version: 2, requestsMax: 8 }),
  });
  const addresses = node.getMultiaddrs().map(String);
  a.dial({ peerId: node.peerId.toString(), addresses });
  const failed = await a.next("dialFailed");
  expect(failed).toMatchObject({ isForeign: true });
  expect(failed.reason).toContain("version 2");
});

test("reads a HELLO that is longer than ours", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.dial(a);
  peer.sendBytes(hexBytes("0000000c 01000000 0001 0000 00000005 deadbeef"));
  expect(await a.next("peerConnected")).toMatchObject({ requestsMax: 5 });
});

test("one connection has one stream of the protocol (R-PEER-08)", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  const second = await peer.connection.newStream("/shoal/swarm/1.0.0").catch(() => undefined);
  await expect.poll(() => second?.status ?? "refused").not.toBe("open");
  a.execute({ type: "sendJoin", peerId: (await a.next("peerConnected")).peerId, contentId });
  await peer.next("join");
});

test("R-PEER-06, R-PEER-07: streams and what may be sent ahead have our limits, not libp2p's", async () => {
  const [a, b] = await connectedPair();
  const peer = await RawPeer.greet(a);
  const seen = peer.stream as unknown as { sendWindowCapacity: number };
  await expect.poll(() => seen.sendWindowCapacity).toBeGreaterThan(256 * KiB);
  expect(seen.sendWindowCapacity).toBeLessThanOrEqual(LIMITS.streamReadBytesMax);
  // Streams that are opened and never negotiated are reset beyond eight.
  const openings = Array.from({ length: 60 }, () =>
    peer.connection.newStream("/never/1.0.0", { maxOutboundStreams: 100 }),
  );
  const results = await Promise.allSettled(openings);
  expect(results.every(({ status }) => status === "rejected")).toBe(true);
  b.requestPiece(a.peerId, 1, 0, 10);
  const { requestId } = await a.next("pieceRequested");
  a.sendPiece(b.peerId, requestId, a.payload(10, 0));
  await b.next("peerPiece");
});

test("a peer that never reads is dropped before its control frames fill the memory (R-PEER-20)", async () => {
  const a = await TestSwarm.start({ stallTimeoutMs: 60_000 });
  const peer = await RawPeer.greet(a);
  const { peerId } = await a.next("peerConnected");
  peer.stream.pause();
  const pieces = Array.from({ length: 10_000 }, (_, i) => i);
  for (let i = 0; i < 2_000 && a.all("peerDisconnected").length === 0; i++) {
    a.execute({ type: "sendHave", peerIds: [peerId], contentId, pieces });
    if (i % 10 === 0) await new Promise(setImmediate);
  }
  expect((await a.next("peerDisconnected")).reason).toContain("does not read");
});

test("survives bytes of every kind from many peers and still serves an honest one", async () => {
  const [a, b] = await connectedPair();
  for (let round = 0; round < 12; round++) {
    const peer = await RawPeer.dial(a);
    const noiseBytes = crypto.getRandomValues(new Uint8Array(5_000));
    if (round % 2 === 0) peer.send({ type: "hello", version: 1, requestsMax: 0xffffffff });
    try {
      peer.sendBytes(noiseBytes);
    } catch {
      // The connection may be gone already.
    }
    await peer.untilClosed();
  }
  b.requestPiece(a.peerId, 1, 0, MiB);
  const { requestId } = await a.next("pieceRequested");
  a.sendPiece(b.peerId, requestId, a.payload(MiB, 3));
  await b.next("peerPiece");
  expect(a.pool.borrowed + b.pool.borrowed).toBe(0);
});

/** What libp2p keeps private: the encrypted stream below the muxer, for bytes that are not yamux. */
function belowMuxer(peer: RawPeer): { send(bytes: Uint8Array): boolean } {
  const { muxer } = peer.connection as unknown as {
    muxer: { maConn: { send(bytes: Uint8Array): boolean } };
  };
  return muxer.maConn;
}

test("bytes that are not yamux end the connection and nothing else", async () => {
  const [a, b] = await connectedPair();
  const peer = await RawPeer.dial(a);
  peer.send({ type: "hello", version: 1, requestsMax: 8 });
  await a.next("peerConnected", 2);
  belowMuxer(peer).send(crypto.getRandomValues(new Uint8Array(1_000)).fill(9, 0, 1));
  await a.next("peerDisconnected");
  await peer.untilClosed();
  b.execute({ type: "sendJoin", peerId: a.peerId, contentId });
  expect((await a.next("peerJoined")).peerId).toBe(b.peerId);
});

test("R-PEER-20: a muxer frame larger than we allow is not collected", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  // Yamux data of 1 GiB for stream 1, of which 64 MiB are on offer.
  belowMuxer(peer).send(hexBytes("00 00 0000 00000001 40000000"));
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 64 && !peer.closed; i++) {
    belowMuxer(peer).send(new Uint8Array(MiB));
    await new Promise(setImmediate);
  }
  await peer.untilClosed();
  await a.next("peerDisconnected");
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(80 * MiB);
});

test("a flood of control frames ends the connection", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  const join = encodeFrame({ type: "join", contentId });
  peer.sendBytes(Buffer.concat(Array.from({ length: 12_000 }, () => join)));
  expect(await dropped(a, peer)).toEqual(byOffence("requestFlood"));
});

test("survives strangers that speak something else, or nothing", async () => {
  const [a, b] = await connectedPair();
  const [, , , , port] = (a.swarm.addresses[0] ?? "").split("/");
  const opened: Socket[] = [];
  for (let i = 0; i < 60; i++) {
    const socket = connect(Number(port), "127.0.0.1").on("error", () => {});
    if (i % 3 === 0) socket.write(crypto.getRandomValues(new Uint8Array(1 + i * 50)));
    if (i % 3 === 1) socket.write("\x13/multistream/1.0.0\n\x07/noise\n" + "x".repeat(i * 20));
    if (i % 7 === 0) socket.end();
    if (i % 5 === 0) socket.on("connect", () => socket.resetAndDestroy());
    opened.push(socket);
  }
  b.execute({ type: "sendJoin", peerId: a.peerId, contentId });
  expect((await a.next("peerJoined")).peerId).toBe(b.peerId);
  for (const socket of opened) socket.destroy();
});
