/** TLS handshakes with strangers: certificates that prove nothing, broken and endless handshakes. */
import { randomBytes, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { noise } from "@chainsafe/libp2p-noise";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { tls as libp2pTls } from "@libp2p/tls";
import type { MessageStream } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { KiB, LIMITS, MiB } from "@shoal/core";
import { Boolean as Asn1Boolean, ObjectIdentifier, OctetString, Sequence, UTCTime } from "asn1js";
import type { AsnType } from "asn1js";
import { expect, test } from "vitest";
import { groupsOf } from "../src/group.ts";
import { createIdentity, SWARM_PROTOCOL } from "../src/index.ts";
import type { PrivateKey } from "../src/index.ts";
import { nativeTls, TLS_PROTOCOL } from "../src/native-tls.ts";
import { createTlsIdentity, peerIdOfCertificate } from "../src/tls-certificate.ts";
import type { TlsIdentity } from "../src/tls-certificate.ts";
import { connectedPair, RawPeer, rawNode, someBytes, TestSwarm } from "./test-swarm.ts";
import type { RawEncrypter } from "./test-swarm.ts";
import {
  bodyOf,
  bytesUntilEnd,
  connectTo,
  extensionsOf,
  forge,
  lines,
  negotiate,
  readUntil,
  speakTls,
} from "./tls-stranger.ts";

const hello = { type: "hello", version: 1, requestsMax: 8 } as const;
const key = randomBytes(32);
const [group] = groupsOf([key]);

async function newIdentity(): Promise<TlsIdentity> {
  return createTlsIdentity(await createIdentity());
}

/** What is said under TLS to such a client before the end; the end has to come. */
async function saidTo(target: TestSwarm, options: ConnectionOptions): Promise<string> {
  const tls = speakTls(await negotiate(target.swarm.addresses), options);
  const beganAt = performance.now();
  const said = await bytesUntilEnd(tls);
  // By the refusal, not by a deadline.
  expect(performance.now() - beganAt).toBeLessThan(LIMITS.handshakeTimeoutMs / 2);
  return said.toString("hex");
}

/** Whether it has heard of nobody, and still talks to an honest peer. */
async function isWell(target: TestSwarm): Promise<boolean> {
  const isUntouched = target.events.length === 0;
  await RawPeer.greet(target);
  return isUntouched;
}

test("talks to libp2p's own TLS, whoever dials", async () => {
  const a = await TestSwarm.start();
  const answered = Promise.withResolvers<RawPeer>();
  const encrypter = libp2pTls();
  const node = await rawNode({ encrypter, onStream: answered.resolve });
  const connection = await node.dial(multiaddr(a.swarm.addresses[0]));
  expect(connection).toMatchObject({ encryption: "/tls/1.0.0", multiplexer: "/yamux/1.0.0" });
  const peer = new RawPeer(connection, await connection.newStream(SWARM_PROTOCOL));
  peer.send(hello);
  expect((await a.next("peerConnected")).peerId).toBe(node.peerId.toString());

  const b = await TestSwarm.start();
  b.dial({ peerId: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) });
  const dialled = await answered.promise;
  expect(dialled.connection.encryption).toBe("/tls/1.0.0");
  dialled.send(hello);
  await b.next("peerConnected");
});

test("talks Noise to whoever knows no TLS, whoever dials", async () => {
  const a = await TestSwarm.start();
  const answered = Promise.withResolvers<RawPeer>();
  const node = await rawNode({ encrypter: noise(), onStream: answered.resolve });
  expect((await node.dial(multiaddr(a.swarm.addresses[0]))).encryption).toBe("/noise");
  a.dial({ peerId: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) });
  expect((await answered.promise).connection.encryption).toBe("/noise");

  const old = await TestSwarm.start({ transports: "noise", groupKeys: [key] });
  const fresh = await TestSwarm.start({ groupKeys: [key] });
  fresh.dial(old.swarm);
  await Promise.all([old.next("peerConnected"), fresh.next("peerConnected")]);
});

