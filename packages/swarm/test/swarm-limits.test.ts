/** Peers that core refuses, that ask too often, or that make us hold too much: over real sockets. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { KiB, MiB } from "@shoal/core";
import { expect, test } from "vitest";
import { encodeFrame } from "../src/frames.ts";
import { createIdentity } from "../src/index.ts";
import { contentId, RawPeer, TestSwarm } from "./test-swarm.ts";

const MULTISTREAM = "\x13/multistream/1.0.0\n";

function portOf(swarm: TestSwarm): number {
  return Number(swarm.swarm.addresses[0]?.split("/")[4]);
}

/** What a stranger gets for the first words of a handshake: an answer, or the end. */
function firstAnswer(port: number, from: { host: string; localAddress: string }): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect({ port, ...from, timeout: 5_000 }, () => socket.write(MULTISTREAM));
  socket.on("error", () => {});
  socket.on("timeout", () => socket.destroy());
  socket.on("data", (bytes) => {
    resolve(bytes.toString("latin1"));
    socket.destroy();
  });
  socket.on("close", () => resolve("closed"));
  return promise;
}

test("R-BAN-05: a refused address is closed before the handshake, until it is allowed again", async () => {
  const a = await TestSwarm.start();
  const local = { host: "127.0.0.1", localAddress: "127.0.0.1" };
  const refusal = { type: "setRefusal", kind: "address", subject: "127.0.0.1" } as const;
  a.execute({ ...refusal, isRefused: true });
  expect(await firstAnswer(portOf(a), local)).toBe("closed");
  const other = { host: "127.0.0.1", localAddress: "127.0.0.3" };
  expect(await firstAnswer(portOf(a), other)).toBe(MULTISTREAM);
  a.execute({ ...refusal, isRefused: false });
  expect(await firstAnswer(portOf(a), local)).toBe(MULTISTREAM);
});

test("R-BAN-05: a refused peer is closed once it is known, and not dialled", async () => {
  const a = await TestSwarm.start();
  const privateKey = await createIdentity();
  const banned = await TestSwarm.start({ privateKey });
  const refusal = { type: "setRefusal", kind: "peer", subject: banned.peerId } as const;
  a.execute({ ...refusal, isRefused: true });
  banned.dial(a.swarm);
  await banned.next("dialFailed");
  a.dial(banned.swarm);
  await a.next("dialFailed");
  expect(a.all("peerConnected")).toEqual([]);
  await RawPeer.greet(a);
  a.execute({ ...refusal, isRefused: false });
  banned.dial(a.swarm);
  expect((await a.next("peerConnected", 2)).peerId).toBe(banned.peerId);
});

test("R-PEER-10: a configured network may connect, and what is beside it may not", async () => {
  const listen = ["/ip4/127.0.0.2/tcp/0"];
  const a = await TestSwarm.start({ listen, allowLoopback: false, networks: ["127.0.0.2/32"] });
  const host = "127.0.0.2";
  expect(await firstAnswer(portOf(a), { host, localAddress: host })).toBe(MULTISTREAM);
  expect(await firstAnswer(portOf(a), { host, localAddress: "127.0.0.3" })).toBe("closed");
});

test.each(["10.0.0.0", "10.0.0.0/33", "fd00::/129", "example.test/8", "10.0.0.0/8/8", ""])(
  "R-PEER-10: %j is no network",
  async (text) => {
    const error = { code: "ERR_NETWORK_INVALID" };
    await expect(TestSwarm.start({ networks: [text] })).rejects.toMatchObject(error);
  },
);

test("R-PEER-17: requests that are withdrawn are bounded, and more of them are a flood", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  const beganAt = performance.now();
  for (let id = 1; id <= 400; id++) {
    peer.send({ type: "request", id, contentId, piece: id });
    peer.send({ type: "cancel", id });
  }
  expect(await peer.next("refuse", 400)).toMatchObject({ id: 400 });
  const seconds = (performance.now() - beganAt) / 1_000;
  const admitted = a.all("pieceRequested").length;
  expect(admitted).toBeGreaterThanOrEqual(128);
  // What came back while the requests were read.
  expect(admitted).toBeLessThan(128 + 64 * Math.max(1, seconds));
  expect(a.all("peerOffended")[0]).toMatchObject({ offence: "requestFlood" });
  expect(peer.closed).toBe(false);
});

test("R-PEER-17: requests that are served are as many as one likes", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  a.onEvent = (event) => {
    if (event.type !== "pieceRequested") return;
    a.sendPiece(event.peerId, event.requestId, a.payload(1_000, event.piece));
  };
  for (let id = 1; id <= 500; id++) {
    peer.send({ type: "request", id, contentId, piece: id });
    if (id % 8 === 0) await peer.next("pieceData", id);
  }
  expect(a.all("uploadFinished").length).toBeGreaterThanOrEqual(496);
  expect(a.all("peerOffended")).toEqual([]);
});

