/**
 * `shoal jobs`: looks at the jobs of the agent that runs, and changes them. Nothing asks whether it
 * is meant; everything says what it did.
 */
import { Argument } from "commander";
import type { Command } from "commander";
import { isFinalState, JOB_PRIORITIES, ShoalError } from "@shoal/core";
import type { JobPriority, JobSummary, PlainVerb, VerbOutcome } from "@shoal/core";
import type { JobService } from "@shoal/jobs";
import type { CommandContext } from "../command-context.ts";
import { addAskOptions, addWatchOptions, subcommand } from "../define-command.ts";
import type { AskOptions, Register, WatchOptions } from "../define-command.ts";
import { escapeText } from "../escape-text.ts";
import { withAgent } from "../find-agent.ts";
import { findJob } from "../find-job.ts";
import { formatCount } from "../format-values.ts";
import { allOptions, whenAlone } from "../group-command.ts";
import { jobDetailLines, jobLines } from "../job-screen.ts";
import { show } from "../watch-screen.ts";
import type { Sight } from "../watch-screen.ts";

interface ListOptions extends WatchOptions {
  readonly all?: true;
}

const JOB_HELP = "a job's id, the beginning of it, or its name";

export const addJobs: Register = (program, context) => {
  const jobs = subcommand(program, "jobs", [
    "shoal jobs",
    "shoal jobs show 5f0c",
    "shoal jobs suspend disk.iso",
    "shoal jobs watch 5f0c",
  ])
    .summary("look at jobs and change them")
    .description("Jobs of the agent that runs. Without a command, lists those under way.");
  addListOptions(jobs);
  whenAlone<ListOptions>(jobs, (options) => listJobs(options, context));
  addListOptions(subcommand(jobs, "list", ["shoal jobs list", "shoal jobs list --all --json"]))
    .summary("list them")
    .description("Lists jobs that are under way, or all of the last 30 days.")
    .action((_own, command: Command) => listJobs(allOptions(command), context));
  addAskOptions(subcommand(jobs, "show", ["shoal jobs show 5f0c", "shoal jobs show disk.iso"]))
    .summary("show all that is known of one")
    .description("Shows a job and its files.")
    .argument("<JOB>", JOB_HELP)
    .action((job: string, _own, command: Command) => showJob(job, allOptions(command), context));
  addWatch(jobs, context);
  for (const verb of VERBS) addVerb(jobs, verb, context);
  addPriority(jobs, context);
};

function addListOptions(command: Command): Command {
  return addWatchOptions(command.option("--all", "also those that are over"));
}

function addWatch(jobs: Command, context: CommandContext): void {
  const examples = ["shoal jobs watch 5f0c", "shoal jobs watch disk.iso --json"];
  addAskOptions(subcommand(jobs, "watch", examples))
    .summary("follow one until it ends, or all")
    .description("Shows how a job gets on; ends with it, with an exit code for how. Or shows all.")
    .argument("[JOB]", JOB_HELP)
    .action(async (job: string | undefined, _own, command: Command) => {
      const options = allOptions<AskOptions>(command);
      if (job === undefined) return listJobs({ ...options, watch: true }, context);
      const { watchJob } = await import("../job-progress.ts");
      await withAgent(options, context, async (service) => {
        const { jobId } = findJob(await service.jobs.list(), job);
        await watchJob(service, jobId, { json: options.json === true, context });
      });
    });
}

interface JobVerb {
  readonly name: string;
  readonly verb: PlainVerb;
  readonly summary: string;
  readonly description: string;
  readonly said: string;
}

const VERBS: readonly JobVerb[] = [
  {
    name: "suspend",
    verb: "suspend",
    summary: "stop and keep what is there",
    description: "Stops jobs and keeps what they have. shoal jobs resume lets them go on.",
    said: "Suspended",
  },
  {
    name: "resume",
    verb: "resume",
    summary: "go on, or try again at once",
    description: "Lets jobs go on that were suspended, wait, or have failed.",
    said: "Resumed",
  },
  {
    name: "complete",
    verb: "acknowledge",
    summary: "put its files at their destinations",
    description:
      "Publishes the complete files of jobs and ends them; what is not complete is lost.",
    said: "Completed",
  },
  {
    name: "cancel",
    verb: "cancel",
    summary: "give up and remove what is there",
    description: "Ends jobs and removes what they have fetched. It does not ask.",
    said: "Cancelled",
  },
];

