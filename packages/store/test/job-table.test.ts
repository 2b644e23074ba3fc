/** Jobs that are saved together, that end, and that are forgotten. */
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { JobRecord } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { AcceptedRows } from "../src/accepted-rows.ts";
import { AnnouncementRows } from "../src/announcement-rows.ts";
import { CacheRows } from "../src/cache-rows.ts";
import { ConductRows } from "../src/conduct-rows.ts";
import { PeerRows } from "../src/peer-rows.ts";
import { UsageRows } from "../src/usage-rows.ts";
import { realDisk } from "../src/disk.ts";
import type { Disk } from "../src/disk.ts";
import { JobTable } from "../src/job-table.ts";
import { StateDatabase } from "../src/state-database.ts";
import { StateTables } from "../src/state-tables.ts";
import {
  endedRecord,
  EventLog,
  jobRecord,
  JOB_ID,
  makeContent,
  openTestStore,
  partNames,
  pieceOf,
  specOf,
  temporaryDirectory,
} from "./harness.ts";

function openTable() {
  const state = temporaryDirectory();
  const { database } = StateDatabase.open(state, { isClean: true });
  const events = new EventLog();
  const tables = new StateTables(database);
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
  return { state, database, tables, events, jobs };
}

const manyJobs = (count: number): JobRecord[] =>
  Array.from({ length: count }, (_, index) =>
    jobRecord(`/d/${index}`, { jobId: randomUUID(), sequence: index }),
  );

describe("saves that arrive together", () => {
  test("share one commit, and each is answered when it is durable (R-DB-02)", async () => {
    const { state, database, jobs, events } = openTable();
    const logBytes = () => fs.statSync(join(state, "state.db-wal")).size;
    const before = logBytes();
    const all = manyJobs(300);
    const saves = all.map((job, index) => jobs.save(job, index));
    expect(events.all).toEqual([]);
    await Promise.all(saves);
    expect(events.all).toEqual(
      all.map(({ jobId }, revision) => ({ type: "jobSaved", jobId, revision })),
    );
    // 300 commits write at least one page each, and a second one for the index.
    expect(logBytes() - before).toBeLessThan(150 * 4_096);
    const other = new DatabaseSync(join(state, "state.db"), { readOnly: true });
    const row = other.prepare("SELECT count(*) AS count FROM jobs").get();
    other.close();
    expect(row?.["count"]).toBe(300);
    database.close();
  });

  test("are saved as far as there is room, and the others when there is (R-FS-11)", async () => {
    const { database, jobs, events } = openTable();
    const limitPages = (count: number) => void database.all(`PRAGMA max_page_count = ${count}`);
    const [small, large] = manyJobs(2) as [JobRecord, JobRecord];
    const long = { ...large, files: Array.from({ length: 900 }, () => large.files[0]!) };
    limitPages(1);
    const saves = [jobs.save(long, 1), jobs.save(small, 1), jobs.save(long, 2)];
    await Promise.all(saves);
    expect(events.all).toEqual([{ type: "jobSaved", jobId: small.jobId, revision: 1 }]);
    limitPages(1_000_000);
    jobs.close();
    expect(events.all.at(-1)).toEqual({ type: "jobSaved", jobId: long.jobId, revision: 2 });
    expect(events.all).toHaveLength(2);
    database.close();
  });

  test("come before what is said of the same job afterwards, and not after it", async () => {
    const { database, jobs, events, tables } = openTable();
    const job = jobRecord("/d/f");
    const save = jobs.save(job, 1);
    jobs.end(endedRecord("/d/f"));
    await save;
    expect(events.all.map(({ type }) => type)).toEqual(["jobSaved", "jobEnded"]);
    expect(tables.loadJobs()).toEqual([endedRecord("/d/f")]);
    const again = jobs.save(job, 2);
    jobs.forget(JOB_ID);
    await again;
    expect(tables.loadJobs()).toEqual([]);
    database.close();
  });

  test("an end that finds no room is answered when its job is forgotten", () => {
    const { database, jobs, events, tables } = openTable();
    tables.saveJobs([{ job: jobRecord("/d/f"), revision: 1 }]);
    const long = endedRecord("/d/f");
    const files = Array.from({ length: 900 }, () => long.files[0]!);
    void database.all("PRAGMA max_page_count = 1");
    jobs.end({ ...long, files });
    expect(events.all).toEqual([]);
    void database.all("PRAGMA max_page_count = 1000000");
    jobs.forget(JOB_ID);
    jobs.close();
    expect(events.all).toEqual([{ type: "jobEnded", jobId: JOB_ID, undeletedCount: 0 }]);
    expect(tables.loadJobs()).toEqual([]);
    database.close();
  });

  test("are written when the store closes in the same turn", async () => {
    const state = join(temporaryDirectory(), "state");
    const { store, close, events } = await openTestStore(state);
    const job = jobRecord("/d/f");
    void store.execute({ type: "saveJob", revision: 4, job });
    await close();
    expect(events.all).toEqual([{ type: "jobSaved", jobId: JOB_ID, revision: 4 }]);
    const second = await openTestStore(state);
    await second.do({ type: "loadState" });
    expect((await second.events.next("stateLoaded")).jobs).toEqual([job]);
  });
});

