/** Gossip with peers that break its rules, over real sockets; and the pace of honest ones. */
import { generateKeyPair, publicKeyToProtobuf } from "@libp2p/crypto/keys";
import type { Stream } from "@libp2p/interface";
import { contentIdOf, KiB, LIMITS } from "@shoal/core";
import { expect, test } from "vitest";
import { GOSSIP_PROTOCOL } from "../src/gossip.ts";
import { OPEN_PRESENCE } from "../src/group.ts";
import { createIdentity } from "../src/index.ts";
import type { PrivateKey } from "../src/index.ts";
import { encodePresence, presenceTag } from "../src/presence-message.ts";
import type { PresenceMessage } from "../src/presence-message.ts";
import { connectedPair, contentId, RawPeer, TestSwarm } from "./test-swarm.ts";

const { topic, key } = OPEN_PRESENCE;
const tag = presenceTag(key, contentId);
const holding: PresenceMessage = { role: "holding", tag, addresses: ["/ip4/127.0.0.1/tcp/4001"] };

/** A field of a protocol buffer: its number, its length, its bytes. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.of((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let left = value; ; left >>>= 7) {
    if (left < 0x80) return Buffer.of(...bytes, left);
    bytes.push((left & 0x7f) | 0x80);
  }
}

interface GossipMessage {
  readonly author: Awaited<ReturnType<typeof generateKeyPair>>;
  readonly data: Uint8Array;
  readonly sequence: number;
}

/** One signed message, as GossipSub writes it. */
async function signed({ author, data, sequence }: GossipMessage): Promise<Uint8Array> {
  const seqno = Buffer.alloc(8);
  seqno.writeBigUInt64BE(BigInt(sequence));
  const content = Buffer.concat([
    field(1, author.publicKey.toMultihash().bytes),
    field(2, data),
    field(3, seqno),
    field(4, Buffer.from(topic)),
  ]);
  const signature = await author.sign(Buffer.concat([Buffer.from("libp2p-pubsub:"), content]));
  return Buffer.concat([
    content,
    field(5, signature),
    field(6, publicKeyToProtobuf(author.publicKey)),
  ]);
}

/** A peer that has greeted and speaks gossip by hand. */
async function gossiper(target: TestSwarm): Promise<{ peer: RawPeer; key: PrivateKey; say: Say }> {
  const privateKey = await createIdentity();
  const peer = await RawPeer.dial(target, privateKey);
  peer.send({ type: "hello", version: 1, requestsMax: 8 });
  const peerId = privateKey.publicKey.toString();
  await expect.poll(() => target.all("peerConnected").map((of) => of.peerId)).toContain(peerId);
  const stream: Stream = await peer.connection.newStream(GOSSIP_PROTOCOL);
  const say: Say = (...messages) => {
    const rpc = Buffer.concat(messages.map((message) => field(2, message)));
    stream.send(Buffer.concat([varint(rpc.length), rpc]));
  };
  return { peer, key: privateKey, say };
}
type Say = (...messages: Uint8Array[]) => void;

async function listener(): Promise<TestSwarm> {
  const a = await TestSwarm.start();
  a.execute({ type: "publishPresence", contentId, role: "fetching" });
  return a;
}

test("hears what somebody unknown has signed, and only addresses that may be dialled", async () => {
  const a = await listener();
  const { say } = await gossiper(a);
  const author = await createIdentity();
  const addresses = ["/ip4/8.8.8.8/tcp/4001", "/ip4/10.0.0.1/tcp/80", "/ip4/10.0.0.1/tcp/4001"];
  say(await signed({ author, data: encodePresence({ ...holding, addresses }), sequence: 1 }));
  const peerId = author.publicKey.toString();
  expect(await a.next("presenceHeard")).toEqual({
    type: "presenceHeard",
    peerId,
    contentId,
    role: "holding",
    addresses: ["/ip4/10.0.0.1/tcp/4001"],
  });
  expect(a.all("peerOffended")).toEqual([]);
});

