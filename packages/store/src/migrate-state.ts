/**
 * Brings the rows of an older database up to this version (R-DB-04). Version 3 only added the table
 * `cache`, version 4 a column to it and the table `accepted`, version 5 the table `conduct`,
 * version 6 `announcements`, `peers` and `usage`, version 7 a column to the last. Version 1 kept jobs in another shape:
 *
 *   1   files: [spec], transferred: [boolean], published: [boolean]
 *   2   files: [{ spec, isTransferred, isPublished, ... }], an owner, a sequence, times
 *
 * Knows version 1's shape, and nothing of what jobs mean: a record that is not of that shape stays
 * as it is, and the check at reading judges it. Called by `StateDatabase`.
 */
import fs from "node:fs";
import { dirname, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { createPrivateFile } from "./state-directory.ts";

/**
 * Copies the database, whole and durable, to `state-version-N.db` beside it. Throws what SQLite or
 * the disk throws.
 */
export function copyAside(database: DatabaseSync, path: string, version: number): void {
  const directory = dirname(path);
  const asidePath = join(directory, `state-version-${version}.db`);
  const temporary = `${asidePath}.part`;
  fs.rmSync(temporary, { force: true });
  createPrivateFile(temporary);
  database.prepare("VACUUM INTO ?").run(temporary);
  syncPath(temporary);
  fs.renameSync(temporary, asidePath);
  syncPath(directory);
}

/**
 * Rewrites the jobs that are still in version 1's shape, in the order in which they were saved
 * last, and drops manifests that nothing refers to. Runs inside the caller's transaction.
 */
export function upgradeRows(database: DatabaseSync): void {
  const rows = database.prepare("SELECT rowid, record FROM jobs ORDER BY rowid").all();
  const update = database.prepare("UPDATE jobs SET record = ? WHERE rowid = ?");
  const now = Date.now();
  for (const [index, { rowid, record }] of rows.entries()) {
    const job = upgradeJob(record, { sequence: index + 1, now });
    if (job !== undefined) update.run(job, Number(rowid));
  }
  database.exec(`
    DELETE FROM manifests
      WHERE NOT EXISTS (SELECT 1 FROM contents WHERE content_id = manifests.content_id)
        AND NOT EXISTS (SELECT 1 FROM shared WHERE content_id = manifests.content_id)`);
}

/** The record as JSON of this version; `undefined` when it is not one of version 1. */
function upgradeJob(
  text: unknown,
  { sequence, now }: { readonly sequence: number; readonly now: number },
): string | undefined {
  let record: unknown;
  try {
    record = JSON.parse(String(text));
  } catch {
    return undefined;
  }
  if (typeof record !== "object" || record === null || Object.hasOwn(record, "sequence")) {
    return undefined;
  }
  const { files, transferred, published, ...rest } = record as Readonly<Record<string, unknown>>;
  if (!Array.isArray(files) || !Array.isArray(transferred) || !Array.isArray(published)) {
    return undefined;
  }
  return JSON.stringify({
    ...rest,
    owner: "",
    sequence,
    allowsCellular: true,
    isVolatile: false,
    attributes: {},
    hasStarted: true,
    createdAt: now,
    modifiedAt: now,
    files: files.map((spec: unknown, index) => ({
      spec,
      isTransferred: transferred[index],
      isPublished: published[index],
      originBytes: 0,
      peerBytes: 0,
      wastedBytes: 0,
    })),
  });
}

function syncPath(path: string): void {
  const fd = fs.openSync(path, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
