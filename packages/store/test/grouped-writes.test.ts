/** Writes that share a transaction: durable together, and one that fails fails alone. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { StateDatabase } from "../src/state-database.ts";

let directory: string;
let database: StateDatabase;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shoal-grouped-"));
  ({ database } = StateDatabase.open(directory, { isClean: true }));
});

afterEach(async () => {
  database.close();
  await rm(directory, { recursive: true, force: true });
});

const put = (record: string) => (): void => {
  database.run("INSERT INTO peers (record) VALUES (?)", record);
};

function records(): unknown[] {
  return database.all("SELECT record FROM peers ORDER BY rowid").map(({ record }) => record);
}

test("writes of one turn are there together, in order, once they are durable", async () => {
  const writes = [database.grouped(put("a")), database.grouped(put("b"))];
  expect(records()).toEqual([]);
  await Promise.all(writes);
  expect(records()).toEqual(["a", "b"]);
});

test("a write that fails does not take the others with it", async () => {
  const fail = (): void => {
    throw new Error("no room");
  };
  const writes = [put("a"), fail, put("b")].map((work) => database.grouped(work));
  const ends = await Promise.allSettled(writes);
  expect(ends.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(records()).toEqual(["a", "b"]);
});

test("what is written at once comes after what waits", async () => {
  const waiting = database.grouped(put("a"));
  put("b")();
  expect(records()).toEqual(["a", "b"]);
  await waiting;
});
