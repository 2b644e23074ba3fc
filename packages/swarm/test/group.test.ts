/** Groups: who gets in, who stays out, and what those who stay out learn. Over real sockets. */
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { LIMITS } from "@shoal/core";
import { expect, test } from "vitest";
import { GOSSIP_PROTOCOL } from "../src/gossip.ts";
import { GroupProof } from "../src/group-proof.ts";
import { groupsOf, OPEN_PRESENCE } from "../src/group.ts";
import { createIdentity, createSwarm } from "../src/index.ts";
import { contentId, isNoiseOnly, RawPeer, TestSwarm } from "./test-swarm.ts";

const key = randomBytes(32);
const otherKey = randomBytes(32);
const [group] = groupsOf([key]);

/** Fast enough for tests; the limit is what production waits. */
const handshakeTimeoutMs = 2_000;

function member(...groupKeys: Uint8Array[]): Promise<TestSwarm> {
  return TestSwarm.start({ groupKeys, handshakeTimeoutMs });
}

/** Somebody who gets past the encrypted handshake of `key`'s group. */
async function insider(target: TestSwarm): Promise<{ peer: RawPeer; proof: GroupProof }> {
  const privateKey = await createIdentity();
  const peer = await RawPeer.dial(target, privateKey, group);
  const selfId = privateKey.publicKey.toString();
  const ends = { isDialler: true, selfId, peerId: target.peerId };
  return { peer, proof: new GroupProof(group!.proofKey, ends) };
}

const hello = { type: "hello", version: 1, requestsMax: 8 } as const;

/** The connection ends in time, core hears of nobody, and the peer has got no other frames. */
async function expectRefused(target: TestSwarm, peer: RawPeer, frames: string[]): Promise<void> {
  await peer.untilClosed();
  expect(target.all("peerConnected")).toEqual([]);
  expect(peer.frames.map(({ type }) => type)).toEqual(frames);
}

/** Why neither could connect to the other. */
async function failuresOf(a: TestSwarm, b: TestSwarm): Promise<string[]> {
  a.dial(b.swarm);
  b.dial(a.swarm);
  const failures = [await a.next("dialFailed"), await b.next("dialFailed")];
  expect([...a.all("peerConnected"), ...b.all("peerConnected")]).toEqual([]);
  return failures.map(({ reason }) => reason);
}

test("R-GRP-01: members of a group connect and serve each other", async () => {
  const [a, b] = await Promise.all([member(key), member(key)]);
  a.dial(b.swarm);
  await Promise.all([a.next("peerConnected"), b.next("peerConnected")]);
  a.requestPiece(b.peerId, 1, 0, 100_000);
  const { requestId } = await b.next("pieceRequested");
  b.sendPiece(a.peerId, requestId, b.payload(100_000, 1));
  await a.next("peerPiece");
  expect([...a.all("peerOffended"), ...b.all("peerOffended")]).toEqual([]);
});

test("R-GRP-03: members that dial each other at once end with one link", async () => {
  for (let round = 0; round < 5; round++) {
    const [a, b] = await Promise.all([member(key), member(key)]);
    a.dial(b.swarm);
    b.dial(a.swarm);
    await Promise.all([a.next("peerConnected"), b.next("peerConnected")]);
    a.execute({ type: "sendJoin", peerId: b.peerId, contentId });
    b.execute({ type: "sendJoin", peerId: a.peerId, contentId });
    await Promise.all([a.next("peerJoined"), b.next("peerJoined")]);
    expect([...a.all("peerOffended"), ...b.all("peerOffended")]).toEqual([]);
  }
});

test("R-GRP-01: whoever has no key, or another, is not let in and lets nobody in", async () => {
  const [inside, outside, another] = await Promise.all([member(key), member(), member(otherKey)]);
  const notOurs = "the peer is not of our group";
  expect(await failuresOf(inside, another)).toEqual([notOurs, notOurs]);
  const ofAGroup = "the peer is of a group, or no agent";
  expect(await failuresOf(await member(key), outside)).toEqual([notOurs, ofAGroup]);
});