/** A store with a job whose content has a piece in its part file. */
async function withPart(disk?: Disk) {
  const directory = temporaryDirectory();
  const destination = join(directory, "inner", "f");
  fs.mkdirSync(join(directory, "inner"));
  const state = join(directory, "state");
  const store = await openTestStore(state, disk);
  await store.do({ type: "saveJob", revision: 1, job: jobRecord(destination) });
  await store.events.next("jobSaved");
  const content = makeContent();
  await store.open(1, specOf(content, destination));
  await store.fill(1, content, [0]);
  const parts = () => partNames(join(directory, "inner"));
  return { ...store, content, destination, state, parts };
}

describe("a job that ends", () => {
  test("counts part files that cannot be removed, and the next start removes them", async () => {
    let isStuck = false;
    const disk: Disk = {
      ...realDisk,
      unlink: (path) => {
        if (isStuck) throw Object.assign(new Error("EACCES"), { code: "EACCES" });
        realDisk.unlink(path);
      },
    };
    const { do: run, events, destination, close, parts, state } = await withPart(disk);
    isStuck = true;
    await run({ type: "endJob", job: endedRecord(destination) });
    expect(await events.next("jobEnded")).toMatchObject({ jobId: JOB_ID, undeletedCount: 1 });
    expect(parts()).toHaveLength(1);
    await run({ type: "loadState" });
    const { jobs, resumable } = await events.next("stateLoaded");
    expect([jobs, resumable]).toEqual([[endedRecord(destination)], []]);
    await close();
    // Killed or not, the name is recorded.
    fs.rmSync(join(state, "clean"), { force: true });
    const second = await openTestStore(state);
    expect(parts()).toEqual([]);
    await second.do({ type: "loadState" });
    expect((await second.events.next("stateLoaded")).jobs).toEqual([endedRecord(destination)]);
  });

  test("and is saved as over, but still has contents, is finished when it is loaded", async () => {
    const { do: run, events, destination, close, parts, state } = await withPart();
    await run({ type: "saveJob", revision: 2, job: endedRecord(destination) });
    await events.next("jobSaved");
    await close();
    expect(parts()).toHaveLength(1);
    const second = await openTestStore(state);
    await second.do({ type: "loadState" });
    expect((await second.events.next("stateLoaded")).resumable).toEqual([]);
    expect(parts()).toEqual([]);
  });

  test("ends once, while a commit and another verb about it are under way", async () => {
    const { do: run, events, destination, parts, content } = await withPart();
    await run({ type: "storePiece", transferId: 1, piece: 1, bufferId: 0 }, pieceOf(content, 1));
    await events.next("pieceStored");
    const commands = [
      run({ type: "commitPieces", transferId: 1 }),
      run({ type: "verifyContent", transferId: 1, readBack: true }),
      run({ type: "endJob", job: endedRecord(destination) }),
      run({ type: "forgetJob", jobId: JOB_ID }),
      run({ type: "storePiece", transferId: 1, piece: 2, bufferId: 0 }, pieceOf(content, 2)),
      run({ type: "saveJob", revision: 9, job: jobRecord(destination) }),
    ];
    await Promise.all(commands);
    const types = events.all.map(({ type }) => type);
    expect(types.filter((type) => type === "jobEnded")).toHaveLength(1);
    expect(types.at(-1)).toBe("jobSaved");
    expect(parts()).toEqual([]);
    await run({ type: "loadState" });
    expect((await events.skipTo("stateLoaded")).jobs).toEqual([jobRecord(destination)]);
  });

  test("is not lost when the store closes at once", async () => {
    const { store, close, destination, parts, state } = await withPart();
    void store.execute({ type: "endJob", job: endedRecord(destination) });
    await close();
    expect(parts()).toEqual([]);
    const second = await openTestStore(state);
    await second.do({ type: "loadState" });
    expect((await second.events.next("stateLoaded")).jobs).toEqual([endedRecord(destination)]);
  });

  test("leaves all of it or nothing when the database cannot be written (R-DB-01)", async () => {
    const { do: run, events, destination, close, parts, state } = await withPart();
    const other = new DatabaseSync(join(state, "state.db"));
    other.exec(`CREATE TRIGGER stop BEFORE DELETE ON contents
                BEGIN SELECT RAISE(ABORT, 'stopped'); END`);
    await run({ type: "endJob", job: endedRecord(destination) });
    expect((await events.next("stateFailed")).error.code).toBe("ERR_STATE_UNUSABLE");
    expect(parts()).toHaveLength(1);
    other.exec("DROP TRIGGER stop");
    other.close();
    await close();
    const second = await openTestStore(state);
    await second.do({ type: "loadState" });
    const { jobs, resumable } = await second.events.next("stateLoaded");
    expect(jobs).toEqual([jobRecord(destination)]);
    expect(resumable).toHaveLength(1);
  });
});
