/** Every verb and change in every state, on a real scheduler (job-API reference, section 7.2). */
import { describe, expect, test } from "vitest";
import { JOB_STATES } from "@shoal/core";
import type { JobChange, PlainVerb, VerbGuard, VerbResult } from "@shoal/core";
import { Harness, JOB_ID, request, URL_TEXT } from "./harness.ts";
import { inState, OTHER_ID } from "./job-in-state.ts";

/**
 * "=" is the same state, a code in brackets a refusal, "queued" is picked at once where there is a
 * place. `url` and `file` are changes of a file's URL and of something else of it.
 */
const TABLE = `
                 resume   suspend    cancel     acknowledge   addFiles  setJob   url      file
  empty          (EMPTY)  =          cancelled  acknowledged  =         =        (USAGE)  (USAGE)
  suspended      queued   =          cancelled  acknowledged  =         =        =        =
  queued         =        suspended  cancelled  acknowledged  =         =        =        (STATE)
  connecting     =        suspended  cancelled  acknowledged  =         =        =        (STATE)
  transferring   =        suspended  cancelled  acknowledged  =         =        =        (STATE)
  transientError queued   suspended  cancelled  acknowledged  =         =        =        (STATE)
  error          queued   suspended  cancelled  acknowledged  =         =        =        =
  transferred    =        =          cancelled  acknowledged  =         =        =        (STATE)
  acknowledged   (STATE)  (STATE)    (STATE)    (STATE)       (STATE)   (STATE)  (STATE)  (STATE)
  cancelled      (STATE)  (STATE)    (STATE)    (STATE)       (STATE)   (STATE)  (STATE)  (STATE)
`;
const CODES: Readonly<Record<string, string>> = {
  "(EMPTY)": "ERR_JOB_EMPTY",
  "(STATE)": "ERR_JOB_STATE",
  "(USAGE)": "ERR_USAGE",
};

const CHANGES: Readonly<Record<string, JobChange>> = {
  addFiles: { type: "addFiles", files: [{ url: URL_TEXT, destination: "/tmp/added" }] },
  setJob: { type: "setJob", values: { displayName: "renamed", priority: "high" } },
  url: { type: "setFile", fileIndex: 0, values: { url: "http://mirror.test/file" } },
  file: { type: "setFile", fileIndex: 0, values: { declaredLength: 4 } },
};

const [HEAD = [], ...ROWS] = TABLE.trim()
  .split("\n")
  .map((line) => line.trim().split(/ +/));
const CELLS = ROWS.flatMap(([state = "", ...row]) =>
  row.map((cell, column) => [state, HEAD[column] ?? "", cell] as const),
);

function inRow(row: string): Harness {
  if (row !== "empty") return inState[JOB_STATES.find((state) => state === row) ?? "queued"]();
  const h = new Harness();
  h.create({ ...request(), files: [], startSuspended: true });
  return h;
}

function act(h: Harness, name: string, guard?: VerbGuard): VerbResult {
  const change = CHANGES[name];
  const { now } = h;
  return h.run((scheduler) =>
    change === undefined
      ? scheduler.applyVerb(JOB_ID, name as PlainVerb, now, guard)
      : scheduler.changeJob(JOB_ID, change, now, guard),
  );
}

/** Answers the store until it is asked nothing more. */
function finish(h: Harness): void {
  for (let turn = 0; turn < 3; turn++) h.answerStore();
}

function codeOf(result: VerbResult): string | undefined {
  return result.ok ? undefined : result.error.code;
}

test("the table below has every state", () => {
  const rows = ROWS.map(([state]) => state).filter((row) => row !== "empty");
  expect(rows.toSorted()).toEqual([...JOB_STATES].toSorted());
  for (const state of JOB_STATES) expect(inState[state]().job?.state).toBe(state);
});

