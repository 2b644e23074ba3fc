/** What stays on offer after its job, for how long, and who goes first. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { digestOfContentId, hex, KiB, MiB, PieceLayout, resolveSettings } from "@shoal/core";
import type { Settings } from "@shoal/core";
import { expect, onTestFinished, test } from "vitest";
import type { CacheRequest } from "../src/content-cache.ts";
import type { CacheEntry } from "../src/cache-rows.ts";
import type { Disk, DiskSpace } from "../src/disk.ts";
import { realDisk } from "../src/disk.ts";
import { openDiskStore } from "../src/open-disk-store.ts";
import { EventLog, makeContent, pieceOf, specOf, temporaryDirectory } from "./harness.ts";
import type { TestContent } from "./harness.ts";

const DAY_MS = 24 * 3_600_000;
const LENGTH = 256 * KiB;
const ALWAYS = { cacheCopies: 2, cacheFreeBytesMin: 0, cacheFreePercentMin: 0 };

interface Run {
  readonly events: EventLog;
  readonly ask: (request: CacheRequest) => CacheEntry[];
  /** Publishes a content of its own job, and waits for its copy. */
  readonly publish: (content: TestContent, name: string) => Promise<number>;
  readonly read: (transferId: number, content: TestContent, piece: number) => Promise<boolean>;
  readonly sweep: () => void;
  readonly store: Awaited<ReturnType<typeof openDiskStore>>["store"];
  readonly close: () => Promise<void>;
}

/** The clock and the free space of one test. */
class World {
  readonly directory = temporaryDirectory();
  now = 1_800_000_000_000;
  space: DiskSpace = { freeBytes: 100 * MiB, totalBytes: 200 * MiB };

  get state(): string {
    return join(this.directory, "state");
  }

  async open(settings: Partial<Settings> = {}, changes: Partial<Disk> = {}): Promise<Run> {
    const events = new EventLog();
    const opened = await openDiskStore({
      stateDirectory: this.state,
      emit: (event) => events.push(event),
      disk: { ...realDisk, space: () => this.space, ...changes },
      cache: resolveSettings({ ...ALWAYS, ...settings }),
      now: () => this.now,
    });
    const { store, cache } = opened;
    let closed: Promise<void> | undefined;
    const close = (): Promise<void> => (closed ??= opened.close());
    onTestFinished(close);
    let transferId = 0;
    const publish = async (content: TestContent, name: string): Promise<number> => {
      const id = ++transferId;
      const spec = { ...specOf(content, join(this.directory, name)), fileIndex: id };
      await store.execute({ type: "openContent", transferId: id, spec });
      await events.skipTo("contentOpened");
      for (let piece = 0; piece < content.layout.pieceCount; piece++) {
        const command = { type: "storePiece", transferId: id, piece, bufferId: 0 } as const;
        await store.execute(command, pieceOf(content, piece));
      }
      await store.execute({ type: "commitPieces", transferId: id });
      await events.skipTo("piecesCommitted");
      await store.execute({ type: "publishContent", transferId: id, overwrite: true });
      await events.skipTo("contentPublished");
      await cache.published({ record: {}, isPublished: true, servedPath: undefined });
      return id;
    };
    const read = async (id: number, { layout }: TestContent, piece: number): Promise<boolean> => {
      const bytes = new Uint8Array(layout.length(piece));
      const command = { type: "readPiece", transferId: id, piece, requestId: 7 } as const;
      await store.execute(command, bytes);
      for (;;) {
        const { type } = await events.any();
        if (type === "pieceRead" || type === "pieceLost") return type === "pieceRead";
      }
    };
    const ask = (request: CacheRequest): CacheEntry[] => cache.perform(request);
    return { events, ask, publish, read, store, close, sweep: () => cache.sweep() };
  }

  objects(): string[] {
    const names = fs.readdirSync(join(this.state, "cache"), { recursive: true, encoding: "utf8" });
    return names.filter((name) => name.length > 2);
  }
}

const make = (): TestContent => makeContent(PieceLayout.fixed(LENGTH, 64 * KiB));
const idsOf = (entries: readonly CacheEntry[]) => entries.map(({ contentId }) => contentId);

async function offered(run: Run): Promise<readonly string[]> {
  await run.store.execute({ type: "loadState" });
  return (await run.events.skipTo("stateLoaded")).contents.map(({ contentId }) => contentId).sort();
}

