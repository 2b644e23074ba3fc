/**
 * Whatever peers say or keep to themselves, a job whose origin works comes to its end, and every
 * buffer that came in has gone somewhere (threat model, section 22, faults 19, 20 and 29).
 */
import { expect, test } from "vitest";
import fc from "fast-check";
import type { OriginFailureKind, SchedulerEvent } from "@shoal/core";
import { PieceSet } from "@shoal/core";
import { Harness, manifestOf, request } from "./harness.ts";

const PIECES = 12;
const { contentId, bytes } = manifestOf(PIECES);
/** Fault 19 allows 30 s beyond what the origin alone needs, which is nearly nothing here. */
const ENOUGH_MS = 45_000;

const peerId = fc.constantFrom("a", "b", "c", "d");
const claim = { firstPiece: fc.nat(PIECES), pieceCount: fc.nat(PIECES) };
const pieces = fc.uniqueArray(fc.nat(PIECES - 1), { maxLength: PIECES });

/** What connected, authenticated members may say at any time. */
const word: fc.Arbitrary<SchedulerEvent> = fc.oneof(
  fc.record({ type: fc.constant("peerJoined"), peerId, contentId: fc.constant(contentId) }),
  fc.record({ type: fc.constant("peerLeft"), peerId, contentId: fc.constant(contentId) }),
  fc.record({
    type: fc.constant("peerClaimed"),
    peerId,
    contentId: fc.constant(contentId),
    ...claim,
  }),
  fc.record({ type: fc.constant("peerHave"), peerId, contentId: fc.constant(contentId), pieces }),
  fc.record({
    type: fc.constant("peerBitfield"),
    peerId,
    contentId: fc.constant(contentId),
    pieceCount: fc.constant(PIECES),
    bits: pieces.map((some) => {
      const set = new PieceSet(PIECES);
      for (const piece of some) set.add(piece);
      return set.toBytes();
    }),
  }),
);

const step = fc.oneof(
  { weight: 6, arbitrary: word.map((event) => ({ kind: "word", event }) as const) },
  { weight: 2, arbitrary: peerId.map((id) => ({ kind: "flap", id }) as const) },
  { weight: 2, arbitrary: fc.boolean().map((isGood) => ({ kind: "answer", isGood }) as const) },
  { weight: 2, arbitrary: fc.constant({ kind: "store" } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "origin" } as const) },
  { weight: 2, arbitrary: fc.nat(3_000).map((ms) => ({ kind: "time", ms }) as const) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("suspend", "resume").map((verb) => ({ kind: verb }) as const),
  },
);

const failure = fc
  .constantFrom("transient", "timeout", "fatal", "rangeBroken", "rangeUnsupported", "changed")
  .map((failed) => ({ kind: "failure", failed }) as const);
type StepOf<A> = A extends fc.Arbitrary<infer T> ? T : never;
type Step = StepOf<typeof step> | StepOf<typeof failure>;

test("a job whose origin works ends, whatever peers do, and leaks no buffer", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, repeats) => {
      const world = new World();
      for (const next of steps) world.take(next);
      world.h.verb("resume");
      const last = steps.filter((next) => next.kind === "word").at(-1);
      for (const end = world.h.now + ENOUGH_MS; world.h.now < end;) {
        // The last word may be repeated for ever: silence must not be what saves the job.
        if (repeats && last?.kind === "word") world.h.send(last.event);
        world.answerStore();
        world.answerOrigin();
        if (world.h.job?.state === "transferred") break;
        world.h.advanceTo(world.h.now + 500);
      }
      expect(world.h.job?.state).toBe("transferred");
      expect(world.lost()).toEqual([]);
    }),
    { numRuns: 400 },
  );
});

test("a job ends once its origin works again, however it failed before", () => {
  const steps = fc.array(fc.oneof(step, failure), { maxLength: 40 });
  fc.assert(
    fc.property(steps, fc.constantFrom({ contentId }, {}), fc.boolean(), (taken, pin, hasEtag) => {
      const world = new World(pin, hasEtag);
      for (const next of taken) world.take(next);
      for (let turn = 0; turn < 1_000 && world.h.job?.state !== "transferred"; turn++) {
        if (world.h.job?.state === "error" || turn === 0) world.h.verb("resume");
        world.answerStore();
        world.answerOrigin();
        world.h.advanceTo(world.h.now + 5_000);
      }
      expect(world.h.job?.state).toBe("transferred");
      expect(world.lost()).toEqual([]);
    }),
    { numRuns: 400 },
  );
});

/** A harness with an honest store and origin, and peers that answer when told to. */
class World {
  readonly h = new Harness();
  readonly #connected = new Set<string>();
  /** What the part file holds, written and committed. */
  #written = new Set<number>();
  readonly #committed = new Set<number>();
  /** Of the content that was opened last. */
  #key: string | undefined;
  readonly #corrupt = new Set<number>();
  /** Buffers that came in and have not gone anywhere. */
  readonly #buffers = new Set<number>();
  #lastBuffer = 0;

  readonly #validator: { etag?: string };

  constructor(pin: { contentId?: string } = { contentId }, hasEtag = true) {
    this.#validator = hasEtag ? { etag: '"1"' } : {};
    for (const id of ["a", "b", "c", "d"]) this.#flap(id);
    this.h.create(request(pin));
  }

