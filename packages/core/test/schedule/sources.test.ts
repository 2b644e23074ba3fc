/** Cache servers, the origin and its mirrors as sources of one file. */
import { describe, expect, test } from "vitest";
import { MiB, PieceSet, Random, resolveSettings, Scheduler } from "@shoal/core";
import type { ErrorCode, JobFileSpec, Settings } from "@shoal/core";
import { CacheHosts } from "../../src/schedule/cache-hosts.ts";
import { FileSources } from "../../src/schedule/file-sources.ts";
import {
  fetching,
  Harness,
  manifestOf,
  PIECE_LENGTH,
  pieces,
  request,
  URL_TEXT,
} from "./harness.ts";

const MIRROR = "http://mirror.test/copy";
const OTHER = "https://other.test/copy";
/** Four pieces, where the length alone says how long they are. */
const LENGTH = MiB;
const ETAG = { etag: '"1"' };

function asked(h: Harness, type: "probeOrigin" | "fetchManifest" | "fetchRange"): string[] {
  return h.take(type).map(({ url }) => url);
}

/** A job without a manifest, resolved at its first place; its part file holds `have`. */
function unverified(
  file: Partial<JobFileSpec>,
  answer: { etag?: string; acceptsRanges?: boolean } = ETAG,
): Harness {
  const h = new Harness();
  h.create(request({ mirrors: [MIRROR, OTHER], ...file }));
  h.probe(LENGTH, answer);
  h.open(pieces("...."));
  return h;
}

/** A job whose content is pinned, its part file open. */
function verified(file: Partial<JobFileSpec>, settings: Partial<Settings> = {}): Harness {
  const h = new Harness({ settings });
  const { bytes, contentId } = manifestOf(256);
  h.create(request({ contentId, ...file }));
  const { requestId, transferId } = h.takeOne("fetchManifest");
  h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
  h.open(new PieceSet(256));
  return h;
}

/** A request fails, and may work later. */
function failed(
  h: Harness,
  { requestId, transferId }: { requestId: number; transferId: number },
  code: ErrorCode = "ERR_ORIGIN_UNAVAILABLE",
): void {
  const failure = { kind: "transient", error: { code, message: "busy" } } as const;
  h.send({ type: "originFailed", requestId, transferId, failure });
}

