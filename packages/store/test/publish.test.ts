import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { realDisk } from "../src/disk.ts";
import type { Disk } from "../src/disk.ts";
import {
  endedRecord,
  makeContent,
  openTestStore,
  partNames,
  plainSpecOf,
  specOf,
  temporaryDirectory,
} from "./harness.ts";
import type { TestStore } from "./harness.ts";

interface Ready extends TestStore {
  readonly directory: string;
  readonly destination: string;
  readonly state: string;
  readonly content: ReturnType<typeof makeContent>;
  readonly publish: (overwrite: boolean) => Promise<void>;
}

/** A store whose content is complete and verified as transfer 1. */
async function ready(disk?: Disk): Promise<Ready> {
  const directory = temporaryDirectory();
  const state = join(directory, "state");
  const destination = join(directory, "inner", "f");
  fs.mkdirSync(join(directory, "inner"));
  const content = makeContent();
  const store = await openTestStore(state, disk);
  await store.open(1, specOf(content, destination));
  await store.fill(1, content);
  await store.do({ type: "verifyContent", transferId: 1, readBack: false });
  await store.events.next("contentVerified");
  const publish = (overwrite: boolean) =>
    store.do({ type: "publishContent", transferId: 1, overwrite });
  return { ...store, directory, destination, state, content, publish };
}

test("nothing is put into the state directory, by whatever path (R-FS-03, I-6)", async () => {
  const directory = temporaryDirectory();
  const state = join(directory, "state");
  const { events, do: run } = await openTestStore(state);
  fs.mkdirSync(join(state, "inner"));
  fs.symlinkSync(state, join(directory, "alias"));
  const content = makeContent();
  for (const path of ["state/state.db", "state/inner/f", "alias/identity", "alias/inner/f"]) {
    const before = fs.readdirSync(state);
    await run({ type: "openContent", transferId: 1, spec: specOf(content, join(directory, path)) });
    expect((await events.next("contentFailed")).error.code).toBe("ERR_DESTINATION_INVALID");
    expect(fs.readdirSync(state)).toEqual(before);
  }
  await run({ type: "openContent", transferId: 1, spec: specOf(content, `${state}-2`) });
  await events.next("contentOpened");
});

describe("publishing", () => {
  test("leaves an existing file alone unless it may be overwritten (R-FS-07)", async () => {
    const { publish, events, destination, content, directory } = await ready();
    fs.writeFileSync(destination, "mine");
    await publish(false);
    expect((await events.next("publishFailed")).error.code).toBe("ERR_DESTINATION_EXISTS");
    expect(fs.readFileSync(destination, "utf8")).toBe("mine");
    await publish(true);
    await events.next("contentPublished");
    expect(Buffer.compare(fs.readFileSync(destination), content.bytes)).toBe(0);
    expect(partNames(join(directory, "inner"))).toEqual([]);
  });

  const obstacles: Array<[string, (path: string) => void]> = [
    ["a directory", (path) => fs.mkdirSync(path)],
    ["a symbolic link", (path) => fs.symlinkSync("/dev/null", path)],
    ["a FIFO", (path) => void execFileSync("mkfifo", [path])],
  ];
  test.each(obstacles)("refuses %s at the destination (R-FS-06)", async (_, place) => {
    const { publish, events, destination, open, content, do: run } = await ready();
    place(destination);
    const before = fs.lstatSync(destination).ino;
    await publish(true);
    expect((await events.next("publishFailed")).error.code).toBe("ERR_DESTINATION_TYPE");
    expect(fs.lstatSync(destination).ino).toBe(before);
    const spec = { ...specOf(content, destination), fileIndex: 1 };
    await run({ type: "openContent", transferId: 2, spec });
    expect((await events.next("contentFailed")).error.code).toBe("ERR_DESTINATION_TYPE");
    fs.rmSync(destination, { recursive: true });
    await publish(true);
    await events.next("contentPublished");
    expect(await open(3, specOf(content, destination))).toEqual(Uint8Array.of(0b1111_1000));
  });

  test("does not follow a directory that was moved away or removed (R-FS-04)", async () => {
    const { publish, events, directory, destination } = await ready();
    const inner = join(directory, "inner");
    fs.renameSync(inner, `${inner}2`);
    await publish(true);
    expect((await events.next("publishFailed")).error.code).toBe("ERR_DIRECTORY_MISSING");
    fs.symlinkSync(`${directory}/state`, inner);
    await publish(true);
    expect((await events.next("publishFailed")).error.code).toBe("ERR_DESTINATION_MOVED");
    expect(fs.existsSync(destination)).toBe(false);
    fs.rmSync(inner);
    fs.renameSync(`${inner}2`, inner);
    await publish(true);
    await events.next("contentPublished");
  });

  test.each([true, false])(
    "reports a border between file systems, and never copies across it (R-FS-07)",
    async (overwrite) => {
      const refuse = (): never => {
        throw Object.assign(new Error("EXDEV"), { code: "EXDEV" });
      };
      const { publish, events, destination } = await ready({
        ...realDisk,
        rename: refuse,
        link: refuse,
      });
      await publish(overwrite);
      const { error } = await events.next("publishFailed");
      expect(error).toMatchObject({
        code: "ERR_DESTINATION_TYPE",
        message: expect.stringContaining("EXDEV"),
      });
      expect(fs.existsSync(destination)).toBe(false);
    },
  );

  test("never publishes a file that took the part file's name", async () => {
    const { publish, events, directory, destination } = await ready();
    const inner = join(directory, "inner");
    const part = join(inner, partNames(inner)[0] ?? "");
    fs.rmSync(part);
    fs.writeFileSync(part, "not ours");
    await publish(true);
    expect((await events.next("publishFailed")).error.code).toBe("ERR_CONTENT_MISMATCH");
    expect(fs.existsSync(destination)).toBe(false);
  });
});