  take(next: Step): void {
    switch (next.kind) {
      case "word":
        this.h.send(next.event);
        break;
      case "flap":
        this.#flap(next.id);
        break;
      case "answer":
        this.#answerPeers(next.isGood);
        break;
      case "store":
        this.answerStore();
        break;
      case "failure":
        this.#failOrigin(next.failed);
        break;
      case "origin":
        this.answerOrigin();
        break;
      case "time":
        this.h.advanceTo(this.h.now + next.ms);
        break;
      default:
        this.h.verb(next.kind);
    }
  }

  /** Buffers nobody has, once every command is carried out. */
  lost(): number[] {
    this.answerStore();
    this.#collectReleased();
    return [...this.#buffers];
  }

  answerOrigin(): void {
    const cancelled = new Set(this.h.take("cancelOrigin").map(({ requestId }) => requestId));
    for (const { requestId, transferId } of this.h.take("probeOrigin")) {
      if (cancelled.has(requestId)) continue;
      const { length } = manifestOf(PIECES);
      const probed = { length, validator: this.#validator, acceptsRanges: true };
      this.h.send({ type: "originProbed", requestId, transferId, ...probed });
    }
    for (const { requestId, transferId } of this.h.take("fetchManifest")) {
      if (cancelled.has(requestId)) continue;
      this.h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    }
    for (const { requestId, transferId, firstPiece, pieceCount } of this.h.take("fetchRange")) {
      if (cancelled.has(requestId)) continue;
      for (let piece = firstPiece; piece < firstPiece + pieceCount; piece++) {
        const bufferId = this.#buffer();
        this.h.send({ type: "rangePiece", requestId, transferId, piece, bufferId });
      }
      const validator = this.#validator;
      this.h.send({ type: "rangeFinished", requestId, transferId, validator });
    }
  }

  answerStore(): void {
    for (const { peerId: id } of this.h.take("disconnectPeer")) {
      if (this.#connected.has(id)) this.#flap(id);
    }
    for (const { transferId, spec } of this.h.take("openContent")) {
      const { manifest, validatorKey } = spec;
      if (manifest === undefined && validatorKey !== this.#key) this.#committed.clear();
      this.#key = validatorKey;
      this.#written = new Set(this.#committed);
      const have = new PieceSet(spec.layout.pieceCount);
      for (const piece of this.#committed) have.add(piece);
      this.h.send({ type: "contentOpened", transferId, have: have.toBytes() });
    }
    for (const { transferId, piece, bufferId } of this.h.take("storePiece")) {
      this.#giveAway(bufferId);
      const isCorrupt = this.#corrupt.delete(bufferId);
      if (!isCorrupt) this.#written.add(piece);
      this.h.send({ type: isCorrupt ? "pieceCorrupt" : "pieceStored", transferId, piece });
    }
    for (const { transferId } of this.h.take("commitPieces")) {
      const fresh = [...this.#written].filter((piece) => !this.#committed.has(piece));
      for (const piece of fresh) this.#committed.add(piece);
      this.h.send({ type: "piecesCommitted", transferId, pieces: fresh });
    }
    for (const { transferId } of this.h.take("verifyContent")) {
      this.h.send({ type: "contentVerified", transferId });
    }
    for (const { transferId, outcome } of this.h.take("closeContent")) {
      for (const piece of this.#written) this.#committed.add(piece);
      if (outcome === "discard") this.#committed.clear();
      this.h.send({ type: "contentClosed", transferId });
    }
    this.#collectReleased();
  }

  #failOrigin(kind: OriginFailureKind): void {
    const cancelled = new Set(this.h.take("cancelOrigin").map(({ requestId }) => requestId));
    const asked = [
      ...this.h.take("probeOrigin"),
      ...this.h.take("fetchManifest"),
      ...this.h.take("fetchRange"),
    ];
    const error = { code: "ERR_ORIGIN_UNREACHABLE", message: kind } as const;
    for (const { requestId, transferId } of asked) {
      if (cancelled.has(requestId)) continue;
      this.h.send({ type: "originFailed", requestId, transferId, failure: { kind, error } });
    }
  }

  #answerPeers(isGood: boolean): void {
    const cancelled = new Set(this.h.take("cancelRequest").map(({ requestId }) => requestId));
    for (const { peerId: from, requestId } of this.h.take("requestPiece")) {
      if (cancelled.has(requestId) || !this.#connected.has(from)) continue;
      const bufferId = this.#buffer();
      if (!isGood) this.#corrupt.add(bufferId);
      this.h.send({ type: "peerPiece", peerId: from, requestId, bufferId });
    }
  }

  #flap(id: string): void {
    if (this.#connected.delete(id)) {
      this.h.send({ type: "peerDisconnected", peerId: id, reason: "" });
    } else {
      this.#connected.add(id);
      this.h.send({ type: "peerConnected", peerId: id, host: "10.0.0.1", requestsMax: 8 });
    }
  }

  #buffer(): number {
    this.#buffers.add(++this.#lastBuffer);
    return this.#lastBuffer;
  }

  #giveAway(bufferId: number): void {
    if (!this.#buffers.delete(bufferId)) throw new Error(`buffer ${bufferId} is given away twice`);
  }

  #collectReleased(): void {
    for (const { bufferId } of this.h.take("releaseBuffer")) this.#giveAway(bufferId);
  }
}
