/** The job machine's tables, drawn: one row per state, one column per verb or fact. */
import { describe, expect, it } from "vitest";
import {
  isActiveState,
  isFinalState,
  JOB_FACT_TABLE,
  JOB_FACTS,
  JOB_STATES,
  JOB_VERB_TABLE,
  JOB_VERBS,
} from "../../src/job/states.ts";

/** "=" is the same state, "-" a refusal (ERR_JOB_STATE); job-API reference, section 7.2. */
const VERBS = `
                 resume       suspend      cancel       acknowledge   addFile         change
  queued         =            suspended    cancelled    acknowledged  =               =
  connecting     =            suspended    cancelled    acknowledged  =               =
  transferring   =            suspended    cancelled    acknowledged  =               =
  suspended      queued       =            cancelled    acknowledged  =               =
  error          queued       suspended    cancelled    acknowledged  =               =
  transientError queued       suspended    cancelled    acknowledged  =               =
  transferred    =            =            cancelled    acknowledged  =               =
  acknowledged   -            -            -            -             -               -
  cancelled      -            -            -            -             -               -
`;

/** "-" is a fact that changes nothing; section 7.1. */
const FACTS = `
                 picked      blocked         bytesMoved    failedTransient  failedFatal
  queued         connecting  transientError  -             -                error
  connecting     -           transientError  transferring  transientError   error
  transferring   -           transientError  -             transientError   error
  suspended      -           -               -             -                -
  error          -           -               -             -                -
  transientError -           -               -             -                error
  transferred    -           -               -             -                -
  acknowledged   -           -               -             -                -
  cancelled      -           -               -             -                -
`;
const LATE_FACTS = `
                 retryDue  allTransferred  tooOld
  queued         -         transferred     cancelled
  connecting     -         transferred     cancelled
  transferring   -         transferred     cancelled
  suspended      -         -               cancelled
  error          -         -               cancelled
  transientError queued    -               cancelled
  transferred    -         -               cancelled
  acknowledged   -         -               -
  cancelled      -         -               -
`;
const FACT_CELLS = [...cells(FACTS), ...cells(LATE_FACTS)];

function cells(table: string): Array<readonly [string, string, string | undefined]> {
  const [head = [], ...rows] = table
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/ +/));
  return rows.flatMap(([state = "", ...row]) =>
    row.map((cell, column) => {
      const after = cell === "-" ? undefined : cell === "=" ? state : cell;
      return [state, head[column] ?? "", after] as const;
    }),
  );
}

const entry = (table: object, state: string, column: string): unknown =>
  (table as Record<string, Record<string, unknown>>)[state]?.[column];

describe("the job machine", () => {
  it.each(cells(VERBS))("in %s answers %s with %s", (state, verb, after) => {
    expect(entry(JOB_VERB_TABLE, state, verb)).toBe(after);
  });

  it.each(FACT_CELLS)("in %s follows %s to %s", (state, fact, after) => {
    expect(entry(JOB_FACT_TABLE, state, fact)).toBe(after);
  });

  it("is drawn above completely", () => {
    expect(cells(VERBS)).toHaveLength(JOB_STATES.length * JOB_VERBS.length);
    expect(FACT_CELLS).toHaveLength(JOB_STATES.length * JOB_FACTS.length);
    expect(Object.keys(JOB_VERB_TABLE)).toEqual(JOB_STATES);
    expect(Object.keys(JOB_FACT_TABLE)).toEqual(JOB_STATES);
  });

  it("never leaves its final states, and only those", () => {
    const leads = (state: string): number =>
      [...cells(VERBS), ...FACT_CELLS].filter(
        ([from, , after]) => from === state && after !== undefined && after !== state,
      ).length;
    for (const state of JOB_STATES) expect(leads(state) === 0).toBe(isFinalState(state));
  });

  it("transfers only in its active states", () => {
    expect(JOB_STATES.filter(isActiveState)).toEqual(["connecting", "transferring"]);
  });
});
