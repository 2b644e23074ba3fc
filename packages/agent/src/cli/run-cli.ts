/**
 * The process behind the `shoal` command: arguments in, exit code out. Owns what libraries leave
 * alone: streams, signals, the environment and the end of the process.
 *
 * Commands that start an agent are loaded when they are called, because libp2p is most of what
 * there is to load, and help, mistakes and questions to a running agent need none of it.
 */
import { CommanderError } from "commander";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { EXIT_CODES, exitCodeOf, failureLines, NotedFailure, reportOf } from "./failure.ts";
import type { ConnectAgent } from "./find-agent.ts";
import { watchSignals } from "./interruption.ts";
import { commandPath, createProgram } from "./program.ts";
import { createTerminal } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";
import { readVersion } from "../version.ts";

/** Runs the command and ends the process: libp2p would keep it for another second. */
export async function runCli(argv: readonly string[]): Promise<never> {
  const terminal = createTerminal(process.stdout, process.stderr);
  const signal = watchSignals(process);
  const exitCode = await runCommand(argv, { terminal, env: process.env, signal, connect });
  await terminal.flush();
  process.exit(exitCode);
}

/** The client is loaded when an agent is looked for. */
const connect: ConnectAgent = async (address, options) => {
  const { connectAgent } = await import("../rest/connect-agent.ts");
  return await connectAgent(address, options);
};

/** Runs the command in a process that lives on, such as a test's; returns its exit code. */
export async function runCommand(
  argv: readonly string[],
  context: CommandContext,
): Promise<number> {
  const { terminal } = context;
  const program = createProgram(context, readVersion());
  const json = argv.includes("--json");
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return EXIT_CODES.usage;
    }
    await program.parseAsync([...argv], { from: "user" });
    return EXIT_CODES.ok;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportFailure(error, { terminal, json });
    return reportUsage(error, { path: commandPath(program, argv), terminal, json });
  }
}

function reportFailure(
  thrown: unknown,
  { terminal, json }: { terminal: Terminal; json: boolean },
): number {
  const isNoted = thrown instanceof NotedFailure;
  const error: unknown = isNoted ? thrown.cause : thrown;
  const report = reportOf(error, isNoted ? thrown.note : undefined);
  if (json) terminal.json(report);
  else terminal.say(failureLines(report));
  return exitCodeOf(error);
}

/** Help that was asked for is not an error; anything else is a mistake in the arguments. */
function reportUsage(
  error: CommanderError,
  { path, terminal, json }: { path: string; terminal: Terminal; json: boolean },
): number {
  if (error.exitCode === 0) return EXIT_CODES.ok;
  const message =
    error.code === "commander.help"
      ? `A command is missing after "${path}"`
      : usageMessage(error.message);
  const remedy = `"${path} --help" shows what is possible.`;
  const report = { type: "error", code: "ERR_USAGE", message, remedy } as const;
  if (json) terminal.json(report);
  else terminal.say(failureLines(report));
  return EXIT_CODES.usage;
}

/** Commander's words on one line: `error: unknown option '--pee'\n(Did you mean --peer?)`. */
function usageMessage(text: string): string {
  const words = text
    .replace(/^error: /, "")
    .replaceAll(/\s*\n\s*/g, " ")
    .trim();
  return escapeText(words.charAt(0).toUpperCase() + words.slice(1));
}
