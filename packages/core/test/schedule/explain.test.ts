/** Why bytes came from where they came from, and what a file or a job waits for: every code. */
import { describe, expect, test } from "vitest";
import { MiB, PieceSet } from "@shoal/core";
import type { ExplainedFile, JobExplanation, ReasonCode, Settings } from "@shoal/core";
import { fetching, Harness, JOB_ID, manifestOf, PIECE_LENGTH, pieces, request } from "./harness.ts";

function explain(h: Harness): JobExplanation {
  const explanation = h.scheduler.explain(JOB_ID, h.now);
  if (explanation === undefined) throw new Error("there is no such job");
  // It is plain JSON: nothing is lost on the way through a socket.
  expect(JSON.parse(JSON.stringify(explanation))).toEqual(explanation);
  return explanation;
}

function file(h: Harness): ExplainedFile {
  return explain(h).files[0]!;
}

function shareCodes(h: Harness): ReasonCode[] {
  return file(h).shares.map(({ code }) => code);
}

/** Delivers everything that the origin is asked for. */
function deliverAll(h: Harness): void {
  for (;;) {
    const runs = h.take("fetchRange");
    if (runs.length === 0) return;
    for (const run of runs) h.deliverRange(run);
  }
}

const settings = { coldStartMs: 0 };

/** This member's share is here; the only peer has all the rest, and gives none of it. */
function afterOwnShare(changes: Partial<Settings>): Harness {
  const { h, contentId } = fetching(new PieceSet(1_024), { settings: changes, members: ["a"] });
  h.advanceTo(20);
  deliverAll(h);
  h.bitfield("a", contentId, PieceSet.full(1_024));
  h.advanceTo(5_500);
  return h;
}

/** What has to happen so that the origin is asked for the reason. */
const ORIGIN_CASES: ReadonlyArray<readonly [ReasonCode, () => Harness]> = [
  [
    "noManifest",
    () => {
      const h = new Harness();
      h.create(request());
      h.probe(MiB, { etag: '"1"' });
      h.open(pieces("...."));
      return h;
    },
  ],
  ["noPeers", () => fetching(new PieceSet(256), { settings }).h],
  ["owned", () => fetching(new PieceSet(1_024), { settings, members: ["other"] }).h],
  [
    "ownerSilent",
    () => {
      const { h } = fetching(new PieceSet(1_024), { settings, members: ["other"] });
      deliverAll(h);
      h.advanceTo(10_000);
      return h;
    },
  ],
  [
    "idleSteal",
    () => {
      const { h, contentId } = fetching(new PieceSet(1_024), { settings, members: ["other"] });
      deliverAll(h);
      // The other is heard of, and fetches nothing.
      for (let at = 500; at <= 5_000; at += 500) {
        h.advanceTo(at);
        h.send({ type: "peerJoined", peerId: "other", contentId });
      }
      return h;
    },
  ],
  [
    "peersSilent",
    () => {
      const silent = { ...settings, stallTimeoutMs: 10_000, peerSilenceMs: 2_000 };
      return afterOwnShare(silent);
    },
  ],
  ["peersSlow", () => afterOwnShare(settings)],
  [
    "corruptRetry",
    () => {
      const { h, contentId } = fetching(pieces("..."), { settings });
      const { requestId, transferId, firstPiece, pieceCount } = h.takeOne("fetchRange");
      for (let piece = firstPiece; piece < firstPiece + pieceCount; piece++) {
        h.send({ type: "rangePiece", requestId, transferId, piece, bufferId: 1 });
      }
      h.send({ type: "rangeFinished", requestId, transferId, validator: {} });
      h.peer("a", contentId, pieces("111"));
      h.storeAll("corrupt");
      return h;
    },
  ],
];

