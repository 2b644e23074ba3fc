/**
 * The table of states and operations (job-API reference, section 7.2), walked through the legacy
 * face on a real engine: the result code of each cell, and the state after it.
 */
import { isDeepStrictEqual } from "node:util";
import { HRESULTS } from "@shoal/core";
import type { HResultSymbol } from "@shoal/core";
import {
  BG_JOB_PRIORITY,
  BITS_JOB_PROPERTY_ID,
  BITS_JOB_TRANSFER_POLICY,
  DOFilePropertyId,
  HResultError,
  LEGACY_IIDS,
} from "@shoal/jobs/compat";
import type { IBackgroundCopyManager } from "@shoal/jobs/compat";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { BitsSite, createJob, firstFile, reaches, stateOf } from "./bits-site.ts";
import type { BitsState, Connect, TestJob } from "./bits-site.ts";

/** A row: how the job gets there is `prepare`'s. */
type Row = "EMPTY" | "TRANSFERRED_ADDED" | BitsState;

interface Prepared extends TestJob {
  readonly row: Row;
  readonly manager: IBackgroundCopyManager;
}

/** The code, and the state after it; without one, the state is as it was. */
type Cell = readonly [HResultSymbol, ...BitsState[]];

const OK: Cell = ["S_OK"];
const INVALID: Cell = ["DO_E_INVALID_STATE"];
const NO_ERROR: Cell = ["DO_E_ERROR_INFORMATION_UNAVAILABLE"];
const NOT_FOUND: Cell = ["DO_E_JOB_NOT_FOUND"];
const CANCELLED: Cell = ["S_OK", "CANCELLED"];
const KEPT: Cell = ["S_OK", "ACKNOWLEDGED"];
const PARTIAL: Cell = ["BG_S_PARTIAL_COMPLETE", "ACKNOWLEDGED"];
/** It is picked at once where there is a place. */
const STARTED: Cell = ["S_OK", "QUEUED", "TRANSFERRING"];
const SUSPENDED: Cell = ["S_OK", "SUSPENDED"];

const COLUMNS = [
  "Resume",
  "Suspend",
  "Cancel",
  "Complete",
  "AddFileWithRanges",
  "AddFile",
  "SetPriority",
  "SetNotifyFlags",
  "SetNoProgressTimeout",
  "COST_FLAGS",
  "SetRemoteName",
  "File2.SetProperty",
  "GetError",
  "GetJob",
] as const;
type Column = (typeof COLUMNS)[number];

/** What every state that is not final has in common. */
function liveRow(cells: Partial<Record<Column, Cell>>): Record<Column, Cell> {
  return {
    Resume: OK,
    Suspend: SUSPENDED,
    Cancel: CANCELLED,
    Complete: PARTIAL,
    AddFileWithRanges: OK,
    AddFile: OK,
    SetPriority: OK,
    SetNotifyFlags: OK,
    SetNoProgressTimeout: OK,
    COST_FLAGS: OK,
    SetRemoteName: OK,
    "File2.SetProperty": INVALID,
    GetError: NO_ERROR,
    GetJob: OK,
    ...cells,
  };
}

const FINAL_ROW: Readonly<Record<Column, Cell>> = {
  ...(Object.fromEntries(COLUMNS.map((column) => [column, INVALID])) as Record<Column, Cell>),
  GetError: NO_ERROR,
  GetJob: NOT_FOUND,
};

/** A job that runs, or will by itself, would come to a file of `AddFile` before it has a sink. */
const NO_SINK: Cell = ["DO_E_FILE_DOWNLOADSINK_UNSPECIFIED"];

const TABLE: Readonly<Record<Row, Readonly<Partial<Record<Column, Cell>>>>> = {
  EMPTY: liveRow({ Resume: ["DO_E_JOB_EMPTY"], Complete: KEPT }),
  SUSPENDED: liveRow({ Resume: STARTED, "File2.SetProperty": OK }),
  QUEUED: liveRow({ AddFile: NO_SINK }),
  TRANSFERRING: liveRow({ AddFile: NO_SINK }),
  TRANSIENT_ERROR: liveRow({
    Resume: STARTED,
    AddFile: NO_SINK,
    // Another URL is tried at once, as if the retry had come due (section 7.1).
    SetRemoteName: ["S_OK", "TRANSIENT_ERROR", "QUEUED", "TRANSFERRING"],
    GetError: OK,
  }),
  ERROR: liveRow({ Resume: STARTED, GetError: OK }),
  TRANSFERRED: liveRow({ Suspend: OK, Complete: KEPT }),
  TRANSFERRED_ADDED: liveRow({ Resume: STARTED, Suspend: OK }),
  ACKNOWLEDGED: FINAL_ROW,
  CANCELLED: FINAL_ROW,
};

/** An empty job has no file to ask. */
const FILE_COLUMNS: readonly Column[] = ["SetRemoteName", "File2.SetProperty"];

const CELLS = Object.entries(TABLE).flatMap(([row, cells]) =>
  Object.entries(cells)
    .filter(([column]) => row !== "EMPTY" || !FILE_COLUMNS.includes(column as Column))
    .map(([column, cell]) => ({ row: row as Row, column: column as Column, cell })),
);