test("takes only the latest of what one says about a content, and no replay", async () => {
  const a = await listener();
  const { say } = await gossiper(a);
  const author = await createIdentity();
  const left = encodePresence({ ...holding, role: "left" });
  say(await signed({ author, data: left, sequence: 1_000 }));
  say(await signed({ author, data: encodePresence(holding), sequence: 999 }));
  for (let sequence = 1; sequence < 100; sequence++) {
    say(await signed({ author, data: encodePresence(holding), sequence }));
  }
  say(await signed({ author, data: encodePresence(holding), sequence: 1_001 }));
  await a.next("presenceHeard", 2);
  expect(a.all("presenceHeard").map(({ role }) => role)).toEqual(["left", "holding"]);
  expect(a.all("peerOffended")).toEqual([]);
});

test("R-PEER-21: drops a neighbour that passes on what its author did not sign", async () => {
  const a = await listener();
  const { peer, say } = await gossiper(a);
  const author = await createIdentity();
  const forged = Buffer.from(await signed({ author, data: encodePresence(holding), sequence: 1 }));
  forged[60]! ^= 1;
  say(forged);
  expect(await a.next("peerOffended")).toMatchObject({ offence: "malformedFrame" });
  await a.next("peerDisconnected");
  await peer.untilClosed();
  expect(a.all("presenceHeard")).toEqual([]);
});

test("blames the author for a malformed message, and not who passed it on", async () => {
  const a = await listener();
  const { say } = await gossiper(a);
  const author = await createIdentity();
  say(await signed({ author, data: Buffer.alloc(KiB + 1, 1), sequence: 1 }));
  expect(await a.next("peerOffended")).toEqual({
    type: "peerOffended",
    peerId: author.publicKey.toString(),
    offence: "malformedFrame",
  });
  say(await signed({ author, data: encodePresence(holding), sequence: 2 }));
  await a.next("presenceHeard");
  expect(a.all("peerDisconnected")).toEqual([]);
});

test("refuses authors with keys that no agent has (R-PEER-30)", async () => {
  const a = await listener();
  const { say } = await gossiper(a);
  const data = encodePresence(holding);
  say(await signed({ author: await generateKeyPair("secp256k1"), data, sequence: 1 }));
  say(await signed({ author: await createIdentity(), data, sequence: 1 }));
  await a.next("presenceHeard");
  expect(a.all("presenceHeard")).toHaveLength(1);
});

test("one author's flood is cut off, and blamed on it when it is the neighbour itself", async () => {
  const a = await listener();
  const { key: author, say } = await gossiper(a);
  const messages: Uint8Array[] = [];
  for (let sequence = 1; sequence <= 3 * LIMITS.presenceBurstMax; sequence++) {
    messages.push(await signed({ author, data: encodePresence(holding), sequence }));
  }
  say(...messages);
  expect(await a.next("peerOffended")).toMatchObject({ offence: "requestFlood" });
  expect(a.all("presenceHeard").length).toBeLessThan(2 * LIMITS.presenceBurstMax);
});

test("drops a neighbour that passes on more than anybody could have said", async () => {
  const a = await listener();
  const { peer, say } = await gossiper(a);
  const message = field(2, Buffer.alloc(200 * KiB));
  for (let i = 0; i < 8 && !peer.closed; i++) say(message);
  expect(await a.next("peerOffended")).toMatchObject({ offence: "requestFlood" });
  await peer.untilClosed();
});

test("publishes no faster than others put up with, and the latest of each content", async () => {
  const [a, b] = await connectedPair();
  const contents = Array.from({ length: LIMITS.presenceBurstMax + 10 }, (_, i) =>
    contentIdOf(Uint8Array.of(2, i)),
  );
  for (const id of contents) b.execute({ type: "publishPresence", contentId: id, role: "holding" });
  for (const id of contents)
    a.execute({ type: "publishPresence", contentId: id, role: "fetching" });
  const last = contents.at(-1)!;
  a.execute({ type: "publishPresence", contentId: last, role: "holding" });
  await b.next("presenceHeard", LIMITS.presenceBurstMax);
  expect(b.all("presenceHeard").length).toBeLessThan(contents.length);
  expect([...a.all("peerOffended"), ...b.all("peerOffended")]).toEqual([]);
});
