/**
 * `shoal seed`: offers files to peers, by the agent that runs, or by one that runs for it until
 * Ctrl-C.
 */
import { resolve } from "node:path";
import type { CommandContext } from "../command-context.ts";
import { addAskOptions, addNetworkOptions, subcommand } from "../define-command.ts";
import type { Register } from "../define-command.ts";
import type { AgentCommandOptions } from "../agent-command.ts";
import { escapeText } from "../escape-text.ts";
import { findAgent } from "../find-agent.ts";
import type { FoundAgent } from "../find-agent.ts";
import { ownAgentFlags } from "../own-agent.ts";

interface SeedOptions extends AgentCommandOptions {
  readonly socket?: string;
  readonly agent: boolean;
}

export const addSeed: Register = (program, context) => {
  const command = subcommand(program, "seed", [
    "shoal seed disk.iso",
    "shoal seed *.iso --json",
    "shoal seed disk.iso --no-agent --listen /ip4/0.0.0.0/tcp/4001",
  ])
    .summary("offer files to peers")
    .description(
      "Offers files to peers, where they are. The agent that runs goes on doing so; without one, " +
        "this command does, until Ctrl-C.",
    )
    .argument("<FILE...>", "what to offer")
    .option("--no-agent", "do it here, whether or not an agent runs");
  addNetworkOptions(addAskOptions(command))
    .option("--state <DIR>", "here: keep state there (default: ~/.local/state/shoal/agent)")
    .action((files: readonly string[], options: SeedOptions) => runSeed(files, options, context));
};

async function runSeed(
  files: readonly string[],
  options: SeedOptions,
  context: CommandContext,
): Promise<void> {
  const isOwn = !options.agent || ownAgentFlags(options).length > 0;
  const found = isOwn ? undefined : await findAgent(options, context);
  if (found !== undefined) return await shareBy(found, files, { options, context });
  const { runAgentCommand } = await import("../agent-command.ts");
  // One that runs beside another leaves the usual socket to it.
  const api = options.agent;
  await runAgentCommand({ logFormat: "text", ...options, api, share: files }, context);
}

interface Sharing {
  readonly options: SeedOptions;
  readonly context: CommandContext;
}

async function shareBy(
  { service, socketPath }: FoundAgent,
  files: readonly string[],
  { options, context: { terminal } }: Sharing,
): Promise<void> {
  try {
    if (options.json !== true) terminal.say(`By the agent at ${escapeText(socketPath)}:\n`);
    for (const file of files) {
      const path = resolve(file);
      const contentId = await service.share(path);
      if (options.json === true) terminal.json({ type: "shared", path, contentId });
      else {
        terminal.say(`Sharing ${escapeText(path)}. The content id:\n`);
        terminal.data(contentId);
      }
    }
  } finally {
    service.close();
  }
}
