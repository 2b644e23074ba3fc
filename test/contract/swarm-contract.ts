/**
 * The swarm port's contract (core `ports/swarm-port.ts`), as tests that every adapter passes. The
 * harness provides two agents, `a` and `b`, that can reach each other and do not know it yet.
 */
import { contentIdFromDigest, LIMITS, NO_BUFFER } from "@shoal/core";
import type { PeerId, Port, RequestId, SwarmCommand, SwarmEvent } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventLog } from "./event-log.ts";

/** One agent's side. */
export interface SwarmAgent<Payload> {
  readonly peerId: PeerId;
  readonly addresses: readonly string[];
  readonly port: Port<SwarmCommand, Payload>;
  readonly log: EventLog<SwarmEvent, Payload>;
  /** A payload that stands for `byteLength` bytes of a piece. */
  take(byteLength: number): Payload;
  release(payload: Payload): void;
  byteLength(payload: Payload): number;
  /** Payloads that are out. */
  borrowed(): number;
}

export interface SwarmHarness<Payload> {
  readonly a: SwarmAgent<Payload>;
  readonly b: SwarmAgent<Payload>;
  /** A peer that does not exist. */
  readonly absent: { readonly peerId: PeerId; readonly addresses: readonly string[] };
  close(): Promise<void>;
}

const CONTENT = contentIdFromDigest(new Uint8Array(32).fill(1));
const LENGTH = 1_000_003;

