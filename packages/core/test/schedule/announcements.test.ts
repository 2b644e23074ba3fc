/** Announcements of files at URLs: whom a job asks for them, and what comes of the answers (T3). */
import { describe, expect, test } from "vitest";
import {
  encodeAnnouncement,
  encodeEnvelope,
  LIMITS,
  parsePublisher,
  urlTag,
  validatorTag,
} from "@shoal/core";
import type { Announcement, JobFileSpec, Publisher } from "@shoal/core";
import { makeKey } from "../content/signing.ts";
import { Harness, manifestOf, pieces, request, URL_TEXT, WALL_AT } from "./harness.ts";
import type { HarnessOptions } from "./harness.ts";

const [ALICE, BOB] = [makeKey(), makeKey()] as const;
const { bytes: MANIFEST, contentId: CONTENT_ID, length } = manifestOf(2);
const ETAG = '"one"';
const NOW_SEC = WALL_AT / 1_000;
const TRUSTED: Publisher[] = [ALICE].flatMap(({ text }) => parsePublisher(text) ?? []);
const TIMEOUT_MS = 500;

function signed(change: Partial<Announcement> = {}, key = ALICE): Uint8Array {
  const statementBytes = encodeAnnouncement({
    tag: urlTag(URL_TEXT) ?? new Uint8Array(32),
    validator: validatorTag(length, { etag: ETAG }) ?? new Uint8Array(32),
    sequence: 1,
    issuedAtSec: NOW_SEC - 10,
    expiresAtSec: NOW_SEC + 100,
    contentId: CONTENT_ID,
    ...change,
  });
  const signatures = [key.sign(statementBytes, "announcement")];
  return encodeEnvelope({ statementBytes, signatures });
}

/** Bob's signature under the name of Alice's key. */
const FORGED = forged();
function forged(): Uint8Array {
  const statementBytes = new Uint8Array(1);
  const { keyId } = ALICE.sign(statementBytes);
  const { signature } = BOB.sign(statementBytes, "announcement");
  return encodeEnvelope({ statementBytes, signatures: [{ keyId, signature }] });
}

/** An agent that trusts Alice and is connected with the peers. */
function trusting(peerIds: readonly string[], options: HarnessOptions = {}): Harness {
  const h = new Harness({ publishers: TRUSTED, ...options });
  for (const peerId of peerIds) connect(h, peerId);
  return h;
}

function connect(h: Harness, peerId: string): void {
  h.send({ type: "peerConnected", peerId, host: `10.0.0.${peerId.charCodeAt(0)}`, requestsMax: 8 });
}

/** Begins a job for the URL, whose origin has no sidecar. */
function begin(h: Harness, file: Partial<JobFileSpec> = {}): void {
  h.create(request(file));
  h.failOrigin("fetchManifest", "fatal", "ERR_ORIGIN_NOT_FOUND");
}

/** The peer answers the one question it was asked. */
function announce(h: Harness, bytes: Uint8Array): string {
  const { peerId, requestId } = h.takeOne("requestAnnouncement");
  h.send({ type: "peerAnnouncement", peerId, requestId, bytes });
  return peerId;
}

/** Answers that nothing is known; returns how many were asked. */
function refuse(
  h: Harness,
  type: "requestAnnouncement" | "requestManifest" = "requestAnnouncement",
): number {
  const questions = h.take(type);
  for (const { peerId, requestId } of questions) {
    h.send({ type: "requestRefused", peerId, requestId, reason: "notFound" });
  }
  return questions.length;
}

function giveManifest(h: Harness, bytes = MANIFEST): void {
  const { peerId, requestId } = h.takeOne("requestManifest");
  h.send({ type: "peerManifest", peerId, requestId, bytes });
}

/** The content of the part file that was opened; `undefined`: one without a manifest. */
function opened(h: Harness): string | undefined {
  return h.takeOne("openContent").spec.manifest?.contentId;
}

function codes(h: Harness): string[] {
  return h.notices.flatMap((notice) => {
    return notice.type === "manifestRefused" ? [notice.error.code] : [];
  });
}

