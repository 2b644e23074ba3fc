/**
 * The `sim` command: runs a scenario by name and prints its report, for people or as one line of
 * JSON. Exit codes: 0 every job completed, 1 some did not, 2 usage.
 *
 *   pnpm sim flash-crowd --peers 100 --seed 42 --json
 *   pnpm sim sites --peers 100 --baseline do
 *   pnpm sim soak --minutes 120 --seed 7
 */
import { Command, CommanderError } from "commander";
import { crowdCommand, crowdOptions, scenarioWords } from "./crowd-flags.ts";
import { hasBaseline, runBaseline } from "./scenarios/baseline.ts";
import { runCrowd } from "./scenarios/crowd.ts";
import type { CrowdReport } from "./scenarios/crowd-report.ts";
import { runSoak } from "./scenarios/soak.ts";
import type { SoakOptions } from "./scenarios/soak.ts";
import { SCENARIOS } from "./scenarios/scenarios.ts";
import type { ScenarioName } from "./scenarios/scenarios.ts";

const program = new Command("sim").description("Shoal in virtual time").exitOverride();
for (const name of Object.keys(SCENARIOS) as ScenarioName[]) {
  const command = crowdCommand(name).exitOverride();
  program.addCommand(command.action(() => runAndReport(command)));
}
program.addCommand(soakCommand().exitOverride());
try {
  const [name = "", ...rest] = process.argv.slice(2);
  const isNamed = Object.hasOwn(SCENARIOS, name);
  const before = isNamed ? scenarioWords(name as ScenarioName) : [];
  program.parse(name === "" ? ["--help"] : [name, ...before, ...rest], { from: "user" });
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}

function runAndReport(command: Command): void {
  const options = crowdOptions(command);
  const { json, baseline } = command.opts<{ json: boolean; baseline?: string }>();
  if (baseline !== undefined && !hasBaseline(options)) {
    process.stderr.write("The baseline knows a healthy crowd with one content.\n");
    process.exitCode = 2;
    return;
  }
  const ours = timed(() => runCrowd(options));
  const reports = [ours];
  if (baseline !== undefined) reports.push(timed(() => runBaseline(options)));
  const shown = reports.map((report) => ({ ...report, unfinished: report.unfinished.length }));
  process.stdout.write(json ? shown.map(jsonLine).join("") : tableOf(shown));
  if (ours.unfinished.length === 0) return;
  for (const reason of ours.unfinished.slice(0, 10)) process.stderr.write(`${reason}\n`);
  const words = process.argv.slice(2);
  if (!words.some((word) => word.startsWith("--seed"))) words.push("--seed", `${options.seed}`);
  process.stderr.write(`Replay with: pnpm sim ${words.join(" ")}\n`);
  process.exitCode = 1;
}

function soakCommand(): Command {
  const command = new Command("soak").description("hours of trouble, checked after every event");
  return command
    .option("--seed <number>", "what every random choice is made from", Number, 42)
    .option("--minutes <number>", "how long things go wrong, in virtual time", Number, 120)
    .action(({ seed, minutes }: SoakOptions) => {
      process.stdout.write(jsonLine(runSoak({ seed, minutes })));
    });
}

function timed(run: () => CrowdReport): CrowdReport & { readonly wallSeconds: number } {
  const startedAt = performance.now();
  const report = run();
  return { ...report, wallSeconds: Math.round(performance.now() - startedAt) / 1_000 };
}

function jsonLine(report: object): string {
  return `${JSON.stringify(report)}\n`;
}

/** A line per figure, a column per report. */
function tableOf(reports: readonly object[]): string {
  let text = "";
  for (const name of Object.keys(reports[0] ?? {})) {
    const values = reports.map(
      (report) => `${Object.entries(report).find(([key]) => key === name)?.[1]}`,
    );
    text += `${name.padEnd(18)} ${values
      .map((value) => value.padEnd(20))
      .join(" ")
      .trimEnd()}\n`;
  }
  return text;
}
