/** Contents whose job is given more ranges: their part files grow and keep what they have. */
import fs from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PieceLayout, PieceSet } from "@shoal/core";
import type { OpenContent } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { realDisk } from "../src/disk.ts";
import { faultyDisk } from "./faulty-disk.ts";
import {
  makeContent,
  openTestStore,
  partNames,
  pieceOf,
  plainSpecOf,
  specOf,
  temporaryDirectory,
} from "./harness.ts";

const LENGTHS = [17, 40_000, 9_000, 1, 70_000, 5_000];
const whole = makeContent(PieceLayout.explicit(Uint32Array.from(LENGTHS)));
const layoutOf = (count: number) => PieceLayout.explicit(Uint32Array.from(LENGTHS.slice(0, count)));

function makePlace() {
  const directory = temporaryDirectory();
  const destination = join(directory, "f");
  const state = join(directory, "state");
  const part = () => join(directory, partNames(directory)[0] ?? "");
  /** The first `count` pieces. */
  const first = (count: number, extra: Partial<OpenContent> = {}) =>
    plainSpecOf(whole, destination, { layout: layoutOf(count), ...extra });
  return { directory, destination, state, part, first };
}

type Place = ReturnType<typeof makePlace>;

/** Stores pieces 0 and 2 of the first three and stops in order, or as in a crash. */
async function leave(place: Place, { isClean = true } = {}): Promise<void> {
  const { close, ...store } = await openTestStore(place.state);
  await store.open(1, place.first(3));
  await store.fill(1, whole, [0, 2]);
  await close();
  if (!isClean) fs.rmSync(join(place.state, "clean"));
}

function draw(have: Uint8Array, pieceCount: number): string {
  const set = PieceSet.fromBytes(pieceCount, have);
  return Array.from({ length: pieceCount }, (_, i) => (set?.has(i) === true ? "x" : ".")).join("");
}

/** What is claimed must be in the file. */
function expectTrueClaims(place: Place, drawing: string): void {
  const bytes = fs.readFileSync(place.part());
  for (let piece = 0; piece < drawing.length; piece++) {
    if (drawing[piece] !== "x") continue;
    const claimed = bytes.subarray(whole.layout.start(piece), whole.layout.end(piece));
    expect(Buffer.compare(claimed, pieceOf(whole, piece))).toBe(0);
  }
}

