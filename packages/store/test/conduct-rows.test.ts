/** The conduct of peers and addresses in the database: bounded, checked, and never worth a run. */
import { LIMITS } from "@shoal/core";
import type { ConductRecord } from "@shoal/core";
import { expect, test } from "vitest";
import { ConductRows } from "../src/conduct-rows.ts";
import { StateDatabase } from "../src/state-database.ts";
import { temporaryDirectory } from "./harness.ts";

function recordOf(subject: string, changes: Partial<ConductRecord> = {}): ConductRecord {
  return {
    kind: "peer",
    subject,
    score: -50,
    changedAt: 1_700_000_000_000,
    corruptAt: [1_700_000_000_000],
    bannedPeersAt: [],
    banCount: 0,
    ...changes,
  };
}

function open() {
  const { database } = StateDatabase.open(temporaryDirectory(), { isClean: true });
  let doubts = 0;
  const rows = new ConductRows(database, () => doubts++);
  return { database, rows, doubts: () => doubts };
}

test("the record saved last comes last, in the place of the one before it", () => {
  const { database, rows } = open();
  rows.save({
    type: "saveConduct",
    records: [recordOf("a"), recordOf("b"), recordOf("a", { kind: "address", score: 0 })],
    forgotten: [],
  });
  const banned = recordOf("a", { ban: { at: 1, until: 2, offence: "corruptPiece" } });
  const forgotten = [{ kind: "peer", subject: "b" }] as const;
  rows.save({ type: "saveConduct", records: [banned], forgotten });
  expect(rows.all()).toEqual([recordOf("a", { kind: "address", score: 0 }), banned]);
  database.close();
});

test("no more records are kept than the bound says, the oldest go (R-BAN-03, R-DB-06)", () => {
  const { database, rows } = open();
  const records = Array.from({ length: LIMITS.bansMax }, (_, i) => recordOf(`peer ${i}`));
  rows.save({ type: "saveConduct", records, forgotten: [] });
  rows.save({ type: "saveConduct", records: [recordOf("last")], forgotten: [] });
  const kept = rows.all();
  expect(kept).toHaveLength(LIMITS.bansMax);
  expect(kept[0]?.subject).toBe("peer 1");
  expect(database.all("SELECT count(*) AS count FROM conduct")).toEqual([
    { count: LIMITS.bansMax },
  ]);
  database.close();
});

test("rows that are damaged are left out, and the others used (R-DB-05)", () => {
  const { database, rows } = open();
  rows.save({ type: "saveConduct", records: [recordOf("right")], forgotten: [] });
  for (const [subject, record] of [
    ["text", "no json"],
    ["other", JSON.stringify(recordOf("somebody else"))],
    ["score", JSON.stringify(recordOf("score", { score: 1_000 }))],
  ] as const) {
    const sql = "INSERT INTO conduct (kind, subject, record) VALUES ('peer', ?, ?)";
    database.run(sql, subject, record);
  }
  expect(rows.all()).toEqual([recordOf("right")]);
  database.close();
});

test("what finds no room on the disk does not stop the agent (R-FS-11)", () => {
  const { database, rows, doubts } = open();
  database.all(`PRAGMA max_page_count = 1`);
  const records = Array.from({ length: 500 }, (_, i) => recordOf(`${i}`.padEnd(250, "x")));
  rows.save({ type: "saveConduct", records, forgotten: [] });
  expect(doubts()).toBe(1);
  expect(rows.all()).toEqual([]);
  database.close();
});
