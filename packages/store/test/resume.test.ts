import fs from "node:fs";
import { join } from "node:path";
import { PieceSet } from "@shoal/core";
import type { OpenContent } from "@shoal/core";
import { describe, expect, test } from "vitest";
import {
  allPieces,
  jobRecord,
  JOB_ID,
  makeContent,
  openTestStore,
  partNames,
  pieceOf,
  plainSpecOf,
  specOf,
  temporaryDirectory,
  withPieceDigestsOnly,
} from "./harness.ts";
import type { TestContent } from "./harness.ts";

interface Place {
  readonly directory: string;
  readonly destination: string;
  readonly state: string;
}

function makePlace(): Place {
  const directory = temporaryDirectory();
  return { directory, destination: join(directory, "f"), state: join(directory, "state") };
}

/** Runs a store until `pieces` are committed and closes it; `clean` false: as after a crash. */
async function leave(
  place: Place,
  content: TestContent,
  { pieces = [0, 2], spec = specOf(content, place.destination), clean = true } = {},
): Promise<string> {
  const { close, ...store } = await openTestStore(place.state);
  await store.open(1, spec);
  await store.fill(1, content, pieces);
  await close();
  if (!clean) fs.rmSync(join(place.state, "clean"));
  return join(place.directory, partNames(place.directory)[0] ?? "");
}

/** Which pieces a new store says it has, as a drawing: `"x.x.."`. */
async function reopen(place: Place, content: TestContent, spec?: OpenContent): Promise<string> {
  const { close, ...store } = await openTestStore(place.state);
  const have = await store.open(9, spec ?? specOf(content, place.destination));
  await close();
  return draw(have, content.layout.pieceCount);
}

function draw(have: Uint8Array, pieceCount: number): string {
  const set = PieceSet.fromBytes(pieceCount, have);
  return Array.from({ length: pieceCount }, (_, i) => (set?.has(i) === true ? "x" : ".")).join("");
}

function overwrite(path: string, content: TestContent, piece: number): void {
  const fd = fs.openSync(path, "r+");
  fs.writeSync(fd, Uint8Array.of(1, 2, 3), 0, 3, content.layout.start(piece));
  fs.closeSync(fd);
}

describe("a part file that is opened again", () => {
  test("has what was committed, after an orderly stop and after a crash", async () => {
    const place = makePlace();
    const content = makeContent();
    await leave(place, content);
    expect(await reopen(place, content)).toBe("x.x..");
    fs.rmSync(join(place.state, "clean"));
    expect(await reopen(place, content)).toBe("x.x..");
    expect(partNames(place.directory)).toHaveLength(1);
  });

  test.each([true, false])(
    "has lost a piece that was changed (clean stop: %s, R-FS-10)",
    async (clean) => {
      const place = makePlace();
      const content = makeContent();
      overwrite(await leave(place, content, { clean }), content, 2);
      expect(await reopen(place, content)).toBe("x....");
    },
  );

  test("is checked again when the state is older than the file (R-DB-09)", async () => {
    const place = makePlace();
    const content = makeContent();
    const path = await leave(place, content);
    const backup = `${place.state}-backup`;
    fs.cpSync(place.state, backup, { recursive: true });
    await reopen(place, content);
    overwrite(path, content, 0);
    fs.rmSync(place.state, { recursive: true });
    fs.renameSync(backup, place.state);
    fs.chmodSync(place.state, 0o700);
    expect(await reopen(place, content)).toBe("..x..");
  });

  const damages: Array<[string, (path: string) => void]> = [
    ["deleted", (path) => fs.rmSync(path)],
    ["truncated", (path) => fs.truncateSync(path, 100)],
    ["made longer", (path) => fs.appendFileSync(path, "more")],
    ["given a second name", (path) => fs.linkSync(path, `${path}.link`)],
    [
      "replaced by a copy",
      (path) => {
        fs.copyFileSync(path, `${path}.copy`);
        fs.renameSync(`${path}.copy`, path);
      },
    ],
    [
      "replaced by a symbolic link",
      (path) => {
        fs.renameSync(path, `${path}.moved`);
        fs.symlinkSync(`${path}.moved`, path);
      },
    ],
    [
      "replaced by a directory",
      (path) => {
        fs.rmSync(path);
        fs.mkdirSync(path);
      },
    ],
  ];
  test.each(damages)("is begun anew when it was %s (R-FS-05)", async (_, damage) => {
    const place = makePlace();
    const content = makeContent();
    damage(await leave(place, content));
    expect(await reopen(place, content)).toBe(".....");
  });

  test("is begun anew for another manifest", async () => {
    const place = makePlace();
    const path = await leave(place, makeContent());
    expect(await reopen(place, makeContent())).toBe(".....");
    expect(fs.existsSync(path)).toBe(false);
    expect(partNames(place.directory)).toHaveLength(1);
  });

  test("keeps progress without a manifest only while the validator is the same", async () => {
    const place = makePlace();
    const content = makeContent();
    const { destination } = place;
    const spec = plainSpecOf(content, destination);
    await leave(place, content, { spec, clean: false });
    expect(await reopen(place, content, spec)).toBe("x.x..");
    expect(await reopen(place, content, { ...spec, validatorKey: "1 b" })).toBe(".....");
  });

  test("keeps no progress without a manifest when somebody wrote to it after a clean stop", async () => {
    const place = makePlace();
    const content = makeContent();
    const spec = plainSpecOf(content, place.destination);
    const path = await leave(place, content, { spec });
    expect(await reopen(place, content, spec)).toBe("x.x..");
    overwrite(path, content, 0);
    expect(await reopen(place, content, spec)).toBe(".....");
    expect(fs.existsSync(path)).toBe(false);
  });

  test("keeps no progress when neither manifest nor validator identify it", async () => {
    const place = makePlace();
    const content = makeContent();
    const { validatorKey: _, ...spec } = plainSpecOf(content, place.destination);
    await leave(place, content, { spec });
    expect(await reopen(place, content, spec)).toBe(".....");
  });

  test("is refused when its directory was replaced (R-FS-04)", async () => {
    const place = makePlace();
    const content = makeContent();
    const inner = join(place.directory, "inner");
    fs.mkdirSync(inner);
    const spec = specOf(content, join(inner, "f"));
    await leave(place, content, { spec });
    fs.renameSync(inner, `${inner}-moved`);
    fs.mkdirSync(inner);
    const { events, do: run } = await openTestStore(place.state);
    await run({ type: "openContent", transferId: 1, spec });
    expect((await events.next("contentFailed")).error.code).toBe("ERR_DESTINATION_MOVED");
    expect(partNames(inner)).toEqual([]);
  });
});

