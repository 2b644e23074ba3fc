/**
 * The command line as commander sees it: the commands of `commands/`, each of which says its own
 * name, help, examples, options and what it does. Nothing is done before a command is parsed.
 */
import { Command } from "commander";
import type { CommandContext } from "./command-context.ts";
import { addAgent } from "./commands/agent.ts";
import { addCache } from "./commands/cache.ts";
import { addCompletion } from "./commands/completion.ts";
import { addConfig } from "./commands/config.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addExplain } from "./commands/explain.ts";
import { addGet } from "./commands/get.ts";
import { addGroup } from "./commands/group.ts";
import { addKey } from "./commands/key.ts";
import { addJobs } from "./commands/jobs.ts";
import { addLog } from "./commands/log.ts";
import { addPeers } from "./commands/peers.ts";
import { addPublish } from "./commands/publish.ts";
import { addSeed } from "./commands/seed.ts";
import { addStats } from "./commands/stats.ts";
import { addStatus } from "./commands/status.ts";
import { addSupportBundle } from "./commands/support-bundle.ts";
import type { Register } from "./define-command.ts";

/** Under these headings, in this order, the help lists them. */
const COMMANDS: Readonly<Record<string, readonly Register[]>> = {
  "Files:": [addGet, addPublish, addSeed],
  "The agent:": [
    addAgent,
    addConfig,
    addStatus,
    addJobs,
    addPeers,
    addCache,
    addStats,
    addExplain,
    addLog,
    addDoctor,
    addSupportBundle,
  ],
  "Keys:": [addKey, addGroup],
  "Your shell:": [addCompletion],
};

/**
 * A program that throws commander's errors instead of exiting, and writes no error itself. Help and
 * version that were asked for go to the terminal.
 */
export function createProgram(context: CommandContext, version: string): Command {
  const { terminal } = context;
  const program = new Command("shoal")
    .description("Downloads files from their HTTP origin and from peers that already have them.")
    .usage("COMMAND [OPTIONS]")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: () => {} })
    .addHelpText("before", PROGRAM_EXAMPLES);
  for (const [heading, registers] of Object.entries(COMMANDS)) {
    program.commandsGroup(heading);
    for (const register of registers) register(program, context);
  }
  return program.addHelpText("after", "\nshoal COMMAND --help has the options of a command.");
}

/** The command that `argv` begins with, as a user writes it: `shoal`, `shoal key generate`. */
export function commandPath(program: Command, argv: readonly string[]): string {
  let command = program;
  const path = [program.name()];
  for (const word of argv) {
    const next = command.commands.find((one) => one.name() === word);
    if (next === undefined) break;
    path.push(word);
    command = next;
  }
  return path.join(" ");
}

const PROGRAM_EXAMPLES = `Examples:
  shoal get https://example.org/disk.iso -o disk.iso     download a file
  shoal publish disk.iso                                 describe one; prints its content id
  shoal agent                                            run an agent, which the others ask
  shoal seed disk.iso                                    give a file to peers
  shoal status --watch                                   see what the agent does
`;