/** Stops at the first call of one kind after the intent was committed, as a crash would. */
function stoppingDisk(
  kind: "rename" | "link" | "unlink" | "directory sync",
): Disk & { arm(): void; disarm(): void } {
  let isArmed = false;
  const crash = (): never => {
    throw Object.assign(new Error("stopped"), { code: "EIO" });
  };
  const guard =
    <Args extends unknown[], Result>(name: string, call: (...args: Args) => Result) =>
    (...args: Args): Result =>
      isArmed && name === kind ? crash() : call(...args);
  return {
    ...realDisk,
    rename: guard("rename", realDisk.rename),
    link: guard("link", realDisk.link),
    unlink: guard("unlink", realDisk.unlink),
    sync: async (fd) => {
      const isDirectory = fs.fstatSync(fd).isDirectory();
      if (isArmed && kind === "directory sync" && isDirectory) crash();
      await realDisk.sync(fd);
    },
    arm: () => void (isArmed = true),
    disarm: () => void (isArmed = false),
  };
}

describe("a publication that was cut short", () => {
  const cuts = [
    ["rename", true],
    ["link", false],
    ["unlink", false],
    ["directory sync", true],
    ["directory sync", false],
  ] as const;
  test.each(cuts)(
    "before its %s is finished by the next run (overwrite %s)",
    async (kind, overwrite) => {
      const disk = stoppingDisk(kind);
      const { publish, events, close, state, directory, destination, content } = await ready(disk);
      if (overwrite) fs.writeFileSync(destination, "old");
      disk.arm();
      await publish(overwrite);
      const isPublished = kind === "unlink" || kind === "directory sync";
      await events.next("publishFailed");
      await close();
      fs.rmSync(join(state, "clean"), { force: true });
      const isOld = overwrite && fs.readFileSync(destination, "utf8") === "old";
      expect(isOld).toBe(overwrite && !isPublished);
      const second = await openTestStore(state);
      const have = await second.open(1, specOf(content, destination));
      expect(have).toEqual(Uint8Array.of(0b1111_1000));
      await second.do({ type: "verifyContent", transferId: 1, readBack: false });
      await second.events.next("contentVerified");
      await second.do({ type: "publishContent", transferId: 1, overwrite });
      await second.events.next("contentPublished");
      expect(Buffer.compare(fs.readFileSync(destination), content.bytes)).toBe(0);
      expect(partNames(join(directory, "inner"))).toEqual([]);
    },
  );

  test("starts again when part file and destination are both gone", async () => {
    const disk = stoppingDisk("directory sync");
    const { publish, events, close, state, destination, content } = await ready(disk);
    disk.arm();
    await publish(true);
    await events.next("publishFailed");
    await close();
    fs.rmSync(destination);
    const second = await openTestStore(state);
    expect(await second.open(1, specOf(content, destination))).toEqual(Uint8Array.of(0));
  });
});