export function bitsStateTable(name: string, connect: Connect): void {
  describe(`the table of states and operations, ${name}`, () => {
    let site: BitsSite;
    beforeAll(async () => {
      // One place, so that a second job is queued.
      site = await BitsSite.open(connect, { activeJobsMax: 1 });
    });
    afterAll(() => site[Symbol.asyncDispose]());

    test.for(CELLS)("$column in $row: $cell", async ({ row, column, cell }) => {
      const [symbol, ...next] = cell;
      const prepared = await prepare(site, row);
      const { job } = prepared;
      const before = await job.GetState();
      const times = await job.GetTimes();
      expect(await codeOf(() => operate(site, prepared, column))).toBe(symbol);
      const after = await job.GetState();
      const states = next.length === 0 ? [before] : next.map(stateOf);
      expect(states).toContain(after);
      const isSame = isDeepStrictEqual(await job.GetTimes(), times);
      expect(isSame || TABLE[row] !== FINAL_ROW, "nothing changes any more").toBe(true);
      await expectGetters(prepared);
    });
  });
}

async function prepare(site: BitsSite, row: Row): Promise<Prepared> {
  const manager = await site.manager();
  const made = await createJob(manager);
  const { job, adder } = made;
  const behaviour = { TRANSIENT_ERROR: 503, ERROR: 404, TRANSFERRED: "serve" } as const;
  const isDone = row === "TRANSFERRED_ADDED" || row === "ACKNOWLEDGED";
  const known = Object.hasOwn(behaviour, row) ? behaviour[row as "ERROR"] : "stall";
  const url = site.url(isDone ? "serve" : known);
  if (row !== "EMPTY") await adder.AddFileWithRanges("first", url, site.path());
  // The one place is the next test's.
  onTestFinished(() => job.Cancel().then(noted, noted));
  const prepared = { ...made, row, manager };
  if (row === "EMPTY" || row === "SUSPENDED") return prepared;
  if (row === "QUEUED") await occupy(site, manager);
  await job.Resume();
  if (row === "CANCELLED") await job.Cancel();
  else if (row === "ACKNOWLEDGED") {
    await reaches(job, "TRANSFERRED");
    await job.Complete();
  } else if (row === "TRANSFERRED_ADDED") {
    await reaches(job, "TRANSFERRED");
    await adder.AddFileWithRanges("second", site.url("stall"), site.path());
  } else await reaches(job, row);
  // What is tried again is to take a while.
  if (row === "TRANSIENT_ERROR" || row === "ERROR") site.behave(url, "stall");
  return prepared;
}

/** A job that is over already has nothing to cancel. */
const noted = (): void => {};

/** Another job takes the one place. It ends when the present test does. */
async function occupy(site: BitsSite, manager: IBackgroundCopyManager): Promise<void> {
  const { job, adder } = await createJob(manager);
  await adder.AddFileWithRanges("blocker", site.url("stall"), site.path());
  await job.Resume();
  await reaches(job, "TRANSFERRING");
  onTestFinished(() => job.Cancel().then(noted, noted));
}

async function operate(
  site: BitsSite,
  { job, adder, job2, manager, jobId }: Prepared,
  column: Column,
): Promise<unknown> {
  switch (column) {
    case "Resume":
    case "Suspend":
    case "Cancel":
    case "Complete":
      return job[column]();
    case "AddFileWithRanges":
      return adder.AddFileWithRanges("added", site.url("stall"), site.path());
    case "AddFile":
      return job2.AddFile("added", site.url("stall"), [], LEGACY_IIDS.IDeliveryOptimizationFile);
    case "SetPriority":
      return job.SetPriority(BG_JOB_PRIORITY.BG_JOB_PRIORITY_HIGH);
    case "SetNotifyFlags":
      return job.SetNotifyFlags(1);
    case "SetNoProgressTimeout":
      return job.SetNoProgressTimeout(1_000);
    case "COST_FLAGS": {
      const Dword = BITS_JOB_TRANSFER_POLICY.BITS_JOB_TRANSFER_POLICY_ALWAYS;
      return job.SetProperty(BITS_JOB_PROPERTY_ID.BITS_JOB_PROPERTY_ID_COST_FLAGS, { Dword });
    }
    case "SetRemoteName": {
      const file = await firstFile(job);
      return file.queryInterface(LEGACY_IIDS.IBackgroundCopyFile2).SetRemoteName(site.url("stall"));
    }
    case "File2.SetProperty": {
      const file = await firstFile(job);
      const file2 = file.queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile2);
      return file2.SetProperty(DOFilePropertyId.DOFilePropertyId_TotalSizeBytes, 1_000n);
    }
    case "GetError":
      return void (await job.GetError());
    case "GetJob":
      return void (await manager.GetJob(jobId));
  }
}

/** The symbol of the code that the call came to. */
async function codeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    const result = await call();
    const isCode = typeof result === "number";
    return isCode
      ? (Object.entries(HRESULTS).find(([, code]) => code === result)?.[0] ?? "")
      : "S_OK";
  } catch (error) {
    if (error instanceof HResultError) return error.symbol;
    throw error;
  }
}

/** They work in every state. */
async function expectGetters({ job, jobId, row }: Prepared): Promise<void> {
  expect(await job.GetId()).toBe(jobId);
  expect(await job.GetDisplayName()).toBe("test");
  expect(await job.GetType()).toBe(0);
  expect(await job.GetPriority()).toBeTypeOf("number");
  expect(await job.GetNotifyFlags()).toBeTypeOf("number");
  expect(await job.GetNoProgressTimeout()).toBeTypeOf("number");
  expect(await job.GetNotifyInterface()).toBe(null);
  const { FilesTotal } = await job.GetProgress();
  expect(FilesTotal).toBeGreaterThanOrEqual(row === "EMPTY" ? 0 : 1);
  expect(await (await job.EnumFiles()).GetCount()).toBe(FilesTotal);
  if (FilesTotal === 0) return;
  const file = await firstFile(job);
  expect(await file.GetLocalName()).toBeTypeOf("string");
  const { fileId } = await file.queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile).GetStats();
  expect(fileId).toBe(row === "EMPTY" ? "added" : "first");
}