test("keeps a copy under the manifest's digest and reads from it (R-CACHE-01)", async () => {
  const world = new World();
  const run = await world.open();
  const content = make();
  const id = await run.publish(content, "f");
  const name = hex(digestOfContentId(content.contentId));
  expect(world.objects()).toEqual([join(name.slice(0, 2), name)]);
  const copy = join(world.state, "cache", name.slice(0, 2), name);
  expect(fs.statSync(copy).mode & 0o777).toBe(0o600);
  expect(Buffer.compare(fs.readFileSync(copy), content.bytes)).toBe(0);
  fs.writeFileSync(join(world.directory, "f"), "the user's own words");
  expect(await run.read(id, content, 1)).toBe(true);
  expect(run.ask({ verb: "list" })).toMatchObject([{ isCopy: true, path: copy, length: LENGTH }]);
});

test("offers all of it again after a restart, the copy and what lies in place (R-CACHE-05)", async () => {
  const world = new World();
  const [first, second] = [make(), make()];
  const before = await world.open();
  await before.publish(first, "a");
  await before.close();
  const middle = await world.open({ cacheCopies: 0 });
  await middle.publish(second, "b");
  await middle.close();
  fs.rmSync(join(world.directory, "a"));
  const after = await world.open();
  expect(await offered(after)).toEqual([first.contentId, second.contentId].sort());
  await after.store.execute({ type: "openShared", transferId: 9, contentId: first.contentId });
  await after.events.skipTo("contentOpened");
  expect(await after.read(9, first, 0)).toBe(true);
});

test("takes a content off offer when its age is reached, and says so", async () => {
  const world = new World();
  const run = await world.open();
  const content = make();
  await run.publish(content, "f");
  world.now += 3 * DAY_MS - 1;
  run.sweep();
  expect(run.ask({ verb: "list" })).toHaveLength(1);
  world.now += 1;
  run.sweep();
  expect((await run.events.skipTo("contentEvicted")).contentId).toBe(content.contentId);
  expect(world.objects()).toEqual([]);
  expect(await offered(run)).toEqual([]);
  expect(fs.existsSync(join(world.directory, "f"))).toBe(true);
});

test("finds pieces in a file that is not on offer any more", async () => {
  const world = new World();
  const run = await world.open();
  await run.publish(make(), "other");
  const content = make();
  await run.publish(content, "f");
  run.ask({ verb: "clear", includePinned: false });
  const spec = { ...specOf(content, join(world.directory, "g")), fileIndex: 99 };
  await run.store.execute({ type: "openContent", transferId: 99, spec });
  const { reusable } = await run.events.skipTo("contentOpened");
  expect(reusable).toEqual(Uint8Array.of(0b1111_0000));
});

test("keeps what has no age limit, and what was shared by hand, for ever", async () => {
  const world = new World();
  const run = await world.open({ cacheAgeMs: 0 });
  await run.publish(make(), "f");
  world.now += 1_000 * DAY_MS;
  run.sweep();
  expect(run.ask({ verb: "list" })).toHaveLength(1);
});

test("gives up the least recently used copies beyond the quota, never pinned ones (R-CACHE-04)", async () => {
  const world = new World();
  const run = await world.open({ cacheBytesMax: 2 * LENGTH });
  const [a, b, c, d] = [make(), make(), make(), make()];
  const idA = await run.publish(a, "a");
  world.now += 1;
  await run.publish(b, "b");
  world.now += 1;
  expect(await run.read(idA, a, 0)).toBe(true);
  world.now += 1;
  await run.publish(c, "c");
  expect(idsOf(run.ask({ verb: "list" }))).toEqual([a.contentId, c.contentId]);
  run.ask({ verb: "pin", contentId: a.contentId });
  world.now += 1;
  await run.publish(d, "d");
  expect(idsOf(run.ask({ verb: "list" })).sort()).toEqual(
    [a.contentId, c.contentId, d.contentId].sort(),
  );
  run.ask({ verb: "unpin", contentId: a.contentId });
  expect(idsOf(run.ask({ verb: "list" })).sort()).toEqual([c.contentId, d.contentId].sort());
  expect(world.objects()).toHaveLength(2);
});

test("gives up copies while too little is free, and makes none then (R-CACHE-04)", async () => {
  const world = new World();
  const run = await world.open({ cacheFreeBytesMin: 50 * MiB });
  await run.publish(make(), "a");
  world.space = { freeBytes: 49 * MiB, totalBytes: 200 * MiB };
  run.sweep();
  expect(run.ask({ verb: "list" })).toEqual([]);
  await run.publish(make(), "b");
  expect(run.ask({ verb: "list" })).toMatchObject([{ isCopy: false }]);
});

