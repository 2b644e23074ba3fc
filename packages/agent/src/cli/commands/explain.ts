/** `shoal explain` on the command line. Its work is `explain-command.ts`, loaded when it runs. */
import { subcommand } from "../define-command.ts";
import type { Register } from "../define-command.ts";
import type { ExplainOptions } from "../explain-command.ts";

export const addExplain: Register = (program, context) => {
  subcommand(program, "explain", [
    "shoal explain --job-socket /run/user/1000/shoal/jobs.sock",
    "shoal explain 5f0c… --job-socket /run/user/1000/shoal/jobs.sock",
  ])
    .summary("say why bytes come from where they come from")
    .description("Asks an agent (shoal agent --job-socket) about a job, or lists its jobs.")
    .argument("[JOB]", "a job's id, or the beginning of it; without one, jobs are listed")
    .option("--job-socket <PATH>", "where the agent's job API is (required)")
    .option("--json", "print one JSON object")
    .action(async (job: string | undefined, options: ExplainOptions) => {
      const { runExplain } = await import("../explain-command.ts");
      await runExplain(job, options, context);
    });
};
