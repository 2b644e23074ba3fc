/** `shoal key generate`: makes a key to sign manifests with, and prints what others must trust. */
import { formatPublicKey } from "@shoal/core";
import type { CommandContext } from "../command-context.ts";
import { subcommand } from "../define-command.ts";
import type { Register } from "../define-command.ts";
import { escapeText } from "../escape-text.ts";
import { generateKeyFile } from "../key-file.ts";

interface KeyOptions {
  readonly json?: true;
}

export const addKey: Register = (program, context) => {
  const command = subcommand(program, "key", ["shoal key generate publisher.key"])
    .summary("make keys to sign manifests with")
    .description("Makes keys for shoal publish --key.");
  subcommand(command, "generate", ["shoal key generate publisher.key"])
    .summary("make a key")
    .description("Writes a new private key to FILE and prints its public key, for --trust.")
    .argument("<FILE>", "where to put the private key")
    .option("--json", "print one JSON object")
    .action((file: string, options: KeyOptions) => runKeyGenerate(file, options, context));
};

async function runKeyGenerate(
  file: string,
  options: KeyOptions,
  { terminal }: CommandContext,
): Promise<void> {
  const { publicKey } = await generateKeyFile(file);
  const text = formatPublicKey(publicKey);
  if (options.json === true) return terminal.json({ file, publicKey: text });
  terminal.say(
    `Wrote ${escapeText(file)}. Keep it to yourself: who has it can sign in your name.\n`,
  );
  terminal.say("Agents trust what it signs with --trust and this public key:\n");
  terminal.data(text);
}
