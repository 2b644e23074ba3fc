/** Files of which only ranges are wanted: what is asked, stored and refused on the way. */
import { describe, expect, test } from "vitest";
import { Harness, JOB_ID, pieces, request } from "./harness.ts";
import type { JobRange } from "@shoal/core";

const REMOTE = 1_000_000;
const ETAG = { etag: '"1"' };
/** Packed: A (200,000), B (300,000), C (100,000); of 256 KiB or less each: pieces 0, 1 2, 3. */
const RANGES: readonly JobRange[] = [
  { offset: 100_000, length: 200_000 },
  { offset: 600_000, length: 300_000 },
  { offset: 400_000, length: 100_000 },
];

function ranged(ranges: readonly JobRange[] = RANGES): Harness {
  const h = new Harness();
  h.create(request({ url: "https://origin.test/file", ranges }));
  return h;
}

describe("a file of which ranges are wanted", () => {
  test("is asked for by runs that follow each other in the remote file, never across a gap", () => {
    const h = ranged();
    h.probe(REMOTE, ETAG);
    expect(h.job?.files[0]).toMatchObject({ length: 600_000, integrity: "none" });
    h.open(pieces("...."));
    const asked = [];
    for (let runs = h.take("fetchRange"); runs.length > 0; runs = h.take("fetchRange")) {
      for (const run of runs) {
        const { firstPiece, pieceCount, remote, mode } = run;
        asked.push({ firstPiece, pieceCount, remote, mode });
        h.deliverRange(run);
      }
      h.advanceTo(h.now + 200);
    }
    const length = REMOTE;
    expect(asked.toSorted((a, b) => a.firstPiece - b.firstPiece)).toEqual([
      { firstPiece: 0, pieceCount: 1, mode: "range", remote: { start: 100_000, length } },
      { firstPiece: 1, pieceCount: 2, mode: "range", remote: { start: 600_000, length } },
      { firstPiece: 3, pieceCount: 1, mode: "range", remote: { start: 400_000, length } },
    ]);
    h.commit([0, 1, 2, 3]);
    h.verify();
    expect(h.job).toMatchObject({ state: "transferred", length: 600_000 });
  });

  test("never uses a manifest beside the file: its pieces are not the ranges'", () => {
    const h = ranged();
    h.takeOne("probeOrigin");
    expect(h.take("fetchManifest")).toEqual([]);
  });

  test("fails for good when a range ends beyond the remote file", () => {
    const h = ranged([{ offset: REMOTE - 10, length: 11 }]);
    h.probe(REMOTE, ETAG);
    const error = { code: "ERR_RANGE_INVALID", fileIndex: 0 };
    expect(h.job).toMatchObject({ state: "error", error });
    expect(h.take("openContent")).toEqual([]);
  });

  test("fails for good when the server has no ranges", () => {
    const h = ranged();
    h.probe(REMOTE, { ...ETAG, acceptsRanges: false });
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_RANGES_UNSUPPORTED" } });
  });

  test.each(["rangeUnsupported", "rangeBroken"] as const)(
    "fails for good when the server promises ranges and then is %s, and never asks for a stream",
    (kind) => {
      const h = ranged(RANGES.slice(0, 1));
      h.probe(REMOTE, ETAG);
      h.open(pieces("."));
      h.failOrigin("fetchRange", kind, "ERR_ORIGIN_PROTOCOL");
      h.advanceTo(5_000);
      expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_RANGES_UNSUPPORTED" } });
      expect(h.take("fetchRange")).toEqual([]);
    },
  );

  test("can be given further ranges once it is transferred, and keeps what it has", () => {
    const h = ranged(RANGES.slice(0, 1));
    h.probe(REMOTE, ETAG);
    h.open(pieces("1"));
    h.verify();
    expect(h.job?.state).toBe("transferred");
    const change = { type: "addRanges", fileIndex: 0, ranges: RANGES.slice(1) } as const;
    expect(h.change(change)).toBeUndefined();
    expect(h.takeOne("closeContent").outcome).toBe("keep");
    h.send({ type: "contentClosed", transferId: 1 });
    expect(h.job).toMatchObject({ state: "transferred", transferredFileCount: 0 });
    h.verb("resume");
    h.probe(REMOTE, ETAG);
    const { transferId, spec } = h.takeOne("openContent");
    expect(spec).toMatchObject({ validatorKey: `${REMOTE} "1"`, layout: { pieceCount: 4 } });
    h.send({ type: "contentOpened", transferId, have: pieces("1...").toBytes() });
    const first = h.takeOne("fetchRange");
    expect(first.firstPiece).toBe(1);
    h.deliverRange(first);
    expect(h.takeOne("fetchRange").firstPiece).toBe(3);
  });

  test("cannot be given ranges that overlap those it has, nor any while it transfers", () => {
    const h = ranged(RANGES.slice(0, 1));
    const add = (...ranges: JobRange[]): string | undefined =>
      h.change({ type: "addRanges", fileIndex: 0, ranges });
    expect(add({ offset: 0, length: 1 })).toBe("ERR_JOB_STATE");
    h.verb("suspend");
    expect(add({ offset: 0, length: 100_001 })).toBe("ERR_RANGES_OVERLAP");
    expect(add({ offset: 0, length: 0 })).toBe("ERR_RANGE_INVALID");
    expect(add({ offset: 0, length: 1 })).toBeUndefined();
    expect(h.job?.files[0]?.ranges).toHaveLength(2);
  });

  test("cannot be given ranges once it is published", () => {
    const h = ranged(RANGES.slice(0, 1));
    const second = { url: "https://origin.test/b", destination: "/tmp/b" };
    h.change({ type: "addFiles", files: [second] });
    h.probe(REMOTE, ETAG);
    h.open(pieces("1"));
    h.verify();
    h.failOrigin("fetchManifest", "fatal");
    h.probe(0);
    h.open(pieces(""));
    h.verify();
    h.verb("acknowledge");
    const [first = NaN, transferId = NaN] = h
      .take("publishContent")
      .map((command) => command.transferId);
    h.send({ type: "contentPublished", transferId: first });
    const failed = { code: "ERR_DISK_IO", message: "" } as const;
    h.send({ type: "publishFailed", transferId, error: failed });
    expect(h.job?.files.map(({ phase }) => phase)).toEqual(["published", "transferred"]);
    const ranges = [{ offset: 0, length: 1 }];
    expect(h.change({ type: "addRanges", fileIndex: 0, ranges })).toBe("ERR_JOB_STATE");
  });

  test("that was transferred is opened after a restart without asking the origin", () => {
    const h = ranged(RANGES.slice(0, 1));
    h.probe(REMOTE, ETAG);
    h.open(pieces("1"));
    h.verify();
    const record = h.savedRecord();
    expect(record.files[0]).toMatchObject({ isTransferred: true, remoteLength: REMOTE });
    const validatorKey = `${REMOTE} "1"`;
    const content = { jobId: JOB_ID, fileIndex: 0, length: 200_000, storedBytes: 200_000 };
    const again = new Harness({ jobs: [record], resumable: [{ ...content, validatorKey }] });
    expect(again.job).toMatchObject({ state: "transferred", length: 200_000 });
    again.verb("acknowledge");
    const { spec, transferId } = again.takeOne("openContent");
    expect(spec).toMatchObject({ validatorKey, layout: { pieceCount: 1 } });
    again.send({ type: "contentOpened", transferId, have: pieces("1").toBytes() });
    again.verify();
    again.takeOne("publishContent");
  });

  test("begins anew where the remote file has become another", () => {
    const h = ranged(RANGES.slice(0, 1));
    h.probe(REMOTE, ETAG);
    h.open(pieces("."));
    h.failOrigin("fetchRange", "changed", "ERR_REMOTE_CHANGING");
    const { outcome, transferId } = h.takeOne("closeContent");
    expect(outcome).toBe("discard");
    h.send({ type: "contentClosed", transferId });
    h.probe(299_999, { etag: '"2"' });
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_RANGE_INVALID" } });
  });

  test("cannot have its ranges replaced once it began: stored bytes would be taken for others", () => {
    const h = new Harness();
    h.create({ ...request({ ranges: RANGES.slice(0, 1) }), startSuspended: true });
    const set = (ranges: readonly JobRange[]): string | undefined =>
      h.change({ type: "setFile", fileIndex: 0, values: { ranges } });
    expect(set(RANGES.slice(1, 2))).toBeUndefined();
    h.verb("resume");
    h.verb("suspend");
    expect(set(RANGES.slice(2))).toBe("ERR_JOB_STATE");
    expect(h.job?.files[0]?.ranges).toEqual(RANGES.slice(1, 2));
  });

  test.each([
    ["a content id", { contentId: "x" }],
    ["a mandatory check", { mandatoryIntegrity: true }],
    ["an empty list", { ranges: [] }],
  ])("is refused with %s", (_, spec) => {
    const code = new Harness().refusal(request({ ranges: RANGES, ...spec }));
    expect(["ERR_RANGES_REFUSED", "ERR_RANGE_INVALID", "ERR_CONTENT_ID_INVALID"]).toContain(code);
  });
});
