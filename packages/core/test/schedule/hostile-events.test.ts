import { expect, test } from "vitest";
import fc from "fast-check";
import type { SchedulerEvent } from "@shoal/core";
import { PieceSet } from "@shoal/core";
import { fetching, Harness, manifestOf, request } from "./harness.ts";

/**
 * Remote input of any kind and order, with ids that are sometimes right: the scheduler must not
 * throw, and its invariants hold after every event (the harness checks them).
 */
const PIECES = 12;
const { contentId, bytes } = manifestOf(PIECES);

const peerId = fc.constantFrom("a", "b", "c");
const number = fc.oneof(fc.nat(40), fc.constantFrom(2 ** 31, 2 ** 32 - 1, 0));
const bits = fc.uint8Array({ maxLength: 4 });
const content = fc.constantFrom(contentId, "bafyunknown");
const transferId = fc.constantFrom(1, 2, 99);

const swarmEvent: fc.Arbitrary<SchedulerEvent> = fc.oneof(
  fc.record({
    type: fc.constant("peerConnected"),
    peerId,
    host: fc.constant("h"),
    requestsMax: number,
  }),
  fc.record({ type: fc.constant("peerDisconnected"), peerId, reason: fc.constant("") }),
  fc.record({ type: fc.constant("dialFailed"), peerId, reason: fc.constant("") }),
  fc.record({
    type: fc.constant("peerDiscovered"),
    peerId,
    addresses: fc.array(fc.constant("/ip4/10.0.0.1/tcp/4001"), { maxLength: 12 }),
    isStatic: fc.boolean(),
  }),
  fc.record({ type: fc.constant("peerJoined"), peerId, contentId: content }),
  fc.record({ type: fc.constant("peerLeft"), peerId, contentId: content }),
  fc.record({
    type: fc.constant("peerBitfield"),
    peerId,
    contentId: content,
    pieceCount: fc.constantFrom(PIECES, 11, 0, 2 ** 31),
    bits: fc.oneof(bits, fc.constant(PieceSet.full(PIECES).toBytes())),
  }),
  fc.record({
    type: fc.constant("peerHave"),
    peerId,
    contentId: content,
    pieces: fc.array(number, { maxLength: 5 }),
  }),
  fc.record({
    type: fc.constant("peerClaimed"),
    peerId,
    contentId: content,
    firstPiece: number,
    pieceCount: number,
  }),
  fc.record({ type: fc.constant("peerPiece"), peerId, requestId: number, bufferId: fc.nat(5) }),
  fc.record({
    type: fc.constant("peerManifest"),
    peerId,
    requestId: number,
    bytes: fc.oneof(bits, fc.constant(bytes)),
  }),
  fc.record({
    type: fc.constant("requestRefused"),
    peerId,
    requestId: number,
    reason: fc.constantFrom("busy", "notFound"),
  }),
  fc.record({
    type: fc.constant("pieceRequested"),
    peerId,
    requestId: number,
    contentId: content,
    piece: number,
  }),
  fc.record({
    type: fc.constant("manifestRequested"),
    peerId,
    requestId: number,
    contentId: content,
  }),
  fc.record({ type: fc.constant("requestCancelled"), peerId, requestId: number }),
  fc.record({
    type: fc.constant("uploadFinished"),
    peerId,
    requestId: number,
    sentBytes: fc.nat(9),
  }),
  fc.record({
    type: fc.constant("peerOffended"),
    peerId,
    offence: fc.constantFrom("malformedFrame", "surplusBytes", "requestFlood"),
  }),
);

