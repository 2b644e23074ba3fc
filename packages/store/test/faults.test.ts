import fs from "node:fs";
import { join } from "node:path";
import { KiB, PieceLayout, PieceSet } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { scale } from "../../../test/long.ts";
import { realDisk } from "../src/disk.ts";
import type { Disk } from "../src/disk.ts";
import { faultyDisk } from "./faulty-disk.ts";
import {
  allPieces,
  makeContent,
  openTestStore,
  partNames,
  pieceOf,
  specOf,
  temporaryDirectory,
} from "./harness.ts";
import type { TestStore } from "./harness.ts";

const content = makeContent(PieceLayout.fixed(300 * KiB, 64 * KiB));
/** Fewer calls to go through. */
const small = makeContent(PieceLayout.fixed(100 * KiB, 64 * KiB));

interface Place {
  readonly destination: string;
  readonly state: string;
}

/** Runs a whole delivery; true when it was published, false when anything failed on the way. */
async function deliver(
  store: TestStore,
  transferId: number,
  { destination }: Place,
): Promise<boolean> {
  const { events, do: run } = store;
  await run({ type: "openContent", transferId, spec: specOf(small, destination) });
  const opened = await events.any();
  if (opened.type !== "contentOpened") return false;
  const have = PieceSet.fromBytes(small.layout.pieceCount, opened.have);
  for (const piece of allPieces(small)) {
    if (have?.has(piece) === true) continue;
    await run({ type: "storePiece", transferId, piece, bufferId: 0 }, pieceOf(small, piece));
    if ((await events.any()).type !== "pieceStored") return false;
    await run({ type: "commitPieces", transferId });
    if ((await events.any()).type !== "piecesCommitted") return false;
  }
  await run({ type: "verifyContent", transferId, readBack: true });
  if ((await events.any()).type !== "contentVerified") return false;
  await run({ type: "publishContent", transferId, overwrite: false, modifiedAt: 1e12 });
  return (await events.any()).type === "contentPublished";
}

function expectAllOrNothing({ destination }: Place): void {
  if (!fs.existsSync(destination)) return;
  expect(Buffer.compare(fs.readFileSync(destination), small.bytes)).toBe(0);
}

/** What the store claims is in the part file (I-2). */
async function expectTrueClaims(place: Place): Promise<void> {
  const store = await openTestStore(place.state);
  await store.do({ type: "openContent", transferId: 1, spec: specOf(small, place.destination) });
  const event = await store.events.any();
  if (event.type !== "contentOpened") throw new Error(`got ${JSON.stringify(event)}`);
  const have = PieceSet.fromBytes(small.layout.pieceCount, event.have);
  for (const piece of have ?? []) {
    const bytes = new Uint8Array(small.layout.length(piece));
    await store.do({ type: "readPiece", transferId: 1, piece, requestId: 1 }, bytes);
    expect((await store.events.any()).type).toBe("pieceRead");
  }
  await store.close();
}

test("any call of the disk may fail, and a delivery tried again succeeds (R-TEST-01)", async () => {
  const reached = new Set<string>();
  // Every fifth call in a short run: an odd step goes through both errors and both ways to go on.
  for (let n = 1; ; n += scale(5, 1)) {
    const directory = temporaryDirectory();
    const place = { destination: join(directory, "f"), state: join(directory, "state") };
    const faulty = faultyDisk(n % 2 === 0 ? "ENOSPC" : "EIO");
    const store = await openTestStore(place.state, faulty.disk);
    faulty.arm(n);
    await deliver(store, 1, place);
    faulty.disarm();
    expectAllOrNothing(place);
    await store.do({ type: "closeContent", transferId: 1, outcome: "keep" });
    await store.events.skipTo("contentClosed");
    // Two rounds go on in the same run, the next two after a crash.
    const again = n % 4 < 2 ? store : await crash(store, place);
    expect({ n, isDelivered: await deliver(again, 2, place) }).toEqual({ n, isDelivered: true });
    expectAllOrNothing(place);
    await again.close();
    expect(partNames(directory)).toEqual([]);
    const failed = faulty.failed();
    if (failed === undefined) break;
    reached.add(failed);
  }
  expect(reached.size).toBeGreaterThan(4);
  const essential = ["link", "lstat", "open", "read", "stat", "sync", "syncData", "write"];
  expect([...reached]).toEqual(expect.arrayContaining(scale([], essential)));
}, 30_000);

