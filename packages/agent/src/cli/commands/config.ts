/** `shoal config` on the command line. Its work is `config-command.ts`, loaded when it runs. */
import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import type { ConfigOptions } from "../config-command.ts";
import { subcommand } from "../define-command.ts";
import type { Register } from "../define-command.ts";

const FILE_OPTION = ["--config <FILE>", "use this file in place of yours"] as const;
const SYSTEM_OPTION = ["--system", "change the system's file, not yours"] as const;
const JSON_OPTION = ["--json", "print JSON, an object a line"] as const;

export const addConfig: Register = (program, context) => {
  const config = subcommand(program, "config", [
    "shoal config show --origin",
    "shoal config set uploadRateBytesPerSec 2MiB",
    "shoal config check /etc/shoal/config.yaml",
  ])
    .summary("show, check and change the configuration of agents")
    .description(
      "Works on configuration files and the environment. A flag of shoal agent comes before the " +
        "environment, that before your file, that before the system's files.",
    );
  addReading(config, context);
  addChecking(config, context);
  addWriting(config, context);
};

/** Loads YAML and the tables only for those who need them. */
const load = (): Promise<typeof import("../config-command.ts")> => import("../config-command.ts");

function addReading(config: Command, context: CommandContext): void {
  subcommand(config, "show", ["shoal config show", "shoal config show --origin --all"])
    .summary("show what is configured")
    .description("Prints every key that somebody has given, as a file would say it.")
    .option("--origin", "say who gave each value")
    .option("--all", "show keys at their default, too")
    .option("--running", "show the settings that the running agent works with now")
    .option("--socket <PATH>", "where it is (default: $SHOAL_SOCKET, yours, the system's)")
    .option(...FILE_OPTION)
    .option(...JSON_OPTION)
    .action(async (options: ConfigOptions) => (await load()).runConfigShow(options, context));
  subcommand(config, "get", ["shoal config get uploadRateBytesPerSec"])
    .summary("print the value of one key")
    .description("Prints the value that an agent would start with.")
    .argument("<KEY>", "a key, as shoal config keys lists them")
    .option("--origin", "say on stderr who gave it")
    .option(...FILE_OPTION)
    .option(...JSON_OPTION)
    .action(async (name: string, options: ConfigOptions) =>
      (await load()).runConfigGet(name, options, context),
    );
}

function addChecking(config: Command, context: CommandContext): void {
  subcommand(config, "check", ["shoal config check", "shoal config check new.yaml"])
    .summary("find what is wrong in configuration files")
    .description("Prints each problem with its line and column; exit code 2 if there is one.")
    .argument("[FILE]", "one file; default: every file that an agent reads")
    .option(...JSON_OPTION)
    .action(async (path: string | undefined, options: ConfigOptions) =>
      (await load()).runConfigCheck(path, options, context),
    );
  subcommand(config, "keys", ["shoal config keys"])
    .summary("list what can be configured")
    .description("Prints every key, its default and what it is for (docs/configuration.md).")
    .option(...JSON_OPTION)
    .action(async (options: ConfigOptions) => (await load()).runConfigKeys(options, context));
}

function addWriting(config: Command, context: CommandContext): void {
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
    .action(async (name: string, values: readonly string[], options: ConfigOptions) =>
      (await load()).runConfigSet({ name, values }, options, context),
    );
  subcommand(config, "unset", ["shoal config unset uploadRateBytesPerSec"])
    .summary("remove a key from your file")
    .description("Removes one key of a file, so that the next weaker place counts.")
    .argument("<KEY>", "a key, as shoal config keys lists them")
    .option(...SYSTEM_OPTION)
    .option(...FILE_OPTION)
    .option(...JSON_OPTION)
    .action(async (name: string, options: ConfigOptions) =>
      (await load()).runConfigSet({ name, values: [] }, options, context),
    );
}