describe("the final check", () => {
  test("reads back after a crash and finds what changed after the start (R-MAN-14)", async () => {
    const place = makePlace();
    const content = makeContent();
    const path = await leave(place, content, { clean: false });
    const { events, do: run, ...store } = await openTestStore(place.state);
    await store.open(1, specOf(content, place.destination));
    await store.fill(1, content, [1, 3, 4]);
    overwrite(path, content, 3);
    await run({ type: "verifyContent", transferId: 1, readBack: false });
    expect((await events.next("contentMismatch")).pieces).toEqual([3]);
    await store.fill(1, content, [3]);
    await run({ type: "verifyContent", transferId: 1, readBack: false });
    await events.next("contentVerified");
  });

  test("finds what another process wrote during a clean run, also before publishing", async () => {
    const place = makePlace();
    const content = makeContent();
    const { events, do: run, ...store } = await openTestStore(place.state);
    await store.open(1, specOf(content, place.destination));
    await store.fill(1, content);
    await run({ type: "verifyContent", transferId: 1, readBack: false });
    await events.next("contentVerified");
    overwrite(join(place.directory, partNames(place.directory)[0] ?? ""), content, 4);
    await run({ type: "publishContent", transferId: 1, overwrite: true });
    expect((await events.next("publishFailed")).error.code).toBe("ERR_CONTENT_MISMATCH");
    expect(fs.existsSync(place.destination)).toBe(false);
    await store.fill(1, content, [4]);
    await run({ type: "publishContent", transferId: 1, overwrite: true });
    await events.next("contentPublished");
    expect(Buffer.compare(fs.readFileSync(place.destination), content.bytes)).toBe(0);
  });

  test("believes nothing of a file without digests that somebody else wrote to", async () => {
    const place = makePlace();
    const content = makeContent();
    const { events, do: run, ...store } = await openTestStore(place.state);
    await store.open(1, plainSpecOf(content, place.destination));
    await store.fill(1, content);
    fs.truncateSync(join(place.directory, partNames(place.directory)[0] ?? ""), 100);
    const verify = { type: "verifyContent", transferId: 1, readBack: false } as const;
    await run(verify);
    expect((await events.next("contentMismatch")).pieces).toEqual(allPieces(content));
    await store.fill(1, content);
    await run(verify);
    await events.next("contentVerified");
    await run({ type: "publishContent", transferId: 1, overwrite: false });
    await events.next("contentPublished");
    expect(Buffer.compare(fs.readFileSync(place.destination), content.bytes)).toBe(0);
  });

  test.each([
    ["without a manifest", plainSpecOf],
    ["whatever the manifest says", specOf],
    [
      "though the manifest has digests of pieces only",
      (content: TestContent, destination: string) =>
        specOf(withPieceDigestsOnly(content), destination),
    ],
  ])("compares the digest that the job names with the bytes, %s", async (_, specFor) => {
    const place = makePlace();
    const content = makeContent();
    const { events, do: run, ...store } = await openTestStore(place.state);
    const contentDigest = content.contentDigest.slice();
    await store.open(1, { ...specFor(content, place.destination), contentDigest });
    await store.fill(1, content);
    await run({ type: "verifyContent", transferId: 1, readBack: false });
    await events.next("contentVerified");
    await run({ type: "closeContent", transferId: 1, outcome: "discard" });
    await events.next("contentClosed");
    const wrong = contentDigest.map((byte) => byte ^ 1);
    const other = join(place.directory, "other");
    const spec = { ...specFor(content, other), fileIndex: 1, contentDigest: wrong };
    await store.open(2, spec);
    await store.fill(2, content);
    await run({ type: "verifyContent", transferId: 2, readBack: false });
    expect((await events.next("contentMismatch")).pieces).toEqual([]);
  });

  test("is content with piece digests alone, and finds the piece that is wrong", async () => {
    const place = makePlace();
    const content = withPieceDigestsOnly(makeContent());
    const { events, do: run, ...store } = await openTestStore(place.state);
    await store.open(1, specOf(content, place.destination));
    await store.fill(1, content);
    await run({ type: "verifyContent", transferId: 1, readBack: true });
    await events.next("contentVerified");
    const part = join(place.directory, partNames(place.directory)[0] ?? "");
    const fd = fs.openSync(part, "r+");
    fs.writeSync(
      fd,
      pieceOf(content, 2).map((byte) => byte ^ 1),
      0,
      null,
      content.layout.start(2),
    );
    fs.closeSync(fd);
    await run({ type: "verifyContent", transferId: 1, readBack: true });
    expect((await events.next("contentMismatch")).pieces).toEqual([2]);
  });

  test("names the pieces that are missing", async () => {
    const place = makePlace();
    const content = makeContent();
    const { events, do: run, ...store } = await openTestStore(place.state);
    await store.open(1, specOf(content, place.destination));
    await store.fill(1, content, [1, 3, 4]);
    await run({ type: "verifyContent", transferId: 1, readBack: false });
    expect((await events.next("contentMismatch")).pieces).toEqual([0, 2]);
  });
});

