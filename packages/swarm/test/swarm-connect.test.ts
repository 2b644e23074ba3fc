/** Dialling, being dialled, both at once; who is let in; starting and stopping. */
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { multiaddr } from "@multiformats/multiaddr";
import { LIMITS, MiB, PieceBufferPool } from "@shoal/core";
import { expect, test } from "vitest";
import { createIdentity, createSwarm } from "../src/index.ts";
import { connectedPair, contentId, RawPeer, rawNode, TestSwarm } from "./test-swarm.ts";

const SOMEBODY = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

/** Whether a dial fails; libp2p's dialler cannot tell why. */
async function isRefused(dial: Promise<RawPeer>): Promise<boolean> {
  const [result] = await Promise.allSettled([dial]);
  return result?.status === "rejected";
}

test("keeps its identity and says where it can be reached", async () => {
  const privateKey = await createIdentity();
  const a = await TestSwarm.start({ privateKey });
  expect(a.peerId).toBe(privateKey.publicKey.toString());
  expect(a.swarm.addresses).toHaveLength(1);
  expect(a.swarm.addresses[0]).toMatch(new RegExp(`^/ip4/127.0.0.1/tcp/\\d+/p2p/${a.peerId}$`));
});

test("two peers that dial each other at once end with one link that works", async () => {
  for (let round = 0; round < 20; round++) {
    const [a, b] = await Promise.all([TestSwarm.start(), TestSwarm.start()]);
    a.dial(b.swarm);
    b.dial(a.swarm);
    await Promise.all([a.next("peerConnected"), b.next("peerConnected")]);
    // Asked at the first moment, on whichever link each side believes in.
    a.requestPiece(b.peerId, 1, 0, MiB);
    b.requestPiece(a.peerId, 1, 0, MiB);
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const { requestId } = await from.next("pieceRequested");
      from.sendPiece(to.peerId, requestId, from.payload(MiB, round));
    }
    await Promise.all([a.next("peerPiece"), b.next("peerPiece")]);
    for (const side of [a, b]) {
      expect(side.all("peerConnected")).toHaveLength(1);
      expect(side.all("peerDisconnected")).toEqual([]);
      expect(side.all("dialFailed")).toEqual([]);
      expect(side.all("peerOffended")).toEqual([]);
    }
    await Promise.all([a.swarm.close(), b.swarm.close()]);
  }
}, 20_000);

test("six peers that all dial all others are connected once with each", async () => {
  const swarms = await Promise.all(Array.from({ length: 6 }, () => TestSwarm.start()));
  for (const from of swarms) for (const to of swarms) if (from !== to) from.dial(to.swarm);
  for (const swarm of swarms) await swarm.next("peerConnected", 5);
  for (const swarm of swarms) {
    const peers = swarm.all("peerConnected").map(({ peerId }) => peerId);
    expect(new Set(peers).size).toBe(5);
    expect(peers).toHaveLength(5);
    expect(swarm.all("dialFailed")).toEqual([]);
    expect(swarm.all("peerDisconnected")).toEqual([]);
  }
});

test("dialling a connected peer again changes nothing", async () => {
  const [a, b] = await connectedPair();
  a.dial(b.swarm);
  b.dial(a.swarm);
  a.execute({ type: "sendJoin", peerId: b.peerId, contentId });
  await b.next("peerJoined");
  expect(a.events).toHaveLength(1);
  expect(b.events).toHaveLength(2);
});

test("a peer that comes back is connected anew", async () => {
  const privateKey = await createIdentity();
  const [a, b] = await Promise.all([TestSwarm.start(), TestSwarm.start({ privateKey })]);
  b.dial(a.swarm);
  await a.next("peerConnected");
  await b.swarm.close();
  expect((await a.next("peerDisconnected")).reason).toBe("the peer closed the connection");
  const again = await TestSwarm.start({ privateKey });
  again.dial(a.swarm);
  expect((await a.next("peerConnected", 2)).peerId).toBe(b.peerId);
});

