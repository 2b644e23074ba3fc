/** A job whose manifest has digests of pieces and none of the whole. */
import { contentIdOf, encodeManifest, PieceLayout } from "@shoal/core";
import { expect, test } from "vitest";
import { Harness, PIECE_LENGTH, pieces, request } from "./harness.ts";

test("a job's SHA-256 is left to the store's last check where the manifest has none (R-MAN-14)", () => {
  const layout = PieceLayout.fixed(2 * PIECE_LENGTH, PIECE_LENGTH);
  const pieceDigests = new Uint8Array(64).fill(1);
  const bytes = encodeManifest({ layout, pieceDigests, files: [], hints: {} });
  const contentId = contentIdOf(bytes);
  const h = new Harness();
  h.create(request({ contentId, sha256: "ab".repeat(32) }));
  const { requestId, transferId } = h.takeOne("fetchManifest");
  h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
  const { spec } = h.takeOne("openContent");
  expect(spec).toMatchObject({ manifest: { contentId }, layout: { pieceCount: 2 } });
  expect(spec.contentDigest).toEqual(new Uint8Array(32).fill(0xab));
  h.send({ type: "contentOpened", transferId, have: pieces("11").toBytes() });
  h.takeOne("verifyContent");
  h.send({ type: "contentMismatch", transferId, pieces: [] });
  expect(h.job).toMatchObject({ state: "error", error: { code: "ERR_CONTENT_MISMATCH" } });
});