test("R-PEER-17: asking in vain is free sixty times a minute", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  a.onEvent = (event) => {
    if (event.type !== "pieceRequested") return;
    const { peerId, requestId } = event;
    a.execute({ type: "refuseRequest", peerId, requestId, reason: "notFound" });
  };
  const ask = async (from: number, to: number): Promise<void> => {
    for (let id = from; id <= to; id++) {
      peer.send({ type: "request", id, contentId, piece: id });
      if (id % 4 === 0) await peer.next("refuse", id);
    }
    await peer.next("refuse", to);
  };
  await ask(1, 60);
  expect(a.all("peerOffended")).toEqual([]);
  await ask(61, 80);
  expect(a.all("peerOffended")[0]).toMatchObject({ offence: "requestFlood" });
});

/** A newcomer that can make the swarm hold bytes: a manifest that it is asked for and never ends. */
class Hoarder {
  readonly peer: RawPeer;
  readonly #peerId: string;

  private constructor(peer: RawPeer, peerId: string) {
    this.peer = peer;
    this.#peerId = peerId;
  }

  /** As the `count`-th peer. */
  static async greet(a: TestSwarm, count: number): Promise<Hoarder> {
    const peer = await RawPeer.greet(a);
    return new Hoarder(peer, (await a.next("peerConnected", count)).peerId);
  }

  async burden(a: TestSwarm, byteLength: number): Promise<void> {
    const request = { peerId: this.#peerId, requestId: byteLength, contentId };
    a.execute({ type: "requestManifest", ...request });
    const { id } = (await this.peer.next("manifestRequest")) as { id: number };
    this.peer.send({ type: "manifest", id, length: byteLength });
  }
}

/** Whether a newcomer's stream is reset, which it may learn when it opens it or later. */
async function isStreamRefused(swarm: TestSwarm): Promise<boolean> {
  try {
    const late = await RawPeer.dial(swarm);
    late.send({ type: "hello", version: 1, requestsMax: 8 });
    await Promise.race([late.untilReset(), late.next("hello")]);
    return late.stream.status !== "open";
  } catch (error) {
    return error instanceof Error && error.name.startsWith("Stream");
  }
}

test("R-PEER-20: above three quarters of the memory for peers nobody gets another stream", async () => {
  const a = await TestSwarm.start({ peerBufferBytesMax: 2 * MiB });
  const honest = await RawPeer.greet(a);
  const hoarder = await Hoarder.greet(a, 2);
  await hoarder.burden(a, 1_700 * KiB);
  // Its frame is on its way, so that some may still be let in.
  await expect.poll(() => isStreamRefused(a), { timeout: 5_000 }).toBe(true);
  // Streams that are open go on, and room comes back with the end of who took it.
  honest.send({ type: "join", contentId });
  await a.next("peerJoined");
  hoarder.peer.connection.abort(new Error("gone"));
  await a.next("peerDisconnected");
  const welcome = await RawPeer.dial(a);
  welcome.send({ type: "hello", version: 1, requestsMax: 8 });
  expect((await welcome.next("hello")).version).toBe(1);
});

test("R-PEER-20: beyond the memory for peers the connection ends that holds most", async () => {
  const a = await TestSwarm.start({ peerBufferBytesMax: 2 * MiB });
  const honest = await RawPeer.greet(a);
  const hoarders = [await Hoarder.greet(a, 2), await Hoarder.greet(a, 3)];
  await hoarders[0]!.burden(a, 1_200 * KiB);
  await hoarders[1]!.burden(a, 1_500 * KiB);
  const ended = await a.next("peerDisconnected");
  expect(ended.peerId).not.toBe(a.all("peerConnected")[0]?.peerId);
  honest.send({ type: "join", contentId });
  await a.next("peerJoined");
  expect(a.all("peerDisconnected")).toHaveLength(1);
});

test("R-PEER-19: a connection ends on which nothing useful is said, whatever else is", async () => {
  const a = await TestSwarm.start({ idleTimeoutMs: 400 });
  const idler = await RawPeer.greet(a);
  // The half of a frame, byte by byte.
  const half = encodeFrame({ type: "have", contentId, pieces: [1, 2, 3] }).subarray(0, 40);
  let at = 0;
  const timer = setInterval(() => {
    // It may be over on this end before the other has said so.
    if (idler.stream.status === "open") idler.sendBytes(half.subarray(at, ++at));
  }, 50);
  const ended = await a.next("peerDisconnected");
  clearInterval(timer);
  expect(ended.reason).toBe("of no use for 400 ms");
  await idler.untilClosed();
});

test("R-PEER-19: a connection stays on which something useful is said now and then", async () => {
  const a = await TestSwarm.start({ idleTimeoutMs: 400 });
  const peer = await RawPeer.greet(a);
  const join = (): void => peer.send({ type: "join", contentId });
  const timer = setInterval(join, 50);
  await a.next("peerJoined", 16);
  expect(a.all("peerDisconnected")).toEqual([]);
  clearInterval(timer);
  await a.next("peerDisconnected");
});

test("R-PEER-22: bytes that would shrink to nothing travel as they are", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  const { maConn } = peer.connection as unknown as { maConn: { socket: Socket } };
  const before = maConn.socket.bytesRead;
  peer.send({ type: "request", id: 1, contentId, piece: 0 });
  const { peerId, requestId } = await a.next("pieceRequested");
  const zeros = a.pool.take(MiB);
  zeros.bytes.fill(0);
  a.sendPiece(peerId, requestId, zeros);
  await a.next("uploadFinished");
  await expect.poll(() => maConn.socket.bytesRead - before).toBeGreaterThan(MiB);
});