describe.each(CELLS)("a job that is %s, asked to %s", (row, name, cell) => {
  const before = row === "empty" ? "suspended" : row;

  test(`comes to ${cell}`, () => {
    const h = inRow(row);
    const snapshot = h.job;
    const result = act(h, name);
    expect(codeOf(result)).toBe(CODES[cell]);
    if (result.ok) finish(h);
    const isPicked = cell === "queued";
    const after = isPicked ? "connecting" : cell === "=" || !result.ok ? before : cell;
    expect(h.job).toMatchObject(result.ok ? { state: after } : { ...snapshot });
    const settled = result.ok ? h.settlements(result.ticket) : [];
    expect(settled).toHaveLength(result.ok ? 1 : 0);
    expect(settled.filter((one) => "error" in one && one.error !== undefined)).toEqual([]);
  });

  test("does not settle before the store has answered (R-DB-02)", () => {
    const h = inRow(row);
    const result = act(h, name);
    expect(result.ok ? h.settlements(result.ticket) : []).toEqual([]);
  });

  test("is refused, and stays as it is, where the guard wants another state", () => {
    const h = inRow(row);
    const snapshot = h.job;
    const others = JOB_STATES.filter((state) => state !== before);
    expect(codeOf(act(h, name, { states: others }))).toBe("ERR_JOB_STATE");
    expect(h.job).toEqual(snapshot);
  });

  test("is answered as without a guard where the guard wants the state it is in", () => {
    const states = JOB_STATES.filter((state) => state === before);
    expect(codeOf(act(inRow(row), name, { states }))).toBe(CODES[cell]);
  });
});

test("a guard tells jobs that were started from those that never were", () => {
  const h = inState.suspended();
  expect(codeOf(act(h, "cancel", { hasStarted: true }))).toBe("ERR_JOB_STATE");
  expect(codeOf(act(h, "resume", { hasStarted: false }))).toBeUndefined();
  expect(codeOf(act(h, "suspend", { hasStarted: false }))).toBe("ERR_JOB_STATE");
  expect(codeOf(act(h, "suspend", { hasStarted: true }))).toBeUndefined();
});

test("an unknown job refuses everything", () => {
  const h = new Harness();
  for (const name of HEAD) expect(codeOf(act(h, name))).toBe("ERR_JOB_NOT_FOUND");
});

test("an acknowledgement under way holds off every other verb", () => {
  const h = inState.transferred();
  h.verb("acknowledge");
  for (const name of HEAD) expect(codeOf(act(h, name))).toBe("ERR_JOB_STATE");
  finish(h);
  expect(h.job?.state).toBe("acknowledged");
});

describe("files that are added", () => {
  test("to a transferred job come when it is resumed", () => {
    const h = inState.transferred();
    act(h, "addFiles");
    expect(h.take("probeOrigin")).toEqual([]);
    expect(h.job).toMatchObject({ state: "transferred", fileCount: 2, transferredFileCount: 1 });
    act(h, "resume");
    expect(h.job?.state).toBe("connecting");
    expect(h.takeOne("probeOrigin").url).toBe(URL_TEXT);
  });

  test("to a job that transfers come beside those it has, as these are small", () => {
    const h = inState.transferring();
    act(h, "addFiles");
    expect(h.takeOne("probeOrigin").url).toBe(URL_TEXT);
    expect(h.job).toMatchObject({ state: "transferring", fileCount: 2 });
  });

  test("are refused, all of them, when one is wrong", () => {
    const h = inState.suspended();
    const files = [
      { url: URL_TEXT, destination: "/tmp/good" },
      { url: "ftp://origin.test/bad", destination: "/tmp/bad" },
    ];
    expect(changeCode(h, { type: "addFiles", files })).toBe("ERR_URL_INVALID");
    expect(h.job?.fileCount).toBe(1);
  });

  test("may be incomplete while the job is suspended, and keep it from starting", () => {
    const h = inState.suspended();
    expect(changeCode(h, { type: "addFiles", files: [{ url: URL_TEXT }] })).toBeUndefined();
    expect(h.verb("resume")).toBe("ERR_SINK_MISSING");
    const destination = { destination: "/tmp/second" };
    const change = { type: "setFile", fileIndex: 1, values: destination } as const;
    expect(changeCode(h, change)).toBeUndefined();
    expect(h.verb("resume")).toBeUndefined();
  });

  test.each(["queued", "connecting", "transferring", "transientError"] as const)(
    "must be complete while the job is %s, which goes on by itself",
    (state) => {
      const h = inState[state]();
      const noUrl = [{ destination: "/tmp/b" }];
      expect(changeCode(h, { type: "addFiles", files: noUrl })).toBe("ERR_URL_MISSING");
      expect(changeCode(h, { type: "addFiles", files: [{ url: URL_TEXT }] })).toBe(
        "ERR_SINK_MISSING",
      );
      const unchecked = [{ url: URL_TEXT, destination: "/tmp/b", mandatoryIntegrity: true }];
      expect(changeCode(h, { type: "addFiles", files: unchecked })).toBe("ERR_INTEGRITY_MISSING");
    },
  );
});

