/** Files that go to a stream of the caller: in order, one piece at a time, the last one last. */
import { describe, expect, test } from "vitest";
import { fetching, Harness, JOB_ID, manifestOf, PIECE_LENGTH, pieces, request } from "./harness.ts";

const ETAG = { etag: '"1"' };
const NO_ETAG = {};

/** A job without a manifest, whose only file goes to a stream; three pieces of 256 KiB or less. */
function streaming(answer: { etag?: string } = ETAG): Harness {
  const h = new Harness();
  const { files: _, ...rest } = request();
  const files = [{ url: "http://origin.test/file", toStream: true }];
  h.create({ ...rest, files, startSuspended: true });
  expect(h.attachSink()).toBeUndefined();
  expect(h.verb("resume")).toBeUndefined();
  h.probe(600_000, answer);
  expect(h.takeOne("openContent").spec.destination).toBeUndefined();
  h.send({ type: "contentOpened", transferId: 1, have: pieces("...").toBytes() });
  return h;
}

/** Lets the store read the piece that is asked for, and returns which one that was. */
function read(h: Harness): number {
  const { transferId, requestId, piece } = h.takeOne("readPiece");
  h.send({ type: "pieceRead", transferId, requestId, bufferId: 40 + piece });
  return piece;
}

/** Hands on the one piece that is due, from the disk to the stream. */
function pass(h: Harness): number {
  const piece = read(h);
  expect(h.takeOne("deliverPiece")).toMatchObject({ jobId: JOB_ID, bufferId: 40 + piece });
  h.sinkTaken();
  return piece;
}

function fetchAll(h: Harness): void {
  for (const range of h.take("fetchRange")) h.deliverRange(range);
  h.commit([0, 1, 2]);
}