test("takes a handshake whose first bytes come with its name", async () => {
  const a = await TestSwarm.start();
  const wanted = lines("/multistream/1.0.0", "/tls/1.0.0");
  const passOn = async (near: Socket, clientHello: Buffer): Promise<void> => {
    const far = await connectTo(a.swarm.addresses);
    far.write(Buffer.concat([wanted, clientHello]));
    await readUntil(far, wanted.length);
    near.pipe(far).pipe(near);
  };
  const relay = createServer((near) => {
    near.once("data", (clientHello) => {
      near.pause();
      void passOn(near, clientHello);
    });
  }).listen(0, "127.0.0.1");
  await once(relay, "listening");
  const near = await connectTo([`/tcp/${(relay.address() as AddressInfo).port}`]);
  const tls = speakTls(near, { ...(await newIdentity()) });
  await once(tls, "secureConnect");
  expect(tls.alpnProtocol).toBe("/yamux/1.0.0");
  tls.destroy();
  relay.close();
});

test("a dial ends when another peer answers than was dialled", async () => {
  const [a, b] = await Promise.all([TestSwarm.start(), TestSwarm.start()]);
  const peerId = (await createIdentity()).publicKey.toString();
  a.dial({ peerId, addresses: b.swarm.addresses.map((text) => text.split("/p2p/")[0]!) });
  expect((await a.next("dialFailed")).reason).toBe("another peer answered at its address");
  expect(b.events).toEqual([]);
});

function setTimes(items: AsnType[], ...dates: string[]): void {
  const times = dates.map((date) => new UTCTime({ valueDate: new Date(date) }));
  items[4] = new Sequence({ value: times });
}

function otherExtension(value: Uint8Array, ...critical: Asn1Boolean[]): Sequence {
  const id = new ObjectIdentifier({ value: "1.2.3.4" });
  return new Sequence({ value: [id, ...critical, new OctetString({ valueHex: value })] });
}

/** What is wrong with the certificate of a stranger who can do all that is right. */
const FORGERIES: [string, string, (items: AsnType[], other: TlsIdentity) => void][] = [
  ["that has expired", "not valid now", (items) => setTimes(items, "1999-01-01", "2001-01-01")],
  ["of the future", "not valid now", (items) => setTimes(items, "2049-01-01", "2049-12-31")],
  ["without extensions", "names no identity", (items) => void items.pop()],
  [
    "without ours among its extensions",
    "names no identity",
    (items) => void extensionsOf(items).splice(0, 1, otherExtension(randomBytes(8))),
  ],
  [
    "with the extension of another",
    "has not signed",
    (items, other) => void extensionsOf(items).splice(0, 1, ...extensionsOf(bodyOf(other))),
  ],
  [
    "with an extension of random bytes",
    "malformed",
    (items) => {
      const [extension] = extensionsOf(items) as [Sequence];
      extension.valueBlock.value[2] = new OctetString({ valueHex: randomBytes(64).fill(1, 0, 1) });
    },
  ],
  [
    "that demands what we do not know",
    "demands",
    (items) => {
      const critical = new Asn1Boolean({ value: true });
      extensionsOf(items).push(otherExtension(randomBytes(8), critical));
    },
  ],
  [
    "that is longer than any",
    "too long",
    (items) => {
      extensionsOf(items).push(otherExtension(randomBytes(LIMITS.certificateBytesMax)));
    },
  ],
];

test.each(FORGERIES)("R-PEER-30: refuses a certificate %s", async (_, reason, change) => {
  const [ours, other] = await Promise.all([newIdentity(), newIdentity()]);
  const forged = forge(ours, (items) => change(items, other));
  await expect(peerIdOfCertificate(new X509Certificate(forged.cert))).rejects.toThrow(reason);
  const a = await TestSwarm.start();
  expect(await saidTo(a, { ...forged })).toBe("");
  expect(await isWell(a)).toBe(true);
});

