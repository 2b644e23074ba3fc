/** Each stored piece has one source and one reason, whatever happens on the way. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS, PieceLayout, PieceSet } from "@shoal/core";
import type { ExplainedSource, OriginReason, PieceReason } from "@shoal/core";
import { PieceRecord } from "../../src/schedule/piece-record.ts";
import { fetching, JOB_ID, PIECE_LENGTH } from "./harness.ts";
import type { Harness } from "./harness.ts";

const PIECES = 24;
const PEERS = ["a", "b", "c"];

/** What the notices say of each piece that is stored: an account kept apart from the record. */
class Account {
  readonly from = new Map<number, string>();
  readonly #asked = new Map<number, Set<OriginReason>>();
  #read = 0;

  read({ notices }: Harness): void {
    for (const notice of notices.slice(this.#read)) {
      if (notice.type === "pieceStored") this.from.set(notice.piece, notice.from);
      if (notice.type !== "originAsked") continue;
      for (let i = 0; i < notice.pieceCount; i++) {
        const piece = notice.firstPiece + i;
        this.#asked.set(piece, (this.#asked.get(piece) ?? new Set()).add(notice.reason));
      }
    }
    this.#read = notices.length;
  }

  mayBe(piece: number, source: ExplainedSource, code: PieceReason): boolean {
    const from = this.from.get(piece);
    if (source.kind === "peer") {
      return from === source.peerId && (code === "offered" || code === "endgame");
    }
    if (source.kind === "thisMachine") return from === undefined && code === "alreadyHere";
    return from === "origin" && this.#asked.get(piece)?.has(code as OriginReason) === true;
  }
}

/** One thing that happens; `n` chooses to whom. */
function step(h: Harness, { from }: Account, [kind, n]: readonly [number, number]): void {
  const pick = <T>(all: readonly T[]): T | undefined => all[n % Math.max(1, all.length)];
  if (kind < 3) {
    const asked = h.take("requestPiece");
    const one = pick(asked);
    const verdict = kind === 2 && n % 4 === 0 ? "corrupt" : "stored";
    for (const command of asked) {
      if (command === one) h.deliver(command, verdict);
      // What is not answered now comes late, or never.
      else if (n % 3 > 0) h.deliver(command);
    }
  } else if (kind < 5) {
    for (const { requestId, transferId, firstPiece, pieceCount } of h.take("fetchRange")) {
      const count = 1 + (n % pieceCount);
      for (let piece = firstPiece; piece < firstPiece + count; piece++) {
        h.send({ type: "rangePiece", requestId, transferId, piece, bufferId: 1 });
      }
      h.storeAll(kind === 4 && n % 5 === 0 ? "corrupt" : "stored");
      if (count === pieceCount) {
        h.send({ type: "rangeFinished", requestId, transferId, validator: {} });
      }
    }
  } else if (kind === 5) h.advanceTo(h.now + (n % 7) * 700);
  else if (kind === 6) {
    const peerId = pick(PEERS)!;
    h.send({ type: "peerDisconnected", peerId, reason: "gone" });
  } else {
    for (const { transferId } of h.take("commitPieces")) {
      const stored = [...from.keys()];
      h.send({ type: "piecesCommitted", transferId, pieces: stored });
      const piece = pick(stored);
      if (piece === undefined || from.size === PIECES - 1) continue;
      h.send({ type: "pieceLost", requestId: 0, transferId, piece });
      from.delete(piece);
    }
  }
}

describe("the record of where pieces came from", () => {
  test("names one source and one reason of every stored piece, after any life of a transfer", () => {
    const step$ = fc.tuple(fc.nat(7), fc.nat(99));
    fc.assert(
      fc.property(fc.array(step$, { maxLength: 40 }), fc.nat(1_000), (steps, seed) => {
        const have = new PieceSet(PIECES);
        have.add(3);
        const { h, contentId } = fetching(have, { seed, settings: { coldStartMs: 0 } });
        const account = new Account();
        for (const peerId of PEERS.slice(seed % 3))
          h.peer(peerId, contentId, PieceSet.full(PIECES));
        for (const one of steps) {
          step(h, account, one);
          h.storeAll();
          account.read(h);
        }
        const file = h.scheduler.explain(JOB_ID, h.now)?.files[0];
        const seen = new Set<number>();
        for (const { firstPiece, pieceCount, source, code } of file?.runs ?? []) {
          for (let piece = firstPiece; piece < firstPiece + pieceCount; piece++) {
            expect(seen.has(piece)).toBe(false);
            seen.add(piece);
            expect([piece, source, code, account.mayBe(piece, source, code)][3]).toBe(true);
          }
        }
        const bytes = file?.shares.reduce((sum, share) => sum + share.bytes, 0);
        expect(bytes).toBe(seen.size * PIECE_LENGTH);
        expect(bytes).toBe(file?.transferredBytes);
      }),
      { numRuns: 60 },
    );
  });

  const layout = PieceLayout.fixed(10_000 * PIECE_LENGTH - 1, PIECE_LENGTH);
  const peer = (n: number): ExplainedSource => ({ kind: "peer", peerId: `p${n}`, address: "" });

  test("tells so many peers apart, and counts the others together", () => {
    const record = new PieceRecord(layout);
    for (let piece = 0; piece < layout.pieceCount; piece++) {
      record.note(piece, peer(piece % 1_000), "offered");
    }
    const { shares, runs, runCount } = record.summary();
    expect(shares).toHaveLength(LIMITS.explainedSourcesMax + 1);
    expect(shares[0]?.source).toEqual({ kind: "otherPeers" });
    expect(shares.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(layout.contentLength);
    expect(runs).toHaveLength(LIMITS.explainedRunsMax);
    expect(runCount).toBeGreaterThan(LIMITS.explainedRunsMax);
  });

  test("keeps nothing of a place but its host, since the rest may be secret (R-LOG-01)", () => {
    const record = new PieceRecord(layout);
    const place = { kind: "origin", host: "h", url: "http://h/?token=1", request: {} } as const;
    record.note(0, place, "noPeers");
    expect(record.summary().shares[0]?.source).toEqual({ kind: "origin", host: "h" });
  });

  test("once sealed keeps its summary, and no more is written", () => {
    const record = new PieceRecord(layout);
    record.note(7, peer(1), "endgame");
    const before = record.summary();
    record.seal();
    record.note(8, peer(2), "offered");
    record.forget(7);
    expect(record.summary()).toEqual(before);
    expect(record.fits(layout)).toBe(false);
  });

  test("tells the largest sources of a published file apart, and loses no byte", () => {
    const record = new PieceRecord(layout);
    record.note(0, { kind: "mirror", host: "m" }, "owned");
    for (let piece = 1; piece < layout.pieceCount; piece++) {
      record.note(piece, peer(piece % 100), piece % 7 === 0 ? "endgame" : "offered");
    }
    record.seal();
    const { shares, runs } = record.summary();
    expect(shares.filter(({ source }) => source.kind === "peer")).toHaveLength(
      LIMITS.sealedSharesMax,
    );
    expect(shares.map(({ source }) => source)).toContainEqual({ kind: "mirror", host: "m" });
    expect(shares.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(layout.contentLength);
    expect(runs).toHaveLength(LIMITS.sealedSharesMax);
  });

  test("agrees with what is held when a transfer begins", () => {
    const record = new PieceRecord(PieceLayout.fixed(4 * PIECE_LENGTH, PIECE_LENGTH));
    record.note(0, peer(1), "offered");
    record.note(1, peer(1), "offered");
    record.agree(
      PieceSet.fromBytes(4, new Uint8Array([0b1010_0000])) ?? new PieceSet(4),
      "beforeRestart",
    );
    const codes = record.summary().runs.map(({ firstPiece, code }) => [firstPiece, code]);
    expect(codes).toEqual([
      [0, "offered"],
      [2, "beforeRestart"],
    ]);
  });
});
