/** Pieces that the store finds on this machine are asked of nobody, unless it turns out wrong. */
import { expect, test } from "vitest";
import { Harness, manifestOf, PIECE_LENGTH, pieces, request } from "./harness.ts";

/** A job whose content is open: `reusable` are pieces that the store looks for itself. */
function opened(have: string, reusable: string): { h: Harness; transferId: number } {
  const { bytes, contentId } = manifestOf(have.length);
  const h = new Harness();
  h.create(request({ contentId }));
  const { requestId, transferId } = h.takeOne("fetchManifest");
  h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
  h.take("openContent");
  const found = { have: pieces(have).toBytes(), reusable: pieces(reusable).toBytes() };
  h.send({ type: "contentOpened", transferId, ...found });
  return { h, transferId };
}

function asked(h: Harness): number[] {
  return h
    .take("fetchRange")
    .flatMap(({ firstPiece, pieceCount }) =>
      Array.from({ length: pieceCount }, (_, i) => firstPiece + i),
    );
}

test("does not ask the origin for pieces that the store finds", () => {
  const { h, transferId } = opened("1.....", "..11.1");
  const [first] = h.take("fetchRange");
  expect(first).toMatchObject({ firstPiece: 1, pieceCount: 1 });
  if (first !== undefined) h.deliverRange(first);
  expect(asked(h)).toEqual([4]);
  for (const piece of [2, 3]) h.send({ type: "pieceStored", transferId, piece });
  expect(asked(h)).toEqual([]);
  const reusedBytes = 2 * PIECE_LENGTH;
  expect(h.job?.files[0]).toMatchObject({ reusedBytes, transferredBytes: 4 * PIECE_LENGTH });
  expect(h.scheduler.counters.get("shoal_reused_bytes_total")).toBe(reusedBytes);
});

test("asks for a piece that the store does not find after all, and blames nobody", () => {
  const { h, transferId } = opened("......", "......".replaceAll(".", "1"));
  expect(asked(h)).toEqual([]);
  h.advanceTo(10_000);
  expect(h.job?.error).toBeUndefined();
  h.send({ type: "pieceCorrupt", transferId, piece: 3 });
  expect(asked(h)).toEqual([3]);
  expect(h.scheduler.counters.get("shoal_corrupt_pieces_total")).toBe(0);
  expect(h.scheduler.counters.get("shoal_wasted_bytes_total")).toBe(0);
});

test("is complete without any request when all of it is on this machine", () => {
  const { h, transferId } = opened("...", "111");
  for (const piece of [2, 0, 1]) h.send({ type: "pieceStored", transferId, piece });
  h.take("commitPieces");
  h.send({ type: "piecesCommitted", transferId, pieces: [0, 1, 2] });
  h.takeOne("verifyContent");
  expect(h.job?.files[0]).toMatchObject({ originBytes: 0, reusedBytes: 3 * PIECE_LENGTH });
});

test("passes over a map of another length", () => {
  const { h } = opened("...", "11111111111");
  expect(asked(h)).toEqual([0, 1, 2]);
});

test("serves an evicted content no more, and says so", () => {
  const { bytes, contentId } = manifestOf(2);
  const h = new Harness();
  const content = { contentId, manifestBytes: bytes, path: "/tmp/file" };
  h.send({ type: "contentShared", content });
  const { transferId } = h.takeOne("openShared");
  h.send({ type: "contentOpened", transferId, have: pieces("11").toBytes() });
  expect(h.scheduler.servedContents).toEqual([contentId]);
  h.send({ type: "contentEvicted", contentId });
  expect(h.takeOne("closeContent")).toMatchObject({ transferId, outcome: "keep" });
  expect(h.scheduler.servedContents).toEqual([]);
  expect(h.notices).toContainEqual({ type: "contentServed", contentId, served: false });
  h.send({ type: "contentClosed", transferId });
});