describe("a URL that a trusted publisher has announced", () => {
  test("has its manifest fetched from who passed the word on, and verified pieces (T3)", () => {
    const h = trusting(["a"]);
    begin(h);
    announce(h, signed());
    expect(h.take("requestManifest")).toEqual([]);
    h.probe(length, { etag: ETAG });
    expect(h.takeOne("sendJoin")).toMatchObject({ contentId: CONTENT_ID });
    giveManifest(h);
    expect(opened(h)).toBe(CONTENT_ID);
    expect(h.job?.files[0]).toMatchObject({ integrity: "pieces", contentId: CONTENT_ID });
  });

  test("is asked about by its digest alone, of all peers at once, beside the origin (R-PRIV-05)", () => {
    const h = trusting(["a", "b"]);
    begin(h);
    const questions = h.take("requestAnnouncement");
    expect(questions.map(({ peerId }) => peerId)).toEqual(["a", "b"]);
    expect(JSON.stringify(questions)).not.toContain("origin");
    expect(h.take("probeOrigin")).toHaveLength(1);
  });

  test("may be announced by one of several, and come from a third", () => {
    const h = trusting(["a", "b"]);
    begin(h);
    h.probe(length, { etag: ETAG });
    const [a, b] = h.take("requestAnnouncement");
    h.send({ type: "requestRefused", peerId: "a", requestId: a!.requestId, reason: "notFound" });
    const about = { peerId: "b", requestId: b!.requestId } as const;
    h.send({ type: "peerAnnouncement", ...about, bytes: signed() });
    refuse(h, "requestManifest");
    h.bitfield("a", CONTENT_ID, pieces("11"));
    giveManifest(h);
    expect(opened(h)).toBe(CONTENT_ID);
  });

  test("needs nobody's word again, once it was heard, also after a restart", () => {
    const h = trusting(["a"]);
    begin(h);
    announce(h, signed());
    const { announcement } = h.takeOne("saveAnnouncement");
    const { accepted } = h.takeOne("saveAccepted");
    const later = new Harness({ publishers: TRUSTED, accepted, announcements: [announcement] });
    connect(later, "z");
    begin(later);
    later.probe(length, { etag: ETAG });
    later.bitfield("z", CONTENT_ID, pieces("11"));
    giveManifest(later);
    expect(opened(later)).toBe(CONTENT_ID);
  });

  test("is passed on to whoever asks; for what is unknown the answer is as for any (R-PRIV-03)", () => {
    const h = trusting(["a"]);
    begin(h);
    announce(h, signed());
    const tag = urlTag(URL_TEXT)!;
    h.send({ type: "announcementRequested", peerId: "a", requestId: 1, tag });
    expect(h.takeOne("sendAnnouncement").bytes).toEqual(signed());
    h.send({ type: "announcementRequested", peerId: "a", requestId: 2, tag: new Uint8Array(32) });
    expect(h.takeOne("refuseRequest")).toMatchObject({ requestId: 2, reason: "notFound" });
    h.wallAt += 101_000;
    h.send({ type: "announcementRequested", peerId: "a", requestId: 3, tag });
    expect(h.takeOne("refuseRequest")).toMatchObject({ requestId: 3, reason: "notFound" });
  });
});