describe("a stream", () => {
  test("gets committed pieces in order, one at a time, the last after the final check", () => {
    const h = streaming();
    fetchAll(h);
    const first = h.takeOne("readPiece");
    expect(first.piece).toBe(0);
    h.send({ ...first, type: "pieceRead", bufferId: 40 });
    h.takeOne("deliverPiece");
    expect(h.take("readPiece")).toEqual([]);
    h.sinkTaken();
    expect(pass(h)).toBe(1);
    expect(h.take("readPiece")).toEqual([]);
    expect(h.job?.state).toBe("transferring");
    h.verify();
    expect(h.job?.state).toBe("transferring");
    expect(pass(h)).toBe(2);
    expect(h.job).toMatchObject({ state: "transferred", transferredBytes: 600_000 });
  });

  test("that takes nothing is waited for, and is given no more", () => {
    const h = streaming();
    fetchAll(h);
    read(h);
    h.takeOne("deliverPiece");
    h.verify();
    h.advanceTo(3_600_000);
    expect(h.take("readPiece")).toEqual([]);
    expect(h.job).toMatchObject({ state: "transferring", transferredBytes: 0 });
    h.sinkTaken();
    expect(h.job?.transferredBytes).toBe(262_144);
  });

  test("counts as progress of its job by what it takes", () => {
    const h = streaming();
    h.change({ type: "setJob", values: { noProgressTimeoutMs: 10_000 } });
    fetchAll(h);
    h.advanceTo(9_000);
    pass(h);
    h.advanceTo(18_999);
    expect(h.job?.state).toBe("transferring");
    h.advanceTo(19_000);
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_NO_PROGRESS" } });
  });

  test("that fails ends its job; the next one gets the file from its start", () => {
    const h = streaming();
    fetchAll(h);
    pass(h);
    h.sinkFailed("closed by its reader");
    const error = { code: "ERR_SINK_FAILED", fileIndex: 0 };
    expect(h.job).toMatchObject({ state: "error", error });
    h.close();
    expect(h.verb("resume")).toBe("ERR_SINK_MISSING");
    h.take("readPiece");
    expect(h.attachSink()).toBeUndefined();
    expect(h.attachSink()).toBe("ERR_SINK_TAKEN");
    expect(h.verb("resume")).toBeUndefined();
    h.probe(600_000, ETAG);
    h.open(pieces("111"));
    h.verify();
    expect([pass(h), pass(h), pass(h)]).toEqual([0, 1, 2]);
    expect(h.job?.state).toBe("transferred");
  });

  test("that fails before its file's turn comes stops the job at once, whatever it was fetching", () => {
    const h = new Harness();
    const first = { url: "http://origin.test/a", destination: "/tmp/a" };
    const second = { url: "http://origin.test/b", toStream: true };
    h.create({ ...request(), files: [first, second], startSuspended: true });
    h.attachSink(1);
    h.verb("resume");
    h.probe(600_000, ETAG);
    h.open(pieces("..."));
    const asked = h.take("fetchRange").map(({ requestId }) => requestId);
    h.sinkFailed("gone", 1);
    const error = { code: "ERR_SINK_FAILED", fileIndex: 1 };
    expect(h.job).toMatchObject({ state: "error", error });
    expect(h.take("cancelOrigin").map(({ requestId }) => requestId)).toEqual(asked);
    expect(h.takeOne("closeContent").outcome).toBe("keep");
  });

  test.each([
    ["nothing identifies", NO_ETAG, { etag: '"2"' }],
    ["has changed", ETAG, { etag: '"2"' }],
  ])("that has bytes of a file that %s is not given others", (_, before, after) => {
    const h = streaming(before);
    fetchAll(h);
    pass(h);
    h.take("readPiece");
    h.verb("suspend");
    h.close();
    h.change({ type: "setFile", fileIndex: 0, values: { url: "http://mirror.test/file" } });
    h.verb("resume");
    h.probe(600_000, after);
    h.open(pieces("..."));
    fetchAll(h);
    expect(h.take("deliverPiece")).toEqual([]);
    expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_REMOTE_CHANGING" } });
  });

  test("goes on after suspend and resume where it was, with what the network cut off too", () => {
    const h = streaming();
    fetchAll(h);
    pass(h);
    read(h);
    h.verb("suspend");
    h.takeOne("deliverPiece");
    h.sinkTaken();
    h.close();
    h.verb("resume");
    h.open(pieces("111"));
    h.verify();
    expect(pass(h)).toBe(2);
    expect(h.job?.state).toBe("transferred");
  });

  test("waits for a piece that the disk has lost while the file is fetched", () => {
    const h = streaming();
    const [range] = h.take("fetchRange");
    const { requestId, transferId } = range!;
    h.send({ type: "rangePiece", requestId, transferId, piece: 0, bufferId: 1 });
    h.storeAll();
    h.advanceTo(2_500);
    h.commit([0]);
    h.send({ ...h.takeOne("readPiece"), type: "pieceLost" });
    expect(h.take("readPiece")).toEqual([]);
    expect(h.job?.state).toBe("transferring");
  });

  test("gets a piece that was lost after the last check once it is fetched again", () => {
    const h = streaming();
    fetchAll(h);
    pass(h);
    h.verify();
    h.send({ ...h.takeOne("readPiece"), type: "pieceLost" });
    expect(h.job).toMatchObject({ state: "transientError", error: { code: "ERR_DISK_IO" } });
    h.close();
    h.verb("resume");
    h.open(pieces("1.1"));
    h.deliverRange(h.takeOne("fetchRange"));
    h.commit([1]);
    expect(pass(h)).toBe(1);
    h.verify();
    expect(pass(h)).toBe(2);
    expect(h.job?.state).toBe("transferred");
  });

  test("may change its URL before anything was taken", () => {
    const h = streaming();
    h.change({ type: "setFile", fileIndex: 0, values: { url: "http://mirror.test/file" } });
    h.close();
    h.probe(600_000, { etag: '"2"' });
    h.open(pieces("..."));
    fetchAll(h);
    expect(pass(h)).toBe(0);
  });

  test("of a content with a manifest may change its origin at any time", () => {
    const h = new Harness();
    const { bytes, contentId } = manifestOf(3);
    const files = [{ url: "http://origin.test/file", contentId, toStream: true }];
    h.create({ ...request(), files, startSuspended: true });
    h.attachSink();
    h.verb("resume");
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
    h.open(pieces("1.."));
    h.advanceTo(3_000);
    h.change({ type: "setFile", fileIndex: 0, values: { url: "http://mirror.test/file" } });
    h.close();
    h.open(pieces("1.."));
    expect(h.take("fetchManifest")).toEqual([]);
    expect(h.take("fetchRange").at(-1)?.url).toContain("mirror");
  });

  test("takes nothing of a job that is over", () => {
    const h = streaming();
    fetchAll(h);
    const asked = h.takeOne("readPiece");
    h.verb("cancel");
    expect(h.takeOne("closeContent").outcome).toBe("discard");
    h.send({ ...asked, type: "pieceRead", bufferId: 9 });
    expect(h.take("deliverPiece")).toEqual([]);
    expect(h.take("releaseBuffer").map(({ bufferId }) => bufferId)).toContain(9);
    h.sinkTaken();
    h.sinkFailed("late");
    expect(h.attachSink()).toBe("ERR_JOB_STATE");
    expect(h.job).toMatchObject({ state: "cancelled" });
  });

  test("leaves nothing behind when its job is acknowledged", () => {
    const h = streaming();
    fetchAll(h);
    pass(h);
    pass(h);
    h.verify();
    pass(h);
    h.verb("acknowledge");
    expect(h.take("publishContent")).toEqual([]);
    expect(h.takeOne("closeContent").outcome).toBe("discard");
    expect(h.takeOne("endJob").job).toMatchObject({ state: "acknowledged" });
    expect(h.job?.files[0]?.phase).toBe("published");
  });

  test("is refused for files that are published, and for those that are not there", () => {
    const { h } = fetching(pieces("."));
    expect(h.attachSink(0)).toBe("ERR_SINK_TAKEN");
    expect(h.attachSink(1)).toBe("ERR_USAGE");
    expect(h.attachSink(0, "00000000-0000-4000-8000-000000000009")).toBe("ERR_JOB_NOT_FOUND");
    expect(h.job?.length).toBe(PIECE_LENGTH);
  });

  test("gets an empty file, too", () => {
    const h = new Harness();
    const files = [{ url: "http://origin.test/file", toStream: true }];
    h.create({ ...request(), files, startSuspended: true });
    h.attachSink();
    h.verb("resume");
    h.probe(0);
    h.open(pieces(""));
    h.verify();
    expect(h.job?.state).toBe("transferred");
  });
});
