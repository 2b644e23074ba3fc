/** `shoal group create`: makes the key that the members of a group share. */
import { createGroupKeyFile } from "../group-key-file.ts";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";

export interface GroupOptions {
  readonly json?: true;
}

export async function runGroupCreate(
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