export function describeSwarmContract<Payload>(
  name: string,
  open: () => Promise<SwarmHarness<Payload>>,
): void {
  describe(`swarm port, ${name}`, () => {
    type Agent = SwarmAgent<Payload>;
    let harness: SwarmHarness<Payload>;
    let a: Agent;
    let b: Agent;
    let fences = 0;

    beforeEach(async () => {
      harness = await open();
      ({ a, b } = harness);
      fences = 0;
    });

    afterEach(async () => {
      await Promise.all([a.port.close(), b.port.close()]);
      for (const agent of [a, b]) {
        for (const payload of agent.log.takeAll()) agent.release(payload);
      }
      const borrowed = [a.borrowed(), b.borrowed()];
      await harness.close();
      expect(borrowed, "payloads nobody owns").toEqual([0, 0]);
    });

    const dial = (from: Agent, { peerId, addresses }: Pick<Agent, "peerId" | "addresses">): void =>
      from.port.execute({ type: "dialPeer", peerId, addresses });
    const connect = async (): Promise<void> => {
      dial(a, b);
      await a.log.until("peerConnected");
      await b.log.until("peerConnected");
    };
    const request = (requestId: RequestId, piece = 5, length = LENGTH): void => {
      const { peerId } = b;
      const contentId = CONTENT;
      a.port.execute({ type: "requestPiece", peerId, requestId, contentId, piece, length });
    };
    /** The request as `b` hears of it: with a number of the connection's. */
    const requested = (nth = 1) => b.log.until("pieceRequested", { peerId: a.peerId }, nth);
    const sendPiece = (requestId: RequestId, length = LENGTH): void => {
      const payload = b.take(length);
      b.port.execute(
        { type: "sendPiece", peerId: a.peerId, requestId, bufferId: NO_BUFFER },
        payload,
      );
    };
    /** All that `from` said before has been heard by `to` when this resolves. */
    const fence = async (from: Agent, to: Agent): Promise<void> => {
      const pieces = [1_000 + ++fences];
      const { peerId } = to;
      from.port.execute({ type: "sendHave", peerIds: [peerId], contentId: CONTENT, pieces });
      const heard = to.log.all("peerHave").length;
      await to.log.until("peerHave", { peerId: from.peerId }, heard + 1);
    };

    it("connects two peers, and tells both once", async () => {
      await connect();
      dial(a, b);
      await fence(a, b);
      await fence(b, a);
      for (const [agent, other] of [
        [a, b],
        [b, a],
      ] as const) {
        expect(agent.log.all("peerConnected")).toHaveLength(1);
        const [connected] = agent.log.all("peerConnected");
        expect(connected?.peerId).toBe(other.peerId);
        expect(connected?.requestsMax).toBeGreaterThan(0);
        expect(connected?.requestsMax).toBeLessThanOrEqual(LIMITS.requestsPerPeerMax);
      }
    });

    it("makes one connection of two dials that cross", async () => {
      dial(a, b);
      dial(b, a);
      await a.log.until("peerConnected", { peerId: b.peerId });
      await b.log.until("peerConnected", { peerId: a.peerId });
      await fence(a, b);
      await fence(b, a);
      expect(a.log.events.filter(({ type }) => type !== "peerHave")).toHaveLength(1);
      expect(b.log.events.filter(({ type }) => type !== "peerHave")).toHaveLength(1);
    });

    it("says when nobody answers a dial", async () => {
      const { peerId } = harness.absent;
      dial(a, harness.absent);
      const failed = await a.log.until("dialFailed", { peerId });
      expect(failed.reason).not.toBe("");
      expect(a.log.all("peerConnected")).toHaveLength(0);
    });

    it("keeps out who is refused, until it is allowed again (R-BAN-05)", async () => {
      const refusal = { type: "setRefusal", kind: "peer", subject: a.peerId } as const;
      b.port.execute({ ...refusal, isRefused: true });
      dial(a, b);
      await a.log.until("dialFailed", { peerId: b.peerId });
      expect(b.log.all("peerConnected")).toHaveLength(0);
      b.port.execute({ ...refusal, isRefused: false });
      await connect();
    });

    it("delivers what a peer says about a content in the order in which it was said", async () => {
      await connect();
      const { peerId } = b;
      const bits = Uint8Array.of(0b1010_0000);
      const say = (command: SwarmCommand): void => a.port.execute(command);
      say({ type: "sendJoin", peerId, contentId: CONTENT });
      say({ type: "sendBitfield", peerId, contentId: CONTENT, pieceCount: 3, bits });
      say({ type: "sendHave", peerIds: [peerId], contentId: CONTENT, pieces: [1] });
      const run = { firstPiece: 1, pieceCount: 2 };
      say({ type: "sendClaim", peerIds: [peerId], contentId: CONTENT, ...run });
      say({ type: "sendLeave", peerId, contentId: CONTENT });
      await b.log.until("peerLeft");
      const about = b.log.events.filter((event) => "contentId" in event);
      const from = { peerId: a.peerId, contentId: CONTENT };
      expect(about).toMatchObject([
        { type: "peerJoined", ...from },
        { type: "peerBitfield", ...from, pieceCount: 3 },
        { type: "peerHave", ...from, pieces: [1] },
        { type: "peerClaimed", ...from, ...run },
        { type: "peerLeft", ...from },
      ]);
      expect([...b.log.all("peerBitfield")[0]!.bits]).toEqual([...bits]);
    });

    it("carries a piece from one to the other and tells both once", async () => {
      await connect();
      request(41);
      const asked = await requested();
      expect(asked).toMatchObject({ contentId: CONTENT, piece: 5 });
      sendPiece(asked.requestId);
      const piece = await a.log.until("peerPiece", { requestId: 41 });
      expect(piece.bufferId).toBe(NO_BUFFER);
      const payload = a.log.take(piece);
      expect(a.byteLength(payload)).toBe(LENGTH);
      a.release(payload);
      const { requestId } = asked;
      const finished = await b.log.until("uploadFinished", { requestId });
      expect(finished.sentBytes).toBe(LENGTH);
      await fence(b, a);
      expect(a.log.about(41)).toHaveLength(1);
      expect(b.log.all("uploadFinished")).toHaveLength(1);
    });

    it("carries a manifest of several frames", async () => {
      await connect();
      const { peerId } = b;
      a.port.execute({ type: "requestManifest", peerId, requestId: 42, contentId: CONTENT });
      const asked = await b.log.until("manifestRequested", { contentId: CONTENT });
      const bytes = Uint8Array.from({ length: 700_000 }, (_, i) => i % 251);
      const { requestId } = asked;
      b.port.execute({ type: "sendManifest", peerId: a.peerId, requestId, bytes });
      const manifest = await a.log.until("peerManifest", { requestId: 42 });
      expect(Buffer.from(manifest.bytes).equals(bytes)).toBe(true);
      await b.log.until("uploadFinished", { requestId, sentBytes: bytes.length });
    });

    it("carries an announcement that was asked for by a tag", async () => {
      await connect();
      const { peerId } = b;
      const tag = Uint8Array.from({ length: 32 }, (_, i) => 255 - i);
      a.port.execute({ type: "requestAnnouncement", peerId, requestId: 60, tag });
      const asked = await b.log.until("announcementRequested", { peerId: a.peerId });
      expect([...asked.tag]).toEqual([...tag]);
      const bytes = new Uint8Array(LIMITS.announcementBytesMax).fill(7);
      const { requestId } = asked;
      const answer = { type: "sendAnnouncement", peerId: a.peerId, requestId, bytes } as const;
      b.port.execute(answer);
      b.port.execute(answer);
      const announcement = await a.log.until("peerAnnouncement", { requestId: 60 });
      expect(Buffer.from(announcement.bytes).equals(bytes)).toBe(true);
      await fence(b, a);
      expect(a.log.about(60)).toHaveLength(1);
      expect(b.log.all("uploadFinished")).toEqual([]);
    });

    it("refuses a question for an announcement, or withdraws it, as any other", async () => {
      await connect();
      const { peerId } = b;
      const tag = new Uint8Array(32);
      const ask = (requestId: RequestId): void =>
        a.port.execute({ type: "requestAnnouncement", peerId, requestId, tag });
      ask(61);
      const first = await b.log.until("announcementRequested");
      const refuse = { type: "refuseRequest", requestId: first.requestId } as const;
      b.port.execute({ ...refuse, peerId: a.peerId, reason: "notFound" });
      await a.log.until("requestRefused", { requestId: 61, reason: "notFound" });
      ask(62);
      const { requestId } = await b.log.until("announcementRequested", {}, 2);
      a.port.execute({ type: "cancelRequest", peerId, requestId: 62 });
      await b.log.until("requestCancelled", { requestId });
      const bytes = Uint8Array.of(1);
      b.port.execute({ type: "sendAnnouncement", peerId: a.peerId, requestId, bytes });
      await fence(b, a);
      expect(a.log.about(62)).toEqual([]);
    });

    it("carries a refusal with its reason", async () => {
      await connect();
      for (const reason of ["busy", "notFound"] as const) {
        const requestId = reason === "busy" ? 43 : 44;
        request(requestId);
        const asked = await requested(reason === "busy" ? 1 : 2);
        const refuse = { type: "refuseRequest", requestId: asked.requestId } as const;
        b.port.execute({ ...refuse, peerId: a.peerId, reason });
        await a.log.until("requestRefused", { requestId, reason });
        expect(a.log.about(requestId)).toHaveLength(1);
      }
    });

    it("says nothing about a request that was withdrawn, and tells the other side", async () => {
      await connect();
      request(45);
      const asked = await requested();
      const { peerId } = b;
      a.port.execute({ type: "cancelRequest", peerId, requestId: 45 });
      const { requestId } = asked;
      await b.log.until("requestCancelled", { requestId });
      sendPiece(requestId);
      await b.log.until("uploadFinished", { requestId, sentBytes: 0 });
      await fence(b, a);
      expect(a.log.about(45)).toEqual([]);
    });

    it("ends an upload that is withdrawn, once, and drops the bytes that come late", async () => {
      await connect();
      request(46);
      const asked = await requested();
      sendPiece(asked.requestId);
      a.port.execute({ type: "cancelRequest", peerId: b.peerId, requestId: 46 });
      const { requestId } = asked;
      const finished = await b.log.until("uploadFinished", { requestId });
      expect(finished.sentBytes).toBeLessThanOrEqual(LENGTH);
      await fence(a, b);
      await fence(b, a);
      expect(a.log.about(46)).toEqual([]);
      expect(b.log.all("uploadFinished")).toHaveLength(1);
    });

    it("refuses more requests than it promised to take, and reports it (R-PEER-16)", async () => {
      await connect();
      const { requestsMax } = a.log.all("peerConnected")[0]!;
      for (let i = 0; i <= requestsMax; i++) request(100 + i, i);
      const refused = await a.log.until("requestRefused");
      expect(refused).toMatchObject({ requestId: 100 + requestsMax, reason: "busy" });
      expect(b.log.all("pieceRequested")).toHaveLength(requestsMax);
      const offended = { peerId: a.peerId, offence: "requestFlood" } as const;
      await b.log.until("peerOffended", offended);
    });

    it("ends everything on a connection when either side closes it", async () => {
      await connect();
      request(47);
      const asked = await requested();
      request(48);
      await requested(2);
      sendPiece(asked.requestId);
      a.port.execute({ type: "disconnectPeer", peerId: b.peerId, reason: "enough" });
      const gone = await a.log.until("peerDisconnected", { peerId: b.peerId });
      expect(gone.reason).toBe("enough");
      await b.log.until("peerDisconnected", { peerId: a.peerId });
      const { requestId } = asked;
      await b.log.until("uploadFinished", { requestId });
      expect(a.log.all("requestRefused")).toEqual([]);
      expect(a.log.events.at(-1)).toBe(gone);
      expect(a.log.all("peerDisconnected")).toHaveLength(1);
      expect(b.log.all("peerDisconnected")).toHaveLength(1);
    });

    it("connects again after a connection has ended", async () => {
      await connect();
      b.port.execute({ type: "disconnectPeer", peerId: a.peerId, reason: "enough" });
      await a.log.until("peerDisconnected");
      await b.log.until("peerDisconnected");
      dial(a, b);
      await a.log.until("peerConnected", {}, 2);
      await b.log.until("peerConnected", {}, 2);
      request(49);
      const asked = await requested();
      sendPiece(asked.requestId);
      const piece = await a.log.until("peerPiece", { requestId: 49 });
      expect(piece.peerId).toBe(b.peerId);
    });

    it("answers for pieces to a peer that has gone, and takes their payloads", async () => {
      sendPiece(7);
      await b.log.until("uploadFinished", { requestId: 7, sentBytes: 0 });
      request(50);
      await connect();
      await fence(a, b);
      expect(b.log.all("pieceRequested")).toEqual([]);
    });

    it("emits nothing after it was closed, closes twice, and lets its peers know", async () => {
      await connect();
      request(51);
      const asked = await requested();
      sendPiece(asked.requestId);
      const closing = a.port.close();
      const { length } = a.log.events;
      await closing;
      await a.port.close();
      await b.log.until("peerDisconnected", { peerId: a.peerId });
      request(52);
      expect(a.log.events).toHaveLength(length);
    });
  });
}
