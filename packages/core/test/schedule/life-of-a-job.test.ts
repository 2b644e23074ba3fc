import { describe, expect, test } from "vitest";
import { LIMITS, PieceSet } from "@shoal/core";
import { fetching, Harness, JOB_ID, manifestOf, pieces, request } from "./harness.ts";

describe("the life of a job", () => {
  test("without a manifest: probe, one request at a time, transferred, acknowledged (R-HTTP-13)", () => {
    const h = new Harness();
    h.create(request());
    expect(h.job?.state).toBe("connecting");
    const probe = h.takeOne("probeOrigin");
    h.send({
      type: "originProbed",
      requestId: probe.requestId,
      transferId: probe.transferId,
      length: 600_000,
      validator: {},
      acceptsRanges: true,
    });
    h.open(pieces("..."));
    const range = h.takeOne("fetchRange");
    expect(range).toMatchObject({ firstPiece: 0, pieceCount: 3, mode: "range" });
    h.deliverRange(range);
    expect(h.job?.state).toBe("transferring");
    h.commit([0, 1, 2]);
    const { transferId } = h.takeOne("verifyContent");
    h.send({ type: "contentVerified", transferId });
    expect(h.job).toMatchObject({ state: "transferred", originBytes: 600_000, length: 600_000 });
    expect(h.take("publishContent")).toEqual([]);
    expect(h.verb("acknowledge")).toBeUndefined();
    h.takeOne("publishContent");
    h.send({ type: "contentPublished", transferId });
    expect(h.takeOne("endJob").job).toMatchObject({ jobId: JOB_ID, state: "acknowledged" });
    h.answerStore();
    const settledBefore = h.notices.filter((n) => n.type === "ticketSettled").length;
    h.send({ type: "jobEnded", jobId: JOB_ID, undeletedCount: 0 });
    expect(h.notices.filter((n) => n.type === "ticketSettled")).toHaveLength(settledBefore + 1);
    expect(h.job?.state).toBe("acknowledged");
  });

  test("create settles its ticket only when the store says the job is saved (R-DB-02)", () => {
    const h = new Harness();
    h.create(request());
    expect(h.notices.some((n) => n.type === "ticketSettled")).toBe(false);
    const { revision } = h.takeOne("saveJob");
    h.send({ type: "jobSaved", jobId: JOB_ID, revision });
    expect(h.notices.some((n) => n.type === "ticketSettled")).toBe(true);
  });

  test("wrong pieces found by the last check are fetched once more, then the job fails (R-MAN-15)", () => {
    const { h } = fetching(pieces("1111"));
    const check = h.takeOne("verifyContent");
    h.send({ type: "contentMismatch", transferId: check.transferId, pieces: [2] });
    h.deliverRange(h.takeOne("fetchRange"));
    h.commit([2]);
    const { transferId } = h.takeOne("verifyContent");
    h.send({ type: "contentMismatch", transferId, pieces: [2] });
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_CONTENT_MISMATCH" } });
    expect([...h.take("fetchRange"), ...h.take("publishContent")]).toEqual([]);
  });

  test("what peers announced before the last check is not forgotten by it", () => {
    const { h, contentId } = fetching(pieces("..1."), { url: undefined });
    h.peer("seed", contentId, pieces("11.."));
    h.send({ type: "peerHave", peerId: "seed", contentId, pieces: [2, 3] });
    for (let asked = h.take("requestPiece"); asked.length > 0; asked = h.take("requestPiece")) {
      for (const each of asked) h.deliver(each);
    }
    h.commit([0, 1, 3]);
    const { transferId } = h.takeOne("verifyContent");
    h.send({ type: "contentMismatch", transferId, pieces: [2] });
    expect(h.takeOne("requestPiece")).toMatchObject({ peerId: "seed", piece: 2 });
  });

  test("a failed publication leaves the job transferred and can be tried again", () => {
    const h = transferred();
    h.verb("acknowledge");
    const { transferId } = h.takeOne("publishContent");
    const error = { code: "ERR_DESTINATION_EXISTS", message: "there" } as const;
    h.send({ type: "publishFailed", transferId, error });
    expect(h.notices.at(-2)).toMatchObject({ type: "ticketSettled", error });
    expect(h.job?.state).toBe("transferred");
    expect(h.verb("acknowledge")).toBeUndefined();
    h.takeOne("publishContent");
  });

  test("suspend withdraws requests and keeps the part file; resume opens it again", () => {
    const { h } = fetching(pieces("...."));
    const range = h.takeOne("fetchRange");
    h.verb("suspend");
    expect(h.takeOne("cancelOrigin").requestId).toBe(range.requestId);
    const close = h.takeOne("closeContent");
    expect(close.outcome).toBe("keep");
    h.verb("resume");
    expect(h.take("openContent")).toEqual([]);
    h.send({ type: "contentClosed", transferId: close.transferId });
    h.open(pieces("1..."));
    expect(h.take("fetchManifest")).toEqual([]);
    const pieceCounts = h.take("fetchRange").map(({ pieceCount }) => pieceCount);
    expect(pieceCounts.reduce((sum, count) => sum + count)).toBe(3);
  });

  test("cancel discards the part file and ends the job, which is remembered", () => {
    const { h } = fetching(pieces("...."));
    h.verb("cancel");
    expect(h.takeOne("closeContent").outcome).toBe("discard");
    expect(h.takeOne("endJob").job).toMatchObject({ jobId: JOB_ID, state: "cancelled" });
    expect(h.job?.state).toBe("cancelled");
    expect(h.verb("resume")).toBe("ERR_JOB_STATE");
  });

  test("a restart queues a running job again and uses the stored manifest", () => {
    const { h } = fetching(pieces("...."));
    const { bytes, contentId, length } = manifestOf(4);
    const manifest = { contentId, bytes };
    const content = { jobId: JOB_ID, fileIndex: 0, length, storedBytes: length / 4, manifest };
    const again = new Harness({ jobs: [h.savedRecord()], resumable: [content] });
    expect(again.job?.transferredBytes).toBe(length / 4);
    expect(again.job?.state).toBe("connecting");
    expect(again.take("fetchManifest")).toEqual([]);
    again.open(pieces("11.."));
    expect(again.job?.transferredBytes).toBe(length / 2);
  });

  test("transient origin failures back off, then the job waits in transientError and retries", () => {
    const { h } = fetching(pieces("...."), { settings: { originFailuresMax: 3 } });
    const error = { code: "ERR_ORIGIN_UNREACHABLE", message: "refused" } as const;
    for (let failures = 0; failures < 3; failures++) {
      for (const { requestId, transferId } of h.take("fetchRange")) {
        const failure = { kind: "transient", error } as const;
        h.send({ type: "originFailed", requestId, transferId, failure });
      }
      h.advanceTo(h.now + 10_000);
    }
    expect(h.job).toMatchObject({ state: "transientError", error });
    const { transferId } = h.takeOne("closeContent");
    h.send({ type: "contentClosed", transferId });
    h.advanceTo(h.now + 700_000);
    expect(h.job?.state).toBe("connecting");
    h.takeOne("openContent");
  });

  test("a 404 fails the job for good", () => {
    const h = new Harness();
    h.create(request());
    const { requestId, transferId } = h.takeOne("probeOrigin");
    const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "404" } as const;
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "fatal", error } });
    expect(h.job).toMatchObject({ state: "error", error });
  });

  test("files of one job are fetched strictly in order, unless they are small", () => {
    const h = new Harness();
    const { files, ...rest } = request();
    const second = { ...files[0], destination: "/tmp/second" };
    h.create({ ...rest, files: [...files, second] });
    const probe = h.takeOne("probeOrigin");
    const { requestId, transferId } = probe;
    const event = { requestId, transferId, validator: {}, acceptsRanges: true } as const;
    h.send({ type: "originProbed", ...event, length: LIMITS.smallFileLengthMax + 1 });
    expect(h.take("probeOrigin")).toEqual([]);
    const [open] = h.take("openContent");
    const have = PieceSet.full(open?.spec.layout.pieceCount ?? 0).toBytes();
    h.send({ type: "contentOpened", transferId, have });
    h.send({ type: "contentVerified", transferId });
    expect(h.take("probeOrigin")).toHaveLength(1);
  });
});