test("R-GRP-01: a stranger learns nothing but that a handshake is spoken", async () => {
  const a = await member(key);
  const port = Number(/tcp\/(\d+)/.exec(a.swarm.addresses[0] ?? "")?.[1]);
  const socket = connect(port, "127.0.0.1");
  let heard = "";
  socket.on("data", (data) => (heard += data.toString("latin1")));
  socket.on("error", () => {});
  const say = (line: string): void => {
    socket.write(Buffer.concat([Buffer.of(line.length + 1), Buffer.from(`${line}\n`)]));
  };
  for (const line of ["/multistream/1.0.0", "ls", "/noise", "/tls/1.0.0", "/shoal/swarm/1.0.0"]) {
    say(line);
  }
  for (const line of [GOSSIP_PROTOCOL, "/ipfs/id/1.0.0"]) say(line);
  await expect.poll(() => heard.match(/na\n/g)?.length, { timeout: 5_000 }).toBe(5);
  const named = heard.match(/\/[a-z][\w./-]*/g) ?? [];
  const handshakes = isNoiseOnly() ? [] : [group!.tlsProtocol];
  handshakes.push(group!.noiseProtocol);
  expect(new Set(named)).toEqual(new Set(["/multistream/1.0.0", ...handshakes]));
  await expect.poll(() => socket.destroyed || socket.readableEnded, { timeout: 6_000 }).toBe(true);
  expect(a.events).toEqual([]);
}, 15_000);

test("R-GRP-02: the keys in use are all different and none is the group's", () => {
  const groups = groupsOf([key, otherKey]);
  const uses = groups.flatMap(({ noisePrologue, tlsProofKey, proofKey, presence }) =>
    [noisePrologue, tlsProofKey, proofKey, presence.key].map((use) =>
      Buffer.from(use).toString("hex"),
    ),
  );
  const names = groups.flatMap((of) => [
    of.tlsProtocol,
    of.noiseProtocol,
    of.serviceTag,
    of.presence.topic,
  ]);
  const all = [...uses, ...names, OPEN_PRESENCE.topic, key.toString("hex")];
  expect(new Set(all).size).toBe(18);
  for (const name of names) expect(name).not.toContain(key.toString("hex").slice(0, 8));
});

test("R-GRP-03: a right proof opens the link, and only with its own connection's nonces", async () => {
  const a = await member(key);
  const { peer, proof } = await insider(a);
  peer.send({ ...hello, nonce: proof.nonce });
  const { nonce } = await peer.next("hello");
  expect(proof.meet(nonce)).toBe(true);
  expect(proof.accepts((await peer.next("proof")).proof)).toBe(true);
  const ours = proof.prove();
  peer.send({ type: "proof", proof: ours });
  await a.next("peerConnected");

  const b = await member(key);
  const { peer: replayer } = await insider(b);
  replayer.send({ ...hello, nonce: proof.nonce });
  await replayer.next("proof");
  replayer.send({ type: "proof", proof: ours });
  await expectRefused(b, replayer, ["hello", "proof"]);
});

test("R-GRP-03: a wrong proof ends the connection without an offence", async () => {
  const a = await member(key);
  const { peer, proof } = await insider(a);
  peer.send({ ...hello, nonce: proof.nonce });
  await peer.next("proof");
  peer.send({ type: "proof", proof: randomBytes(32) });
  await expectRefused(a, peer, ["hello", "proof"]);
  expect(a.events).toEqual([]);
});

test("R-GRP-03: neither our own nonce nor our own proof is taken back", async () => {
  const a = await member(key);
  const reflected = await insider(a);
  reflected.peer.send({ ...hello, nonce: reflected.proof.nonce });
  reflected.peer.send({ type: "proof", proof: (await reflected.peer.next("proof")).proof });
  await expectRefused(a, reflected.peer, ["hello", "proof"]);
  const ends = { isDialler: true, selfId: "a", peerId: "b" };
  const proof = new GroupProof(group!.proofKey, ends);
  expect(proof.meet(proof.nonce)).toBe(false);
  expect(proof.meet(undefined)).toBe(false);
});

