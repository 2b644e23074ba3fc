/** The page about job states: both tables of the job machine, and a diagram made from them. */
import {
  isFinalState,
  JOB_FACT_TABLE,
  JOB_FACTS,
  JOB_STATES,
  JOB_VERB_TABLE,
  JOB_VERBS,
} from "@shoal/core";
import type { JobState, JobVerb } from "@shoal/core";
import { code, pageHead, table } from "./markdown.ts";

export function jobStatesPage(): string {
  return (
    pageHead("Job states", "packages/core/src/job/states.ts") +
    "A *verb* is what a user asks for, a *fact* is what happened to the job's transfers.\n\n" +
    diagram() +
    "## Verbs\n\n" +
    "The state after a verb. Where there is none, the verb is refused with `ERR_JOB_STATE`.\n\n" +
    transitionTable(JOB_VERBS, (state, verb) => JOB_VERB_TABLE[state][verb], "refused") +
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

/** Verbs that mean the same in every living state are said in words, not drawn. */
function diagram(): string {
  const living = JOB_STATES.filter((state) => !isFinalState(state));
  const sentences: string[] = [];
  const arrows = new Map<string, string[]>();
  const draw = (from: JobState, to: JobState | undefined, cause: string): void => {
    if (to === undefined || to === from) return;
    const causes = arrows.get(`${from} --> ${to}`);
    if (causes === undefined) arrows.set(`${from} --> ${to}`, [cause]);
    else causes.push(cause);
  };
  for (const state of living) {
    for (const fact of JOB_FACTS) draw(state, JOB_FACT_TABLE[state][fact], fact);
  }
  for (const verb of JOB_VERBS) {
    const target = commonTarget(living, verb);
    if (target !== undefined) {
      sentences.push(`\`${verb}\` leads from each of them to \`${target}\`.`);
      continue;
    }
    for (const state of living) draw(state, JOB_VERB_TABLE[state][verb], verb);
  }
  const lines = [...arrows].map(([arrow, causes]) => `    ${arrow}: ${causes.join(", ")}\n`);
  return (
    "```mermaid\nstateDiagram-v2\n" +
    `    [*] --> ${JOB_STATES[0]}\n${lines.join("")}` +
    "```\n\n" +
    `A job leaves every state but ${listText(JOB_STATES.filter(isFinalState))}. ` +
    `${sentences.join(" ")}\n\n`
  );
}

/** The one state to which `verb` leads from all of `states`, if it does. */
function commonTarget(states: readonly JobState[], verb: JobVerb): JobState | undefined {
  const targets = new Set(states.map((state) => JOB_VERB_TABLE[state][verb]));
  return targets.size === 1 ? [...targets][0] : undefined;
}

function listText(states: readonly JobState[]): string {
  return states.map(code).join(" and ");
}