describe("manifests", () => {
  test("a named content never falls back to unverified bytes (R-MAN-01)", () => {
    const h = new Harness();
    h.create(request({ contentId: manifestOf(4).contentId }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    const error = { code: "ERR_MANIFEST_UNAVAILABLE", message: "404" } as const;
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "fatal", error } });
    h.advanceTo(5_000);
    expect(h.take("probeOrigin")).toEqual([]);
    expect(h.job).toMatchObject({ state: "error", error });
  });

  test("a sidecar that does not hash to the content id is refused before it is parsed (R-MAN-02)", () => {
    const h = new Harness();
    h.create(request({ contentId: manifestOf(4).contentId }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    const { bytes } = manifestOf(5);
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: true });
    h.advanceTo(5_000);
    expect(h.job?.error?.code).toBe("ERR_MANIFEST_MISMATCH");
  });

  test("a manifest comes from a peer when the origin has none", () => {
    const h = new Harness();
    const { bytes, contentId } = manifestOf(4);
    h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.1", requestsMax: 8 });
    h.create(request({ contentId }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    const error = { code: "ERR_ORIGIN_UNREACHABLE", message: "down" } as const;
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "fatal", error } });
    expect(h.takeOne("sendJoin")).toMatchObject({ peerId: "a", contentId });
    h.bitfield("a", contentId, pieces("1111"));
    const asked = h.takeOne("requestManifest");
    h.send({ type: "peerManifest", peerId: "a", requestId: asked.requestId, bytes });
    h.takeOne("openContent");
  });

  test("over plain HTTP without a content id no sidecar is asked for and no peer used", () => {
    const h = new Harness();
    h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.1", requestsMax: 8 });
    h.create(request());
    h.takeOne("probeOrigin");
    expect(h.take("fetchManifest")).toEqual([]);
    expect(h.take("sendJoin")).toEqual([]);
  });

  test("over TLS a sidecar is trusted (T4) and its content joined", () => {
    const h = new Harness();
    const { bytes, contentId } = manifestOf(4);
    h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.1", requestsMax: 8 });
    h.create(request({ url: "https://origin.test/file" }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: true });
    expect(h.takeOne("sendJoin").contentId).toBe(contentId);
  });

  test("a SHA-256 that the manifest contradicts fails the job before a piece is fetched", () => {
    const h = new Harness();
    const { bytes, contentId } = manifestOf(4);
    h.create(request({ contentId, sha256: "ab".repeat(32) }));
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    expect(h.job?.error?.code).toBe("ERR_CONTENT_MISMATCH");
    expect(h.take("fetchRange")).toEqual([]);
  });
});

function transferred(): Harness {
  const { h } = fetching(pieces("1111"));
  const { transferId } = h.takeOne("verifyContent");
  h.send({ type: "contentVerified", transferId });
  expect(h.job?.state).toBe("transferred");
  return h;
}
