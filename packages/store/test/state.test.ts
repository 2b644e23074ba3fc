import fs from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sha256Hex } from "@shoal/core";
import type { JobRecord, ShoalError } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { AcceptedRows } from "../src/accepted-rows.ts";
import { AnnouncementRows } from "../src/announcement-rows.ts";
import { CacheRows } from "../src/cache-rows.ts";
import { ConductRows } from "../src/conduct-rows.ts";
import { PeerRows } from "../src/peer-rows.ts";
import { UsageRows } from "../src/usage-rows.ts";
import { realDisk } from "../src/disk.ts";
import { JobTable } from "../src/job-table.ts";
import { SCHEMA_VERSION, StateDatabase } from "../src/state-database.ts";
import { Ballast } from "../src/state-directory.ts";
import { StateTables } from "../src/state-tables.ts";
import {
  endedRecord,
  EventLog,
  jobRecord,
  JOB_ID,
  makeContent,
  openTestStore,
  openThreadedStore,
  partNames,
  specOf,
  temporaryDirectory,
} from "./harness.ts";

const OTHER_JOB_ID = "1c6d8b21-2222-4333-8444-555566667777";

async function refusal(opening: Promise<unknown>): Promise<string> {
  try {
    await opening;
  } catch (error) {
    return (error as ShoalError).code;
  }
  return "opened";
}

async function load(state: string) {
  const store = await openTestStore(state);
  await store.do({ type: "loadState" });
  const loaded = await store.events.next("stateLoaded");
  await store.close();
  return { ...loaded, report: store.report };
}

/** A state with one job, whose content has two pieces in its part file. */
async function makeState(directory: string): Promise<{ state: string; job: JobRecord }> {
  const state = join(directory, "state");
  const job = jobRecord(join(directory, "f"));
  const store = await openTestStore(state);
  await store.do({ type: "saveJob", revision: 1, job });
  await store.events.next("jobSaved");
  const content = makeContent();
  await store.open(1, specOf(content, join(directory, "f")));
  await store.fill(1, content, [0, 1]);
  await store.close();
  return { state, job };
}

/** Changes the database behind the store's back. */
function alter(state: string, sql: string): void {
  const database = new DatabaseSync(join(state, "state.db"));
  database.exec(sql);
  database.close();
}

describe("the state directory", () => {
  test("is private, and so are its files (R-FS-01)", async () => {
    const state = join(temporaryDirectory(), "deep", "state");
    const store = await openTestStore(state);
    expect(fs.statSync(state).mode & 0o777).toBe(0o700);
    const names = fs.readdirSync(state);
    expect(names).toEqual(
      expect.arrayContaining(["ballast", "lock", "spool", "state.db", "state.db-wal"]),
    );
    for (const name of names) {
      const mode = ["cache", "spool"].includes(name) ? 0o700 : 0o600;
      expect(fs.statSync(join(state, name)).mode & 0o777).toBe(mode);
    }
    await store.close();
    const left = ["ballast", "cache", "clean", "lock", "spool", "state.db"];
    expect(fs.readdirSync(state).toSorted()).toEqual(left);
  });

  test("is refused when others may write to it, or when it is a file (R-FS-01)", async () => {
    const directory = temporaryDirectory();
    fs.mkdirSync(join(directory, "open"));
    fs.chmodSync(join(directory, "open"), 0o770);
    fs.writeFileSync(join(directory, "file"), "");
    expect(await refusal(openTestStore(join(directory, "open")))).toBe("ERR_STATE_UNUSABLE");
    expect(await refusal(openTestStore(join(directory, "file")))).toBe("ERR_STATE_UNUSABLE");
    expect(fs.readdirSync(join(directory, "open"))).toEqual([]);
  });

  test("has one store at a time, under any of its names (R-PROC-01, R-PROC-02)", async () => {
    const directory = temporaryDirectory();
    const { state } = await makeState(directory);
    const first = await openThreadedStore(state);
    fs.symlinkSync(state, join(directory, "alias"));
    const before = fs.readdirSync(state).toSorted();
    expect(await refusal(openThreadedStore(state))).toBe("ERR_STATE_LOCKED");
    expect(await refusal(openTestStore(join(directory, "alias")))).toBe("ERR_STATE_LOCKED");
    expect(fs.readdirSync(state).toSorted()).toEqual(before);
    // A refused opening must not have taken the first one's lock away.
    expect(await refusal(openThreadedStore(state))).toBe("ERR_STATE_LOCKED");
    await first.store.close();
    expect(await refusal(openTestStore(state))).toBe("opened");
  });

  test("is used whatever lies in the place of its small files", async () => {
    const { state, job } = await makeState(temporaryDirectory());
    for (const name of ["lock", "clean", "ballast"]) fs.writeFileSync(join(state, name), "garbage");
    const { jobs, report } = await load(state);
    expect(jobs).toEqual([job]);
    expect(report.wasClean).toBe(false);
    fs.rmSync(join(state, "clean"));
    fs.mkdirSync(join(state, "clean"));
    expect((await load(state)).report.wasClean).toBe(false);
    expect((await load(state)).report.wasClean).toBe(true);
  });

  test("is not clean while its database has a log, whatever the marker says", async () => {
    const { state } = await makeState(temporaryDirectory());
    fs.writeFileSync(join(state, "state.db-wal"), "something");
    expect((await load(state)).report.wasClean).toBe(false);
  });
});