describe("the job goes on with the origin alone (R-MAN-01)", () => {
  test.each<[string, Uint8Array, string, number]>([
    ["an expired word", signed({ expiresAtSec: NOW_SEC }), "ERR_MANIFEST_EXPIRED", 0],
    ["a stranger's", signed({}, BOB), "ERR_MANIFEST_UNTRUSTED", 0],
    ["one about another URL", signed({ tag: new Uint8Array(32) }), "ERR_MANIFEST_MISMATCH", 1],
    ["a forged one", FORGED, "ERR_MANIFEST_UNTRUSTED", 1],
    ["none at all", Uint8Array.of(1), "ERR_MANIFEST_MALFORMED", 1],
  ])("after %s; a forgery is held against the peer", (_, bytes, code, offences) => {
    const h = trusting(["a"]);
    begin(h);
    announce(h, bytes);
    h.probe(length, { etag: ETAG });
    expect(opened(h)).toBeUndefined();
    expect(codes(h)).toEqual([code]);
    expect(h.notices.filter(({ type }) => type === "peerOffended")).toHaveLength(offences);
  });

  test("after an older word than one that was taken (R-MAN-06)", () => {
    const h = trusting(["a", "b"]);
    begin(h);
    const [a, b] = h.take("requestAnnouncement");
    const old = signed({ sequence: 1, validator: validatorTag(length, { etag: ETAG })! });
    const bytes = signed({ sequence: 2, validator: new Uint8Array(32) });
    h.send({ type: "peerAnnouncement", peerId: "a", requestId: a!.requestId, bytes });
    h.send({ type: "peerAnnouncement", peerId: "b", requestId: b!.requestId, bytes: old });
    h.probe(length, { etag: ETAG });
    expect(opened(h)).toBeUndefined();
    expect(codes(h)).toEqual(["ERR_MANIFEST_ROLLBACK"]);
  });

  test("when the origin has another file by now", () => {
    const h = trusting(["a"]);
    begin(h);
    announce(h, signed());
    h.probe(length, { etag: '"two"' });
    expect(opened(h)).toBeUndefined();
    expect(codes(h)).toEqual([]);
  });

  test("at once when every peer knows nothing", () => {
    const h = trusting(["a", "b"]);
    begin(h);
    h.probe(length, { etag: ETAG });
    expect(h.take("openContent")).toEqual([]);
    refuse(h);
    expect(opened(h)).toBeUndefined();
    expect(h.now).toBe(0);
  });

  test("when peers say nothing for half a second, and nothing came of them", () => {
    const h = trusting(["a"]);
    begin(h);
    h.probe(length, { etag: ETAG });
    h.advanceTo(TIMEOUT_MS - 1);
    expect(h.take("openContent")).toEqual([]);
    h.advanceTo(TIMEOUT_MS);
    expect(opened(h)).toBeUndefined();
    expect(h.take("cancelRequest")).toHaveLength(1);
  });

  test("when the origin gets another file in the middle: the job begins anew with that (R-MAN-01)", () => {
    const h = trusting(["a"]);
    begin(h);
    announce(h, signed());
    h.probe(length, { etag: ETAG });
    giveManifest(h);
    h.open(pieces(".."));
    for (let answers = 0; answers < 3; answers++) {
      h.advanceTo(h.now + 40_000);
      h.failOrigin("fetchRange", "changed", "ERR_ORIGIN_CONTENT_MISMATCH");
    }
    h.close();
    h.failOrigin("fetchManifest", "fatal", "ERR_ORIGIN_NOT_FOUND");
    h.probe(3 * length, { etag: '"two"' });
    refuse(h);
    expect(h.job?.state).not.toBe("error");
    expect(opened(h)).toBeUndefined();
  });

  test("when nobody has the manifest", () => {
    const h = trusting(["a"]);
    begin(h);
    h.probe(length, { etag: ETAG });
    announce(h, signed());
    refuse(h, "requestManifest");
    h.advanceTo(TIMEOUT_MS);
    expect(opened(h)).toBeUndefined();
    expect(h.takeOne("sendLeave")).toMatchObject({ contentId: CONTENT_ID });
  });

  test("when the manifest is another, for which the peer answers, or of another length", () => {
    const h = trusting(["a"]);
    begin(h);
    h.probe(length, { etag: ETAG });
    announce(h, signed());
    giveManifest(h, manifestOf(3).bytes);
    expect(h.notices).toContainEqual(
      expect.objectContaining({ type: "peerOffended", offence: "corruptManifest" }),
    );
    const longer = trusting(["a"]);
    begin(longer);
    longer.probe(length, { etag: ETAG });
    announce(longer, signed({ contentId: manifestOf(3).contentId }));
    giveManifest(longer, manifestOf(3).bytes);
    expect(opened(longer)).toBeUndefined();
    expect(codes(longer)).toEqual(["ERR_MANIFEST_MISMATCH"]);
  });

  test("when all who were asked have gone", () => {
    const h = trusting(["a"]);
    begin(h);
    h.probe(length, { etag: ETAG });
    h.send({ type: "peerDisconnected", peerId: "a", reason: "gone" });
    h.advanceTo(TIMEOUT_MS);
    expect(opened(h)).toBeUndefined();
  });
});

