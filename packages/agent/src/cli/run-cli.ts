/**
 * The process behind the `shoal` command: arguments in, exit code out. Owns what libraries leave
 * alone: streams, signals, the environment and the end of the process.
 *
 * Commands that start an agent are loaded when they are called, because libp2p is most of what
 * there is to load, and help, mistakes and questions to a running agent need none of it.
 */
import { readFileSync } from "node:fs";
import { CommanderError } from "commander";
import { runBans, runUnban } from "./bans-command.ts";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { runExplain } from "./explain-command.ts";
import { EXIT_CODES, exitCodeOf, failureLines, GetFailure, reportOf } from "./failure.ts";
import { runGroupCreate } from "./group-command.ts";
import { runKeyGenerate } from "./key-command.ts";
import { watchSignals } from "./interruption.ts";
import { createProgram } from "./program.ts";
import { runPublish } from "./publish-command.ts";
import { createTerminal } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** Runs the command and ends the process: libp2p would keep it for another second. */
export async function runCli(argv: readonly string[]): Promise<never> {
  const terminal = createTerminal(process.stdout, process.stderr);
  const signal = watchSignals(process);
  const exitCode = await runCommand(argv, { terminal, env: process.env, signal });
  await terminal.flush();
  process.exit(exitCode);
}

async function runCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  const { terminal } = context;
  const program = createProgram(
    {
      publish: (file, options) => runPublish(file, options, context),
      get: async (url, options) => {
        const { runGet } = await import("./get-command.ts");
        return runGet(url, options, context);
      },
      agent: async (options) => {
        const { runAgentCommand } = await import("./agent-command.ts");
        return runAgentCommand(options, context);
      },
      explain: (job, options) => runExplain(job, options, context),
      bans: (options) => runBans(options, context),
      unban: (subject, options) => runUnban(subject, options, context),
      generateKey: (file, options) => runKeyGenerate(file, options, context),
      createGroup: (file, options) => runGroupCreate(file, options, context),
    },
    { version: readVersion(), writeOut: (text) => terminal.out(text) },
  );
  const json = argv.includes("--json");
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return EXIT_CODES.usage;
    }
    await program.parseAsync([...argv], { from: "user" });
    return EXIT_CODES.ok;
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(error, { argv, terminal, json });
    return reportFailure(error, { terminal, json });
  }
}

function reportFailure(
  thrown: unknown,
  { terminal, json }: { terminal: Terminal; json: boolean },
): number {
  const isDownload = thrown instanceof GetFailure;
  const error: unknown = isDownload ? thrown.cause : thrown;
  const report = reportOf(error, isDownload ? thrown.note : undefined);
  if (json) terminal.json(report);
  else terminal.say(failureLines(report));
  return exitCodeOf(error);
}

/** Help that was asked for is not an error; anything else is a mistake in the arguments. */
function reportUsage(
  error: CommanderError,
  { argv, terminal, json }: { argv: readonly string[]; terminal: Terminal; json: boolean },
): number {
  if (error.exitCode === 0) return EXIT_CODES.ok;
  const [first = ""] = argv;
  const command = COMMANDS.has(first) ? `shoal ${first}` : "shoal";
  const message = usageMessage(error.message);
  const remedy = `"${command} --help" shows what is possible.`;
  const report = { type: "error", code: "ERR_USAGE", message, remedy } as const;
  if (json) terminal.json(report);
  else terminal.say(failureLines(report));
  return EXIT_CODES.usage;
}

const COMMANDS = new Set(["publish", "get", "agent", "explain", "bans", "unban", "key"]);

/** Commander's words on one line: `error: unknown option '--pee'\n(Did you mean --peer?)`. */
function usageMessage(text: string): string {
  const words = text
    .replace(/^error: /, "")
    .replaceAll(/\s*\n\s*/g, " ")
    .trim();
  return escapeText(words.charAt(0).toUpperCase() + words.slice(1));
}

function readVersion(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