describe("mirrors of a file with a manifest", () => {
  test("a place that fails for good is followed by the next, and bytes are kept", () => {
    const h = verified({ mirrors: [MIRROR] });
    const first = h.takeOne("fetchRange");
    expect(first.url).toBe(URL_TEXT);
    const { requestId, transferId, firstPiece: piece } = first;
    h.send({ type: "rangePiece", requestId, transferId, piece, bufferId: 7 });
    h.storeAll();
    const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "gone" } as const;
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "fatal", error } });
    expect(asked(h, "fetchRange")).toEqual([MIRROR]);
    expect(h.take("closeContent")).toEqual([]);
    expect(h.job).toMatchObject({ state: "transferring", transferredBytes: PIECE_LENGTH });
  });

  test("one that may work later waits while the next delivers, which stays", () => {
    const h = verified({ mirrors: [MIRROR] });
    h.failOrigin("fetchRange", "transient");
    const second = h.takeOne("fetchRange");
    expect(second.url).toBe(MIRROR);
    h.advanceTo(60_000);
    h.deliverRange(second);
    expect(new Set(asked(h, "fetchRange"))).toEqual(new Set([MIRROR]));
    expect(h.job?.files[0]?.deliveredBy).toBe(MIRROR);
  });

  test("when all have failed the first to be ready again is asked, not before", () => {
    const h = verified({ mirrors: [MIRROR] });
    h.failOrigin("fetchRange", "transient");
    h.failOrigin("fetchRange", "transient");
    expect(asked(h, "fetchRange")).toEqual([]);
    h.advanceTo(500);
    expect(asked(h, "fetchRange")).toEqual([]);
    h.advanceTo(1_300);
    expect(h.take("fetchRange").length).toBe(1);
  });

  test("corrupt three times from one place, a piece comes from another (R-HTTP-14)", () => {
    const h = verified({ mirrors: [MIRROR] });
    const seen: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { requestId, transferId, url } = h.take("fetchRange").at(-1)!;
      seen.push(url);
      h.send({ type: "rangePiece", requestId, transferId, piece: 0, bufferId: 7 });
      h.storeAll("corrupt");
      const validator = {};
      h.send({ type: "rangeFinished", requestId, transferId, validator });
    }
    expect(seen).toEqual([URL_TEXT, URL_TEXT, URL_TEXT]);
    expect(asked(h, "fetchRange").at(-1)).toBe(MIRROR);
    expect(h.job?.state).not.toBe("error");
  });

  test("one that says when to come again is not asked sooner, whoever was told (R-HTTP-09)", () => {
    const deps = {
      random: new Random(1),
      settings: resolveSettings(),
      cacheHosts: new CacheHosts([]),
    };
    const sources = new FileSources(deps, { file: { url: URL_TEXT }, isForeground: false }, 0);
    const source = sources.next(0)!;
    const error = { code: "ERR_ORIGIN_UNAVAILABLE", message: "busy" } as const;
    sources.failed(source, { error, hasDelivered: false }, 0);
    sources.failed(source, { error, retryAfterMs: 60_000, hasDelivered: false }, 0);
    expect(sources.readyAt(source)).toBe(60_000);
  });

  test("one whose ranges are broken is left for one that has them (R-HTTP-12)", () => {
    const h = verified({ mirrors: [MIRROR] });
    h.failOrigin("fetchRange", "rangeBroken", "ERR_ORIGIN_PROTOCOL");
    expect(h.takeOne("fetchRange")).toMatchObject({ url: MIRROR, mode: "range" });
  });

  test("and read as a stream when no place has them (R-HTTP-12)", () => {
    const h = verified({ mirrors: [MIRROR] });
    h.failOrigin("fetchRange", "rangeBroken", "ERR_ORIGIN_PROTOCOL");
    h.failOrigin("fetchRange", "rangeUnsupported", "ERR_ORIGIN_PROTOCOL");
    expect(h.takeOne("fetchRange")).toMatchObject({ url: URL_TEXT, mode: "stream" });
  });

  test("corrupt pieces are held against the place that sent them (R-HTTP-14)", () => {
    const h = verified({ mirrors: [MIRROR] });
    const corrupt = (): string => {
      const { requestId, transferId, url } = h.takeOne("fetchRange");
      h.send({ type: "rangePiece", requestId, transferId, piece: 0, bufferId: 7 });
      h.storeAll("corrupt");
      h.send({ type: "rangeFinished", requestId, transferId, validator: {} });
      return url;
    };
    expect([corrupt(), corrupt()]).toEqual([URL_TEXT, URL_TEXT]);
    h.failOrigin("fetchRange", "transient");
    expect([corrupt(), corrupt(), corrupt()]).toEqual([MIRROR, MIRROR, MIRROR]);
  });

  test("one that has another file is found out before all of it was fetched (R-HTTP-14)", () => {
    const h = verified({ mirrors: [MIRROR] }, { originRunBytes: MiB });
    for (let turn = 0; turn < 100; turn++) {
      const run = h.take("fetchRange").at(-1)!;
      if (run.url === MIRROR) break;
      const { requestId, transferId, firstPiece, pieceCount } = run;
      for (let piece = firstPiece; piece < firstPiece + pieceCount; piece++) {
        h.send({ type: "rangePiece", requestId, transferId, piece, bufferId: 7 });
        h.storeAll("corrupt");
      }
      h.send({ type: "rangeFinished", requestId, transferId, validator: {} });
    }
    expect(h.job?.wastedBytes).toBeLessThan(4 * MiB);
  });

  test("one whose file has another length is left for the next, and is no place to wait for", () => {
    const h = verified({ mirrors: [MIRROR] });
    const seen: string[] = [];
    for (let turn = 0; turn < 50; turn++) {
      for (const { url, requestId, transferId } of h.take("fetchRange")) {
        seen.push(url);
        const error = { code: "ERR_REMOTE_CHANGING", message: "another length" } as const;
        h.send({
          type: "originFailed",
          requestId,
          transferId,
          failure: { kind: "changed", error },
        });
      }
      h.advanceTo(h.now + 1_000);
    }
    expect(seen.filter((url) => url === URL_TEXT).length).toBeLessThan(5);
    expect(seen).toContain(MIRROR);
    const error = { code: "ERR_ORIGIN_CONTENT_MISMATCH" };
    expect(h.job).toMatchObject({ state: "error", error });
  });

  test("the job fails when all are used up, with the error of its own URL", () => {
    const h = verified({ mirrors: [MIRROR] });
    h.failOrigin("fetchRange", "fatal", "ERR_ORIGIN_NOT_FOUND");
    expect(h.job?.state).not.toBe("error");
    h.failOrigin("fetchRange", "fatal", "ERR_ORIGIN_REFUSED");
    h.advanceTo(20_000);
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_ORIGIN_NOT_FOUND" } });
  });

  test("the manifest is looked for beside each of them", () => {
    const h = new Harness();
    const { bytes, contentId } = manifestOf(4);
    h.create(request({ contentId, mirrors: [MIRROR] }));
    h.failOrigin("fetchManifest", "fatal", "ERR_ORIGIN_NOT_FOUND");
    const { url, requestId, transferId } = h.takeOne("fetchManifest");
    expect(url).toBe(MIRROR);
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.open(pieces("...."));
    expect(asked(h, "fetchRange")).toEqual([URL_TEXT]);
  });

  test("header fields and certificates go to the origin of the URL alone (R-HTTP-05)", () => {
    const headers = [["Authorization", "secret"]] as const;
    const own = new URL("/elsewhere", URL_TEXT).href;
    const h = verified({ mirrors: [MIRROR, own], request: { headers } });
    expect(h.takeOne("fetchRange").request).toEqual({ headers });
    const i = verified({ mirrors: [MIRROR, own], request: { headers } });
    i.failOrigin("fetchRange", "fatal");
    expect(i.takeOne("fetchRange").request).toBeUndefined();
    const j = verified({ mirrors: [MIRROR, own], request: { headers } });
    j.failOrigin("fetchRange", "fatal");
    j.failOrigin("fetchRange", "fatal");
    expect(j.takeOne("fetchRange")).toMatchObject({ url: own, request: { headers } });
  });
});