describe("a content to which ranges are added", () => {
  test.each([true, false])("keeps what it has and takes the rest (clean %s)", async (isClean) => {
    const place = makePlace();
    await leave(place, { isClean });
    const { events, do: run, close, ...store } = await openTestStore(place.state);
    expect(draw(await store.open(1, place.first(5)), 5)).toBe("x.x..");
    await store.fill(1, whole, [4]);
    await run({ type: "closeContent", transferId: 1, outcome: "keep" });
    await events.next("contentClosed");
    expect(draw(await store.open(2, place.first(6)), 6)).toBe("x.x.x.");
    await close();
    const second = await openTestStore(place.state);
    expect(draw(await second.open(1, place.first(6)), 6)).toBe("x.x.x.");
    expectTrueClaims(place, "x.x.x.");
    await second.fill(1, whole, [1, 3, 5]);
    await second.do({ type: "verifyContent", transferId: 1, readBack: false });
    await second.events.next("contentVerified");
    await second.do({ type: "publishContent", transferId: 1, overwrite: false });
    await second.events.next("contentPublished");
    expect(Buffer.compare(fs.readFileSync(place.destination), whole.bytes)).toBe(0);
  });

  const others: Array<[string, (place: Place) => OpenContent]> = [
    ["the validator is another", ({ first }) => first(5, { validatorKey: "2 b" })],
    ["the validator is empty", ({ first }) => first(5, { validatorKey: "" })],
    ["there are fewer pieces", ({ first }) => first(2)],
    [
      "an earlier piece has another length",
      ({ first }) =>
        first(5, { layout: PieceLayout.explicit(Uint32Array.of(17, 40_001, 8_999, 1, 5)) }),
    ],
    [
      "pieces of the same lengths lie in another order",
      ({ first }) => first(3, { layout: PieceLayout.explicit(Uint32Array.of(40_000, 17, 9_000)) }),
    ],
    ["a manifest has come", ({ destination }) => specOf(whole, destination)],
    [
      "the destination is another",
      ({ destination, first }) => first(5, { destination: `${destination}-2` }),
    ],
  ];
  test.each(others)("begins anew when %s", async (_, specFor) => {
    const place = makePlace();
    await leave(place);
    const store = await openTestStore(place.state);
    const have = await store.open(1, specFor(place));
    expect(have.every((byte) => byte === 0)).toBe(true);
    expect(partNames(place.directory)).toHaveLength(1);
  });

  test("is cut back when a crash came after the file grew and before its record", async () => {
    const place = makePlace();
    await leave(place, { isClean: false });
    fs.truncateSync(place.part(), 1_000_000);
    const store = await openTestStore(place.state);
    expect(draw(await store.open(1, place.first(3)), 3)).toBe("x.x");
    expect(fs.statSync(place.part()).size).toBe(layoutOf(3).contentLength);
  });

  test("is not believed when its file was made longer by somebody else", async () => {
    const place = makePlace();
    await leave(place);
    fs.appendFileSync(place.part(), "more");
    const store = await openTestStore(place.state);
    expect(draw(await store.open(1, place.first(5)), 5)).toBe(".....");
  });

  test("keeps its progress when the disk has no room for the rest (R-FS-11)", async () => {
    const place = makePlace();
    await leave(place);
    let freeBytes = 16 * 1024 * 1024;
    const space = () => ({ freeBytes, totalBytes: 1e9 });
    const store = await openTestStore(place.state, { ...realDisk, space });
    await store.do({ type: "openContent", transferId: 1, spec: place.first(5) });
    expect((await store.events.next("contentFailed")).error.code).toBe("ERR_DISK_FULL");
    freeBytes *= 2;
    expect(draw(await store.open(2, place.first(5)), 5)).toBe("x.x..");
  });
});

test("any call may fail while a file grows, and its progress stays (R-TEST-01)", async () => {
  const reached: string[] = [];
  for (let n = 1; ; n++) {
    const place = makePlace();
    await leave(place);
    const faulty = faultyDisk(n % 2 === 0 ? "ENOSPC" : "EIO");
    const store = await openTestStore(place.state, faulty.disk);
    faulty.arm(n);
    await store.do({ type: "openContent", transferId: 1, spec: place.first(5) });
    const opened = await store.events.any();
    faulty.disarm();
    const failed = faulty.failed();
    const isCrash = n % 4 < 2;
    if (isCrash) {
      await store.close();
      fs.rmSync(join(place.state, "clean"), { force: true });
    } else {
      await store.do({ type: "closeContent", transferId: 1, outcome: "keep" });
      await store.events.skipTo("contentClosed");
    }
    const again = isCrash ? await openTestStore(place.state) : store;
    const drawing = draw(await again.open(2, place.first(5)), 5);
    expect({ n, failed, opened: opened.type, drawing }).toMatchObject({ drawing: "x.x.." });
    expectTrueClaims(place, drawing);
    expect(partNames(place.directory)).toHaveLength(1);
    await again.close();
    if (failed === undefined) break;
    reached.push(failed);
  }
  expect(reached).toEqual(expect.arrayContaining(["open", "stat", "space", "truncate", "sync"]));
});

test("a record that cannot be written leaves the old progress, with the file grown", async () => {
  const place = makePlace();
  await leave(place);
  const other = new DatabaseSync(join(place.state, "state.db"));
  const store = await openTestStore(place.state);
  other.exec(`CREATE TRIGGER stop BEFORE UPDATE OF length ON contents WHEN new.length <> old.length
              BEGIN SELECT RAISE(ABORT, 'stopped'); END`);
  await store.do({ type: "openContent", transferId: 1, spec: place.first(5) });
  await store.events.next("contentFailed");
  expect(fs.statSync(place.part()).size).toBe(layoutOf(5).contentLength);
  other.exec("DROP TRIGGER stop");
  other.close();
  expect(draw(await store.open(2, place.first(5)), 5)).toBe("x.x..");
});
