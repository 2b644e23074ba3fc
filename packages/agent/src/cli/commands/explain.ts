/**
 * `shoal explain`: asks a running agent why a job's bytes come from where they come from, and why
 * peers are not used. Without a job it lists those that there are.
 */
import { isFinalState, ShoalError } from "@shoal/core";
import type { CommandContext } from "../command-context.ts";
import { addAskOptions, subcommand } from "../define-command.ts";
import type { AskOptions, Register } from "../define-command.ts";
import { explanationText } from "../explain-screen.ts";
import { withAgent } from "../find-agent.ts";
import { findJob } from "../find-job.ts";
import { jobLines } from "../job-screen.ts";
import { wrapLines } from "../wrap-lines.ts";

export const addExplain: Register = (program, context) => {
  addAskOptions(
    subcommand(program, "explain", [
      "shoal explain",
      "shoal explain 5f0c",
      "shoal explain disk.iso",
    ]),
  )
    .summary("say why bytes come from where they come from")
    .description("Says of a job where its bytes come from and why, and why peers are not used.")
    .argument("[JOB]", "a job's id, the beginning of it, or its name; without one, jobs are listed")
    .action((job: string | undefined, options: AskOptions) => runExplain(job, options, context));
};

/** Of the only job under way, no name is needed. */
async function runExplain(
  named: string | undefined,
  options: AskOptions,
  context: CommandContext,
): Promise<void> {
  const { terminal } = context;
  const isJson = options.json === true;
  await withAgent(options, context, async ({ jobs }) => {
    const all = await jobs.list();
    const live = all.filter(({ state }) => !isFinalState(state));
    const only = live.length === 1 ? live[0] : undefined;
    const job = named === undefined ? only : findJob(all, named);
    if (job === undefined) {
      if (isJson) for (const one of all) terminal.json({ type: "job", ...one });
      else for (const line of jobLines(all, terminal, { isAll: true })) terminal.data(line);
      return;
    }
    const explanation = await jobs.explain(job.jobId);
    if (explanation === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", job.jobId);
    if (isJson) terminal.json({ type: "explanation", ...explanation });
    else terminal.out(wrapLines(explanationText(explanation), terminal.width));
  });
}
