/**
 * The doctor's check of the database: whether SQLite finds it whole, how large it and its log are,
 * and whether damaged ones were put aside. Works beside the store, in a thread of its own.
 */
import { once } from "node:events";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { MiB } from "@shoal/core";
import { formatBytes, formatCount } from "../cli/format-values.ts";
import { fail, notApplicable, notRun, pass, warn } from "./check.ts";
import type { DoctorContext, Outcome } from "./check.ts";

export interface DatabaseQuestion {
  readonly path: string;
  /** Whether an agent works with it. */
  readonly isLive: boolean;
}

export interface DatabaseLook {
  /** What SQLite says is wrong. */
  readonly problem?: string;
}

/** Threat model, section 19. */
const STATE_BYTES_MAX = 256 * MiB;
const LOG_BYTES_NOTED = 64 * MiB;
const ASIDE = /^damaged-.*\.db$/;

export async function checkDatabase(
  { stateDirectory, service }: DoctorContext,
  signal: AbortSignal,
): Promise<Outcome> {
  const path = join(stateDirectory, "state.db");
  const isLive = service !== undefined;
  const [bytes, logBytes] = await Promise.all([lengthOf(path), lengthOf(`${path}-wal`)]);
  if (bytes === undefined) {
    if (isLive) return fail(`${path} is gone.`, "Start the agent again; jobs are lost.");
    return notApplicable("No agent has run on this state yet.", "Start one: shoal agent.");
  }
  const facts = { databaseBytes: bytes, logBytes: logBytes ?? 0 };
  if (!isLive && logBytes !== undefined && logBytes > 0) {
    const words = "The last agent did not close its database in order; the next one checks it.";
    return notRun(words, "Start the agent.");
  }
  const { problem } = await lookInside({ path, isLive }, signal);
  if (problem !== undefined) {
    const remedy = "Start the agent again: it keeps what can be read. Then check the disk.";
    return fail(`The database is damaged: ${problem}.`, remedy, facts);
  }
  const names = await readdir(stateDirectory).catch(() => []);
  const asideCount = names.filter((name) => ASIDE.test(name)).length;
  if (asideCount > 0) {
    const words = `${formatCount(asideCount, "damaged database")} of earlier runs was put aside.`;
    return warn(words, `Check the disk, then remove ${stateDirectory}/damaged-*.db.`, facts);
  }
  const words = `${formatBytes(bytes)}, and whole.`;
  if (bytes > STATE_BYTES_MAX) return warn(words, "Remove jobs that are over.", facts);
  return (logBytes ?? 0) > LOG_BYTES_NOTED
    ? warn(`Its log has grown to ${formatBytes(logBytes ?? 0)}.`, "Start the agent again.", facts)
    : pass(words, facts);
}

async function lengthOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}

/** Rejects when `signal` is aborted, or the thread cannot be had. */
async function lookInside(question: DatabaseQuestion, signal: AbortSignal): Promise<DatabaseLook> {
  const isSource = import.meta.url.endsWith(".ts");
  const url = new URL(`./database-worker.${isSource ? "ts" : "js"}`, import.meta.url);
  const worker = new Worker(url, {
    workerData: question,
    execArgv: isSource ? ["--conditions=shoal-source"] : [],
  });
  try {
    const [look] = (await once(worker, "message", { signal })) as [DatabaseLook];
    return look;
  } finally {
    void worker.terminate();
  }
}