async function crash(store: TestStore, place: Place): Promise<TestStore> {
  await store.close();
  fs.rmSync(join(place.state, "clean"), { force: true });
  await expectTrueClaims(place);
  return openTestStore(place.state);
}

describe("a failed sync", () => {
  test("claims nothing written since the last good one, and is not repeated (R-FS-09)", async () => {
    const directory = temporaryDirectory();
    const place = { destination: join(directory, "f"), state: join(directory, "state") };
    let syncCount = 0;
    const disk: Disk = {
      ...realDisk,
      syncData: async (fd) => {
        if (++syncCount === 2) throw Object.assign(new Error("EIO"), { code: "EIO" });
        await realDisk.syncData(fd);
      },
    };
    const { events, do: run, ...store } = await openTestStore(place.state, disk);
    const spec = specOf(content, place.destination);
    await store.open(1, spec);
    await store.fill(1, content, [0]);
    await run({ type: "storePiece", transferId: 1, piece: 1, bufferId: 0 }, pieceOf(content, 1));
    await events.next("pieceStored");
    await run({ type: "commitPieces", transferId: 1 });
    expect((await events.next("contentFailed")).error.code).toBe("ERR_DISK_IO");
    await run({ type: "storePiece", transferId: 1, piece: 2, bufferId: 0 }, pieceOf(content, 2));
    await events.next("contentFailed");
    await run({ type: "commitPieces", transferId: 1 });
    await events.next("contentFailed");
    expect(syncCount).toBe(2);
    await run({ type: "closeContent", transferId: 1, outcome: "keep" });
    await events.next("contentClosed");
    expect(await store.open(1, spec)).toEqual(Uint8Array.of(0b1000_0000));
    await store.fill(1, content, [1, 2, 3, 4]);
    const readBack = false;
    await run({ type: "verifyContent", transferId: 1, readBack });
    await events.next("contentVerified");
  });
});

test("short writes and reads are continued until every byte is there (R-FS-08)", async () => {
  const directory = temporaryDirectory();
  const place = { destination: join(directory, "f"), state: join(directory, "state") };
  const disk: Disk = {
    ...realDisk,
    write: (fd, bytes, position) => realDisk.write(fd, bytes.subarray(0, 10_007), position),
    read: (fd, bytes, position) => realDisk.read(fd, bytes.subarray(0, 9_001), position),
  };
  const store = await openTestStore(place.state, disk);
  expect(await deliver(store, 1, place)).toBe(true);
  expectAllOrNothing(place);
});

test("a disk that fills up keeps what was written before (R-FS-11)", async () => {
  const directory = temporaryDirectory();
  const place = { destination: join(directory, "f"), state: join(directory, "state") };
  let roomBytes = 2.5 * 64 * 1024;
  const disk: Disk = {
    ...realDisk,
    write: (fd, bytes, position) => {
      if (roomBytes <= 0) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
      const count = realDisk.write(fd, bytes.subarray(0, Math.floor(roomBytes)), position);
      roomBytes -= count;
      return count;
    },
  };
  const { events, do: run, ...store } = await openTestStore(place.state, disk);
  const spec = specOf(content, place.destination);
  await store.open(1, spec);
  for (const piece of [0, 1, 2]) {
    await run({ type: "storePiece", transferId: 1, piece, bufferId: 0 }, pieceOf(content, piece));
  }
  await events.next("pieceStored");
  await events.next("pieceStored");
  expect((await events.next("piecesCommitted")).pieces).toEqual([0, 1]);
  expect((await events.next("contentFailed")).error.code).toBe("ERR_DISK_FULL");
  const bytes = new Uint8Array(64 * 1024);
  await run({ type: "readPiece", transferId: 1, piece: 1, requestId: 1 }, bytes);
  await events.next("pieceRead");
  await run({ type: "closeContent", transferId: 1, outcome: "keep" });
  await events.next("contentClosed");
  roomBytes = Infinity;
  expect(await store.open(1, spec)).toEqual(Uint8Array.of(0b1100_0000));
});

