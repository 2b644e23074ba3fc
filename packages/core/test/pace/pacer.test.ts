/** Limits as the scheduler enforces them: what it tells the origin adapter, asks peers and serves. */
import { describe, expect, it } from "vitest";
import { parseJobRecord } from "@shoal/core";
import type { PaceSettings } from "@shoal/core";
import { fetching, Harness, JOB_ID, PIECE_LENGTH, pieces, request } from "../schedule/harness.ts";

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
  const { h, contentId } = fetching(pieces(".".repeat(COUNT)), { settings });
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

describe("settings that change while the agent runs", () => {
  it("are refused as a whole, and then nothing has changed", () => {
    const h = new Harness();
    const wrong = { uploadRateBytesPerSec: 5, backgroundPercent: 101 };
    expect(() => apply(h, wrong)).toThrow("backgroundPercent");
    expect(() => apply(h, { jobsMax: 1 } as Partial<PaceSettings>)).toThrow("jobsMax");
    expect(h.scheduler.paceSettings.uploadRateBytesPerSec).toBe(0);
  });
});