const originEvent: fc.Arbitrary<SchedulerEvent> = fc.oneof(
  fc.record({
    type: fc.constant("rangePiece"),
    requestId: number,
    transferId,
    piece: fc.nat(PIECES - 1),
    bufferId: fc.nat(5),
  }),
  fc.record({
    type: fc.constant("rangeProgress"),
    requestId: number,
    transferId,
    receivedBytes: number,
  }),
  fc.record({
    type: fc.constant("rangeFinished"),
    requestId: number,
    transferId,
    validator: fc.constant({}),
  }),
  fc.record({
    type: fc.constant("originFailed"),
    requestId: number,
    transferId,
    failure: fc.record({
      kind: fc.constantFrom(
        "transient",
        "timeout",
        "fatal",
        "rangeBroken",
        "rangeUnsupported",
        "changed",
      ),
      error: fc.constant({ code: "ERR_ORIGIN_UNREACHABLE", message: "" } as const),
    }),
  }),
);

/** What an honest store would answer next, or time, or a verb. */
const step = fc.oneof(
  { weight: 6, arbitrary: swarmEvent.map((event) => ({ kind: "event", event }) as const) },
  { weight: 2, arbitrary: originEvent.map((event) => ({ kind: "event", event }) as const) },
  { weight: 3, arbitrary: fc.constant({ kind: "store" } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "answer" } as const) },
  { weight: 1, arbitrary: fc.nat(20_000).map((ms) => ({ kind: "time", ms }) as const) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("suspend", "resume", "cancel", "acknowledge")
      .map((verb) => ({ kind: "verb", verb }) as const),
  },
);

test("no order of remote events, true or false, makes the scheduler throw or break its invariants", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.boolean(), (steps, isOpen) => {
      const h = isOpen ? fetching(new PieceSet(PIECES)).h : new Harness();
      if (!isOpen) h.create(request({ contentId }));
      for (const next of steps) {
        if (next.kind === "event") h.send(next.event);
        else if (next.kind === "time") h.advanceTo(h.now + next.ms);
        else if (next.kind === "verb") h.verb(next.verb);
        else if (next.kind === "store") answerStore(h);
        else answerPeers(h);
      }
      expect(h.scheduler.pollDeadline()).toBeGreaterThan(h.now - 1);
    }),
    { numRuns: 1_500 },
  );
});

test("deadlines always move on: handling a timeout never leaves the same one due for ever", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { h } = fetching(new PieceSet(PIECES));
      for (const next of steps) if (next.kind === "event") h.send(next.event);
      for (let turns = 0; h.scheduler.pollDeadline() <= h.now; turns++) {
        expect(turns).toBeLessThan(100);
        h.scheduler.handleTimeout(h.now);
      }
    }),
    { numRuns: 500 },
  );
});

function answerStore(h: Harness): void {
  for (const { transferId } of h.take("openContent")) {
    h.send({ type: "contentOpened", transferId, have: new PieceSet(PIECES).toBytes() });
  }
  for (const { transferId, piece } of h.take("storePiece")) {
    const type = piece % 5 === 4 ? "pieceCorrupt" : "pieceStored";
    h.send({ type, transferId, piece });
  }
  for (const { transferId } of h.take("commitPieces")) {
    h.send({ type: "piecesCommitted", transferId, pieces: [0] });
  }
  for (const { transferId, requestId, piece } of h.take("readPiece")) {
    if (piece % 2 === 0) h.send({ type: "pieceRead", transferId, requestId, bufferId: 3 });
    else h.send({ type: "pieceLost", transferId, requestId, piece });
  }
  for (const { transferId } of h.take("closeContent"))
    h.send({ type: "contentClosed", transferId });
  for (const { job } of h.take("endJob")) {
    h.send({ type: "jobEnded", jobId: job.jobId, undeletedCount: 0 });
  }
}

function answerPeers(h: Harness): void {
  for (const { peerId: from, requestId } of h.take("requestPiece")) {
    h.send({ type: "peerPiece", peerId: from, requestId, bufferId: 4 });
  }
  for (const { peerId: from, requestId } of h.take("requestManifest")) {
    h.send({ type: "peerManifest", peerId: from, requestId, bytes });
  }
}