test("lists contents of live jobs as resumable until they are published", async () => {
  const place = makePlace();
  const content = makeContent();
  const first = await openTestStore(place.state);
  const job = jobRecord(place.destination);
  await first.do({ type: "saveJob", revision: 1, job });
  await first.events.next("jobSaved");
  await first.open(1, specOf(content, place.destination));
  await first.fill(1, content);
  await first.close();
  const second = await openTestStore(place.state);
  await second.do({ type: "loadState" });
  const loaded = await second.events.next("stateLoaded");
  expect(loaded.jobs).toEqual([job]);
  const { contentId, manifestBytes: bytes } = content;
  const { length } = content.bytes;
  expect(loaded.resumable).toEqual([
    { jobId: JOB_ID, fileIndex: 0, length, storedBytes: length, manifest: { contentId, bytes } },
  ]);
  expect(loaded.contents).toEqual([]);
  await second.open(1, specOf(content, place.destination));
  await second.do({ type: "publishContent", transferId: 1, overwrite: false });
  await second.events.next("contentPublished");
  const files = job.files.map((file) => ({ ...file, isTransferred: true, isPublished: true }));
  const saved = { ...job, files };
  await second.do({ type: "saveJob", revision: 2, job: saved });
  await second.close();
  const third = await openTestStore(place.state);
  await third.do({ type: "loadState" });
  const { resumable, contents } = await third.events.next("stateLoaded");
  expect(resumable).toEqual([]);
  expect(contents).toEqual([{ contentId, manifestBytes: bytes, path: place.destination }]);
});

test("a piece that is damaged while it is served is lost and never handed out", async () => {
  const place = makePlace();
  const content = makeContent();
  const { events, do: run, ...store } = await openTestStore(place.state);
  await store.open(1, specOf(content, place.destination));
  await store.fill(1, content);
  const read = async (piece: number) => {
    const bytes = new Uint8Array(pieceOf(content, piece).length);
    await run({ type: "readPiece", transferId: 1, piece, requestId: piece }, bytes);
  };
  overwrite(join(place.directory, partNames(place.directory)[0] ?? ""), content, 1);
  await read(1);
  expect((await events.next("pieceLost")).piece).toBe(1);
  await run({ type: "publishContent", transferId: 1, overwrite: false });
  await events.next("publishFailed");
  await store.fill(1, content, [1]);
  await run({ type: "publishContent", transferId: 1, overwrite: false });
  await events.next("contentPublished");
  overwrite(place.destination, content, 2);
  await read(1);
  await events.next("pieceRead");
  await read(2);
  expect((await events.next("pieceLost")).piece).toBe(2);
  fs.rmSync(place.destination);
  await read(3);
  await events.next("pieceLost");
});
