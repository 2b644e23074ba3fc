/** Limits as the scheduler enforces them: what it tells the origin adapter, asks peers and serves. */
import { describe, expect, it } from "vitest";
import { parseJobRecord, PieceSet } from "@shoal/core";
import type { PaceSettings } from "@shoal/core";
import {
  fetching,
  Harness,
  JOB_ID,
  manifestOf,
  PIECE_LENGTH,
  pieces,
  request,
} from "../schedule/harness.ts";

const OTHER = "00000000-0000-4000-8000-000000000002";
const COUNT = 64;
/** Four pieces a second. */
const RATE = 4 * PIECE_LENGTH;

/** Pieces that the seed is asked for, and gives at once, in `spanMs`. */
function askedOver(h: Harness, spanMs: number): number {
  const until = h.now + spanMs;
  let asked = 0;
  while (h.now < until) {
    for (const command of h.take("requestPiece")) {
      h.deliver(command);
      asked++;
    }
    h.advanceTo(h.now + 10);
  }
  return asked;
}

/** A job that fetches from a seed. */
function withSeed(settings: Partial<PaceSettings> = {}): Harness {
  const calm = { coldStartMs: 0, ...settings };
  const { h, contentId } = fetching(pieces(".".repeat(COUNT)), { settings: calm });
  h.peer("seed", contentId, pieces("1".repeat(COUNT)));
  return h;
}

const apply = (h: Harness, changes: Partial<PaceSettings>): void =>
  h.run((scheduler) => scheduler.applySettings(changes, h.now));

const setRate = (h: Harness, rateBytesPerSec: number | null): string | undefined =>
  h.change({ type: "setJob", values: { rateBytesPerSec } });

describe("a limit of downloads", () => {
  it("is told to the origin adapter before the first request, and lifted with it", () => {
    const { h } = fetching(pieces("...."), { settings: { downloadRateBytesPerSec: RATE } });
    expect(h.takeOne("setPace").rateBytesPerSec).toBe(RATE);
    apply(h, { downloadRateBytesPerSec: 0 });
    expect(h.takeOne("setPace").rateBytesPerSec).toBe(0);
  });

  it("is said once while it stays the same", () => {
    const { h } = fetching(pieces("...."), { settings: { downloadRateBytesPerSec: RATE } });
    h.take("setPace");
    h.advanceTo(10_000);
    expect(h.take("setPace")).toEqual([]);
  });

  it("costs neither commands nor wake-ups where there is none", () => {
    const { h } = fetching(pieces("...."));
    expect(h.take("setPace")).toEqual([]);
  });

  it("lets peers be asked for no more than it allows", () => {
    const h = withSeed({ downloadRateBytesPerSec: RATE });
    askedOver(h, 2_000);
    const asked = askedOver(h, 10_000);
    expect(asked).toBeGreaterThanOrEqual(38);
    expect(asked).toBeLessThanOrEqual(42);
  });

  it("is forgotten with its debts when it is lifted, however low it was", () => {
    const h = withSeed({ downloadRateBytesPerSec: 1 });
    askedOver(h, 2_000);
    expect(askedOver(h, 10_000)).toBe(0);
    apply(h, { downloadRateBytesPerSec: 0 });
    expect(askedOver(h, 1_000)).toBeGreaterThan(8);
  });

  it("takes nothing for pieces that a peer refuses", () => {
    const h = withSeed({ downloadRateBytesPerSec: RATE });
    askedOver(h, 2_000);
    let refused = 0;
    for (let i = 0; i < 200; i++) {
      for (const { peerId, requestId } of h.take("requestPiece")) {
        refused++;
        h.send({ type: "requestRefused", peerId, requestId, reason: "busy" });
      }
      h.advanceTo(h.now + 10);
    }
    expect(refused).toBeGreaterThan(4);
    expect(askedOver(h, 5_000)).toBeGreaterThanOrEqual(18);
  });
});

describe("a job's own limit", () => {
  it("is held, changed while the job runs, stored, shown and taken back", () => {
    const h = withSeed();
    expect(setRate(h, RATE)).toBeUndefined();
    expect(h.job?.rateBytesPerSec).toBe(RATE);
    const record = h.savedRecord();
    expect(record.rateBytesPerSec).toBe(RATE);
    expect(parseJobRecord(record)).toEqual(record);
    const again = new Harness({ jobs: [record] });
    expect(again.job?.rateBytesPerSec).toBe(RATE);
    askedOver(h, 2_000);
    expect(askedOver(h, 5_000)).toBeLessThanOrEqual(21);
    expect(setRate(h, null)).toBeUndefined();
    expect(h.job?.rateBytesPerSec).toBe(0);
    expect(askedOver(h, 1_000)).toBeGreaterThan(8);
  });

  it.each([-1, 0.5, NaN, Infinity])("is refused when it is no count: %d", (rateBytesPerSec) => {
    const h = new Harness();
    expect(h.refusal({ ...request(), rateBytesPerSec })).toBe("ERR_USAGE");
    h.create(request());
    expect(setRate(h, rateBytesPerSec)).toBe("ERR_USAGE");
    expect(h.jobOf(JOB_ID)?.rateBytesPerSec).toBe(0);
  });
});