test("a file that does not fit is refused before anything is created (R-FS-11)", async () => {
  const directory = temporaryDirectory();
  const place = { destination: join(directory, "f"), state: join(directory, "state") };
  const space = () => ({ freeBytes: 17 * 1024 * 1024, totalBytes: 1e9 });
  const { events, do: run } = await openTestStore(place.state, { ...realDisk, space });
  await run({ type: "openContent", transferId: 1, spec: specOf(content, place.destination) });
  await events.next("contentOpened");
  const large = makeContent(content.layout);
  const spec = { ...specOf(large, join(directory, "g")), fileIndex: 1 };
  const small = { ...realDisk, space: () => ({ freeBytes: 16 * 1024 * 1024, totalBytes: 1e9 }) };
  const second = await openTestStore(join(directory, "state2"), small);
  await second.do({ type: "openContent", transferId: 1, spec });
  expect((await second.events.next("contentFailed")).error.code).toBe("ERR_DISK_FULL");
  expect(partNames(directory)).toHaveLength(1);
});

test.each([
  ["EACCES", "ERR_DIRECTORY_UNWRITABLE"],
  ["EROFS", "ERR_DIRECTORY_UNWRITABLE"],
  ["EMFILE", "ERR_DESCRIPTORS_EXHAUSTED"],
])(
  "a part file that cannot be created for %s is reported as %s (R-FS-12, R-FS-13)",
  async (errno, code) => {
    const directory = temporaryDirectory();
    const disk: Disk = {
      ...realDisk,
      open: (path, flags, mode) => {
        const isCreation = (flags & fs.constants.O_CREAT) !== 0;
        if (isCreation) throw Object.assign(new Error(errno), { code: errno });
        return realDisk.open(path, flags, mode);
      },
    };
    const { events, do: run } = await openTestStore(join(directory, "state"), disk);
    const spec = specOf(content, join(directory, "f"));
    await run({ type: "openContent", transferId: 1, spec });
    const { error } = await events.next("contentFailed");
    expect(error.code).toBe(code);
    expect(error.message).toContain(join(directory, "f"));
  },
);

test.each([
  ["in which nothing may be created", { errno: "EACCES", totalBytes: 1e9 }],
  ["on a file system that counts no space", { errno: "ENOENT", totalBytes: 0 }],
])(
  "a directory %s is unwritable, however little space is free (R-FS-13)",
  async (_, { errno, totalBytes }) => {
    const directory = temporaryDirectory();
    const fail = (): never => {
      throw Object.assign(new Error(errno), { code: errno });
    };
    const disk: Disk = {
      ...realDisk,
      space: () => ({ freeBytes: 0, totalBytes }),
      checkWritable: totalBytes === 0 ? () => {} : fail,
      open: (path, flags, mode) =>
        (flags & fs.constants.O_CREAT) === 0 ? realDisk.open(path, flags, mode) : fail(),
    };
    const { events, do: run } = await openTestStore(join(directory, "state"), disk);
    await run({ type: "openContent", transferId: 1, spec: specOf(content, join(directory, "f")) });
    const { error } = await events.next("contentFailed");
    expect(error.code).toBe("ERR_DIRECTORY_UNWRITABLE");
    expect(error.message).toContain(directory);
  },
);

test.runIf(fs.existsSync("/proc/sys"))("/proc is a directory that cannot be written", async () => {
  const { events, do: run } = await openTestStore(join(temporaryDirectory(), "state"));
  await run({ type: "openContent", transferId: 1, spec: specOf(content, "/proc/f") });
  expect((await events.next("contentFailed")).error.code).toBe("ERR_DIRECTORY_UNWRITABLE");
});

test.each(["missing/f", "file/f"])(
  "a directory that is not there is reported: %s (R-FS-13)",
  async (name) => {
    const directory = temporaryDirectory();
    fs.writeFileSync(join(directory, "file"), "");
    const { events, do: run } = await openTestStore(join(directory, "state"));
    const spec = specOf(content, join(directory, name));
    await run({ type: "openContent", transferId: 1, spec });
    expect((await events.next("contentFailed")).error.code).toBe("ERR_DIRECTORY_MISSING");
  },
);
