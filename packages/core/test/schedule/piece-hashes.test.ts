/** Piece-hash files as a source of manifests, and who is sent a job's header fields. */
import { describe, expect, test } from "vitest";
import type { JobFileSpec } from "@shoal/core";
import { sha256, sha256Hex } from "@shoal/core";
import { Harness, PIECE_LENGTH, pieces, request } from "./harness.ts";

const encoder = new TextEncoder();
const DIGESTS = Buffer.alloc(64, 1);
const HASHES = encoder.encode(
  JSON.stringify({
    MajorVersion: 1,
    MinorVersion: 0,
    HashOfHashes: Buffer.from(sha256(DIGESTS)).toString("base64"),
    ContentLength: 2 * PIECE_LENGTH,
    PieceSize: PIECE_LENGTH,
    Pieces: [0, 1].map(() => DIGESTS.subarray(0, 32).toString("base64")),
  }),
);
const HASHES_URL = "https://hashes.test/file.phf";
const NAMED = { url: HASHES_URL, sha256: sha256Hex(HASHES), hashOfHashes: sha256Hex(DIGESTS) };

/** A job whose file's pieces are described by the piece-hash file. */
function described(file: Partial<JobFileSpec> = {}): Harness {
  const h = new Harness({ settings: { originFailuresMax: 2 } });
  h.create(request({ pieceHashes: NAMED, ...file }));
  return h;
}

function answer(h: Harness, bytes: Uint8Array): void {
  const { requestId, transferId } = h.takeOne("fetchManifest");
  h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
}

/** All answers to the question that fail, until nothing more is asked. */
function failAll(h: Harness, kind: "transient" | "timeout"): void {
  for (let turn = 0; turn < 2; turn++) {
    h.failOrigin("fetchManifest", kind);
    h.advanceTo(h.now + 5_000);
  }
}

describe("a job that names piece hashes", () => {
  test("fetches exactly that file, and checks every piece by it", () => {
    const h = described({ mandatoryIntegrity: true });
    expect(h.takeOne("fetchManifest")).toMatchObject({ url: HASHES_URL, place: "exact" });
    h.send({
      type: "manifestFetched",
      requestId: 1,
      transferId: 1,
      bytes: HASHES,
      overTls: false,
    });
    const { spec } = h.takeOne("openContent");
    expect(spec).toMatchObject({ layout: { pieceCount: 2 }, manifest: {} });
    expect(h.job?.files[0]).toMatchObject({ integrity: "pieces", length: 2 * PIECE_LENGTH });
  });

  test.each([
    ["its digest alone", { url: HASHES_URL, sha256: NAMED.sha256 }],
    ["its hash of hashes alone", { url: HASHES_URL, hashOfHashes: NAMED.hashOfHashes }],
  ])("may name %s", (_, pieceHashes) => {
    const h = described({ pieceHashes });
    answer(h, HASHES);
    expect(h.takeOne("openContent").spec).toMatchObject({ layout: { pieceCount: 2 } });
  });

  test("joins the peers of the content that they describe", () => {
    const h = new Harness();
    h.send({ type: "peerConnected", peerId: "a", host: "10.0.0.1", requestsMax: 8 });
    h.create(request({ pieceHashes: NAMED }));
    answer(h, HASHES);
    expect(h.takeOne("sendJoin").contentId).toBe(h.job?.files[0]?.contentId);
  });

  const wrong: ReadonlyArray<readonly [string, (h: Harness) => void, string]> = [
    [
      "are others than expected",
      (h) => answer(h, encoder.encode("{}")),
      "ERR_PIECE_HASHES_DIGEST_MISMATCH",
    ],
    [
      "are not there",
      (h) => h.failOrigin("fetchManifest", "fatal", "ERR_ORIGIN_NOT_FOUND"),
      "ERR_INTEGRITY_UNAVAILABLE",
    ],
  ];
  test.each(wrong)("fails when they %s and the check is mandatory", (_, fail, code) => {
    const h = described({ mandatoryIntegrity: true });
    fail(h);
    expect(h.job).toMatchObject({ state: "error", error: { code } });
    expect(h.take("probeOrigin")).toEqual([]);
  });

  test.each(wrong)(
    "goes on from the origin alone when they %s and it is not (R-MAN-01)",
    (_, fail) => {
      const h = described();
      fail(h);
      h.probe(1_000);
      h.open(pieces("."));
      expect(h.job).toMatchObject({ state: "connecting" });
      expect(h.job?.files[0]?.integrity).toBe("none");
    },
  );

  test.each(["transient", "timeout"] as const)(
    "goes on from the origin alone when their server is down (%s), too (R-MAN-01)",
    (kind) => {
      const h = described();
      failAll(h, kind);
      h.probe(1_000);
      h.open(pieces("."));
      expect(h.job?.state).toBe("connecting");
    },
  );

  test("waits in transientError when their server is down and the check is mandatory", () => {
    const h = described({ mandatoryIntegrity: true });
    failAll(h, "transient");
    expect(h.job?.state).toBe("transientError");
    expect(h.take("probeOrigin")).toEqual([]);
    h.close();
    h.advanceTo(h.now + 600_000);
    expect(h.takeOne("fetchManifest").url).toBe(HASHES_URL);
  });
});

describe("header fields of a job", () => {
  const headers = { headers: [["Authorization", "secret"]] } as const;

  test("go to the origin of the file, and nowhere else", () => {
    const h = described({ request: headers });
    expect(h.takeOne("fetchManifest").request).toBeUndefined();
    h.send({
      type: "originFailed",
      requestId: 1,
      transferId: 1,
      failure: { kind: "fatal", error: { code: "ERR_ORIGIN_NOT_FOUND", message: "" } },
    });
    expect(h.takeOne("probeOrigin").request).toEqual(headers);
  });

  test.each([
    ["http://origin.test/hashes", true],
    ["http://origin.test:80/hashes", true],
    ["https://origin.test/hashes", false],
    ["http://origin.test:8080/hashes", false],
    ["http://sub.origin.test/hashes", false],
    ["http://origin.test.evil/hashes", false],
  ])("with piece hashes at %s are sent there: %s", (url, isSent) => {
    const h = described({ pieceHashes: { ...NAMED, url }, request: headers });
    expect(h.takeOne("fetchManifest").request).toEqual(isSent ? headers : undefined);
  });

  test("go with every request for bytes, and are not shown in snapshots (R-API-13)", () => {
    const h = new Harness();
    h.create(request({ request: headers }));
    h.probe(1_000, { etag: '"1"' });
    h.open(pieces("."));
    expect(h.takeOne("fetchRange").request).toEqual(headers);
    expect(JSON.stringify(h.job)).not.toContain("secret");
  });
});