describe("mirrors of a file without a manifest", () => {
  test("are asked when the first has no such file, and the job goes on", () => {
    const h = new Harness();
    h.create(request({ mirrors: [MIRROR] }));
    h.failOrigin("probeOrigin", "fatal", "ERR_ORIGIN_NOT_FOUND");
    h.probe(LENGTH, ETAG);
    h.open(pieces("...."));
    expect(asked(h, "fetchRange")).toEqual([MIRROR]);
  });

  test("bytes of two are never put together: another place begins anew (R-HTTP-11)", () => {
    const h = unverified({});
    const { requestId, transferId, url } = h.takeOne("fetchRange");
    expect(url).toBe(URL_TEXT);
    h.send({ type: "rangePiece", requestId, transferId, piece: 0, bufferId: 7 });
    h.storeAll();
    const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "gone" } as const;
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "fatal", error } });
    expect(h.takeOne("closeContent").outcome).toBe("discard");
    h.send({ type: "contentClosed", transferId });
    h.probe(LENGTH, ETAG);
    const { spec } = h.takeOne("openContent");
    expect(spec.validatorKey).not.toBe(`${LENGTH} "1"`);
    h.send({ type: "contentOpened", transferId, have: pieces("....").toBytes() });
    const next = h.takeOne("fetchRange");
    expect(next).toMatchObject({ url: MIRROR, firstPiece: 0 });
    h.deliverRange(next);
    expect(h.job?.files[0]).toMatchObject({ deliveredBy: MIRROR, wastedBytes: LENGTH / 4 });
  });

  test("validators of two are never compared: the same ETag makes another key (R-HTTP-11)", () => {
    const keys = [[], [URL_TEXT], [URL_TEXT, MIRROR]].map((gone) => {
      const h = new Harness();
      h.create(request({ mirrors: [MIRROR, OTHER] }));
      if (gone.length > 0) h.take("fetchManifest");
      for (const _ of gone) h.failOrigin("probeOrigin", "fatal", "ERR_ORIGIN_NOT_FOUND");
      h.probe(LENGTH, ETAG);
      return h.takeOne("openContent").spec.validatorKey;
    });
    expect(new Set(keys).size).toBe(3);
    expect(keys[0]).toBe(`${LENGTH} "1"`);
  });

  test("under a strong ETag a place is asked again first, as long as that may help", () => {
    const h = unverified({});
    const { requestId, transferId } = h.takeOne("fetchRange");
    h.send({ type: "rangePiece", requestId, transferId, piece: 0, bufferId: 7 });
    h.storeAll();
    const error = { code: "ERR_ORIGIN_UNREACHABLE", message: "gone" } as const;
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "transient", error } });
    expect(h.take("closeContent")).toEqual([]);
    h.advanceTo(1_300);
    let retry = h.takeOne("fetchRange");
    expect(retry).toMatchObject({ url: URL_TEXT, firstPiece: 1 });
    for (let failures = 2; failures < 6; failures++) {
      const failure = { kind: "transient", error } as const;
      h.send({ type: "originFailed", requestId: retry.requestId, transferId, failure });
      h.advanceTo(h.now + 40_000);
      retry = h.takeOne("fetchRange");
    }
    const last = { kind: "timeout", error } as const;
    h.send({ type: "originFailed", requestId: retry.requestId, transferId, failure: last });
    expect(h.takeOne("closeContent").outcome).toBe("discard");
    h.send({ type: "contentClosed", transferId });
    expect(asked(h, "probeOrigin")).toEqual([MIRROR]);
  });

  test("whose ranges break without a strong ETag are read from the start anew (R-HTTP-12)", () => {
    const h = unverified({ mirrors: [] }, {});
    const { requestId, transferId } = h.takeOne("fetchRange");
    h.send({ type: "rangePiece", requestId, transferId, piece: 0, bufferId: 7 });
    h.storeAll();
    const error = { code: "ERR_ORIGIN_PROTOCOL", message: "broken" } as const;
    const failure = { kind: "rangeBroken", error } as const;
    h.send({ type: "originFailed", requestId, transferId, failure });
    expect(h.take("fetchRange")).toEqual([]);
    expect(h.takeOne("closeContent").outcome).toBe("discard");
    h.send({ type: "contentClosed", transferId });
    h.probe(LENGTH);
    h.open(pieces("...."));
    expect(h.takeOne("fetchRange")).toMatchObject({ mode: "stream", firstPiece: 0 });
    expect(h.job?.wastedBytes).toBe(LENGTH / 4);
    expect(h.scheduler.counters.get("shoal_wasted_bytes_total")).toBe(LENGTH / 4);
  });

  test("one that was left for being busy too often does not make the failure of all final", () => {
    const deps = {
      random: new Random(1),
      settings: resolveSettings(),
      cacheHosts: new CacheHosts([]),
    };
    const file = { url: URL_TEXT, mirrors: [MIRROR] };
    const sources = new FileSources(deps, { file, isForeground: false }, 0);
    const busy = { code: "ERR_ORIGIN_UNAVAILABLE", message: "busy" } as const;
    for (let i = 0; i < 4; i++) expect(sources.mayBeginAnew(URL_TEXT, busy, i)).toBe(true);
    const mirror = sources.next(5)!;
    expect(mirror.url).toBe(MIRROR);
    sources.failedForGood(mirror, { code: "ERR_ORIGIN_NOT_FOUND", message: "gone" }, 5);
    expect(sources.failure).toEqual({ error: busy, fatal: false });
  });

  test("a piece that the disk lost is no reason to mix two answers without an ETag (R-HTTP-13)", () => {
    for (const answer of [{}, ETAG]) {
      const h = unverified({ mirrors: [] }, answer);
      const { requestId, transferId } = h.takeOne("fetchRange");
      for (const piece of [0, 1]) {
        h.send({ type: "rangePiece", requestId, transferId, piece, bufferId: 7 });
      }
      h.storeAll();
      h.send({ type: "piecesCommitted", transferId, pieces: [0, 1] });
      h.send({ type: "pieceLost", transferId, requestId, piece: 0 });
      const closed = h.take("closeContent").map(({ outcome }) => outcome);
      expect(closed).toEqual(answer === ETAG ? [] : ["discard"]);
    }
  });

  test("one with the wrong SHA-256 is given up for the next", () => {
    const h = unverified({ sha256: "ab".repeat(32) });
    h.deliverRange(h.takeOne("fetchRange"));
    h.commit([0, 1, 2, 3]);
    const { transferId } = h.takeOne("verifyContent");
    h.send({ type: "contentMismatch", transferId, pieces: [] });
    h.close();
    expect(asked(h, "probeOrigin")).toEqual([MIRROR]);
    expect(h.job?.state).not.toBe("error");
  });

  test("the SHA-256 that the origin states is checked at the end, where the job names none", () => {
    const sha256 = "cd".repeat(32);
    const opened = [undefined, "ab".repeat(32)].map((named) => {
      const h = new Harness();
      h.create(request(named === undefined ? {} : { sha256: named }));
      const { requestId, transferId } = h.takeOne("probeOrigin");
      const answer = { length: LENGTH, validator: ETAG, acceptsRanges: true, sha256 };
      h.send({ type: "originProbed", requestId, transferId, ...answer });
      const { contentDigest = new Uint8Array() } = h.takeOne("openContent").spec;
      return [contentDigest[0], h.job?.files[0]?.integrity];
    });
    expect(opened).toEqual([
      [0xcd, "digest"],
      [0xab, "digest"],
    ]);
  });

  test("ranges are had from a place that serves them", () => {
    const h = new Harness();
    h.create(request({ mirrors: [MIRROR], ranges: [{ offset: 0, length: 10 }] }));
    h.probe(1_000, { ...ETAG, acceptsRanges: false });
    h.probe(1_000, ETAG);
    h.open(pieces("."));
    expect(asked(h, "fetchRange")).toEqual([MIRROR]);
  });
});

