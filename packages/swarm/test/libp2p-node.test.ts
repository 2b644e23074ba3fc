/** The limits that libp2p was given, read back from its parts (R-DEP-03), and those it hides. */
import { Socket } from "node:net";
import type { Connection, Libp2p } from "@libp2p/interface";
import { LIMITS } from "@shoal/core";
import { afterEach, expect, test } from "vitest";
import { AddressRules } from "../src/address-rules.ts";
import { createGater, Refusals } from "../src/gater.ts";
import { PeerBuffers } from "../src/peer-buffers.ts";
import { Gossip, GOSSIP_PROTOCOL } from "../src/gossip.ts";
import type { GossipInternals } from "../src/gossip.ts";
import { createIdentity } from "../src/index.ts";
import { createLibp2pNode } from "../src/libp2p-node.ts";
import { PartwiseDecoder } from "../src/partwise-decoder.ts";

const nodes: Libp2p[] = [];
afterEach(async () => {
  for (const node of nodes.splice(0)) {
    for (const connection of node.getConnections()) connection.abort(new Error("over"));
    await node.stop();
  }
});

async function startNode(): Promise<Libp2p> {
  const rules = new AddressRules({ allowLoopback: true });
  const counts = { isSelf: () => false, connectionCount: () => 0 };
  const gater = createGater(
    { refusals: new Refusals(), rules, ...counts },
    { connectionsPerHostMax: 8 },
  );
  const buffers = new PeerBuffers(LIMITS.peerBufferBytesMax);
  const gossip = new Gossip({
    topics: ["test"],
    judge: () => "ignore",
    listenerFound: () => {},
    offended: () => {},
  });
  const node = await createLibp2pNode(
    { privateKey: await createIdentity(), gater, rules, buffers, discoveries: [], gossip },
    {
      listen: ["/ip4/127.0.0.1/tcp/0"],
      groups: [],
      transports: "both",
      connectionsMax: 64,
      dialsMax: 8,
      inboundPerHostPerSecMax: 5,
    },
  );
  await node.start();
  nodes.push(node);
  return node;
}

/** The parts of libp2p that our own code or this test reaches into. */
interface Internals {
  readonly maConn: { readonly socket: Socket };
  readonly muxer: {
    readonly decoder: object;
    readonly enableKeepAlive: boolean;
    readonly maxInboundStreams: number;
    readonly maxOutboundStreams: number;
    readonly streamOptions: Readonly<Record<string, number>>;
  };
}

async function connect(): Promise<[Connection, Internals]> {
  const [a, b] = await Promise.all([startNode(), startNode()]);
  const connection = await a.dial(b.getMultiaddrs());
  return [connection, connection as unknown as Internals];
}

test("R-PEER-06, R-PEER-07, R-PEER-19: the limits are where libp2p looks for them", async () => {
  const [, { maConn, muxer }] = await connect();
  expect(maConn.socket.timeout).toBe(LIMITS.connectionIdleTimeoutMs);
  expect(muxer.maxInboundStreams).toBe(LIMITS.streamsInboundMax);
  expect(muxer.maxOutboundStreams).toBe(LIMITS.streamsOutboundMax);
  expect(muxer.enableKeepAlive).toBe(false);
  expect(muxer.streamOptions).toEqual({
    maxStreamWindowSize: LIMITS.streamReadBytesMax,
    maxReadBufferLength: LIMITS.streamReadBytesMax,
    maxWriteBufferLength: LIMITS.streamWriteBytesMax,
  });
});

test("agents speak TLS with each other, on the same addresses", async () => {
  const [connection] = await connect();
  expect(connection).toMatchObject({ encryption: "/tls/1.0.0", multiplexer: "/yamux/1.0.0" });
});

test("what we use of libp2p beyond its interface is there", async () => {
  const [, { maConn, muxer }] = await connect();
  expect(maConn.socket).toBeInstanceOf(Socket); // taken over by TLS
  expect(Object.hasOwn(maConn, "sendClose")).toBe(true); // TLS says goodbye
  expect(Object.getPrototypeOf(maConn)).toHaveProperty("sendClose");
  expect(Object.hasOwn(muxer, "abort")).toBe(true); // guarded
  expect(Object.hasOwn(muxer, "onRemoteStream")).toBe(true); // guarded
  expect(Object.getPrototypeOf(muxer)).toHaveProperty("onRemoteStream");
  expect(muxer.decoder).toBeInstanceOf(PartwiseDecoder); // only where yamux has one
});

test("R-PEER-01 to R-PEER-04: the connection manager has our limits", async () => {
  const { components } = (await startNode()) as unknown as {
    components: Record<string, Record<string, unknown>>;
  };
  expect(components["connectionManager"]).toMatchObject({
    maxConnections: 64,
    maxIncomingPendingConnections: LIMITS.pendingConnectionsMax,
    inboundConnectionRateLimiter: { points: 5, duration: 1 },
    dialQueue: {
      maxPeerAddrsToDial: LIMITS.addressesPerPeerMax,
      dialTimeout: LIMITS.dialTimeoutMs,
      addressDialTimeout: LIMITS.addressDialTimeoutMs,
      maxDialQueueLength: LIMITS.peersKnownMax,
      queue: { concurrency: 8 },
    },
  });
  expect(components["upgrader"]).toMatchObject({
    inboundUpgradeTimeout: LIMITS.negotiationTimeoutMs,
    inboundStreamProtocolNegotiationTimeout: LIMITS.negotiationTimeoutMs,
    outboundStreamProtocolNegotiationTimeout: LIMITS.negotiationTimeoutMs,
  });
});

test("R-PEER-09: speaks the swarm's protocol, identify and gossip, and nothing else", async () => {
  const node = await startNode();
  expect(node.getProtocols()).toEqual(["/ipfs/id/1.0.0", GOSSIP_PROTOCOL]);
});

test("what we use of gossip beyond its interface is there", async () => {
  const { services } = (await startNode()) as unknown as { services: { gossip: GossipInternals } };
  expect(Object.hasOwn(services.gossip.score, "rejectInvalidMessage")).toBe(true); // ours
  expect(Object.getPrototypeOf(services.gossip.score)).toHaveProperty("rejectInvalidMessage");
  expect(Object.getPrototypeOf(services.gossip)).toHaveProperty("stop");
  expect(services.gossip.status.heartbeatTimeout).toBeDefined();
});
