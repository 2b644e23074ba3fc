/** The store on its worker thread, and in a process that is killed. */
import { fork } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { join } from "node:path";
import { MiB, PieceLayout, PieceSet } from "@shoal/core";
import { expect, onTestFinished, test } from "vitest";
import { scale } from "../long.ts";
import {
  allPieces,
  makeContent,
  openThreadedStore,
  pieceOf,
  specOf,
  temporaryDirectory,
} from "../../packages/store/test/harness.ts";
import type { TestContent } from "../../packages/store/test/harness.ts";

/** The content that `store-kill-target.ts` stores: it is made again from the same file. */
function makeLargeContent(): TestContent {
  return makeContent(PieceLayout.fixed(24 * MiB + 5, MiB));
}

test("serves pieces while others are written, and gives every buffer back", async () => {
  const directory = temporaryDirectory();
  const content = makeLargeContent();
  const { store, events, pool, payloads, send } = await openThreadedStore(join(directory, "state"));
  const spec = specOf(content, join(directory, "f"));
  store.execute({ type: "openContent", transferId: 1, spec });
  await events.next("contentOpened");
  send(1, 0, pieceOf(content, 0));
  store.execute({ type: "commitPieces", transferId: 1 });
  await events.skipTo("piecesCommitted");
  for (const piece of allPieces(content).slice(1)) {
    send(1, piece, pieceOf(content, piece));
    if (piece % 4 === 0) store.execute({ type: "commitPieces", transferId: 1 });
    store.execute({ type: "readPiece", transferId: 1, piece: 0, requestId: piece });
  }
  send(1, 3, pieceOf(content, 4));
  store.execute({ type: "commitPieces", transferId: 1 });
  store.execute({ type: "verifyContent", transferId: 1, readBack: true });
  await events.skipTo("contentVerified");
  const types = events.all.map(({ type }) => type);
  expect(types.filter((type) => type === "pieceStored")).toHaveLength(content.layout.pieceCount);
  expect(types.filter((type) => type === "pieceRead")).toHaveLength(24);
  expect(types).toContain("pieceCorrupt");
  expect(types).not.toContain("pieceLost");
  for (const payload of payloads.values()) {
    expect(Buffer.compare(payload.bytes, pieceOf(content, 0))).toBe(0);
    payload.release();
  }
  store.execute({ type: "readPiece", transferId: 7, piece: 0, requestId: 99 });
  store.execute({ type: "publishContent", transferId: 1, overwrite: false });
  await events.skipTo("contentPublished");
  await store.close();
  expect(pool.borrowed).toBe(0);
});

test("a close commits what was stored, releases what comes later, and can be repeated", async () => {
  const directory = temporaryDirectory();
  const content = makeLargeContent();
  const first = await openThreadedStore(join(directory, "state"));
  const spec = specOf(content, join(directory, "f"));
  first.store.execute({ type: "openContent", transferId: 1, spec });
  await first.events.next("contentOpened");
  for (const piece of [1, 2, 3]) first.send(1, piece, pieceOf(content, piece));
  const countBefore = first.events.all.length;
  const closed = first.store.close();
  first.send(1, 4, pieceOf(content, 4));
  await closed;
  await first.store.close();
  expect(first.events.all).toHaveLength(countBefore);
  expect(first.pool.borrowed).toBe(0);
  const second = await openThreadedStore(join(directory, "state"));
  expect(second.store.report).toEqual({ wasClean: true });
  second.store.execute({ type: "openContent", transferId: 1, spec });
  const { have } = await second.events.next("contentOpened");
  const set = PieceSet.fromBytes(content.layout.pieceCount, have);
  expect([...(set ?? [])]).toEqual([1, 2, 3]);
});

test("a close or a delete does not wait for a long check of a file", async () => {
  const directory = temporaryDirectory();
  const content = makeContent(PieceLayout.fixed(64 * MiB, MiB));
  const { store, events, send } = await openThreadedStore(join(directory, "state"));
  const spec = specOf(content, join(directory, "f"));
  store.execute({ type: "openContent", transferId: 1, spec });
  await events.next("contentOpened");
  for (const piece of allPieces(content)) send(1, piece, pieceOf(content, piece));
  store.execute({ type: "commitPieces", transferId: 1 });
  await events.skipTo("piecesCommitted");
  store.execute({ type: "verifyContent", transferId: 1, readBack: true });
  store.execute({ type: "closeContent", transferId: 1, outcome: "discard" });
  await events.next("contentClosed");
  expect(fs.readdirSync(directory)).toEqual(["state"]);
});

test("a store whose worker dies says that the state cannot be used", async () => {
  const directory = temporaryDirectory();
  const content = makeLargeContent();
  const { store, events, pool, send } = await openThreadedStore(join(directory, "state"));
  const spec = specOf(content, join(directory, "f"));
  store.execute({ type: "openContent", transferId: 1, spec });
  await events.next("contentOpened");
  // A piece that does not exist is a mistake of the caller, which the worker asserts.
  send(1, 1_000, pieceOf(content, 0));
  expect((await events.next("stateFailed")).error.code).toBe("ERR_STATE_UNUSABLE");
  send(1, 1, pieceOf(content, 1));
  await store.close();
  expect(pool.borrowed).toBe(0);
  const second = await openThreadedStore(join(directory, "state"));
  expect(second.store.report.wasClean).toBe(false);
});

test("a process that is killed leaves only true claims (R-PROC-03, I-2)", async () => {
  const directory = temporaryDirectory();
  const state = join(directory, "state");
  const destination = join(directory, "f");
  const content = makeLargeContent();
  const source = join(directory, "source");
  fs.writeFileSync(source, content.bytes);
  fs.writeFileSync(`${source}.shoal`, content.manifestBytes);
  let claimCount = 0;
  for (const commits of scale([1, 4], [1, 4, 9, 2])) {
    await runUntilKilled([state, destination, source], commits);
    expect(fs.existsSync(destination)).toBe(false);
    const { store, events, payloads } = await openThreadedStore(state);
    store.execute({ type: "openContent", transferId: 1, spec: specOf(content, destination) });
    const { have } = await events.next("contentOpened");
    const set = PieceSet.fromBytes(content.layout.pieceCount, have) ?? new PieceSet(0);
    claimCount += set.size;
    for (const piece of set) {
      const requestId = Number(piece);
      store.execute({ type: "readPiece", transferId: 1, piece, requestId });
      await events.next("pieceRead");
      payloads.get(requestId)?.release();
    }
    await store.close();
  }
  expect(claimCount).toBeGreaterThan(0);
}, 30_000);

/** Starts a process that stores and commits pieces one by one, and kills it after some commits. */
async function runUntilKilled(args: string[], commits: number): Promise<void> {
  const child = fork(new URL("./store-kill-target.ts", import.meta.url), args, {
    execArgv: ["--conditions=shoal-source"],
    serialization: "advanced",
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let count = 0;
  child.on("message", () => {
    if (++count >= commits) child.kill("SIGKILL");
  });
  await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
}

test("refuses nothing and says nothing for transfers that are not open", async () => {
  const { store, events, send, pool } = await openThreadedStore(
    join(temporaryDirectory(), "state"),
  );
  send(5, 0, new Uint8Array(10));
  store.execute({ type: "commitPieces", transferId: 5 });
  store.execute({ type: "readPiece", transferId: 5, piece: 0, requestId: 1 });
  await events.next("pieceLost");
  store.execute({ type: "closeContent", transferId: 5, outcome: "discard" });
  await events.next("contentClosed");
  await store.close();
  expect(pool.borrowed).toBe(0);
});