test("R-PEER-30: refuses a certificate with another's signature, and an RSA identity", async () => {
  const a = await TestSwarm.start();
  const [ours, other] = await Promise.all([newIdentity(), newIdentity()]);
  const rename = (items: AsnType[]): void => void items.splice(1, 1, bodyOf(other)[1]!);
  expect(await saidTo(a, { ...forge(ours, rename, { isSigned: false }) })).toBe("");
  const rsa = (await generateKeyPair("RSA", 2_048)) as unknown as PrivateKey;
  expect(await saidTo(a, { ...(await createTlsIdentity(rsa)) })).toBe("");
  expect(await isWell(a)).toBe(true);
});

test("takes a certificate that was made in the same way as those, with nothing wrong", async () => {
  const a = await TestSwarm.start();
  const privateKey = await createIdentity();
  const identity = forge(await createTlsIdentity(privateKey), () => {});
  const node = await rawNode({
    privateKey,
    encrypter: nativeTls({ identity, protocol: TLS_PROTOCOL }),
  });
  const connection = await node.dial(multiaddr(a.swarm.addresses[0]));
  new RawPeer(connection, await connection.newStream(SWARM_PROTOCOL)).send(hello);
  expect((await a.next("peerConnected")).peerId).toBe(node.peerId.toString());
});

test.each<[string, ConnectionOptions]>([
  ["without a certificate", {}],
  ["of TLS 1.2", { maxVersion: "TLSv1.2" }],
  ["of another protocol by ALPN", { ALPNProtocols: ["h2"] }],
])("refuses a client %s", async (_, options) => {
  const a = await TestSwarm.start();
  const certificate = options.maxVersion === undefined ? {} : await newIdentity();
  expect(await saidTo(a, { ...certificate, ...options })).toBe("");
  expect(await isWell(a)).toBe(true);
});

test("resumes no session", async () => {
  const a = await TestSwarm.start();
  const identity = await newIdentity();
  const first = speakTls(await negotiate(a.swarm.addresses), { ...identity });
  const [session] = (await once(first, "session")) as [Buffer];
  const again = speakTls(await negotiate(a.swarm.addresses), { ...identity, session });
  await once(again, "secureConnect");
  expect(again.isSessionReused()).toBe(false);
  for (const socket of [first, again]) socket.destroy();
});

/** The head of a TLS record, and of a ClientHello in it that is `length` bytes long. */
function clientHello(length: number): Buffer {
  const record = Buffer.from("16030140000100000003 03".replace(" ", ""), "hex");
  record.writeUIntBE(length, 6, 3);
  return record;
}