test("gives up copies for a job that needs the room, and then goes on (R-FS-11)", async () => {
  const world = new World();
  let isFull = false;
  const space = (): DiskSpace => {
    const hasCopies = world.objects().length > 0;
    return { freeBytes: isFull && hasCopies ? 16 * MiB : 100 * MiB, totalBytes: 200 * MiB };
  };
  const run = await world.open({}, { space });
  await run.publish(make(), "a");
  isFull = true;
  await run.publish(make(), "b");
  expect(run.ask({ verb: "list" })).toHaveLength(1);
});

test("ends a pin at its time, and no pin lasts longer than a year", async () => {
  const world = new World();
  const run = await world.open();
  const { contentId, ...content } = make();
  await run.publish({ contentId, ...content }, "f");
  const until = world.now + 10 * DAY_MS;
  expect(run.ask({ verb: "pin", contentId, until })).toMatchObject([{ isPinned: true }]);
  world.now += 9 * DAY_MS;
  run.sweep();
  expect(run.ask({ verb: "list" })).toHaveLength(1);
  world.now += DAY_MS;
  run.sweep();
  expect(run.ask({ verb: "list" })).toEqual([]);
  const late = { verb: "pin", contentId, until: world.now + 366 * DAY_MS } as const;
  expect(() => run.ask(late)).toThrow(expect.objectContaining({ code: "ERR_CONTENT_NOT_CACHED" }));
});

test("expires and clears what it is told to, pinned contents only when that is said", async () => {
  const world = new World();
  const run = await world.open();
  const [a, b, c] = [make(), make(), make()];
  for (const [name, content] of Object.entries({ a, b, c })) await run.publish(content, name);
  run.ask({ verb: "pin", contentId: b.contentId });
  expect(idsOf(run.ask({ verb: "expire", contentId: a.contentId }))).not.toContain(a.contentId);
  expect(idsOf(run.ask({ verb: "clear", includePinned: false }))).toEqual([b.contentId]);
  expect(run.ask({ verb: "clear", includePinned: true })).toEqual([]);
  expect(world.objects()).toEqual([]);
  const year = world.now + 366 * DAY_MS;
  expect(() => run.ask({ verb: "expire", at: year })).toThrow(
    expect.objectContaining({ code: "ERR_USAGE" }),
  );
});

test("removes a copy that is wrong, and goes back to the file in its place (R-CACHE-02)", async () => {
  const world = new World();
  const run = await world.open();
  const content = make();
  await run.publish(content, "f");
  const [entry] = run.ask({ verb: "list" });
  fs.writeFileSync(entry?.path ?? "", new Uint8Array(LENGTH));
  expect(await run.read(1, content, 0)).toBe(false);
  expect(world.objects()).toEqual([]);
  const [now] = run.ask({ verb: "list" });
  expect(now).toMatchObject({ isCopy: false, path: join(world.directory, "f") });
});

test("removes at start what a crash left in its directory, and nothing else (R-CACHE-05)", async () => {
  const world = new World();
  const run = await world.open();
  await run.publish(make(), "f");
  const [kept] = world.objects();
  await run.close();
  const fan = join(world.state, "cache", "aa");
  fs.mkdirSync(fan, { recursive: true });
  fs.writeFileSync(join(fan, "a".repeat(64)), "");
  fs.writeFileSync(join(fan, `${"a".repeat(64)}.part`), "");
  fs.writeFileSync(join(fan, "note"), "");
  fs.symlinkSync(join(world.directory, "f"), join(fan, "b".repeat(64)));
  const after = await world.open();
  await offered(after);
  const left = new Set([join("aa", "b".repeat(64)), join("aa", "note"), kept]);
  expect(new Set(world.objects())).toEqual(left);
});

test("is cleared at once while a content is being read (R-CACHE-07)", async () => {
  const world = new World();
  const run = await world.open();
  const content = make();
  const id = await run.publish(content, "f");
  expect(await run.read(id, content, 0)).toBe(true);
  run.ask({ verb: "clear", includePinned: true });
  await run.events.skipTo("contentEvicted");
  fs.rmSync(join(world.directory, "f"));
  expect(await run.read(id, content, 1)).toBe(false);
});