describe("cache servers", () => {
  const atCache = (host: string): string => `http://${host}/file?cacheHostOrigin=origin.test`;

  function cached(
    settings: Partial<Settings> = {},
    file: Partial<JobFileSpec> = {},
    cacheHosts: readonly string[] = ["one", "two"],
  ): Harness {
    const h = new Harness({ settings, cacheHosts });
    const { bytes, contentId } = manifestOf(256);
    h.create(request({ contentId, ...file }));
    const { url, requestId, transferId } = h.takeOne("fetchManifest");
    expect(url).toBe(URL_TEXT);
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.open(new PieceSet(256));
    return h;
  }

  test("are asked before the origin, without anything secret, and counted apart (R-HTTP-05)", () => {
    const h = cached({}, { request: { headers: [["X-Key", "secret"]] } });
    const run = h.takeOne("fetchRange");
    expect(run.url).toBe(atCache("one"));
    expect(run.request).toBeUndefined();
    h.deliverRange(run);
    const cacheServerBytes = run.pieceCount * PIECE_LENGTH;
    expect(h.job).toMatchObject({ cacheServerBytes, originBytes: 0 });
    expect(h.job?.files[0]).toMatchObject({ cacheServerBytes, deliveredBy: atCache("one") });
    const counters = h.scheduler.counters.snapshot();
    expect(counters.shoal_cache_server_received_bytes_total).toBe(cacheServerBytes);
    expect(counters.shoal_origin_received_bytes_total).toBe(0);
  });

  test("one that fails is followed by the origin at once, without a delay", () => {
    const h = cached();
    h.failOrigin("fetchRange", "transient", "ERR_ORIGIN_UNAVAILABLE");
    expect(asked(h, "fetchRange")).toEqual([URL_TEXT]);
  });

  test("with a delay one cache server follows the other until it is over", () => {
    const h = cached({ cacheFallbackBackgroundMs: 12_000 });
    const seen: string[] = [];
    while (!seen.includes(URL_TEXT) && h.now < 20_000) {
      h.advanceTo(h.now + 100);
      for (const { url, requestId, transferId } of h.take("fetchRange")) {
        seen.push(url);
        const error = { code: "ERR_ORIGIN_UNAVAILABLE", message: "busy" } as const;
        const failure = { kind: "transient", error } as const;
        h.send({ type: "originFailed", requestId, transferId, failure });
      }
    }
    expect(h.now).toBeGreaterThanOrEqual(12_000);
    expect(new Set(seen)).toEqual(new Set([atCache("one"), atCache("two"), URL_TEXT]));
  });

  test("bans end the delay: when all are banned the origin is asked at once", () => {
    const h = cached({ cacheFallbackBackgroundMs: 3_600_000 });
    h.failOrigin("fetchRange", "transient", "ERR_ORIGIN_UNREACHABLE");
    expect(asked(h, "fetchRange")).toEqual([atCache("two")]);
    const i = cached({ cacheFallbackBackgroundMs: 3_600_000 }, {}, ["one"]);
    i.failOrigin("fetchRange", "timeout", "ERR_ORIGIN_TIMEOUT");
    expect(asked(i, "fetchRange")).toEqual([URL_TEXT]);
  });

  test("a job whose origin has no such file fails, though a cache server is merely busy", () => {
    const h = cached({}, {}, ["one"]);
    h.failOrigin("fetchRange", "transient", "ERR_ORIGIN_UNAVAILABLE");
    h.failOrigin("fetchRange", "fatal", "ERR_ORIGIN_NOT_FOUND");
    h.advanceTo(20_000);
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_ORIGIN_NOT_FOUND" } });
  });

  test("a job whose origin has no such file does not wait for one that is banned", () => {
    const h = new Harness({ cacheHosts: ["one"] });
    const other = "00000000-0000-4000-8000-000000000002";
    h.create({ ...request({ destination: "/tmp/other" }), jobId: other });
    h.failOrigin("probeOrigin", "transient", "ERR_ORIGIN_UNREACHABLE");
    h.take("probeOrigin");
    const { bytes, contentId } = manifestOf(4);
    h.create(request({ contentId }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.open(pieces("...."));
    h.failOrigin("fetchRange", "fatal", "ERR_ORIGIN_NOT_FOUND");
    h.advanceTo(20_000);
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_ORIGIN_NOT_FOUND" } });
  });

  test("that are down do not make a busy origin's failure final (R-TIME-05)", () => {
    const h = new Harness({ cacheHosts: ["one"] });
    h.create(request());
    h.failOrigin("probeOrigin", "transient", "ERR_ORIGIN_UNREACHABLE");
    for (let turn = 0; turn < 120 && h.job?.state === "connecting"; turn++) {
      const validator = {};
      for (const { requestId, transferId } of h.take("probeOrigin")) {
        const answer = { length: LENGTH, validator, acceptsRanges: true };
        h.send({ type: "originProbed", requestId, transferId, ...answer });
      }
      h.take("openContent").forEach(({ transferId }) => {
        h.send({ type: "contentOpened", transferId, have: pieces("....").toBytes() });
      });
      if (h.take("fetchRange").map((run) => failed(h, run)).length === 0) h.close();
      h.advanceTo(h.now + 1_000);
    }
    expect(h.job).toMatchObject({ state: "transientError" });
  });

  test("keep no job from waiting in transientError when its origin is down (R-TIME-05)", () => {
    const h = new Harness({ cacheHosts: ["one", "two"] });
    const { contentId } = manifestOf(4);
    h.create(request({ contentId }));
    for (let turn = 0; turn < 300 && h.job?.state === "connecting"; turn++) {
      h.take("fetchManifest").forEach((asking) => failed(h, asking));
      h.advanceTo(h.now + 1_000);
    }
    expect(h.job?.state).toBe("transientError");
    const i = cached();
    for (let turn = 0; turn < 300 && i.job?.state === "connecting"; turn++) {
      i.take("fetchRange").forEach((run) => failed(i, run, "ERR_ORIGIN_UNREACHABLE"));
      i.advanceTo(i.now + 1_000);
    }
    expect(i.job?.state).toBe("transientError");
  });

  test("manifests are never taken from them, since TLS to one proves nothing (R-MAN-01)", () => {
    const h = new Harness({ cacheHosts: ["one"] });
    h.create(request({ url: "https://origin.test/file" }));
    expect(asked(h, "fetchManifest")).toEqual(["https://origin.test/file"]);
  });

  test("a list that is too long or wrong is refused by whoever reads it, not by the scheduler", () => {
    const settings = resolveSettings();
    const hosts = Array.from({ length: 99 }, (_, i) => `h${i}`);
    const random = new Random(1);
    expect(
      () => new Scheduler({ random, settings, selfId: "self", cacheHosts: hosts }),
    ).not.toThrow();
  });
});

describe("waiting for peers first", () => {
  test("the origin is asked only after the delay, and never before because nobody is there", () => {
    const { h } = fetching(new PieceSet(8), { settings: { p2pDelayBackgroundMs: 30_000 } });
    h.advanceTo(29_999);
    expect(h.take("fetchRange")).toEqual([]);
    expect(h.job?.state).toBe("connecting");
    h.advanceTo(30_000);
    expect(asked(h, "fetchRange")).toEqual([URL_TEXT]);
  });

  test("each priority has its own delay, and a file that peers cannot have is not held back", () => {
    const settings = { p2pDelayBackgroundMs: 30_000 };
    const h = new Harness({ settings });
    const { bytes, contentId } = manifestOf(4);
    h.create({ ...request({ contentId }), priority: "foreground" });
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.open(pieces("...."));
    expect(asked(h, "fetchRange")).toEqual([URL_TEXT]);
    const i = new Harness({ settings });
    i.create(request());
    i.probe(4 * PIECE_LENGTH, ETAG);
    i.open(pieces("...."));
    expect(asked(i, "fetchRange")).toEqual([URL_TEXT]);
  });
});
