/** Contents without a destination: read, never published, gone when nobody owns them. */
import fs from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PieceSet } from "@shoal/core";
import type { OpenContent, ShoalError } from "@shoal/core";
import { describe, expect, test } from "vitest";
import {
  jobRecord,
  JOB_ID,
  makeContent,
  openTestStore,
  partNames,
  pieceOf,
  plainSpecOf,
  specOf,
  temporaryDirectory,
} from "./harness.ts";
import type { TestContent, TestStore } from "./harness.ts";

function makePlace() {
  const directory = temporaryDirectory();
  const state = join(directory, "state");
  return { directory, state, spool: join(state, "spool") };
}

function spooled(spec: OpenContent): OpenContent {
  const { destination: _, ...rest } = spec;
  return rest;
}

function draw(have: Uint8Array, { layout }: TestContent): number[] {
  return [...(PieceSet.fromBytes(layout.pieceCount, have) ?? [])];
}

async function read(store: TestStore, content: TestContent, piece: number): Promise<boolean> {
  const bytes = new Uint8Array(content.layout.length(piece));
  await store.do({ type: "readPiece", transferId: 1, piece, requestId: piece }, bytes);
  const event = await store.events.any();
  if (event.type === "pieceLost") return false;
  expect(event.type).toBe("pieceRead");
  expect(Buffer.compare(bytes, pieceOf(content, piece))).toBe(0);
  return true;
}

describe("the spool", () => {
  test.each(["a file", "a symbolic link", "writable by others"])(
    "that is %s is refused (R-FS-01)",
    async (kind) => {
      const { directory, state, spool } = makePlace();
      fs.mkdirSync(state, { mode: 0o700 });
      if (kind === "a file") fs.writeFileSync(spool, "");
      else if (kind === "a symbolic link") fs.symlinkSync(directory, spool);
      else {
        fs.mkdirSync(spool);
        fs.chmodSync(spool, 0o777);
      }
      const opening = openTestStore(state).catch((error: ShoalError) => error.code);
      expect(await opening).toBe("ERR_STATE_UNUSABLE");
    },
  );

  test("takes no file of a user, even where a record has its name (R-FS-03)", async () => {
    const { state, spool } = makePlace();
    const { events, do: run, ...store } = await openTestStore(state);
    const content = makeContent();
    await store.open(1, spooled(specOf(content, "/")));
    await store.fill(1, content);
    await run({ type: "closeContent", transferId: 1, outcome: "keep" });
    await events.next("contentClosed");
    for (const [fileIndex, name] of [`${JOB_ID}-0`, "other"].entries()) {
      const spec = specOf(content, join(spool, name), fileIndex);
      await run({ type: "openContent", transferId: 2, spec });
      expect((await events.next("contentFailed")).error.code).toBe("ERR_DESTINATION_INVALID");
    }
    expect(partNames(spool)).toHaveLength(1);
    expect(fs.readdirSync(spool)).toHaveLength(1);
  });

  test("is swept of part files that no content owns, and of nothing else (R-FS-15)", async () => {
    const { state, spool } = makePlace();
    const content = makeContent();
    const first = await openTestStore(state);
    await first.open(1, spooled(specOf(content, "/")));
    await first.fill(1, content, [3]);
    await first.close();
    const [owned = ""] = partNames(spool);
    const orphan = `.shoal-0b5c7a10-${"0".repeat(32)}.part`;
    fs.writeFileSync(join(spool, orphan), "");
    fs.writeFileSync(join(spool, "note.txt"), "mine");
    const second = await openTestStore(state);
    expect(fs.readdirSync(spool).toSorted()).toEqual([owned, "note.txt"].toSorted());
    expect(draw(await second.open(1, spooled(specOf(content, "/"))), content)).toEqual([3]);
    await second.close();
    const database = new DatabaseSync(join(state, "state.db"));
    database.exec("DELETE FROM contents");
    database.close();
    await openTestStore(state);
    expect(fs.readdirSync(spool)).toEqual(["note.txt"]);
  });

  test("may be removed between two runs: what lay in it begins anew", async () => {
    const { state, spool } = makePlace();
    const content = makeContent();
    const spec = spooled(specOf(content, "/"));
    const first = await openTestStore(state);
    await first.open(1, spec);
    await first.fill(1, content, [3]);
    await first.close();
    fs.rmSync(spool, { recursive: true });
    const second = await openTestStore(state);
    expect(draw(await second.open(1, spec), content)).toEqual([]);
    await second.fill(1, content);
    expect(fs.statSync(spool).mode & 0o777).toBe(0o700);
  });
});

describe("a content without a destination", () => {
  test("is read while it is received, after a crash, and when it is verified", async () => {
    const { state, spool } = makePlace();
    const content = makeContent();
    const spec = spooled(plainSpecOf(content, "/"));
    const first = await openTestStore(state);
    await first.do({ type: "saveJob", revision: 1, job: jobRecord("/d/f") });
    await first.events.next("jobSaved");
    await first.open(1, spec);
    await first.fill(1, content, [1]);
    expect([await read(first, content, 1), await read(first, content, 2)]).toEqual([true, false]);
    await first.close();
    fs.rmSync(join(state, "clean"));
    const second = await openTestStore(state);
    await second.do({ type: "loadState" });
    expect((await second.events.next("stateLoaded")).resumable).toHaveLength(1);
    expect(draw(await second.open(1, spec), content)).toEqual([1]);
    expect(await read(second, content, 1)).toBe(true);
    await second.fill(1, content, [0, 2, 3, 4]);
    await second.do({ type: "verifyContent", transferId: 1, readBack: true });
    await second.events.next("contentVerified");
    expect(await read(second, content, 4)).toBe(true);
    await second.do({ type: "closeContent", transferId: 1, outcome: "discard" });
    await second.events.next("contentClosed");
    expect(fs.readdirSync(spool)).toEqual([]);
  });

  test("gives nothing that others may have written, and takes it anew (R-FS-10)", async () => {
    const { state, spool } = makePlace();
    const content = makeContent();
    const store = await openTestStore(state);
    await store.open(1, spooled(plainSpecOf(content, "/")));
    await store.fill(1, content, [0, 1]);
    const path = join(spool, partNames(spool)[0] ?? "");
    fs.writeFileSync(path, "overwritten", { flag: "r+" });
    expect(await read(store, content, 1)).toBe(false);
    expect(await read(store, content, 0)).toBe(false);
    await store.fill(1, content, [0, 1]);
    expect(await read(store, content, 0)).toBe(true);
  });

  test("with a destination is only read when a manifest verifies it (R-CACHE-02)", async () => {
    const { directory, state } = makePlace();
    const content = makeContent();
    const store = await openTestStore(state);
    await store.open(1, plainSpecOf(content, join(directory, "f")));
    await store.fill(1, content, [0]);
    expect(await read(store, content, 0)).toBe(false);
  });

  test("begins anew when its file is given a destination", async () => {
    const { directory, state, spool } = makePlace();
    const content = makeContent();
    const store = await openTestStore(state);
    await store.open(1, spooled(specOf(content, "/")));
    await store.fill(1, content, [0]);
    await store.do({ type: "closeContent", transferId: 1, outcome: "keep" });
    await store.events.next("contentClosed");
    expect(draw(await store.open(2, specOf(content, join(directory, "f"))), content)).toEqual([]);
    expect(fs.readdirSync(spool)).toEqual([]);
  });
});