describe("a limit of uploads", () => {
  it("holds back what peers ask for, and refuses what would take too long (R-PEER-27)", () => {
    const settings = { uploadRateBytesPerSec: PIECE_LENGTH };
    const { h, contentId } = fetching(pieces("1111...."), { settings });
    h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.1", requestsMax: 8 });
    for (let i = 1; i <= 8; i++) {
      h.send({ type: "pieceRequested", peerId: "a", requestId: i, contentId, piece: i % 4 });
    }
    expect(h.take("refuseRequest").map(({ reason }) => reason)).toEqual(["busy", "busy"]);
    let read = 0;
    const serveUntil = (at: number): number => {
      for (; h.now < at; h.advanceTo(h.now + 50)) {
        for (const { requestId, transferId } of h.take("readPiece")) {
          read++;
          h.send({ type: "pieceRead", transferId, requestId, bufferId: 1 });
          for (const sent of h.take("sendPiece")) {
            const { peerId } = sent;
            const sentBytes = PIECE_LENGTH;
            h.send({ type: "uploadFinished", peerId, requestId: sent.requestId, sentBytes });
          }
        }
      }
      return read;
    };
    expect(serveUntil(3_500)).toBe(4);
    apply(h, { uploadRateBytesPerSec: 0 });
    expect(serveUntil(3_700)).toBe(6);
  });
});

describe("a background download from afar", () => {
  const LINK = 10_000_000;

  /** The first run gets `rate` for a while; returns the last pace that was told of. */
  function receive(
    h: Harness,
    run: { requestId: number; transferId: number },
    rates: number[],
  ): number {
    let [received, told] = [0, 0];
    for (const rate of rates) {
      for (let step = 0; step < 50; step++) {
        h.advanceTo(h.now + 200);
        received += rate / 5;
        h.send({ type: "rangeProgress", ...run, receivedBytes: received });
        told = h.take("setPace").at(-1)?.rateBytesPerSec ?? told;
      }
    }
    return told;
  }

  it("makes room for others below a limit that nobody reaches, too", () => {
    const settings = { downloadRateBytesPerSec: 100 * LINK };
    const { h } = fetching(pieces(".".repeat(COUNT)), { settings });
    const { requestId, transferId } = h.take("fetchRange")[0]!;
    expect(receive(h, { requestId, transferId }, [LINK, LINK, LINK / 2])).toBeLessThan(LINK / 2);
  });

  it("does not take a limit of its own for a wish of others", () => {
    const { h } = fetching(pieces(".".repeat(COUNT)));
    const { requestId, transferId } = h.take("fetchRange")[0]!;
    const run = { requestId, transferId };
    receive(h, run, [LINK]);
    apply(h, { downloadRateBytesPerSec: LINK / 2 });
    h.take("setPace");
    // Nothing lower follows.
    expect(receive(h, run, [LINK / 2, LINK / 2])).toBe(0);
  });

  it("does not take a slower mirror for a wish of others, and obeys that host's limit", () => {
    const h = new Harness({ settings: { coldStartMs: 0 } });
    const { bytes, contentId } = manifestOf(COUNT);
    h.create(request({ contentId, mirrors: ["http://mirror.test/copy"] }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.open(new PieceSet(COUNT));
    const first = h.takeOne("fetchRange");
    receive(h, { requestId: first.requestId, transferId }, [LINK, LINK]);
    const error = { code: "ERR_ORIGIN_UNREACHABLE", message: "gone" } as const;
    const failure = { kind: "transient", error } as const;
    h.send({ type: "originFailed", requestId: first.requestId, transferId, failure });
    h.advanceTo(h.now + 200);
    const second = h.takeOne("fetchRange");
    expect(second.url).toBe("http://mirror.test/copy");
    const run = { requestId: second.requestId, transferId };
    expect(receive(h, run, [LINK / 4, LINK / 4])).toBe(0);
    apply(h, { originHostRateBytesPerSec: LINK / 8 });
    expect(h.take("setPace").at(-1)?.rateBytesPerSec).toBe(LINK / 8);
    h.create({
      ...request({ url: "http://mirror.test/other", destination: "/tmp/b" }),
      jobId: OTHER,
    });
    h.probe(4 * PIECE_LENGTH);
    h.open(pieces("...."));
    expect(h.take("setPace").at(-1)?.rateBytesPerSec).toBeLessThan(LINK / 8);
  });
});

describe("settings that change while the agent runs", () => {
  it("are refused as a whole, and then nothing has changed", () => {
    const h = new Harness();
    const wrong = { uploadRateBytesPerSec: 5, backgroundPercent: 101 };
    expect(() => apply(h, wrong)).toThrow("backgroundPercent");
    expect(() => apply(h, { jobsMax: 1 } as Partial<PaceSettings>)).toThrow("jobsMax");
    expect(h.scheduler.paceSettings.uploadRateBytesPerSec).toBe(0);
  });
});
