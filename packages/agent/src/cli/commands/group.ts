/** `shoal group create`: makes the key that the members of a group share. */
import { createGroupKeyFile } from "../../group-key-file.ts";
import type { CommandContext } from "../command-context.ts";
import { subcommand } from "../define-command.ts";
import type { Register } from "../define-command.ts";
import { escapeText } from "../escape-text.ts";

interface GroupOptions {
  readonly json?: true;
}

export const addGroup: Register = (program, context) => {
  const command = subcommand(program, "group", ["shoal group create office.group"])
    .summary("make keys that the members of a group share")
    .description("Makes keys for --group-key.");
  subcommand(command, "create", ["shoal group create office.group"])
    .summary("make a group's key")
    .description("Writes a new group key to FILE, for every member.")
    .argument("<FILE>", "where to put the key")
    .option("--json", "print one JSON object")
    .action((file: string, options: GroupOptions) => runGroupCreate(file, options, context));
};

async function runGroupCreate(
  file: string,
  options: GroupOptions,
  { terminal }: CommandContext,
): Promise<void> {
  await createGroupKeyFile(file);
  if (options.json === true) return terminal.json({ file });
  terminal.say(
    `Wrote ${escapeText(file)}. Copy it to every member, and keep it from everybody else.\n`,
  );
  terminal.say("Members are agents that are started with --group-key and this file.\n");
}
