/**
 * Commands with subcommands. Options that both have may stand anywhere behind the first word. One
 * that does something without a subcommand too, as `shoal jobs` lists, names the nearest
 * one of a word that is none of them.
 */
import type { Command } from "commander";
import { nearestName } from "./nearest-name.ts";

/** The options of a subcommand, with those that its parents were given. */
export function allOptions<Options extends object>(command: Command): Options {
  return command.optsWithGlobals<Options>();
}

/** What the command does alone; its subcommands are added before. */
export function whenAlone<Options>(
  command: Command,
  run: (options: Options) => Promise<void>,
): Command {
  return command
    .allowExcessArguments(true)
    .usage("[COMMAND] [options]")
    .action(async (options: Options) => {
      const [word] = command.args;
      if (word === undefined) return run(options);
      const near = nearestName(
        word,
        command.commands.map((one) => one.name()),
      );
      const hint = near === undefined ? "" : `\n(Did you mean ${near}?)`;
      command.error(`error: unknown command '${word}'${hint}`, {
        code: "commander.unknownCommand",
      });
    });
}
