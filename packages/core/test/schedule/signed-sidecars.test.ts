/** Signed manifests beside files: when they are asked for, and what comes of them (T3). */
import { describe, expect, test } from "vitest";
import { parsePublisher } from "@shoal/core";
import type { JobFileSpec, Statement } from "@shoal/core";
import { makeKey, signedBy } from "../content/signing.ts";
import type { TestKey } from "../content/signing.ts";
import { Harness, JOB_ID, manifestOf, request, URL_TEXT, WALL_AT } from "./harness.ts";
import type { HarnessOptions } from "./harness.ts";

const [ALICE, BOB] = [makeKey(), makeKey()] as const;
const { bytes: MANIFEST, contentId: CONTENT_ID, length } = manifestOf(2);
const PUBLISHER = parsePublisher(ALICE.text);
const NOW_SEC = WALL_AT / 1_000;

function signed(change: Partial<Statement> = {}, key: TestKey = ALICE): Uint8Array {
  const times = { issuedAtSec: NOW_SEC - 10, expiresAtSec: NOW_SEC + 100 };
  const statement = { product: "p", sequence: 1, ...times, manifestBytes: MANIFEST };
  return signedBy({ ...statement, ...change }, key);
}

function trusting(file: Partial<JobFileSpec> = {}, options: HarnessOptions = {}): Harness {
  const h = new Harness({ publishers: PUBLISHER === undefined ? [] : [PUBLISHER], ...options });
  h.create(request(file));
  return h;
}

function answer(h: Harness, bytes: Uint8Array, overTls = false): void {
  const { requestId, transferId } = h.takeOne("fetchManifest");
  h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls });
}

/** Why signed manifests were not used, in order. */
function refusals(h: Harness): string[] {
  return h.notices.flatMap((notice) => {
    return notice.type === "manifestRefused" ? [notice.error.code] : [];
  });
}

describe("an http: URL whose sidecar a trusted publisher has signed", () => {
  test("has verified pieces and peers (T3)", () => {
    const h = trusting();
    h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.1", requestsMax: 8 });
    const question = h.take("fetchManifest");
    expect(question).toMatchObject([{ url: `${URL_TEXT}.shoal-signed`, place: "exact" }]);
    const [{ requestId, transferId }] = question as [(typeof question)[number]];
    const bytes = signed();
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    const manifest = { contentId: CONTENT_ID, bytes: MANIFEST };
    expect(h.takeOne("openContent").spec).toMatchObject({ manifest });
    expect(h.takeOne("sendJoin")).toMatchObject({ contentId: CONTENT_ID });
    expect(h.job?.files[0]).toMatchObject({ integrity: "pieces", contentId: CONTENT_ID });
  });

  test("has what was accepted remembered before its part file is opened (R-MAN-06)", () => {
    const h = trusting();
    answer(h, signed({ sequence: 9 }));
    expect(h.takeOne("saveAccepted").accepted).toMatchObject([
      { product: "p", sequence: 9, contentId: CONTENT_ID },
    ]);
  });

  test("may have it at a mirror", () => {
    const mirror = "http://mirror.test/file?a=b#c";
    const h = trusting({ mirrors: [mirror] });
    h.failOrigin("fetchManifest", "fatal", "ERR_ORIGIN_NOT_FOUND");
    const url = "http://mirror.test/file.shoal-signed?a=b";
    expect(h.take("fetchManifest")).toMatchObject([{ url }]);
  });

  test("is compared with the SHA-256 that the job names", () => {
    const h = trusting({ sha256: "ab".repeat(32) });
    answer(h, signed());
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_CONTENT_MISMATCH" } });
  });
});