describe("waiting for peers", () => {
  test("is for those that are being dialled, and they have their time", () => {
    const h = trusting([]);
    h.send({ type: "peerDiscovered", peerId: "a", addresses: ["/x"], isStatic: false });
    expect(h.take("dialPeer")).toEqual([]);
    begin(h);
    expect(h.take("dialPeer")).toHaveLength(1);
    h.probe(length, { etag: ETAG });
    h.advanceTo(400);
    connect(h, "a");
    h.advanceTo(800);
    announce(h, signed());
    giveManifest(h);
    expect(opened(h)).toBe(CONTENT_ID);
  });

  test("ends when they cannot be reached", () => {
    const h = trusting([]);
    h.send({ type: "peerDiscovered", peerId: "a", addresses: ["/x"], isStatic: false });
    begin(h);
    h.probe(length, { etag: ETAG });
    h.send({ type: "dialFailed", peerId: "a", reason: "refused" });
    h.advanceTo(0);
    expect(opened(h)).toBeUndefined();
  });

  test("does not happen either when the word was kept and nobody is there to give the manifest", () => {
    const first = trusting(["a"]);
    begin(first);
    announce(first, signed());
    const { announcement } = first.takeOne("saveAnnouncement");
    const h = trusting([], { announcements: [announcement] });
    begin(h);
    h.probe(length, { etag: ETAG });
    expect(opened(h)).toBeUndefined();
  });

  test("does not happen when there are none", () => {
    const h = trusting([]);
    begin(h);
    h.probe(length, { etag: ETAG });
    expect(opened(h)).toBeUndefined();
  });
});

describe("nobody is asked", () => {
  const header = [["Authorization", "secret"]] as const;
  test.each<[string, Partial<JobFileSpec>]>([
    ["about a URL with a query", { url: `${URL_TEXT}?a` }],
    [
      "about what is asked for with header fields of the job's own",
      { request: { headers: header } },
    ],
    ["about one that has a private mirror", { mirrors: [`${URL_TEXT}?a`] }],
    ["about a content that has a name", { contentId: CONTENT_ID }],
    ["about ranges of a file", { ranges: [{ offset: 0, length: 10 }] }],
  ])("%s (R-PRIV-02)", (_, file) => {
    const h = trusting(["a"]);
    h.create(request(file));
    expect(h.take("requestAnnouncement")).toEqual([]);
  });

  test("by who trusts nobody", () => {
    const h = trusting(["a"], { publishers: [] });
    h.create(request());
    expect(h.take("requestAnnouncement")).toEqual([]);
    h.probe(length, { etag: ETAG });
    expect(opened(h)).toBeUndefined();
  });

  test("more often than it can be taken for a flood (R-PEER-17)", () => {
    const h = trusting(["a"]);
    let count = 0;
    for (let i = 0; i < 2 * LIMITS.announcementAsksPerMinMax; i++) {
      const jobId = `00000000-0000-4000-8000-${String(i).padStart(12, "0")}`;
      const { files, ...rest } = request();
      const destination = `/tmp/file-${i}`;
      h.create({ ...rest, jobId, files: files.map((file) => ({ ...file, destination })) });
      const asked = refuse(h);
      expect(asked).toBeLessThanOrEqual(LIMITS.announcementAsksPerPeerMax);
      count += asked;
      h.verb("cancel", jobId);
      h.close();
      h.answerStore();
    }
    expect(count).toBe(LIMITS.announcementAsksPerMinMax);
    h.advanceTo(60_000);
    h.create({ ...request(), jobId: "00000000-0000-4000-9000-000000000000" });
    expect(refuse(h)).toBe(1);
  });
});