describe("the database", () => {
  test("of a newer version is refused and left as it was (R-DB-04)", async () => {
    const { state } = await makeState(temporaryDirectory());
    alter(state, `PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    const contents = () =>
      fs
        .readdirSync(state, { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => [name, sha256Hex(fs.readFileSync(join(state, name)))]);
    const before = contents();
    expect(await refusal(openThreadedStore(state))).toBe("ERR_STATE_NEWER");
    expect(contents()).toEqual(before);
  });

  test("loses no acknowledged commit to a power cut, as far as SQLite can help it (R-DB-01)", () => {
    const { database } = StateDatabase.open(temporaryDirectory(), { isClean: true });
    const pragma = (name: string): unknown =>
      Object.values(database.all(`PRAGMA ${name}`)[0] ?? {})[0];
    expect(pragma("journal_mode")).toBe("wal");
    expect(pragma("synchronous")).toBe(2); // FULL
    expect(pragma("foreign_keys")).toBe(1);
    expect(pragma("busy_timeout")).toBeGreaterThanOrEqual(5_000);
    database.close();
  });

  const damages: Array<[string, (path: string) => void]> = [
    ["garbage", (path) => fs.writeFileSync(path, "this is no database at all".repeat(100))],
    ["cut short", (path) => fs.truncateSync(path, 5_000)],
    [
      "overwritten in the middle",
      (path) => {
        const fd = fs.openSync(path, "r+");
        fs.writeSync(fd, new Uint8Array(4_096).fill(0xa5), 0, 4_096, 8_192);
        fs.closeSync(fd);
      },
    ],
  ];
  test.each(damages)(
    "that is %s is moved aside, and the store starts (R-DB-04)",
    async (_, damage) => {
      const { state } = await makeState(temporaryDirectory());
      for (let round = 0; round < 5; round++) {
        damage(join(state, "state.db"));
        const { report, resumable } = await load(state);
        expect(report.wasClean).toBe(false);
        expect(fs.existsSync(report.damagedDatabasePath ?? "")).toBe(true);
        expect(resumable.length).toBeLessThanOrEqual(1);
      }
      const aside = fs.readdirSync(state).filter((name) => name.startsWith("damaged-"));
      expect(aside).toHaveLength(3);
    },
  );

  test.each<[string, (path: string) => void]>([
    ["is emptied", (path) => fs.truncateSync(path)],
    ["is deleted", (path) => fs.rmSync(path)],
  ])("that %s while its log is there is reported as damaged (R-DB-04)", async (_, damage) => {
    const { state } = await makeState(temporaryDirectory());
    damage(join(state, "state.db"));
    fs.writeFileSync(join(state, "state.db-wal"), "frames of what was there");
    const { report, jobs } = await load(state);
    expect(report.damagedDatabasePath).toBeDefined();
    expect(fs.existsSync(`${report.damagedDatabasePath}-wal`)).toBe(true);
    expect(jobs).toEqual([]);
  });

  test("that is damaged gives what can still be read to the new one", async () => {
    const directory = temporaryDirectory();
    const { state, job } = await makeState(directory);
    alter(state, `CREATE TABLE victim (a TEXT); INSERT INTO victim VALUES (hex(randomblob(3000)))`);
    const path = join(state, "state.db");
    const length = fs.statSync(path).size;
    const fd = fs.openSync(path, "r+");
    fs.writeSync(fd, new Uint8Array(100).fill(0xff), 0, 100, length - 4_096 * 2);
    fs.closeSync(fd);
    const { jobs, resumable, report } = await load(state);
    expect(report.damagedDatabasePath).toBeDefined();
    expect(jobs).toEqual([job]);
    expect(resumable).toHaveLength(1);
    expect(partNames(directory)).toHaveLength(1);
  });

  test("is read row by row with suspicion (R-DB-05)", async () => {
    const { state, job } = await makeState(temporaryDirectory());
    const rows = [
      [OTHER_JOB_ID, '{"jobId":"nonsense"}'],
      ["not a uuid", "{}"],
      ["2c6d8b21-2222-4333-8444-555566667777", "not json"],
    ];
    for (const [id, record] of rows) {
      alter(state, `INSERT INTO jobs VALUES ('${id}', 1, '${record}')`);
    }
    alter(state, "INSERT INTO leftovers VALUES ('/', 'x', '../../etc/passwd')");
    const hostile = [
      "have = x'ffffff'",
      "part_name = '../../etc/passwd'",
      "destination = 'relative/path'",
      "state = 'unknown'",
      "length = 7",
      "content_id = NULL, piece_length = 0",
      "content_id = NULL, piece_length = NULL, piece_lengths = x'00000000'",
    ];
    for (const change of hostile) {
      fs.copyFileSync(join(state, "state.db"), join(state, "..", "copy.db"));
      alter(state, `UPDATE contents SET ${change}`);
      const { jobs, resumable } = await load(state);
      expect({ change, resumable }).toEqual({ change, resumable: [] });
      expect(jobs.find(({ jobId }) => jobId === JOB_ID)).toEqual(job);
      const damaged = jobs.filter(({ error }) => error?.code === "ERR_STATE_INVALID");
      expect(damaged.map(({ jobId, state: jobState }) => [jobId, jobState])).toEqual([
        [OTHER_JOB_ID, "error"],
        ["2c6d8b21-2222-4333-8444-555566667777", "error"],
      ]);
      fs.copyFileSync(join(state, "..", "copy.db"), join(state, "state.db"));
    }
    alter(state, "UPDATE manifests SET bytes = x'00'");
    expect((await load(state)).resumable).toEqual([]);
  });
});

describe("jobs", () => {
  test("are there after a restart as they were last saved (R-DB-02)", async () => {
    const directory = temporaryDirectory();
    const { state, job } = await makeState(directory);
    const store = await openTestStore(state);
    const changed: JobRecord = { ...job, state: "suspended" };
    await store.do({ type: "saveJob", revision: 2, job: changed });
    expect(await store.events.next("jobSaved")).toMatchObject({ jobId: JOB_ID, revision: 2 });
    await store.close();
    expect((await load(state)).jobs).toEqual([changed]);
  });

  test("that have ended leave neither contents nor part files, open or not", async () => {
    const directory = temporaryDirectory();
    const { state } = await makeState(directory);
    const store = await openTestStore(state);
    const content = makeContent();
    const spec = { ...specOf(content, join(directory, "g")), fileIndex: 1 };
    await store.open(1, spec);
    await store.fill(1, content, [0]);
    expect(partNames(directory)).toHaveLength(2);
    const ended = endedRecord(join(directory, "f"));
    await store.do({ type: "endJob", job: ended });
    expect(await store.events.next("jobEnded")).toEqual({
      type: "jobEnded",
      jobId: JOB_ID,
      undeletedCount: 0,
    });
    expect(partNames(directory)).toEqual([]);
    await store.do({ type: "closeContent", transferId: 1, outcome: "keep" });
    await store.events.next("contentClosed");
    await store.close();
    const { jobs, resumable } = await load(state);
    expect([jobs, resumable]).toEqual([[ended], []]);
    const database = new DatabaseSync(join(state, "state.db"));
    const manifests = database.prepare("SELECT count(*) AS count FROM manifests").get();
    database.close();
    expect(manifests?.["count"]).toBe(0);
  });

  test("are saved once there is room again when the disk was full (R-FS-11)", async () => {
    const state = temporaryDirectory();
    const { database } = StateDatabase.open(state, { isClean: true });
    const tables = new StateTables(database);
    const events = new EventLog();
    const jobs = new JobTable({
      disk: realDisk,
      tables,
      cacheRows: new CacheRows(database),
      acceptedRows: new AcceptedRows(database, () => {}),
      announcementRows: new AnnouncementRows(database, () => {}),
      conductRows: new ConductRows(database, () => {}),
      peerRows: new PeerRows(database, () => {}),
      usageRows: new UsageRows(database, () => {}),
      now: Date.now,
      stateDirectory: state,
      publishedMode: 0o644,
      emit: (event) => events.push(event),
      makeRoom: () => false,
      doubt: () => {},
    });
    const limitPages = (count: number) => void database.all(`PRAGMA max_page_count = ${count}`);
    const job = jobRecord("/d/f");
    const long = { ...job, files: Array.from({ length: 900 }, () => job.files[0]) } as JobRecord;
    limitPages(1);
    new Ballast(state).fill();
    void jobs.save(long, 1);
    jobs.flush();
    await jobs.save(long, 2);
    expect(events.all).toEqual([]);
    expect(fs.existsSync(join(state, "ballast"))).toBe(false);
    limitPages(1_000_000);
    expect(await events.next("jobSaved")).toMatchObject({ revision: 2 });
    limitPages(1);
    await jobs.save({ ...long, displayName: "x".repeat(90_000) }, 3);
    limitPages(1_000_000);
    jobs.close();
    expect(await events.next("jobSaved")).toMatchObject({ revision: 3 });
    database.close();
  });
});

describe("part files that nobody owns", () => {
  test("are removed at start, by recorded name and only if they are regular files (R-FS-15)", async () => {
    const directory = temporaryDirectory();
    const { state } = await makeState(directory);
    const [part = ""] = partNames(directory);
    const foreign = `.shoal-0b5c7a10-${"0".repeat(32)}.part`;
    fs.writeFileSync(join(directory, foreign), "of another store");
    const link = `.shoal-0b5c7a10-${"1".repeat(32)}.part`;
    fs.symlinkSync(join(directory, foreign), join(directory, link));
    alter(
      state,
      `INSERT INTO leftovers SELECT '${directory}', directory_identity, part_name FROM contents;
       INSERT INTO leftovers SELECT '${directory}', directory_identity, '${link}' FROM contents;
       DELETE FROM contents`,
    );
    await load(state);
    expect(partNames(directory).toSorted()).toEqual([foreign, link].toSorted());
    expect(partNames(directory)).not.toContain(part);
  });
});