test("makes copies that share their blocks, on a file system that can", async ({ skip }) => {
  const world = new World();
  const image = join(world.directory, "image");
  const mount = join(world.directory, "mount");
  fs.mkdirSync(mount);
  try {
    fs.closeSync(fs.openSync(image, "w"));
    fs.truncateSync(image, 320 * MiB);
    execFileSync("mkfs.xfs", ["-q", "-m", "reflink=1", image], { stdio: "pipe" });
    execFileSync("mount", ["-o", "loop", image, mount], { stdio: "pipe" });
  } catch (error) {
    skip(`no file system with shared blocks can be mounted here: ${String(error).split("\n")[0]}`);
  }
  onTestFinished(() => void execFileSync("umount", [mount]));
  const place = Object.assign(Object.create(World.prototype) as World, world, { directory: mount });
  const run = await place.open({ cacheCopies: 1 });
  await run.publish(make(), "f");
  expect(run.ask({ verb: "list" })).toMatchObject([{ isCopy: true }]);
  await run.close();
});

test("makes no copy by default where blocks cannot be shared", async () => {
  const world = new World();
  const refuse = (_from: string, _to: string, mustShare: boolean): Promise<void> =>
    mustShare ? Promise.reject(new Error("not supported")) : Promise.resolve();
  const run = await world.open({ cacheCopies: 1 }, { copy: refuse });
  await run.publish(make(), "f");
  expect(run.ask({ verb: "list" })).toMatchObject([{ isCopy: false }]);
  expect(world.objects()).toEqual([]);
});

test("asks a file system once whether blocks can be shared", async () => {
  const world = new World();
  let asked = 0;
  const refuse = (): Promise<void> => {
    asked++;
    return Promise.reject(Object.assign(new Error("not supported"), { code: "ENOTSUP" }));
  };
  const run = await world.open({ cacheCopies: 1 }, { copy: refuse });
  for (const name of ["f", "g"]) await run.publish(make(), name);
  expect(asked).toBe(1);
  expect(world.objects()).toEqual([]);
});

test("keeps a copy that is right when the file it was made of is read and is wrong (R-CACHE-02)", async () => {
  const world = new World();
  const before = await world.open();
  const content = make();
  await before.publish(content, "f");
  await before.close();
  const run = await world.open();
  const spec = { ...specOf(content, join(world.directory, "f")), fileIndex: 1 };
  await run.store.execute({ type: "openContent", transferId: 50, spec });
  await run.events.skipTo("contentOpened");
  fs.writeFileSync(join(world.directory, "f"), "the user's own words");
  expect(await run.read(50, content, 0)).toBe(false);
  const unread = { type: "readPiece", transferId: 50, piece: 99, requestId: 8 } as const;
  await run.store.execute(unread);
  await run.events.skipTo("pieceLost");
  expect(await run.read(50, content, 0)).toBe(false);
  expect(await run.read(50, content, 1)).toBe(true);
  expect(run.ask({ verb: "list" })).toMatchObject([{ isCopy: true }]);
  expect(world.objects()).toHaveLength(1);
});

test("reads the file in its place once the copy is gone", async () => {
  const world = new World();
  const run = await world.open();
  const content = make();
  const id = await run.publish(content, "f");
  fs.writeFileSync(join(world.state, "cache", world.objects()[0] ?? ""), new Uint8Array(LENGTH));
  expect(await run.read(id, content, 0)).toBe(false);
  expect(await run.read(id, content, 1)).toBe(true);
});

test("keeps pin and copy of a content that another job publishes, and counts it once", async () => {
  const world = new World();
  let copies = 0;
  const copy: Disk["copy"] = (...names) => (copies++, realDisk.copy(...names));
  const run = await world.open({}, { copy });
  const content = make();
  await run.publish(content, "f");
  const until = world.now + 10 * DAY_MS;
  run.ask({ verb: "pin", contentId: content.contentId, until });
  world.now += DAY_MS;
  const id = await run.publish(content, "g");
  const kept = { isPinned: true, isCopy: true, expiresAt: until, completedAt: world.now };
  expect(run.ask({ verb: "list" })).toMatchObject([kept]);
  expect(copies).toBe(1);
  fs.rmSync(join(world.directory, "f"));
  fs.rmSync(join(world.directory, "g"));
  expect(await run.read(id, content, 0)).toBe(true);
});

test("keeps what was shared by hand for ever, also when a job publishes the same", async () => {
  const world = new World();
  const run = await world.open();
  const content = make();
  const { contentId, manifestBytes } = content;
  const path = join(world.directory, "mine");
  fs.writeFileSync(path, content.bytes);
  run.store.share({ contentId, manifestBytes, path, length: LENGTH, stamp: "" });
  await run.publish(content, "f");
  world.now += 4 * DAY_MS;
  run.sweep();
  expect(await offered(run)).toEqual([contentId]);
  fs.rmSync(path);
  await run.publish(content, "g");
  expect(run.ask({ verb: "list" })).toMatchObject([{ contentId }]);
});

