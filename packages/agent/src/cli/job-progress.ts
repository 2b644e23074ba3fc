/**
 * `shoal jobs watch JOB`: follows a job of a running agent until it ends, and ends as it did. The
 * job goes on without its watcher.
 */
import { ShoalError } from "@shoal/core";
import type { JobId } from "@shoal/core";
import { Jobs } from "@shoal/jobs";
import type { AgentService } from "../service/agent-service.ts";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { formatBytes } from "./format-values.ts";
import { createDisplay } from "./progress-display.ts";

interface Watching {
  readonly json: boolean;
  readonly context: CommandContext;
}

/** Resolves when the job is complete; rejects with its error, or `ERR_JOB_CANCELLED`. */
export async function watchJob(
  service: AgentService,
  jobId: JobId,
  { json, context }: Watching,
): Promise<void> {
  const { terminal, signal } = context;
  const job = await new Jobs(service.jobs).get(jobId);
  if (job === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", jobId);
  const { displayName: name } = await job.snapshot();
  {
    using display = createDisplay(terminal, { name, json });
    for await (const snapshot of job.progress({ signal })) display.show(snapshot);
  }
  await job.transferred;
  const snapshot = await job.snapshot();
  if (json) return terminal.json({ type: "done", ...snapshot });
  const { state, transferredBytes } = snapshot;
  const what = `${escapeText(name)} (${formatBytes(transferredBytes)})`;
  if (state === "acknowledged") terminal.say(`Completed ${what}.\n`);
  else terminal.say(`Transferred ${what}; "shoal jobs complete ${jobId}" puts it in place.\n`);
}