test.each(["lower", "higher"])(
  "a peer of %s id that lost its link without our seeing it gets a new one",
  async (wanted) => {
    const a = await TestSwarm.start({ handshakeTimeoutMs: 300 });
    let privateKey = await createIdentity();
    while (privateKey.publicKey.toString() < a.peerId !== (wanted === "lower")) {
      privateKey = await createIdentity();
    }
    const first = await RawPeer.dial(a, privateKey);
    first.send({ type: "hello", version: 1, requestsMax: 8 });
    const { peerId } = await a.next("peerConnected");
    const openedAt = performance.now();
    await expect.poll(() => performance.now() - openedAt).toBeGreaterThan(300);
    const second = await RawPeer.dial(a, privateKey);
    second.send({ type: "hello", version: 1, requestsMax: 4 });
    expect(await a.next("peerConnected", 2)).toMatchObject({ peerId, requestsMax: 4 });
    expect(a.events.map(({ type }) => type)).toEqual([
      "peerConnected",
      "peerDisconnected",
      "peerConnected",
    ]);
    await first.untilClosed();
    expect(second.closed).toBe(false);
  },
);

test("says in words why a dial failed", async () => {
  const a = await TestSwarm.start({ connectionsMax: 1 });
  const closed = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => closed.once("listening", resolve));
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const reasonOf = async (addresses: readonly string[], peerId = SOMEBODY): Promise<string> => {
    const before = a.all("dialFailed").length;
    a.dial({ peerId, addresses });
    return (await a.next("dialFailed", before + 1)).reason;
  };
  const free = `/ip4/127.0.0.1/tcp/${port}`;
  expect(await reasonOf([free])).toBe("nobody listens at its address");
  expect(await reasonOf([free, free])).toBe("nobody listens at its address");
  expect(await reasonOf([])).toBe("none of its addresses may be dialled");
  expect(await reasonOf(["/dns4/localhost/tcp/4001"])).toContain("may be dialled");
  expect(await reasonOf(["/ip4/8.8.8.8/tcp/4001"])).toContain("may be dialled");
  expect(await reasonOf(["/ip4/127.0.0.1/tcp/80"])).toContain("may be dialled");
  expect(await reasonOf(["nonsense"])).toContain("may be dialled");
  expect(await reasonOf(a.swarm.addresses, a.peerId)).toContain("our own id");
  expect(await reasonOf(a.swarm.addresses.map((text) => text.split("/p2p")[0]!))).toContain(
    "may be dialled",
  );
  const b = await TestSwarm.start();
  const wrongId = b.swarm.addresses.map((text) => text.split("/p2p")[0]!);
  expect(await reasonOf(wrongId)).toBe("another peer answered at its address"); // R-PEER-30
  a.dial(b.swarm);
  await a.next("peerConnected");
  expect(await reasonOf([free])).toBe("there are too many connections"); // R-PEER-01
});

test("a peer without the protocol is a failed dial", async () => {
  const a = await TestSwarm.start();
  const node = await rawNode({ onStream: () => {} });
  await node.unhandle("/shoal/swarm/1.0.0");
  const addresses = node.getMultiaddrs().map(String);
  a.dial({ peerId: node.peerId.toString(), addresses });
  expect((await a.next("dialFailed")).reason).toContain("does not speak the protocol");
  await expect.poll(() => node.getConnections().length).toBe(0);
});

test("disconnecting while dialling ends the dial", async () => {
  const a = await TestSwarm.start();
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  const { port } = silent.address() as AddressInfo;
  a.dial({ peerId: SOMEBODY, addresses: [`/ip4/127.0.0.1/tcp/${port}`] });
  a.execute({ type: "disconnectPeer", peerId: SOMEBODY, reason: "not wanted" });
  expect(await a.next("dialFailed")).toMatchObject({ peerId: SOMEBODY });
  await new Promise((resolve) => silent.close(resolve));
});

test("reports peers that the user named, at start and later", async () => {
  const named = `/ip4/203.0.113.7/tcp/4001/p2p/${SOMEBODY}`;
  const a = await TestSwarm.start({ staticPeers: [named] });
  a.swarm.addPeer(`/ip4/127.0.0.1/tcp/4002/p2p/${SOMEBODY}`);
  expect(a.events).toEqual(
    ["/ip4/203.0.113.7/tcp/4001", "/ip4/127.0.0.1/tcp/4002"].map((address) => ({
      type: "peerDiscovered",
      peerId: SOMEBODY,
      addresses: [address],
      isStatic: true,
    })),
  );
});