function addVerb(jobs: Command, { verb, ...about }: JobVerb, context: CommandContext): void {
  const { name, summary, description, said } = about;
  const examples = [`shoal jobs ${name} 5f0c`, `shoal jobs ${name} disk.iso other.iso`];
  addAskOptions(subcommand(jobs, name, examples))
    .summary(summary)
    .description(description)
    .argument("<JOB...>", JOB_HELP)
    .action((named: readonly string[], _own, command: Command) =>
      changeJobs(named, allOptions(command), {
        context,
        change: async (service, job) => {
          const outcome = await service.applyVerb(job.jobId, verb);
          return { words: said + outcomeWords(outcome), facts: { verb: name, ...outcome } };
        },
      }),
    );
}

function outcomeWords({ isPartial, undeletedCount }: VerbOutcome): string {
  if (isPartial) return ", without the files that were not complete,";
  return undeletedCount === 0 ? "" : `, but for ${formatCount(undeletedCount, "part file")},`;
}

function addPriority(jobs: Command, context: CommandContext): void {
  addAskOptions(subcommand(jobs, "priority", ["shoal jobs priority 5f0c foreground"]))
    .summary("say how urgent it is")
    .description("Changes the priority of a job.")
    .argument("<JOB>", JOB_HELP)
    .addArgument(new Argument("<PRIORITY>", "how urgent it is").choices(JOB_PRIORITIES))
    .action((job: string, priority: JobPriority, _own, command: Command) =>
      changeJobs([job], allOptions(command), {
        context,
        change: async (service, { jobId }) => {
          await service.changeJob(jobId, { type: "setJob", values: { priority } });
          return { words: `Made ${priority}`, facts: { verb: "priority", priority } };
        },
      }),
    );
}

async function listJobs(options: ListOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const isAll = options.all === true;
  await withAgent(options, context, async ({ jobs }) => {
    const look = async (): Promise<Sight> => {
      const all = await jobs.list();
      const shown = isAll ? all : all.filter(({ state }) => !isFinalState(state));
      return {
        lines: jobLines(all, terminal, { isAll }),
        objects: shown.map((job) => ({ type: "job", ...job })),
        whole: { type: "jobs", jobs: shown },
      };
    };
    await show(look, options, context);
  });
}

async function showJob(job: string, options: AskOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const snapshot = await withAgent(options, context, async ({ jobs }) => {
    const { jobId } = findJob(await jobs.list(), job);
    return await jobs.snapshot(jobId);
  });
  if (snapshot === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", job);
  if (options.json === true) return terminal.json({ type: "job", ...snapshot });
  for (const line of jobDetailLines(snapshot, terminal)) terminal.data(line);
}

interface Change {
  readonly context: CommandContext;
  /** Says what it did: in words before the job's name, and as facts. */
  readonly change: (
    service: JobService,
    job: JobSummary,
  ) => Promise<{ readonly words: string; readonly facts: object }>;
}

/** All names are looked up before anything is changed. */
async function changeJobs(
  named: readonly string[],
  options: AskOptions,
  { context, change }: Change,
): Promise<void> {
  const { terminal } = context;
  await withAgent(options, context, async ({ jobs }) => {
    const all = await jobs.list();
    const found = new Set(named.map((text) => findJob(all, text)));
    for (const job of found) {
      const { words, facts } = await change(jobs, job);
      const { jobId, displayName } = job;
      if (options.json === true) terminal.json({ type: "changed", jobId, displayName, ...facts });
      else terminal.say(`${words} ${jobId} (${escapeText(displayName)}).\n`);
    }
  });
}