describe("bytes from the origin", () => {
  test.each(ORIGIN_CASES)("%s is the verdict, and then the reason of the pieces", (code, make) => {
    const h = make();
    expect(file(h).verdicts.map((verdict) => verdict.code)).toContain(code);
    deliverAll(h);
    const share = file(h).shares.find((found) => found.code === code);
    expect(share).toMatchObject({ source: { kind: "origin", host: "origin.test" }, code });
    expect(share?.bytes).toBeGreaterThanOrEqual(PIECE_LENGTH);
  });

  test("peers that are slow are shown with the rates that were measured", () => {
    const make = ORIGIN_CASES.find(([code]) => code === "peersSlow")![1];
    const verdict = file(make()).verdicts.find(({ code }) => code === "peersSlow");
    const { peersBytesPerSec = Infinity, originBytesPerSec = 0 } = verdict ?? {};
    expect(originBytesPerSec).toBeGreaterThan(2 * peersBytesPerSec);
  });

  test("mirrors and cache servers are told apart from it", () => {
    const h = new Harness({ settings, cacheHosts: ["cache.lan"] });
    const { bytes, contentId } = manifestOf(4);
    h.create(request({ contentId, mirrors: ["http://mirror.test/file"] }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.open(pieces("...."));
    const first = h.takeOne("fetchRange");
    const piece = first.firstPiece;
    h.send({ type: "rangePiece", requestId: first.requestId, transferId, piece, bufferId: 1 });
    h.storeAll();
    const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "gone" } as const;
    const failure = { kind: "fatal", error } as const;
    h.send({ type: "originFailed", requestId: first.requestId, transferId, failure });
    h.send({
      type: "originFailed",
      requestId: h.takeOne("fetchRange").requestId,
      transferId,
      failure,
    });
    h.deliverRange(h.takeOne("fetchRange"));
    const { shares, places, verdicts } = file(h);
    expect(shares.map(({ source }) => source)).toEqual([
      { kind: "mirror", host: "mirror.test" },
      { kind: "cacheServer", host: "cache.lan" },
    ]);
    expect(places).toMatchObject([
      { kind: "cacheServer", isUsable: false, error },
      { kind: "origin", isUsable: false, error },
      { kind: "mirror", host: "mirror.test", isUsable: true },
    ]);
    expect(verdicts.map(({ code }) => code)).toContain("cacheServersFailed");
  });
});

describe("bytes from elsewhere", () => {
  test("offered and endgame: a peer, and the first of two", () => {
    const { h, contentId } = fetching(pieces("11.."), { url: undefined });
    h.peer("a", contentId, pieces("1111"));
    h.deliver(h.takeOne("requestPiece"));
    h.take("requestPiece");
    h.peer("b", contentId, pieces("1111"));
    h.deliver(h.takeOne("requestPiece"));
    const { shares } = file(h);
    const found = shares.map(({ source, code }) => [source.kind === "peer" && source.peerId, code]);
    expect(found).toContainEqual(["a", "offered"]);
    expect(found).toContainEqual(["b", "endgame"]);
  });

  test("reused: found in another content on this machine", () => {
    const { bytes, contentId } = manifestOf(4);
    const h = new Harness();
    h.create(request({ contentId }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.take("openContent");
    const [have, reusable] = [pieces("....").toBytes(), pieces("11..").toBytes()];
    h.send({ type: "contentOpened", transferId, have, reusable });
    h.send({ type: "pieceStored", transferId, piece: 0 });
    h.send({ type: "pieceCorrupt", transferId, piece: 1 });
    expect(file(h).runs).toEqual([
      { firstPiece: 0, pieceCount: 1, source: { kind: "thisMachine" }, code: "reused" },
    ]);
  });

  test("alreadyHere: all of it was on this machine at once", () => {
    const { h } = fetching(pieces("11.."));
    expect(shareCodes(h)).toEqual(["alreadyHere"]);
  });

  test("keeps what it knows over a pause, and forgets bytes that are begun anew", () => {
    const { h } = fetching(new PieceSet(256), { settings });
    const run = h.takeOne("fetchRange");
    h.deliverRange(run);
    h.verb("suspend");
    h.close();
    expect(explain(h).verdicts).toMatchObject([{ code: "suspended", remedy: "Resume it." }]);
    const before = file(h).shares;
    expect(before).toMatchObject([{ code: "noPeers", pieceCount: run.pieceCount }]);
    h.verb("resume");
    const kept = new PieceSet(256);
    for (let i = 0; i < run.pieceCount; i++) kept.add(run.firstPiece + i);
    h.open(kept);
    expect(file(h).shares).toEqual(before);
  });

  test("beforeRestart: another run of the agent fetched it, from where is not known", () => {
    const { h, contentId, manifestBytes } = fetching(new PieceSet(4), { settings });
    h.deliverRange(h.takeOne("fetchRange"));
    const record = h.savedRecord();
    const manifest = { contentId, bytes: manifestBytes };
    const length = 4 * PIECE_LENGTH;
    const content = { jobId: JOB_ID, fileIndex: 0, length, storedBytes: length, manifest };
    const next = new Harness({ jobs: [record], resumable: [content], settings });
    expect(file(next).shares).toMatchObject([{ code: "beforeRestart", bytes: length }]);
    next.open(pieces("1.11"));
    next.deliverRange(next.takeOne("fetchRange"));
    expect(shareCodes(next)).toEqual(["beforeRestart", "noPeers"]);
  });

  test("a published file is explained as long as the process lives, from a summary", () => {
    const { h, contentId } = fetching(pieces(".."), { settings });
    h.deliverRange(h.takeOne("fetchRange"));
    h.advanceTo(5_000);
    h.commit([0, 1]);
    h.verify();
    expect(explain(h).verdicts).toMatchObject([{ code: "unpublished" }]);
    h.verb("acknowledge");
    h.answerStore();
    h.answerStore();
    expect(explain(h)).toMatchObject({ verdicts: [{ code: "acknowledged" }], policies: [] });
    expect(file(h)).toMatchObject({ contentId, phase: "published", verdicts: [] });
    expect(file(h).shares).toMatchObject([{ code: "noPeers", pieceCount: 2 }]);
  });
});

/** What has to happen so that the verdict holds. */
const FILE_CASES: ReadonlyArray<readonly [ReasonCode, () => Harness]> = [
  [
    "lookingForManifest",
    () => {
      const h = new Harness();
      h.create(request());
      return h;
    },
  ],
  [
    "opening",
    () => {
      const h = new Harness();
      h.create(request());
      h.probe(MiB);
      return h;
    },
  ],
  [
    "verifying",
    () => {
      const { h } = fetching(pieces(".."), { settings });
      h.deliverRange(h.takeOne("fetchRange"));
      h.advanceTo(5_000);
      h.commit([0, 1]);
      return h;
    },
  ],
  ["peersOnly", () => fetching(pieces(".."), { settings: { p2pDelayBackgroundMs: 60_000 } }).h],
  [
    "leftToPeers",
    () => {
      const { h, contentId } = fetching(pieces(".."), { settings, members: ["a"] });
      for (const run of h.take("fetchRange")) h.deliverRange({ ...run, pieceCount: 0 });
      h.bitfield("a", contentId, pieces("11"));
      return h;
    },
  ],
  [
    "leftToMembers",
    () => {
      const { h } = fetching(new PieceSet(1_024), { settings, members: ["other"] });
      deliverAll(h);
      return h;
    },
  ],
  ["noOrigin", () => fetching(pieces(".."), { url: undefined }).h],
  ["noSource", () => fetching(pieces(".."), { url: undefined }).h],
  [
    "originWaits",
    () => {
      const { h } = fetching(pieces(".."), { settings });
      h.failOrigin("fetchRange", "transient");
      return h;
    },
  ],
  [
    "originRefused",
    () => {
      const { h, contentId } = fetching(new PieceSet(1_024), { settings, members: ["a"] });
      h.bitfield("a", contentId, PieceSet.full(1_024));
      const [{ requestId, transferId } = { requestId: 0, transferId: 0 }] = h.take("fetchRange");
      const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "gone" } as const;
      h.send({ type: "originFailed", requestId, transferId, failure: { kind: "fatal", error } });
      return h;
    },
  ],
  [
    "cacheServersFirst",
    () => {
      const held = { ...settings, cacheFallbackBackgroundMs: 60_000 };
      return fetching(pieces(".."), { settings: held, cacheHosts: ["cache.lan"] }).h;
    },
  ],
  [
    "paced",
    () => {
      const slow = { ...settings, downloadRateBytesPerSec: PIECE_LENGTH };
      const { h } = fetching(new PieceSet(256), { settings: slow });
      const { requestId, transferId, firstPiece } = h.takeOne("fetchRange");
      for (let i = 0; i < 5; i++) {
        h.advanceTo(h.now + 1_000);
        const piece = firstPiece + i;
        h.send({ type: "rangePiece", requestId, transferId, piece, bufferId: 1 });
        h.storeAll();
      }
      return h;
    },
  ],
  [
    "yields",
    () => {
      const { h } = fetching(new PieceSet(256), { settings });
      const other = { jobId: "00000000-0000-4000-8000-000000000002", priority: "foreground" };
      h.create({ ...request({ destination: "/tmp/other" }), ...other } as never);
      return h;
    },
  ],
];

describe("what a file waits for", () => {
  test.each(FILE_CASES)("%s", (code, make) => {
    const found = file(make()).verdicts.find((verdict) => verdict.code === code);
    expect(found).toMatchObject({ code });
    expect(found?.words).not.toBe("");
  });

  test("an origin that waits says for how long, and what has happened", () => {
    const make = FILE_CASES.find(([code]) => code === "originWaits")![1];
    const verdict = file(make()).verdicts.find(({ code }) => code === "originWaits");
    expect(verdict).toMatchObject({ error: { code: "ERR_ORIGIN_UNREACHABLE" } });
    expect(verdict?.waitMs).toBeGreaterThan(0);
  });
});

describe("what a job waits for", () => {
  test.each<[ReasonCode, (h: Harness) => void]>([
    ["suspended", (h) => void h.verb("suspend")],
    ["cancelled", (h) => void h.verb("cancel")],
    ["failed", (h) => h.failOrigin("probeOrigin", "fatal", "ERR_ORIGIN_NOT_FOUND")],
    [
      "waitsToRetry",
      (h) => h.setNetwork({ isOnline: false, isCellular: false, cost: "unrestricted" }),
    ],
  ])("%s", (code, act) => {
    const h = new Harness({ settings: { originFailuresMax: 1 } });
    h.create(request());
    act(h);
    h.close();
    expect(explain(h).verdicts).toMatchObject([{ code }]);
  });

  test("queued: all places are taken", () => {
    const h = new Harness({ settings: { activeJobsMax: 1 } });
    const other = { ...request(), jobId: "00000000-0000-4000-8000-000000000002" };
    h.create({ ...other, files: [{ url: "http://o.test/f", destination: "/tmp/o" }] });
    h.create(request());
    expect(explain(h).verdicts).toMatchObject([{ code: "queued" }]);
  });

  test("nothing is said of a job that there is not", () => {
    expect(new Harness().scheduler.explain(JOB_ID, 0)).toBeUndefined();
  });
});