test("gives up no more copies than a job needs, and none for one that cannot fit (R-FS-11)", async () => {
  const world = new World();
  let spareBytes = 100 * MiB;
  const space = (): DiskSpace => ({
    freeBytes: 16 * MiB + spareBytes - world.objects().length * LENGTH,
    totalBytes: 200 * MiB,
  });
  const run = await world.open({ cacheBytesMax: 3 * LENGTH }, { space });
  for (const name of ["a", "b", "c"]) await run.publish(make(), name);
  spareBytes = 6 * LENGTH - 1;
  const open = async (transferId: number, length: number): Promise<void> => {
    const content = makeContent(PieceLayout.fixed(length, 64 * KiB));
    const spec = { ...specOf(content, join(world.directory, "n")), fileIndex: transferId };
    await run.store.execute({ type: "openContent", transferId, spec });
  };
  await open(40, 10 * LENGTH);
  const { error } = await run.events.skipTo("contentFailed");
  expect(error.code).toBe("ERR_DISK_FULL");
  expect(world.objects()).toHaveLength(3);
  await open(41, 3 * LENGTH);
  await run.events.skipTo("contentOpened");
  expect(world.objects()).toHaveLength(2);
});

test("gives up copies when the disk fills up under a write, and writes again (R-FS-11)", async () => {
  const world = new World();
  let isFull = false;
  const write: Disk["write"] = (...args) => {
    if (!isFull || world.objects().length === 0) return realDisk.write(...args);
    throw Object.assign(new Error("ENOSPC: write"), { code: "ENOSPC" });
  };
  const run = await world.open({}, { write });
  await run.publish(make(), "a");
  isFull = true;
  const content = make();
  await run.publish(content, "b");
  expect(Buffer.compare(fs.readFileSync(join(world.directory, "b")), content.bytes)).toBe(0);
  expect(idsOf(run.ask({ verb: "list" }))).toEqual([content.contentId]);
});

test("is closed in time while a copy is being made (R-PROC-03)", async () => {
  const world = new World();
  const begun = Promise.withResolvers<void>();
  const copy = (): Promise<void> => (begun.resolve(), new Promise(() => {}));
  const run = await world.open({}, { copy });
  void run.publish(make(), "f");
  await begun.promise;
  await run.close();
  expect(fs.existsSync(join(world.state, "clean"))).toBe(true);
}, 5_000);

test("makes no copy through a symbolic link in its directory (R-CACHE-05)", async () => {
  const world = new World();
  const run = await world.open();
  const content = make();
  const outside = join(world.directory, "outside");
  fs.mkdirSync(outside);
  const fan = hex(digestOfContentId(content.contentId)).slice(0, 2);
  fs.symlinkSync(outside, join(world.state, "cache", fan));
  await run.publish(content, "f");
  expect(fs.readdirSync(outside)).toEqual([]);
  expect(run.ask({ verb: "list" })).toMatchObject([{ isCopy: false }]);
});

test("loads the state although the cache's file system cannot be asked (R-CACHE-05)", async () => {
  const world = new World();
  const content = make();
  const before = await world.open();
  await before.publish(content, "f");
  await before.close();
  const space = (): DiskSpace => {
    throw Object.assign(new Error("EIO: statfs"), { code: "EIO" });
  };
  const run = await world.open({}, { space });
  expect(await offered(run)).toEqual([content.contentId]);
});

test("gives up the least recently used also when the clock goes back (R-TIME-02)", async () => {
  const world = new World();
  const run = await world.open({ cacheBytesMax: 2 * LENGTH });
  const [a, b, c] = [make(), make(), make()];
  const id = await run.publish(a, "a");
  await run.publish(b, "b");
  world.now -= DAY_MS;
  expect(await run.read(id, a, 0)).toBe(true);
  await run.publish(c, "c");
  expect(idsOf(run.ask({ verb: "list" }))).toEqual([a.contentId, c.contentId]);
});

test("keeps a copy that cannot be opened for want of descriptors (R-FS-12)", async () => {
  const world = new World();
  let isExhausted = false;
  const open: Disk["open"] = (...args) => {
    if (!isExhausted) return realDisk.open(...args);
    throw Object.assign(new Error("EMFILE: open"), { code: "EMFILE" });
  };
  const run = await world.open({}, { open });
  const content = make();
  const id = await run.publish(content, "f");
  isExhausted = true;
  expect(await run.read(id, content, 0)).toBe(false);
  isExhausted = false;
  expect(run.ask({ verb: "list" })).toMatchObject([{ isCopy: true }]);
  expect(await run.read(id, content, 1)).toBe(true);
});