describe("destinations (R-FS-03)", () => {
  test("of one job are all different", () => {
    const h = inState.suspended();
    const files = [{ url: URL_TEXT, destination: "/tmp/file" }];
    expect(changeCode(h, { type: "addFiles", files })).toBe("ERR_DESTINATION_INVALID");
  });

  test("of another job that is not over cannot be taken by adding or changing a file", () => {
    const h = inState.suspended();
    other(h, "/tmp/other");
    const files = [{ url: URL_TEXT, destination: "/tmp/other" }];
    expect(changeCode(h, { type: "addFiles", files })).toBe("ERR_DESTINATION_TAKEN");
    const values = { destination: "/tmp/other" };
    const change = { type: "setFile", fileIndex: 0, values } as const;
    expect(changeCode(h, change)).toBe("ERR_DESTINATION_TAKEN");
    h.verb("cancel", OTHER_ID);
    expect(changeCode(h, change)).toBeUndefined();
  });

  test("that a file gives up are free at once", () => {
    const h = inState.suspended();
    const values = { destination: "/tmp/elsewhere" };
    expect(changeCode(h, { type: "setFile", fileIndex: 0, values })).toBeUndefined();
    other(h, "/tmp/file");
    expect(h.scheduler.jobIds()).toHaveLength(2);
  });
});

describe("changes of a job's values", () => {
  test("merge attributes by name, and take values back where they are null", () => {
    const h = inState.suspended();
    const first = { attributes: { a: 1, b: "two" }, noProgressTimeoutMs: 5, networkCosts: 1 };
    expect(changeCode(h, { type: "setJob", values: first })).toBeUndefined();
    const before = h.job;
    expect(before).toMatchObject(first);
    const second = { attributes: { a: null, c: true }, noProgressTimeoutMs: null };
    expect(changeCode(h, { type: "setJob", values: second })).toBeUndefined();
    expect(h.job?.attributes).toEqual({ b: "two", c: true });
    expect(h.job).toMatchObject({ noProgressTimeoutMs: 86_400_000, networkCosts: 1 });
  });

  test.each([
    ["a long name", { displayName: "a".repeat(257) }],
    ["an unknown priority", { priority: "highest" }],
    ["a timeout below nothing", { noProgressTimeoutMs: -1 }],
    ["an unknown cost", { networkCosts: 256 }],
    ["an attribute that is a list", { attributes: { a: [1] } }],
    ["a name that is null", { displayName: null }],
    ["a field that nobody knows", { owner: "root" }],
    ["an own __proto__", JSON.parse('{"__proto__": {"displayName": "x"}}') as object],
  ])("are refused with %s, and nothing changes", (_, values) => {
    const h = inState.transferring();
    const before = h.job;
    expect(changeCode(h, { type: "setJob", values } as JobChange)).toBe("ERR_USAGE");
    expect(h.job).toEqual(before);
  });

  test("of its priority and timeout are durable", () => {
    const h = inState.suspended();
    h.take("saveJob");
    const values = { priority: "foreground", noProgressTimeoutMs: 9 } as const;
    changeCode(h, { type: "setJob", values });
    expect(h.takeOne("saveJob").job).toMatchObject(values);
  });
});

function changeCode(h: Harness, change: JobChange): string | undefined {
  return codeOf(h.run((scheduler) => scheduler.changeJob(JOB_ID, change, h.now)));
}

function other(h: Harness, destination: string): void {
  const files = [{ url: URL_TEXT, destination }];
  h.create({ ...request(), jobId: OTHER_ID, files, startSuspended: true });
}
