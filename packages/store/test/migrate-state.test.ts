/** A database of version 1, made as that version made it. */
import fs from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PieceSet } from "@shoal/core";
import type { ShoalError } from "@shoal/core";
import { expect, test } from "vitest";
import { SCHEMA_VERSION } from "../src/state-database.ts";
import {
  jobRecord,
  JOB_ID,
  makeContent,
  openTestStore,
  partNames,
  plainSpecOf,
  specOf,
  temporaryDirectory,
} from "./harness.ts";

const OTHER_JOB_ID = "1c6d8b21-2222-4333-8444-555566667777";
const DAMAGED_JOB_ID = "2c6d8b21-2222-4333-8444-555566667777";

/** The schema of version 1, word for word. */
const VERSION_1 = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE jobs (job_id TEXT PRIMARY KEY, revision INTEGER NOT NULL, record TEXT NOT NULL)
    STRICT;
  CREATE TABLE manifests (content_id TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE contents (
    job_id TEXT NOT NULL, file_index INTEGER NOT NULL, destination TEXT NOT NULL,
    directory_identity TEXT NOT NULL, part_name TEXT NOT NULL, part_identity TEXT NOT NULL,
    length INTEGER NOT NULL, piece_length INTEGER, piece_lengths BLOB,
    content_id TEXT REFERENCES manifests (content_id), validator_key TEXT, have BLOB NOT NULL,
    state TEXT NOT NULL, stamp TEXT, must_recheck INTEGER NOT NULL,
    must_read_back INTEGER NOT NULL, PRIMARY KEY (job_id, file_index)) STRICT;
  CREATE TABLE shared (
    content_id TEXT PRIMARY KEY REFERENCES manifests (content_id), path TEXT NOT NULL,
    length INTEGER NOT NULL, stamp TEXT) STRICT;
  CREATE TABLE leftovers (
    directory TEXT NOT NULL, directory_identity TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (directory, name)) STRICT;
  INSERT INTO manifests VALUES ('bafyunused', x'00');
  PRAGMA user_version = 1;
`;

interface Place {
  readonly directory: string;
  readonly state: string;
  readonly path: string;
}

/** A state of version 1: three jobs, one of them damaged, and a part file with two pieces. */
async function makeOldState(content: ReturnType<typeof makeContent>): Promise<Place> {
  const directory = temporaryDirectory();
  const state = join(directory, "state");
  const path = join(state, "state.db");
  const store = await openTestStore(state);
  await store.open(1, plainSpecOf(content, join(directory, "f")));
  await store.fill(1, content, [0, 2]);
  await store.close();
  fs.renameSync(path, join(directory, "new.db"));
  const database = new DatabaseSync(path);
  database.exec(VERSION_1);
  database.exec(`ATTACH '${join(directory, "new.db")}' AS new`);
  database.exec("INSERT INTO contents SELECT * FROM new.contents");
  const insert = database.prepare("INSERT INTO jobs VALUES (?, 7, ?)");
  const old = (jobId: string, file: object) =>
    JSON.stringify({
      jobId,
      displayName: "old",
      priority: "high",
      overwrite: true,
      state: "error",
      files: [{ destination: join(directory, "f"), ...file }],
      transferred: [true],
      published: [false],
      error: { code: "ERR_DISK_IO", message: "The disk reported an error: f" },
    });
  insert.run(OTHER_JOB_ID, old(OTHER_JOB_ID, { url: "https://origin.example/other" }));
  insert.run(DAMAGED_JOB_ID, old(DAMAGED_JOB_ID, { url: "ftp://origin.example/" }));
  insert.run(JOB_ID, old(JOB_ID, { url: "https://origin.example/f" }));
  database.close();
  fs.rmSync(join(directory, "new.db"));
  return { directory, state, path };
}

function versionOf(path: string): unknown {
  const database = new DatabaseSync(path, { readOnly: true });
  const row = database.prepare("PRAGMA user_version").get();
  database.close();
  return row?.["user_version"];
}

async function load(state: string) {
  const store = await openTestStore(state);
  await store.do({ type: "loadState" });
  return { ...store, ...(await store.events.next("stateLoaded")) };
}

test("jobs and progress of version 1 are taken over, its database is kept (R-DB-04)", async () => {
  const content = makeContent();
  const { directory, state, path } = await makeOldState(content);
  const before = Date.now();
  const store = await load(state);
  expect(store.jobs.map(({ jobId, sequence }) => [jobId, sequence])).toEqual([
    [DAMAGED_JOB_ID, 0],
    [OTHER_JOB_ID, 1],
    [JOB_ID, 3],
  ]);
  const [damaged, , job] = store.jobs;
  expect(damaged?.error?.code).toBe("ERR_STATE_INVALID");
  const createdAt = job?.createdAt ?? 0;
  expect(createdAt).toBeGreaterThanOrEqual(before);
  expect(job).toEqual({
    jobId: JOB_ID,
    owner: "",
    sequence: 3,
    displayName: "old",
    priority: "high",
    overwrite: true,
    allowsCellular: true,
    isVolatile: false,
    attributes: {},
    state: "error",
    hasStarted: true,
    createdAt,
    modifiedAt: createdAt,
    files: [
      {
        spec: { destination: join(directory, "f"), url: "https://origin.example/f" },
        isTransferred: true,
        isPublished: false,
        originBytes: 0,
        peerBytes: 0,
        wastedBytes: 0,
      },
    ],
    error: { code: "ERR_DISK_IO", message: "The disk reported an error: f" },
  });
  const have = await store.open(1, plainSpecOf(content, join(directory, "f")));
  expect([...(PieceSet.fromBytes(content.layout.pieceCount, have) ?? [])]).toEqual([0, 2]);
  await store.close();
  expect(versionOf(path)).toBe(SCHEMA_VERSION);
  const copy = join(state, "state-version-1.db");
  expect(versionOf(copy)).toBe(1);
  expect(fs.statSync(copy).mode & 0o777).toBe(0o600);
  const database = new DatabaseSync(copy, { readOnly: true });
  const rows = database.prepare("SELECT record FROM jobs").all();
  database.close();
  expect(rows).toHaveLength(3);
  const again = await load(state);
  expect(again.jobs.find(({ jobId }) => jobId === JOB_ID)).toEqual(job);
  expect(partNames(directory)).toHaveLength(1);
});

test("a migration that fails leaves version 1 as it was, to be tried again (R-DB-04)", async () => {
  const { state, path } = await makeOldState(makeContent());
  const alter = (sql: string): void => {
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
  };
  alter(`CREATE TRIGGER stop BEFORE UPDATE ON jobs WHEN old.job_id = '${JOB_ID}'
         BEGIN SELECT RAISE(ABORT, 'stopped'); END`);
  const refused = openTestStore(state).catch((error: ShoalError) => error.code);
  expect(await refused).toBe("ERR_STATE_UNUSABLE");
  expect(versionOf(path)).toBe(1);
  // What an earlier attempt left of its copy is replaced.
  fs.writeFileSync(join(state, "state-version-1.db.part"), "half a copy");
  alter("DROP TRIGGER stop");
  const { jobs } = await load(state);
  expect(jobs.map(({ sequence }) => sequence)).toEqual([0, 1, 3]);
  expect(fs.existsSync(join(state, "state-version-1.db.part"))).toBe(false);
});

test("a damaged database of version 1 gives its jobs in the new shape (R-DB-04)", async () => {
  const { state, path } = await makeOldState(makeContent());
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE victim (a TEXT); INSERT INTO victim VALUES (hex(randomblob(3000)))");
  database.close();
  const fd = fs.openSync(path, "r+");
  fs.writeSync(fd, new Uint8Array(100).fill(0xff), 0, 100, fs.fstatSync(fd).size - 4_096 * 2);
  fs.closeSync(fd);
  const { jobs, report } = await load(state);
  expect(report.damagedDatabasePath).toBeDefined();
  expect(jobs.map(({ jobId, sequence }) => [jobId, sequence])).toContainEqual([JOB_ID, 3]);
});

test("a record of this version is not touched by the migration", async () => {
  const { state, path } = await makeOldState(makeContent());
  const job = jobRecord("/d/f", { sequence: 99 });
  const database = new DatabaseSync(path);
  database.prepare("UPDATE jobs SET record = ? WHERE job_id = ?").run(JSON.stringify(job), JOB_ID);
  database.close();
  const { jobs } = await load(state);
  expect(jobs.at(-1)).toEqual(job);
});

test("contents that version 3 has published stay on offer (R-DB-04)", async () => {
  const directory = temporaryDirectory();
  const state = join(directory, "state");
  const content = makeContent();
  const before = await openTestStore(state);
  await before.open(1, specOf(content, join(directory, "f")));
  await before.fill(1, content);
  await before.do({ type: "publishContent", transferId: 1, overwrite: false });
  await before.close();
  const database = new DatabaseSync(join(state, "state.db"));
  database.exec("ALTER TABLE cache DROP COLUMN private_to; PRAGMA user_version = 3");
  database.close();
  const store = await load(state);
  expect(store.contents.map(({ contentId }) => contentId)).toEqual([content.contentId]);
  const spec = { ...specOf(content, join(directory, "g")), jobId: OTHER_JOB_ID };
  await store.do({ type: "openContent", transferId: 2, spec });
  expect((await store.events.next("contentOpened")).reusable).toEqual(Uint8Array.of(0b1111_1000));
});

test("what version 6 has counted of the month goes on being counted (R-DB-04)", async () => {
  const state = join(temporaryDirectory(), "state");
  const before = await openTestStore(state);
  await before.do({ type: "saveUsage", usage: { month: "2026-02", internetSentBytes: 7 } });
  await before.close();
  const database = new DatabaseSync(join(state, "state.db"));
  database.exec("ALTER TABLE usage DROP COLUMN totals; PRAGMA user_version = 6");
  database.close();
  expect((await load(state)).usage).toEqual({ month: "2026-02", internetSentBytes: 7 });
});
