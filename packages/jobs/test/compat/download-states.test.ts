import { errorInfo, HRESULTS, JOB_STATES } from "@shoal/core";
import type { ErrorCode, JobSnapshot, JobState } from "@shoal/core";
import { expect, test } from "vitest";
import { DODownloadState } from "../../src/compat/constants/download.ts";
import { downloadStateOf, guardOf } from "../../src/compat/download/download-states.ts";
import { statusOf } from "../../src/compat/download/download-status.ts";
import { formatHeaderLines, parseHeaderLines } from "../../src/compat/download/header-lines.ts";
import { Turns } from "../../src/compat/download/turns.ts";
import { Jobs, LocalJobService } from "../../src/index.ts";
import { LiteralHost } from "../literal-host.ts";

const jobs = JOB_STATES.flatMap((state) =>
  [true, false].map((hasStarted) => ({ state, hasStarted })),
);

/** What was never started has not failed either. */
const isImpossible = ({ state, hasStarted }: (typeof jobs)[number]): boolean =>
  !hasStarted && ["transientError", "error"].includes(state);

test.each(jobs.filter((job) => !isImpossible(job)))(
  "a job that is $state, started $hasStarted, shows as one state",
  (job) => {
    expect(Object.values(DODownloadState)).toContain(downloadStateOf(job));
  },
);

test("a job cannot have failed before it was started", () => {
  for (const job of jobs.filter(isImpossible)) {
    expect(() => downloadStateOf(job)).toThrow("every state");
  }
});

test("a guard lets through exactly the jobs that show as its states", () => {
  const { DODownloadState_Created: created, DODownloadState_Paused: paused } = DODownloadState;
  const sets = [...Object.values(DODownloadState).map((state) => [state]), [created, paused]];
  for (const set of sets) {
    const { states = [], hasStarted } = guardOf(set);
    for (const job of jobs.filter((one) => !isImpossible(one))) {
      const isLetThrough =
        states.includes(job.state) && (hasStarted ?? job.hasStarted) === job.hasStarted;
      expect(isLetThrough).toBe(set.includes(downloadStateOf(job)));
    }
  }
});

test("an expired download is aborted and says why; a failure is shown where it belongs", async () => {
  const host = new LiteralHost();
  const service = new LocalJobService(host, { name: "local", isAdministrator: true });
  const job = await new Jobs(service).createJob({ files: [], startSuspended: true });
  const snapshot = { ...(await job.snapshot()), hasStarted: true };
  const shown = (state: JobState, code: ErrorCode): object =>
    statusOf({ ...snapshot, state, error: errorInfo(code) } as JobSnapshot);
  expect(shown("cancelled", "ERR_JOB_TOO_OLD")).toMatchObject({
    State: DODownloadState.DODownloadState_Aborted,
    Error: HRESULTS.DO_E_JOB_TOO_OLD,
  });
  expect(shown("error", "ERR_NO_PROGRESS")).toMatchObject({
    State: DODownloadState.DODownloadState_Paused,
    Error: HRESULTS.DO_E_DOWNLOAD_NO_PROGRESS,
    ExtendedError: HRESULTS.S_OK,
  });
  expect(shown("transientError", "ERR_ORIGIN_TIMEOUT")).toMatchObject({
    State: DODownloadState.DODownloadState_Paused,
    Error: HRESULTS.S_OK,
    ExtendedError: HRESULTS.WININET_E_TIMEOUT,
  });
  expect(shown("suspended", "ERR_ORIGIN_TIMEOUT")).toMatchObject({
    Error: HRESULTS.S_OK,
    ExtendedError: HRESULTS.S_OK,
  });
});

test("header lines come in two forms and with any line ends", () => {
  const fields = parseHeaderLines("A: 1\r\nB=2=3\n\n C : x\rD=http://h:1/\r\n");
  expect(fields).toEqual([
    ["A", "1"],
    ["B", "2=3"],
    [" C ", "x"],
    ["D", "http://h:1/"],
  ]);
  expect(parseHeaderLines(formatHeaderLines(fields))).toEqual(fields);
  expect(parseHeaderLines("")).toEqual([]);
});

test("turns come one after the other, and one that fails holds up nobody", async () => {
  const turns = new Turns();
  const order: number[] = [];
  const first = Promise.withResolvers<void>();
  const taking = [
    turns.take("a", async () => {
      await first.promise;
      order.push(1);
      throw new Error("no");
    }),
    turns.take("a", async () => void order.push(2)),
    turns.take("b", async () => void order.push(0)),
  ];
  await taking[2];
  first.resolve();
  const settled = await Promise.allSettled(taking);
  expect(settled.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
  expect(order).toEqual([0, 1, 2]);
});
