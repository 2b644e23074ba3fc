/** The page about job states: both tables of the job machine, and a diagram made from them. */
import {
  isFinalState,
  JOB_FACT_TABLE,
  JOB_FACTS,
  JOB_STATES,
  JOB_VERB_TABLE,
  JOB_VERBS,
} from "@shoal/core";
import type { JobState } from "@shoal/core";
import { code, pageHead, table } from "./markdown.ts";

export function jobStatesPage(): string {
  return (
    pageHead("Job states", "packages/core/src/job/states.ts") +
    "A *verb* is what a user asks for, a *fact* is what happened to the job's transfers.\n\n" +
    diagram() +
    "## Verbs\n\n" +
    "The state after a verb. Where there is none, the verb is refused with `ERR_JOB_STATE`.\n" +
    "`addFile` and `change` are the two kinds of `changeJob`.\n\n" +
    transitionTable(JOB_VERBS, (state, verb) => JOB_VERB_TABLE[state][verb], "refused") +
    "Two cells depend on the job's files: `resume` of a job without files is refused with\n" +
    "`ERR_JOB_EMPTY`, and `resume` of a `transferred` job to which files were added queues it.\n\n" +
    "## Facts\n\nThe state after a fact. Where there is none, the fact changes nothing.\n\n" +
    transitionTable(JOB_FACTS, (state, fact) => JOB_FACT_TABLE[state][fact], "")
  );
}

function transitionTable<Cause extends string>(
  causes: readonly Cause[],
  next: (state: JobState, cause: Cause) => JobState | undefined,
  absent: string,
): string {
  const rows = JOB_STATES.map((state) => [
    code(state),
    ...causes.map((cause) => next(state, cause) ?? absent),
  ]);
  return table(["state", ...causes.map(code)], rows);
}

/** What leads from every living state to the same, or nowhere, is said in words, not drawn. */
function diagram(): string {
  const living = JOB_STATES.filter((state) => !isFinalState(state));
  const sentences: string[] = [];
  const arrows = new Map<string, string[]>();
  const drawAll = (cause: string, next: (state: JobState) => JobState | undefined): void => {
    const targets = new Set(living.map(next));
    const [target] = targets;
    if (living.every((state) => next(state) === state)) {
      sentences.push(`\`${cause}\` is allowed in each of them and leaves it as it is.`);
    } else if (targets.size === 1 && target !== undefined) {
      sentences.push(`\`${cause}\` leads from each of them to \`${target}\`.`);
    } else {
      for (const state of living) draw(state, next(state), cause);
    }
  };
  const draw = (from: JobState, to: JobState | undefined, cause: string): void => {
    if (to === undefined || to === from) return;
    const causes = arrows.get(`${from} --> ${to}`);
    if (causes === undefined) arrows.set(`${from} --> ${to}`, [cause]);
    else causes.push(cause);
  };
  for (const fact of JOB_FACTS) drawAll(fact, (state) => JOB_FACT_TABLE[state][fact]);
  for (const verb of JOB_VERBS) drawAll(verb, (state) => JOB_VERB_TABLE[state][verb]);
  draw("transferred", "queued", "resume (files added)");
  const lines = [...arrows].map(([arrow, causes]) => `    ${arrow}: ${causes.join(", ")}\n`);
  return (
    "```mermaid\nstateDiagram-v2\n" +
    `    [*] --> queued\n    [*] --> suspended: startSuspended\n${lines.join("")}` +
    "```\n\n" +
    `A job leaves every state but ${listText(JOB_STATES.filter(isFinalState))}. ` +
    `${sentences.join(" ")}\n\n`
  );
}

function listText(states: readonly JobState[]): string {
  return states.map(code).join(" and ");
}
