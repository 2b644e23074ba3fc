/**
 * How commands are defined: the pieces that every file of `commands/` uses, so that names, help and
 * options look alike everywhere.
 *
 * Knows commander. What commands do is theirs; they load it when they run, because a command that
 * only asks an agent should not pay for the code of one.
 */
import { Command, Option } from "commander";
import type { Settings } from "@shoal/core";
import type { CommandContext } from "./command-context.ts";
import { parseDuration, parseSetting } from "./parse-values.ts";

/** Adds one command, or one with subcommands, to the program. */
export type Register = (program: Command, context: CommandContext) => void;

/** Options of every command that asks a running agent. */
export interface AskOptions {
  readonly socket?: string;
  readonly json?: true;
}

/** Options of commands that can go on showing what changes. */
export interface WatchOptions extends AskOptions {
  readonly watch?: true;
  readonly interval?: number;
}

/** A command whose help begins with examples. */
export function subcommand(parent: Command, name: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example}\n`).join("");
  return parent
    .command(name)
    .allowExcessArguments(false)
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .addHelpText("before", `Examples:\n${lines}`);
}

/** Options of commands that ask a running agent. */
export function addAskOptions(command: Command): Command {
  return command
    .option("--socket <PATH>", "where the agent is (default: $SHOAL_SOCKET, yours, the system's)")
    .option("--json", "print one JSON object a line");
}

/** Options of commands that can go on showing what changes. */
export function addWatchOptions(command: Command): Command {
  return addAskOptions(
    command
      .option("--watch", "go on until Ctrl-C")
      .addOption(
        valued("--interval <DURATION>", "how often, with --watch; default: 1s", parseDuration),
      ),
  );
}

export function addNetworkOptions(command: Command): Command {
  return command
    .addOption(listed("--peer <MULTIADDR>", "connect to this peer (repeatable)"))
    .addOption(listed("--listen <MULTIADDR>", "listen here (repeatable; default: any port)"))
    .addOption(listed("--cache-host <HOST>", "ask this cache server first (repeatable)"))
    .addOption(
      listed("--trust <KEYS>", "believe manifests signed with this public key (repeatable)"),
    )
    .addOption(
      listed(
        "--group-key <FILE>",
        "talk only to agents that have this key, or the previous one (twice, current first)",
      ),
    )
    .option("--no-mdns", "do not look for peers on the local network")
    .option("--ca <FILE>", "trust the certificate authorities in this PEM file too")
    .addOption(
      new Option(
        "--setting <NAME=VALUE>",
        "change a setting (repeatable; see docs/settings.md)",
      ).argParser((text, before?: Partial<Settings>) => ({ ...before, ...parseSetting(text) })),
    );
}

/** An option whose text is read by `parse`. */
export function valued<T>(flags: string, help: string, parse: (text: string) => T): Option {
  return new Option(flags, help).argParser((text) => parse(text));
}

/** An option that may be given several times. */
export function listed(flags: string, help: string): Option {
  return new Option(flags, help).argParser((text, before: readonly string[] | undefined) => [
    ...(before ?? []),
    text,
  ]);
}
