/**
 * Looks through a database in a thread of its own, since SQLite answers when it is done and not
 * before. Reads alone. Started by `check-database.ts`; answers with one message.
 */
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import type { DatabaseLook, DatabaseQuestion } from "./check-database.ts";

const { path, isLive } = workerData as DatabaseQuestion;

parentPort?.postMessage(look());

function look(): DatabaseLook {
  const url = pathToFileURL(path);
  // Nobody writes: without a log of its own beside it, which another user could not remove.
  if (!isLive) url.searchParams.set("immutable", "1");
  try {
    const database = new DatabaseSync(url, { readOnly: true, timeout: 1_000 });
    try {
      const rows = database.prepare("PRAGMA quick_check(1)").all();
      const problem = String(Object.values(rows[0] ?? {})[0]);
      return problem === "ok" ? {} : { problem };
    } finally {
      database.close();
    }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