test.each(["", "10.0.0.1:80", "/ip4/10.0.0.1/tcp/4001", `/dns4/a.b/tcp/4001/p2p/${SOMEBODY}`])(
  "refuses the static peer %j",
  async (text) => {
    const a = await TestSwarm.start();
    const invalid = expect.objectContaining({ code: "ERR_PEER_ADDRESS_INVALID" });
    expect(() => a.swarm.addPeer(text)).toThrow(invalid);
    await expect(TestSwarm.start({ staticPeers: [text] })).rejects.toEqual(invalid);
    expect(a.events).toEqual([]);
  },
);

test("cannot listen where somebody else does, or on what is no address", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const { port } = taken.address() as AddressInfo;
  const failed = expect.objectContaining({ code: "ERR_LISTEN_FAILED" });
  const listen = [`/ip4/127.0.0.1/tcp/${port}`];
  await expect(TestSwarm.start({ listen })).rejects.toEqual(failed);
  await expect(TestSwarm.start({ listen: ["127.0.0.1"] })).rejects.toEqual(failed);
  const half = ["/ip4/127.0.0.1/tcp/0", ...listen];
  await expect(TestSwarm.start({ listen: half })).rejects.toEqual(failed);
  await new Promise((resolve) => taken.close(resolve));
});

test("R-PEER-01: refuses connections beyond the limit", async () => {
  const a = await TestSwarm.start({ connectionsMax: 2 });
  await RawPeer.greet(a);
  await RawPeer.dial(a).then((peer) => peer.send({ type: "hello", version: 1, requestsMax: 8 }));
  await a.next("peerConnected", 2);
  expect(await isRefused(RawPeer.dial(a))).toBe(true);
  expect(a.all("peerConnected")).toHaveLength(2);
});

test("R-PEER-03: refuses a host that connects too often in a second", async () => {
  const a = await TestSwarm.start({ inboundPerHostPerSecMax: LIMITS.inboundPerHostPerSecMax });
  const dials = Array.from({ length: 12 }, () => RawPeer.dial(a));
  const results = await Promise.allSettled(dials);
  const accepted = results.filter(({ status }) => status === "fulfilled");
  expect(accepted).toHaveLength(LIMITS.inboundPerHostPerSecMax);
});

test("R-PEER-05: accepts eight connections of a host, and counts those that end", async () => {
  const a = await TestSwarm.start({ connectionsPerHostMax: LIMITS.connectionsPerHostMax });
  const peers: RawPeer[] = [];
  for (let i = 0; i < 8; i++) peers.push(await RawPeer.dial(a));
  expect(await isRefused(RawPeer.dial(a))).toBe(true);
  const [first] = peers;
  first?.connection.abort(new Error("enough"));
  await expect.poll(() => isRefused(RawPeer.dial(a))).toBe(false);
});

test("R-PEER-05: accepts two connections of a peer", async () => {
  const a = await TestSwarm.start();
  const node = await rawNode({});
  const address = multiaddr(a.swarm.addresses[0]);
  await node.dial(address, { force: true });
  await node.dial(address, { force: true });
  const third = await node.dial(address, { force: true });
  await expect.poll(() => third.status).not.toBe("open");
});

test("R-PEER-10: an agent that does not allow loopback refuses it", async () => {
  const a = await TestSwarm.start({ allowLoopback: false });
  expect(a.swarm.addresses).toEqual([]);
  const b = await TestSwarm.start();
  a.dial(b.swarm);
  expect((await a.next("dialFailed")).reason).toContain("may be dialled");
});

test("R-PEER-30: refuses identities that are not of Ed25519 keys", async () => {
  const a = await TestSwarm.start();
  const privateKey = await generateKeyPair("secp256k1");
  expect(await isRefused(RawPeer.dial(a, privateKey))).toBe(true);
});

test("starts without listening, closes twice, and leaves no handle of its own", async () => {
  const pool = new PieceBufferPool();
  const swarm = await createSwarm({ pool, sink: () => {} }, { listen: [] });
  expect(swarm.addresses).toEqual([]);
  await swarm.close();
  await swarm.close();
});
