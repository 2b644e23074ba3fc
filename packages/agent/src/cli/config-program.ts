/**
 * The command line of `shoal config` as commander sees it: names, help and examples. What its
 * commands do is passed in.
 */
import type { Command } from "commander";
import type { ConfigOptions } from "./config-command.ts";

/** What the commands do with their arguments. */
export interface ConfigActions {
  configShow(options: ConfigOptions): Promise<void>;
  configGet(name: string, options: ConfigOptions): Promise<void>;
  configSet(name: string, values: readonly string[], options: ConfigOptions): Promise<void>;
  configCheck(path: string | undefined, options: ConfigOptions): Promise<void>;
  configKeys(options: ConfigOptions): Promise<void>;
}

const FILE_OPTION = ["--config <FILE>", "use this file in place of yours"] as const;
const SYSTEM_OPTION = ["--system", "change the system's file, not yours"] as const;
const JSON_OPTION = ["--json", "print JSON, an object a line"] as const;

export function addConfig(program: Command, actions: ConfigActions): void {
  const config = subcommand(program, "config", [
    "shoal config show --origin",
    "shoal config set uploadRateBytesPerSec 2MiB",
    "shoal config check /etc/shoal/config.yaml",
  ])
    .summary("show, check and change the configuration of agents")
    .description(
      "Works on configuration files and the environment. A flag of shoal agent comes before the " +
        "environment, that before your file, that before the system's files.",
    )
    .helpCommand(false);
  addReading(config, actions);
  addWriting(config, actions);
}

function addReading(config: Command, actions: ConfigActions): void {
  subcommand(config, "show", ["shoal config show", "shoal config show --origin --all"])
    .summary("show what is configured")
    .description("Prints every key that somebody has given, as a file would say it.")
    .option("--origin", "say who gave each value")
    .option("--all", "show keys at their default, too")
    .option(...FILE_OPTION)
    .option(...JSON_OPTION)
    .action((options: ConfigOptions) => actions.configShow(options));
  subcommand(config, "get", ["shoal config get uploadRateBytesPerSec"])
    .summary("print the value of one key")
    .description("Prints the value that an agent would start with.")
    .argument("<KEY>", "a key, as shoal config keys lists them")
    .option("--origin", "say on stderr who gave it")
    .option(...FILE_OPTION)
    .option(...JSON_OPTION)
    .action((name: string, options: ConfigOptions) => actions.configGet(name, options));
  subcommand(config, "check", ["shoal config check", "shoal config check new.yaml"])
    .summary("find what is wrong in configuration files")
    .description("Prints each problem with its line and column; exit code 2 if there is one.")
    .argument("[FILE]", "one file; default: every file that an agent reads")
    .option(...JSON_OPTION)
    .action((path: string | undefined, options: ConfigOptions) =>
      actions.configCheck(path, options),
    );
  subcommand(config, "keys", ["shoal config keys"])
    .summary("list what can be configured")
    .description("Prints every key, its default and what it is for (docs/configuration.md).")
    .option(...JSON_OPTION)
    .action((options: ConfigOptions) => actions.configKeys(options));
}

function addWriting(config: Command, actions: ConfigActions): void {
  subcommand(config, "set", [
    "shoal config set uploadRateBytesPerSec 2MiB",
    "shoal config set listen /ip4/0.0.0.0/tcp/4001 --system",
  ])
    .summary("set a key in your file")
    .description("Changes one key of a file; comments and all else stay. Wrong values are refused.")
    .argument("<KEY>", "a key, as shoal config keys lists them")
    .argument("<VALUE...>", "its value, with a unit if you like; several for a list")
    .option(...SYSTEM_OPTION)
    .option(...FILE_OPTION)
    .option(...JSON_OPTION)
    .action((name: string, values: readonly string[], options: ConfigOptions) =>
      actions.configSet(name, values, options),
    );
  subcommand(config, "unset", ["shoal config unset uploadRateBytesPerSec"])
    .summary("remove a key from your file")
    .description("Removes one key of a file, so that the next weaker place counts.")
    .argument("<KEY>", "a key, as shoal config keys lists them")
    .option(...SYSTEM_OPTION)
    .option(...FILE_OPTION)
    .option(...JSON_OPTION)
    .action((name: string, options: ConfigOptions) => actions.configSet(name, [], options));
}

function subcommand(program: Command, name: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example}\n`).join("");
  return program
    .command(name)
    .allowExcessArguments(false)
    .helpOption("-h, --help", "print this help")
    .addHelpText("before", `Examples:\n${lines}`);
}