test("R-GRP-03: a proof is another one for other ids, roles and nonces", () => {
  const ends = { isDialler: true, selfId: "a", peerId: "b" };
  const ours = new GroupProof(group!.proofKey, ends);
  const proofFor = (proofKey: Uint8Array, swapped: typeof ends): Uint8Array => {
    const theirs = new GroupProof(proofKey, swapped);
    theirs.meet(ours.nonce);
    ours.meet(theirs.nonce);
    return theirs.prove();
  };
  const right = { isDialler: false, selfId: "b", peerId: "a" };
  expect(ours.accepts(proofFor(group!.proofKey, right))).toBe(true);
  expect(ours.accepts(proofFor(otherKey, right))).toBe(false);
  expect(ours.accepts(proofFor(group!.proofKey, { ...right, isDialler: true }))).toBe(false);
  expect(ours.accepts(proofFor(group!.proofKey, { ...right, selfId: "c" }))).toBe(false);
  expect(ours.accepts(proofFor(group!.proofKey, right).subarray(1))).toBe(false);
});

test("R-PEER-25: silence in place of a greeting or a proof ends the connection", async () => {
  expect(LIMITS.handshakeTimeoutMs).toBe(5_000);
  const a = await member(key);
  const mute = await insider(a);
  const shy = await insider(a);
  shy.peer.send({ ...hello, nonce: shy.proof.nonce });
  await expectRefused(a, mute.peer, []);
  await expectRefused(a, shy.peer, ["hello", "proof"]);
});

test("R-GRP-03: a HELLO without a nonce ends the connection", async () => {
  const a = await member(key);
  const { peer } = await insider(a);
  peer.send(hello);
  await expectRefused(a, peer, ["hello"]);
  expect(a.events).toEqual([]);
});

test("R-GRP-03: no other frame is taken before the proof, and no gossip is answered", async () => {
  const a = await member(key);
  const { peer, proof } = await insider(a);
  const gossip = await peer.connection.newStream(GOSSIP_PROTOCOL);
  let heardBytes = 0;
  gossip.addEventListener("message", ({ data }) => (heardBytes += data.byteLength));
  peer.send({ ...hello, nonce: proof.nonce });
  await peer.next("proof");
  peer.send({ type: "join", contentId });
  await expectRefused(a, peer, ["hello", "proof"]);
  expect(await a.next("peerOffended")).toMatchObject({ offence: "malformedFrame" });
  expect(a.all("peerJoined")).toEqual([]);
  expect(heardBytes).toBe(0);
});

test("without a group, a PROOF is an offence", async () => {
  const a = await TestSwarm.start();
  const peer = await RawPeer.greet(a);
  peer.send({ type: "proof", proof: randomBytes(32) });
  expect(await a.next("peerOffended")).toMatchObject({ offence: "malformedFrame" });
});

test("R-GRP-04: while the key is changed, those with both talk to those with either", async () => {
  const [both, fresh, late] = await Promise.all([
    member(key, otherKey),
    member(key),
    member(otherKey),
  ]);
  both.dial(fresh.swarm);
  late.dial(both.swarm);
  await Promise.all([both.next("peerConnected", 2), fresh.next("peerConnected")]);
  await late.next("peerConnected");
  const rotated = await member(key, otherKey);
  rotated.dial(both.swarm);
  await rotated.next("peerConnected");
  fresh.dial(late.swarm);
  expect((await fresh.next("dialFailed")).reason).toBe("the peer is not of our group");
});

test.each([[[randomBytes(31)]], [[new Uint8Array(0)]], [[key, otherKey, randomBytes(32)]]])(
  "R-GRP-02: refuses keys that are none, without repeating them (%#)",
  async (groupKeys) => {
    const deps = { pool: new TestSwarm().pool, sink: () => {} };
    const error: unknown = await createSwarm(deps, { listen: [], groupKeys }).catch((e) => e);
    expect(error).toMatchObject({ code: "ERR_KEY_INVALID" });
    expect(String(error)).not.toContain(Buffer.from(groupKeys[0]!).toString("hex") || "0x");
  },
);
