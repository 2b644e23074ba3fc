/** What is kept of trusted publishers' announcements. */
import { LIMITS } from "@shoal/core";
import { expect, test } from "vitest";
import { AnnouncementRows } from "../src/announcement-rows.ts";
import { StateDatabase } from "../src/state-database.ts";
import { prepareStateDirectory } from "../src/state-directory.ts";
import { temporaryDirectory } from "./harness.ts";

test("of too many announcements the earliest go, and what is damaged is left out (R-DB-05)", () => {
  const state = temporaryDirectory();
  prepareStateDirectory(state);
  const { database } = StateDatabase.open(state, { isClean: true });
  const rows = new AnnouncementRows(database, () => {
    throw new Error("it cannot be written");
  });
  const many = Array.from({ length: LIMITS.announcementsMax + 2 }, (_, i) => {
    return { tag: `t${i}`, bytes: Uint8Array.of(i & 255) };
  });
  database.transaction(() => {
    const sql = "INSERT INTO announcements (tag, bytes) VALUES (?, ?)";
    for (const { tag, bytes } of many.slice(0, -1)) database.run(sql, tag, bytes);
  });
  for (const item of many.slice(-1)) rows.save(item);
  expect(rows.all()).toEqual(many.slice(2));
  database.run("UPDATE announcements SET bytes = zeroblob(5000) WHERE tag = 't2'");
  expect(rows.all()).toEqual(many.slice(3));
  database.close();
});
