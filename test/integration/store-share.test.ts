/** Sharing complete files of this machine, by the store on its worker thread. */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { contentIdOf, decodeManifest, encodeManifest, KiB } from "@shoal/core";
import { describeFile, writeSidecar } from "@shoal/store";
import { expect, test } from "vitest";
import { openThreadedStore, temporaryDirectory } from "../../packages/store/test/harness.ts";

function makeFile(length: number): { path: string; bytes: Uint8Array } {
  const path = join(temporaryDirectory(), "file.bin");
  const bytes = randomBytes(length);
  fs.writeFileSync(path, bytes);
  return { path, bytes };
}

test("a shared file is announced, remembered, and served as long as it is unchanged", async () => {
  const { path, bytes } = makeFile(300 * KiB);
  const state = join(temporaryDirectory(), "state");
  const first = await openThreadedStore(state);
  const contentId = await first.store.shareFile(path);
  const { content } = await first.events.next("contentShared");
  expect(content).toMatchObject({ contentId, path });
  expect(decodeManifest(content.manifestBytes).ok).toBe(true);
  await first.store.close();

  const second = await openThreadedStore(state);
  const { store, events, payloads } = second;
  store.execute({ type: "loadState" });
  expect((await events.next("stateLoaded")).contents).toEqual([content]);
  store.execute({ type: "openShared", transferId: 1, contentId });
  expect((await events.next("contentOpened")).have).toEqual(Uint8Array.of(0b1100_0000));
  store.execute({ type: "readPiece", transferId: 1, piece: 1, requestId: 5 });
  await events.next("pieceRead");
  const payload = payloads.get(5);
  expect(Buffer.compare(payload?.bytes ?? Buffer.of(), bytes.subarray(256 * KiB))).toBe(0);
  payload?.release();
  fs.writeFileSync(path, randomBytes(300 * KiB));
  store.execute({ type: "readPiece", transferId: 1, piece: 0, requestId: 6 });
  await events.next("pieceLost");
  store.execute({ type: "closeContent", transferId: 1, outcome: "keep" });
  await events.next("contentClosed");
  store.execute({ type: "openShared", transferId: 2, contentId });
  expect((await events.next("contentFailed")).error.code).toBe("ERR_CONTENT_MISMATCH");
  fs.writeFileSync(path, bytes);
  store.execute({ type: "openShared", transferId: 3, contentId });
  await events.next("contentOpened");
  fs.rmSync(path);
  store.execute({ type: "openShared", transferId: 4, contentId });
  expect((await events.next("contentFailed")).error.code).toBe("ERR_FILE_UNREADABLE");
  await store.close();
  expect(second.pool.borrowed).toBe(0);
});

test("sharing takes the sidecar beside the file only when it matches", async () => {
  const { path } = makeFile(300 * KiB);
  const { bytes, contentId } = await describeFile(path, { pieceLength: 64 * KiB });
  await writeSidecar(path, bytes);
  const { store } = await openThreadedStore(join(temporaryDirectory(), "state"));
  expect(await store.shareFile(path)).toBe(contentId);
  fs.writeFileSync(`${path}.shoal`, "nonsense");
  const own = await store.shareFile(path);
  expect(own).not.toBe(contentId);
  const { layout, pieceDigests } = (await describeFile(path, { pieceLength: 128 * KiB })).manifest;
  const piecesOnly = encodeManifest({ layout, pieceDigests, files: [], hints: {} });
  await writeSidecar(path, piecesOnly);
  expect(await store.shareFile(path)).toBe(contentIdOf(piecesOnly));
  const lying = await describeFile(makeFile(300 * KiB).path, { pieceLength: 64 * KiB });
  await writeSidecar(path, lying.bytes);
  expect(await store.shareFile(path)).toBe(own);
  await expect(store.shareFile(`${path}.missing`)).rejects.toMatchObject({
    code: "ERR_FILE_UNREADABLE",
  });
  const pending = store.shareFile(path);
  const outcome = pending.catch((error: unknown) => error);
  await store.close();
  expect(await outcome).toMatchObject({ code: "ERR_AGENT_CLOSED" });
});

test("the agent's own files are not shared, not even through a link (I-6)", async () => {
  const state = join(temporaryDirectory(), "state");
  const { store } = await openThreadedStore(state);
  const link = join(temporaryDirectory(), "link");
  fs.symlinkSync(join(state, "state.db"), link);
  for (const path of [join(state, "state.db"), link]) {
    await expect(store.shareFile(path)).rejects.toMatchObject({ code: "ERR_FILE_UNREADABLE" });
  }
  await store.close();
});