test.each([
  ["bytes of no kind", randomBytes(64 * KiB)],
  ["a line of HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["a ClientHello of 16 MiB", Buffer.concat([clientHello(2 ** 24 - 1), Buffer.alloc(16 * KiB)])],
])("ends a connection on which %s come in place of TLS", async (_, bytes) => {
  const a = await TestSwarm.start();
  const socket = await negotiate(a.swarm.addresses);
  socket.write(bytes);
  await bytesUntilEnd(socket);
  expect(await isWell(a)).toBe(true);
});

test("R-PEER-04: a handshake that does not come to its end ends with the deadline", async () => {
  const a = await TestSwarm.start();
  const grouped = await TestSwarm.start({ groupKeys: [key] });
  const beganAt = performance.now();
  const silent = await negotiate(a.swarm.addresses);
  const partial = await negotiate(a.swarm.addresses);
  partial.write(clientHello(512));
  const dripping = await negotiate(a.swarm.addresses);
  dripping.write(clientHello(16 * KiB));
  const drip = setInterval(() => dripping.write(Buffer.alloc(1)), 100);
  const unproved = speakTls(await negotiate(grouped.swarm.addresses, group!.tlsProtocol), {
    ...(await newIdentity()),
  });
  const ended = [silent, partial, dripping, unproved].map(bytesUntilEnd);
  // What the group's member says first, and nothing else: its own proof.
  expect((await Promise.all(ended)).map(({ length }) => length)).toEqual([0, 0, 0, 32]);
  clearInterval(drip);
  expect(performance.now() - beganAt).toBeLessThan(LIMITS.negotiationTimeoutMs + 3_000);
  expect(grouped.events).toEqual([]);
  expect(await isWell(a)).toBe(true);
}, 15_000);

test("R-PEER-02: handshakes under way are bounded", async () => {
  const a = await TestSwarm.start();
  const addresses = a.swarm.addresses;
  const pending = await Promise.all(
    Array.from({ length: LIMITS.pendingConnectionsMax }, () => negotiate(addresses)),
  );
  const surplus = await connectTo(addresses);
  surplus.write(lines("/multistream/1.0.0"));
  expect(await bytesUntilEnd(surplus)).toEqual(Buffer.alloc(0));
  for (const socket of pending) socket.destroy();
  await expect.poll(() => RawPeer.greet(a).then(Boolean, () => false)).toBe(true);
});

test("R-GRP-01: who knows the handshake's name and not the group's key gets no further", async () => {
  const a = await TestSwarm.start({ groupKeys: [key] });
  const stranger = async (): Promise<[ReturnType<typeof speakTls>, Buffer]> => {
    const socket = await negotiate(a.swarm.addresses, group!.tlsProtocol);
    const tls = speakTls(socket, { ...(await newIdentity()) });
    return [tls, await readUntil(tls, 32)];
  };
  const [guessing] = await stranger();
  guessing.write(randomBytes(32));
  const [reflecting, proof] = await stranger();
  reflecting.write(proof);
  // What a member has said on another connection, in the right role, proves nothing here.
  const [relaying] = await stranger();
  relaying.write(await diallersProof());
  for (const tls of [guessing, reflecting, relaying]) {
    expect(await bytesUntilEnd(tls)).toEqual(Buffer.alloc(0));
  }
  expect(a.events).toEqual([]);
});

test("R-GRP-01: half a proof keeps nobody but its sender waiting", async () => {
  const a = await TestSwarm.start({ groupKeys: [key] });
  const socket = await negotiate(a.swarm.addresses, group!.tlsProtocol);
  const tls = speakTls(socket, { ...(await newIdentity()) });
  await readUntil(tls, 32);
  tls.write(randomBytes(16));
  // The agent shares this thread: were it to look for the rest again and again, no timer would fire.
  const ended = bytesUntilEnd(tls);
  await new Promise((resolve) => void setTimeout(resolve, 0));
  expect(await isWell(await TestSwarm.start())).toBe(true);
  tls.write(randomBytes(16));
  expect(await ended).toEqual(Buffer.alloc(0));
  expect(a.events).toEqual([]);
});

/** What a member says to whoever answers at the address that it dials. */
async function diallersProof(): Promise<Buffer> {
  const heard = Promise.withResolvers<Buffer>();
  const encrypter: RawEncrypter = (components) => {
    const tls = libp2pTls()(components);
    return {
      protocol: group!.tlsProtocol,
      secureOutbound: () => Promise.reject(new Error("it only answers")),
      secureInbound: async (connection, options) => {
        const secured = await tls.secureInbound(connection, options);
        secured.connection.addEventListener("message", ({ data }) => {
          heard.resolve(Buffer.from(data.subarray()));
        });
        return secured;
      },
    };
  };
  const node = await rawNode({ encrypter, onStream: () => {} });
  const member = await TestSwarm.start({ groupKeys: [key] });
  member.dial({ peerId: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) });
  return heard.promise;
}

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

test("no buffer is used again before it is encrypted, whatever else is being sent", async () => {
  const [a, b] = await connectedPair();
  b.onEvent = (event) => {
    if (event.type !== "pieceRequested") return;
    b.sendPiece(a.peerId, event.requestId, b.payload(MiB, event.piece));
    b.execute({ type: "sendHave", peerIds: [a.peerId], contentId: event.contentId, pieces: [1] });
  };
  for (let i = 1; i <= 32; i++) {
    a.requestPiece(b.peerId, i, i, MiB);
    if (i % 8 === 0) await a.next("peerPiece", i);
  }
  for (const [piece, bytes] of a.pieces) {
    expect(Buffer.compare(bytes, someBytes(MiB, piece))).toBe(0);
  }
  await expect.poll(() => b.pool.borrowed).toBe(0);
});
