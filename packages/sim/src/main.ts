/**
 * The `sim` command: runs a scenario by name and prints its report, for people or as one line of
 * JSON. Exit codes: 0 every job completed, 1 some did not, 2 usage.
 *
 *   pnpm sim flash-crowd --peers 100 --seed 42 --json
 */
import { Command, CommanderError } from "commander";
import { flashCrowdCommand, flashCrowdOptions } from "./flash-crowd-flags.ts";
import { runFlashCrowd } from "./scenarios/flash-crowd.ts";

const program = new Command("sim").description("Shoal in virtual time");
const flashCrowd = flashCrowdCommand().action(runAndReport);
program.addCommand(flashCrowd);
for (const command of [program, flashCrowd]) command.exitOverride();
try {
  program.parse();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}

function runAndReport(): void {
  const startedAt = performance.now();
  const options = flashCrowdOptions(flashCrowd);
  const { unfinished, ...report } = runFlashCrowd(options);
  const wallSeconds = Math.round(performance.now() - startedAt) / 1_000;
  const shown = { ...report, wallSeconds, unfinished: unfinished.length };
  const { json } = flashCrowd.opts<{ json: boolean }>();
  process.stdout.write(json ? `${JSON.stringify(shown)}\n` : tableOf(shown));
  if (unfinished.length === 0) return;
  for (const reason of unfinished.slice(0, 10)) process.stderr.write(`${reason}\n`);
  const words = process.argv.slice(2);
  if (!words.some((word) => word.startsWith("--seed"))) words.push("--seed", `${options.seed}`);
  process.stderr.write(`Replay with: pnpm sim ${words.join(" ")}\n`);
  process.exitCode = 1;
}

function tableOf(report: object): string {
  let text = "";
  for (const [name, value] of Object.entries(report)) text += `${name.padEnd(16)} ${value}\n`;
  return text;
}