describe("the modification time of a published file", () => {
  const MODIFIED_AT = Date.UTC(1999, 11, 31, 23, 59, 58);

  test("is as told, set before the last sync, and served without hashing again", async () => {
    const calls: string[] = [];
    const disk: Disk = {
      ...realDisk,
      setTimes: (fd, unixMs) => (calls.push("setTimes"), realDisk.setTimes(fd, unixMs)),
      sync: (fd) => (calls.push("sync"), realDisk.sync(fd)),
      rename: (from, to) => (calls.push("rename"), realDisk.rename(from, to)),
    };
    const { do: run, events, destination, content, close, state } = await ready(disk);
    calls.length = 0;
    const modifiedAt = MODIFIED_AT;
    await run({ type: "publishContent", transferId: 1, overwrite: true, modifiedAt });
    await events.next("contentPublished");
    expect(calls.slice(0, 3)).toEqual(["setTimes", "sync", "rename"]);
    const stats = fs.statSync(destination);
    expect([stats.mtimeMs, stats.atimeMs]).toEqual([modifiedAt, modifiedAt]);
    await close();
    let readCount = 0;
    const second = await openTestStore(state, {
      ...realDisk,
      read: (...args) => (readCount++, realDisk.read(...args)),
    });
    await second.do({ type: "openShared", transferId: 2, contentId: content.contentId });
    await second.events.next("contentOpened");
    expect(readCount).toBe(0);
  });

  test.each([8.64e15, -8.64e15, Number.NaN, 0.5])(
    "does not stop the publication where it cannot be held: %s",
    async (modifiedAt) => {
      const { do: run, events, destination, content } = await ready();
      await run({ type: "publishContent", transferId: 1, overwrite: true, modifiedAt });
      await events.next("contentPublished");
      expect(Buffer.compare(fs.readFileSync(destination), content.bytes)).toBe(0);
    },
  );

  test("does not stop it where the file system refuses it", async () => {
    const setTimes = (): never => {
      throw Object.assign(new Error("EINVAL"), { code: "EINVAL" });
    };
    const { do: run, events, destination } = await ready({ ...realDisk, setTimes });
    const modifiedAt = MODIFIED_AT;
    await run({ type: "publishContent", transferId: 1, overwrite: true, modifiedAt });
    await events.next("contentPublished");
    expect(fs.statSync(destination).mtimeMs).toBeGreaterThan(modifiedAt);
  });

  test("is not somebody else's write when the move fails and is tried again", async () => {
    const disk = stoppingDisk("rename");
    const directory = temporaryDirectory();
    const destination = join(directory, "f");
    const content = makeContent();
    const { do: run, events, ...store } = await openTestStore(join(directory, "state"), disk);
    await store.open(1, plainSpecOf(content, destination));
    await store.fill(1, content);
    const modifiedAt = MODIFIED_AT;
    disk.arm();
    await run({ type: "publishContent", transferId: 1, overwrite: true, modifiedAt });
    expect((await events.next("publishFailed")).error.code).toBe("ERR_DISK_IO");
    disk.disarm();
    await run({ type: "publishContent", transferId: 1, overwrite: true, modifiedAt });
    await events.next("contentPublished");
    expect(fs.statSync(destination).mtimeMs).toBe(modifiedAt);
    expect(Buffer.compare(fs.readFileSync(destination), content.bytes)).toBe(0);
  });
});

describe("after publication", () => {
  test("a content that is opened again is complete as long as its file is unchanged", async () => {
    const { publish, events, close, state, destination, content } = await ready();
    await publish(false);
    await events.next("contentPublished");
    await close();
    const second = await openTestStore(state);
    const spec = specOf(content, destination);
    expect(await second.open(1, spec)).toEqual(Uint8Array.of(0b1111_1000));
    await second.do({ type: "closeContent", transferId: 1, outcome: "keep" });
    await second.events.next("contentClosed");
    fs.writeFileSync(destination, "changed");
    expect(await second.open(1, spec)).toEqual(Uint8Array.of(0));
  });

  test("a job's end and a discard leave the file and its content", async () => {
    const { publish, events, do: run, destination, content, close, state } = await ready();
    await publish(false);
    await events.next("contentPublished");
    await run({ type: "closeContent", transferId: 1, outcome: "discard" });
    await events.next("contentClosed");
    await run({ type: "endJob", job: endedRecord(destination) });
    expect(await events.next("jobEnded")).toMatchObject({ undeletedCount: 0 });
    expect(fs.existsSync(destination)).toBe(true);
    await close();
    const second = await openTestStore(state);
    await second.do({ type: "loadState" });
    const { contents } = await second.events.next("stateLoaded");
    expect(contents.map(({ contentId }) => contentId)).toEqual([content.contentId]);
  });

  test("peers are served from a file whose job ends while it is open", async () => {
    const { publish, events, do: run, content, destination } = await ready();
    await publish(false);
    await events.next("contentPublished");
    await run({ type: "endJob", job: endedRecord(destination) });
    expect(await events.next("jobEnded")).toMatchObject({ undeletedCount: 0 });
    const bytes = new Uint8Array(content.layout.length(0));
    await run({ type: "readPiece", transferId: 1, piece: 0, requestId: 1 }, bytes);
    expect((await events.next("pieceRead")).requestId).toBe(1);
    await run({ type: "closeContent", transferId: 1, outcome: "keep" });
    await events.next("contentClosed");
  });
});
