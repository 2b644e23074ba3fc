import fs from "node:fs";
import { join } from "node:path";
import { KiB, PieceLayout } from "@shoal/core";
import { describe, expect, test } from "vitest";
import {
  allPieces,
  makeContent,
  openTestStore,
  partNames,
  pieceOf,
  plainSpecOf,
  specOf,
  temporaryDirectory,
} from "./harness.ts";

const NO_PIECES = Uint8Array.of(0);

describe("a content from its first piece to its destination", () => {
  const layouts: Array<[string, PieceLayout]> = [
    ["with a shorter last piece", PieceLayout.fixed(300 * KiB, 64 * KiB)],
    ["of exactly two pieces", PieceLayout.fixed(128 * KiB, 64 * KiB)],
    ["of one byte", PieceLayout.fixed(1, 64 * KiB)],
    ["of no bytes", PieceLayout.fixed(0, 64 * KiB)],
    ["with explicit boundaries", PieceLayout.explicit(Uint32Array.of(17, 40_000, 1, 70_000))],
  ];
  test.each(layouts)("is stored, verified, published and read %s (R-FS-01)", async (_, layout) => {
    const directory = temporaryDirectory();
    const destination = join(directory, "file.bin");
    const content = makeContent(layout);
    const { events, do: run, ...store } = await openTestStore(join(directory, "state"));
    await store.open(1, specOf(content, destination));
    await store.fill(1, content, allPieces(content).toReversed());
    await run({ type: "verifyContent", transferId: 1, readBack: true });
    await events.next("contentVerified");
    expect(fs.existsSync(destination)).toBe(false);
    await run({ type: "publishContent", transferId: 1, overwrite: false });
    await events.next("contentPublished");
    expect(Buffer.compare(fs.readFileSync(destination), content.bytes)).toBe(0);
    expect(fs.statSync(destination).mode & 0o777).toBe(0o666 & ~process.umask());
    expect(partNames(directory)).toEqual([]);
    for (const piece of allPieces(content)) {
      const bytes = new Uint8Array(layout.length(piece));
      await run({ type: "readPiece", transferId: 1, piece, requestId: piece }, bytes);
      await events.next("pieceRead");
      expect(Buffer.compare(bytes, pieceOf(content, piece))).toBe(0);
    }
  });

  test("is published without a manifest when its validator is all there is", async () => {
    const directory = temporaryDirectory();
    const destination = join(directory, "file.bin");
    const content = makeContent();
    const { events, do: run, ...store } = await openTestStore(join(directory, "state"));
    await store.open(1, plainSpecOf(content, destination));
    await store.fill(1, content);
    await run({ type: "verifyContent", transferId: 1, readBack: false });
    await events.next("contentVerified");
    await run({ type: "publishContent", transferId: 1, overwrite: false });
    await events.next("contentPublished");
    expect(Buffer.compare(fs.readFileSync(destination), content.bytes)).toBe(0);
  });
});

test("refuses a piece whose bytes do not match and takes it when they do", async () => {
  const directory = temporaryDirectory();
  const content = makeContent();
  const { events, do: run, ...store } = await openTestStore(join(directory, "state"));
  expect(await store.open(1, specOf(content, join(directory, "f")))).toEqual(NO_PIECES);
  const store0 = { type: "storePiece", transferId: 1, piece: 0, bufferId: 0 } as const;
  await run(store0, pieceOf(content, 1));
  await events.next("pieceCorrupt");
  await run(store0, pieceOf(content, 0).subarray(1));
  await events.next("pieceCorrupt");
  await store.fill(1, content, [0]);
});

test("answers each commit, also those that come while a sync runs", async () => {
  const directory = temporaryDirectory();
  const content = makeContent();
  const { events, do: run, ...store } = await openTestStore(join(directory, "state"));
  await store.open(1, specOf(content, join(directory, "f")));
  for (const piece of [0, 1]) {
    await run({ type: "storePiece", transferId: 1, piece, bufferId: 0 }, pieceOf(content, piece));
    await events.next("pieceStored");
    await run({ type: "commitPieces", transferId: 1 });
  }
  await run({ type: "commitPieces", transferId: 1 });
  expect((await events.next("piecesCommitted")).pieces).toEqual([0]);
  expect((await events.next("piecesCommitted")).pieces).toEqual([1]);
  expect((await events.next("piecesCommitted")).pieces).toEqual([]);
});

test("closes a content for one transfer before it opens it for the next", async () => {
  const directory = temporaryDirectory();
  const content = makeContent();
  const spec = specOf(content, join(directory, "f"));
  const { events, do: run, ...store } = await openTestStore(join(directory, "state"));
  await store.open(1, spec);
  await run({ type: "storePiece", transferId: 1, piece: 0, bufferId: 0 }, pieceOf(content, 0));
  await events.next("pieceStored");
  void run({ type: "commitPieces", transferId: 1 });
  void run({ type: "closeContent", transferId: 1, outcome: "keep" });
  await run({ type: "openContent", transferId: 2, spec });
  expect((await events.next("piecesCommitted")).transferId).toBe(1);
  await events.next("contentClosed");
  expect((await events.next("contentOpened")).have).toEqual(Uint8Array.of(0b1000_0000));
  await store.fill(2, content, [1, 2, 3, 4]);
});