describe("a signed sidecar that cannot be used costs the peers, not the job (R-MAN-01)", () => {
  const accepted = [
    {
      keyId: PUBLISHER?.keys[0]?.keyId ?? "",
      hasSigned: true,
      product: "p",
      sequence: 2,
      issuedAt: WALL_AT,
      contentId: "",
    },
  ];
  test.each<[string, Uint8Array, string, HarnessOptions]>([
    ["is malformed", Uint8Array.of(1, 2), "ERR_MANIFEST_MALFORMED", {}],
    ["is not signed", MANIFEST, "ERR_MANIFEST_MALFORMED", {}],
    ["is by a stranger", signed({}, BOB), "ERR_MANIFEST_UNTRUSTED", {}],
    ["has expired", signed({ expiresAtSec: NOW_SEC }), "ERR_MANIFEST_EXPIRED", {}],
    ["is an older one", signed({ sequence: 1 }), "ERR_MANIFEST_ROLLBACK", { accepted }],
  ])("when it %s", (_, bytes, code, options) => {
    const h = trusting({}, options);
    answer(h, bytes, true);
    expect(refusals(h)).toEqual([code]);
    expect(h.take("saveAccepted")).toEqual([]);
    h.probe(length);
    const { spec, transferId } = h.takeOne("openContent");
    expect(spec).not.toHaveProperty("manifest");
    const have = new Uint8Array(Math.ceil(spec.layout.pieceCount / 8));
    h.send({ type: "contentOpened", transferId, have });
    const verdicts = h.scheduler.explain(JOB_ID, h.now)?.files[0]?.verdicts;
    expect(verdicts?.[0]).toMatchObject({ code: "noManifest", error: { code } });
  });

  test("when it is not there, which is nothing to speak of", () => {
    const h = trusting();
    h.failOrigin("fetchManifest", "fatal", "ERR_ORIGIN_NOT_FOUND");
    h.probe(length);
    expect(refusals(h)).toEqual([]);
  });

  test("and over TLS the plain one comes next (T4)", () => {
    const h = trusting({ url: "https://origin.test/file" });
    answer(h, signed({}, BOB), true);
    expect(h.take("fetchManifest")).toMatchObject([{ place: "sidecar" }]);
  });
});

test("an origin that fails at the signed sidecar alone is not waited for any longer (R-MAN-01)", () => {
  const h = trusting();
  h.failOrigin("fetchManifest", "transient");
  h.advanceTo(5_000);
  h.failOrigin("fetchManifest", "timeout");
  h.advanceTo(10_000);
  h.probe(length);
  expect(h.takeOne("openContent").spec).not.toHaveProperty("manifest");
});

describe("nobody asks for a signed sidecar", () => {
  test("who trusts nobody", () => {
    const h = trusting({}, { publishers: [] });
    expect(h.take("fetchManifest")).toEqual([]);
    h.probe(length);
  });

  test("when the job names the content: no sequence and no expiry concern it (R-MAN-06)", () => {
    const h = trusting({ contentId: CONTENT_ID });
    expect(h.take("fetchManifest")).toMatchObject([{ url: URL_TEXT, place: "sidecar" }]);
  });
});

test("a job of an earlier run goes on only while those who vouched are trusted (R-MAN-13)", () => {
  const first = trusting();
  answer(first, signed());
  const { accepted } = first.takeOne("saveAccepted");
  const manifest = { contentId: CONTENT_ID, bytes: MANIFEST };
  const record = { jobId: request().jobId, fileIndex: 0, length, storedBytes: 0, manifest };
  const left = { jobs: [first.savedRecord()], resumable: [record], accepted };
  const wallAt = WALL_AT + 3_600_000;
  const trusted = PUBLISHER === undefined ? [] : [PUBLISHER];
  const later = new Harness({ ...left, publishers: trusted, wallAt });
  // Its time is over by now, and it may finish what it began (R-MAN-07).
  expect(later.takeOne("openContent").spec).toMatchObject({ manifest });
  const revoked = new Harness({ ...left, publishers: [] });
  expect(revoked.take("openContent")).toEqual([]);
  revoked.probe(length);
});
