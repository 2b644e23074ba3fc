/** Noise by our own frames with libp2p's own Noise at the other end, and with those in between. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { noise } from "@chainsafe/libp2p-noise";
import type { MessageStream } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { KiB, LIMITS, MiB } from "@shoal/core";
import { expect, onTestFinished, test } from "vitest";
import { encodePieceDataHeader } from "../src/frames.ts";
import { SWARM_PROTOCOL } from "../src/index.ts";
import { connectedPair, contentId, RawPeer, rawNode, someBytes } from "./test-swarm.ts";
import { speakNoise, TestSwarm } from "./test-swarm.ts";
import { bytesUntilEnd, connectTo, lines, negotiate } from "./tls-stranger.ts";

speakNoise();
const hello = { type: "hello", version: 1, requestsMax: 8 } as const;

/** A swarm and a peer with libp2p's own Noise, which have greeted each other. */
async function withStranger(isDialler: boolean): Promise<[TestSwarm, RawPeer]> {
  const a = await TestSwarm.start();
  const answered = Promise.withResolvers<RawPeer>();
  const node = await rawNode({ encrypter: noise(), onStream: answered.resolve });
  if (!isDialler) {
    a.dial({ peerId: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) });
    const peer = await answered.promise;
    peer.send(hello);
    await a.next("peerConnected");
    return [a, peer];
  }
  const connection = await node.dial(multiaddr(a.swarm.addresses[0]));
  expect(connection).toMatchObject({ encryption: "/noise", multiplexer: "/yamux/1.0.0" });
  const peer = new RawPeer(connection, await connection.newStream(SWARM_PROTOCOL));
  peer.send(hello);
  await a.next("peerConnected");
  return [a, peer];
}

/** The stranger's ciphers are slow. */
const PATIENT = { timeout: 10_000 };

test.each([true, false])(
  "moves pieces to and from libp2p's own Noise; it dials: %s",
  async (isDialler) => {
    const [a, peer] = await withStranger(isDialler);
    const { peerId } = await a.next("peerConnected");
    const pieces = 8;
    for (let i = 1; i <= pieces; i++) {
      a.requestPiece(peerId, i, i, MiB);
      const { id } = await peer.next("request", i);
      const bytes = someBytes(MiB, i);
      for (let at = 0; at < MiB; at += 100_000) {
        const part = bytes.subarray(at, at + 100_000);
        peer.sendBytes(encodePieceDataHeader(id, part.length));
        peer.sendBytes(part);
      }
      await a.next("peerPiece", i);
      expect(Buffer.compare(a.pieces.get(i)!, bytes)).toBe(0);
    }
    a.onEvent = (event) => {
      if (event.type !== "pieceRequested") return;
      a.sendPiece(peerId, event.requestId, a.payload(MiB, event.piece));
    };
    for (let id = 1; id <= pieces; id++) {
      peer.send({ type: "request", id, contentId, piece: id });
    }
    const received = new Map<number, Buffer[]>();
    await expect
      .poll(() => {
        for (const frame of peer.frames.splice(0)) {
          if (frame.type !== "pieceData") continue;
          received.set(frame.id, [...(received.get(frame.id) ?? []), Buffer.from(frame.bytes)]);
        }
        return [...received.values()].flat().reduce((sum, { length }) => sum + length, 0);
      }, PATIENT)
      .toBe(pieces * MiB);
    for (const [id, parts] of received) {
      expect(Buffer.compare(Buffer.concat(parts), someBytes(MiB, id))).toBe(0);
    }
  },
);

