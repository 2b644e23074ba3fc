/**
 * `shoal explain`: asks a running agent why a job's bytes come from where they come from, and why
 * peers are not used. Without a job it lists those that there are.
 */
import { ShoalError } from "@shoal/core";
import type { JobSummary } from "@shoal/core";
import { connectJobs } from "@shoal/jobs";
import type { Job, Jobs } from "@shoal/jobs";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { explanationText } from "./explain-screen.ts";
import { formatBytes } from "./format-values.ts";
import type { Terminal } from "./terminal.ts";

export interface ExplainOptions {
  readonly jobSocket?: string;
  readonly json?: true;
}

export async function runExplain(
  job: string | undefined,
  { jobSocket, json }: ExplainOptions,
  { terminal, signal }: CommandContext,
): Promise<void> {
  if (jobSocket === undefined) throw new ShoalError("ERR_USAGE", "--job-socket PATH is missing");
  await using jobs = await connectJobs({ socketPath: jobSocket }, { signal });
  if (job === undefined) return listJobs(await jobs.list(), { terminal, isJson: json === true });
  await printExplanation(await findJob(jobs, job), {
    isJson: json === true,
    terminal,
    write: (text) => terminal.out(text),
  });
}

/** Prints the job's explanation, by `write` where it is for people. */
export async function printExplanation(
  job: Job,
  { terminal, isJson, write }: ExplanationOutput,
): Promise<void> {
  const explanation = await job.explain();
  if (isJson) terminal.json({ type: "explanation", ...explanation });
  else write(explanationText(explanation));
}

export interface ExplanationOutput {
  readonly terminal: Terminal;
  readonly isJson: boolean;
  readonly write: (text: string) => void;
}

/** By its id, or by a beginning of it that no other job has. */
async function findJob(jobs: Jobs, text: string): Promise<Job> {
  const found = (await jobs.list()).filter(({ jobId }) => jobId.startsWith(text));
  const [summary] = found.filter(({ jobId }) => jobId === text).concat(found);
  if (found.length > 1 && summary?.jobId !== text) {
    throw new ShoalError("ERR_USAGE", `${found.length} jobs begin with ${text}`);
  }
  const job = summary && (await jobs.get(summary.jobId));
  if (job === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", text);
  return job;
}

function listJobs(
  all: readonly JobSummary[],
  { terminal, isJson }: { readonly terminal: Terminal; readonly isJson: boolean },
): void {
  for (const { jobId, displayName, state, transferredBytes } of all) {
    if (isJson) terminal.json({ type: "job", jobId, displayName, state, transferredBytes });
    else {
      const name = escapeText(displayName);
      terminal.data(
        `${jobId}  ${state.padEnd(14)} ${formatBytes(transferredBytes).padStart(10)}  ${name}`,
      );
    }
  }
  if (all.length === 0 && !isJson) terminal.say("There are no jobs.\n");
}
