import { mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkDatabase } from "../../src/doctor/check-database.ts";
import { doctorContext } from "../../src/doctor/diagnose.ts";
import type { Outcome } from "../../src/doctor/check.ts";

const PAGE_LENGTH = 4_096;

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), "shoal-database-"));
  const database = new DatabaseSync(join(stateDirectory, "state.db"));
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x TEXT); BEGIN");
  const insert = database.prepare("INSERT INTO t VALUES (?)");
  for (let row = 0; row < 500; row++) insert.run(`row ${row}`.repeat(10));
  database.exec("COMMIT");
  database.close();
});
afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

async function look(): Promise<Outcome> {
  const context = await doctorContext({ stateDirectory }, async () => []);
  return await checkDatabase(context, AbortSignal.timeout(10_000));
}

test("a database that is whole passes, and nothing is left beside it", async () => {
  expect(await look()).toMatchObject({ result: "pass" });
  expect(await readdir(stateDirectory)).toEqual(["state.db"]);
});

test("a database that is damaged is a fault", async () => {
  await using file = await open(join(stateDirectory, "state.db"), "r+");
  await file.write(Buffer.alloc(2 * PAGE_LENGTH, 0xa5), 0, 2 * PAGE_LENGTH, 2 * PAGE_LENGTH);
  const outcome = await look();
  expect(outcome).toMatchObject({ result: "fail" });
  expect(outcome.finding).toMatch(/^The database is damaged: ./);
  expect(outcome.remedy).toContain("Start the agent again");
});

test("a damaged database that was put aside is told of", async () => {
  await writeFile(join(stateDirectory, "damaged-2026-01-01T00-00-00-000Z.db"), "");
  const outcome = await look();
  expect(outcome).toMatchObject({ result: "warn" });
  expect(outcome.remedy).toContain("damaged-*.db");
});

test("a database that was not closed in order is left to the next agent", async () => {
  await writeFile(join(stateDirectory, "state.db-wal"), Buffer.alloc(100));
  expect(await look()).toMatchObject({ result: "notRun", remedy: "Start the agent." });
});

test("where no agent has run there is nothing to look at", async () => {
  await rm(join(stateDirectory, "state.db"));
  expect(await look()).toMatchObject({ result: "notApplicable" });
});