/** Passes on what a dialler and `target` say, through `change`, which may keep bytes back. */
async function startRelay(
  target: TestSwarm,
  change: (bytes: Buffer, isDiallers: boolean) => Buffer,
): Promise<string> {
  const sockets: Socket[] = [];
  const relay = createServer((near) => {
    void connectTo(target.swarm.addresses).then((far) => {
      sockets.push(near, far);
      near.on("error", () => {});
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on("data", (bytes: Buffer) => void to.write(change(bytes, from === near)));
        from.on("close", () => to.destroy());
      }
    });
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
  const { port } = relay.address() as AddressInfo;
  return `/ip4/127.0.0.1/tcp/${port}/p2p/${target.peerId}`;
}

test("takes frames that come together with the last message of the handshake", async () => {
  const a = await TestSwarm.start();
  // Of a dialler: which handshake it wants, and its first message.
  const beginning = lines("/multistream/1.0.0", "/noise").length + 2 + 32;
  let said = Buffer.alloc(0);
  let passedOn = 0;
  const address = await startRelay(a, (bytes, isDiallers) => {
    if (!isDiallers) return bytes;
    said = Buffer.concat([said, bytes]);
    const length = said.length < beginning + 2 ? Infinity : said.readUInt16BE(beginning);
    const isAhead = said.length > beginning + 2 + length;
    const before = passedOn;
    passedOn = isAhead ? said.length : Math.min(said.length, beginning);
    return said.subarray(before, passedOn);
  });
  const node = await rawNode({ encrypter: noise() });
  const connection = await node.dial(multiaddr(address));
  new RawPeer(connection, await connection.newStream(SWARM_PROTOCOL)).send(hello);
  expect((await a.next("peerConnected")).peerId).toBe(node.peerId.toString());
});

test("takes what comes byte by byte", async () => {
  const a = await TestSwarm.start();
  const address = await startRelay(a, (bytes) => bytes);
  const node = await rawNode({ encrypter: noise() });
  const connection = await node.dial(multiaddr(address));
  const { maConn } = connection as unknown as { maConn: { socket: Socket } };
  const { socket } = maConn;
  const write = socket.write.bind(socket);
  socket.write = ((bytes: Uint8Array, ...rest: never[]) => {
    for (const byte of bytes.subarray(0, -1)) write(Uint8Array.of(byte));
    return write(bytes.subarray(-1), ...rest);
  }) as typeof socket.write;
  new RawPeer(connection, await connection.newStream(SWARM_PROTOCOL)).send(hello);
  expect((await a.next("peerConnected")).peerId).toBe(node.peerId.toString());
});

test("ends the connection at a frame that was changed on its way, and takes nothing of it", async () => {
  const [a, b] = await Promise.all([TestSwarm.start(), TestSwarm.start()]);
  let isChanging = false;
  const address = await startRelay(b, (bytes) => {
    if (isChanging) bytes[bytes.length - 1]! ^= 1;
    return bytes;
  });
  a.dial({ peerId: b.peerId, addresses: [address] });
  await Promise.all([a.next("peerConnected"), b.next("peerConnected")]);
  isChanging = true;
  a.execute({ type: "sendHave", peerIds: [b.peerId], contentId, pieces: [1] });
  await Promise.all([a.next("peerDisconnected"), b.next("peerDisconnected")]);
  expect(b.all("peerHave")).toEqual([]);
  // It may have been anybody on the way.
  expect(b.all("peerOffended")).toEqual([]);
});

test("no memory is freed before it is sent or while somebody has it, whatever is under way", async () => {
  const [a, b] = await connectedPair();
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.onEvent = (event) => {
      if (event.type !== "pieceRequested") return;
      from.sendPiece(to.peerId, event.requestId, from.payload(MiB, event.piece));
      const { contentId: content } = event;
      from.execute({ type: "sendHave", peerIds: [to.peerId], contentId: content, pieces: [1] });
    };
  }
  for (let i = 1; i <= 32; i++) {
    a.requestPiece(b.peerId, i, i, MiB);
    b.requestPiece(a.peerId, i, i + 1, MiB);
    if (i % 8 === 0) await Promise.all([a.next("peerPiece", i), b.next("peerPiece", i)]);
  }
  for (const [piece, bytes] of a.pieces) {
    expect(Buffer.compare(bytes, someBytes(MiB, piece))).toBe(0);
  }
  for (const [piece, bytes] of b.pieces) {
    expect(Buffer.compare(bytes, someBytes(MiB, piece + 1))).toBe(0);
  }
  await expect.poll(() => a.pool.borrowed + b.pool.borrowed).toBe(0);
});

test("R-PEER-20: a peer that asks the muxer and never reads the answers is dropped", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  const { muxer } = peer.connection as unknown as { muxer: { maConn: MessageStream } };
  const { maConn } = muxer;
  maConn.pause();
  // Yamux: version 0, type 2 (ping), flag 1 (question), no stream, any number.
  const ping = Buffer.from("000200010000000000000000", "hex");
  const pings = Buffer.concat(Array.from({ length: 5_000 }, () => ping));
  let askedBytes = 0;
  while (peer.stream.status === "open" && askedBytes < 64 * MiB) {
    askedBytes += pings.length;
    if (!maConn.send(pings)) await Promise.race([once(maConn, "drain"), once(maConn, "close")]);
  }
  await a.next("peerDisconnected");
  expect(askedBytes).toBeLessThan(64 * MiB);
}, 20_000);

test("R-PEER-04: a handshake that does not come to its end ends with the deadline", async () => {
  const a = await TestSwarm.start();
  const beganAt = performance.now();
  const silent = await negotiate(a.swarm.addresses, "/noise");
  const partial = await negotiate(a.swarm.addresses, "/noise");
  partial.write(Buffer.of(0, 32, 1, 2, 3));
  // All of the first message, and not the second.
  const half = await negotiate(a.swarm.addresses, "/noise");
  half.write(Buffer.concat([Buffer.of(0, 32), someBytes(32, 1)]));
  const said = await Promise.all([silent, partial, half].map(bytesUntilEnd));
  expect(said.map(({ length }) => length > 0)).toEqual([false, false, true]);
  expect(performance.now() - beganAt).toBeLessThan(LIMITS.negotiationTimeoutMs + 3_000);
  expect(a.events).toEqual([]);
  await RawPeer.greet(a);
}, 15_000);

test("ends a connection on which bytes of no kind come in place of the handshake", async () => {
  const a = await TestSwarm.start();
  const socket = await negotiate(a.swarm.addresses, "/noise");
  socket.write(someBytes(64 * KiB, 1));
  await bytesUntilEnd(socket);
  expect(a.events).toEqual([]);
  await RawPeer.greet(a);
});
