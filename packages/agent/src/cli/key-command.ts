/** `shoal key generate`: makes a key to sign manifests with, and prints what others must trust. */
import { formatPublicKey } from "@shoal/core";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { generateKeyFile } from "./key-file.ts";

export interface KeyOptions {
  readonly json?: true;
}

export async function runKeyGenerate(
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
