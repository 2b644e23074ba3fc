/**
 * `shoal peers`: whom the running agent knows and talks to, whom it refuses and for what, and how a
 * fault that is mended is forgiven (R-BAN-05).
 */
import type { Command } from "commander";
import { ShoalError } from "@shoal/core";
import type { ContentId } from "@shoal/core";
import type { AgentService } from "../../service/agent-service.ts";
import type { CommandContext } from "../command-context.ts";
import { addAskOptions, addWatchOptions, subcommand, valued } from "../define-command.ts";
import type { AskOptions, Register, WatchOptions } from "../define-command.ts";
import { escapeText } from "../escape-text.ts";
import { withAgent } from "../find-agent.ts";
import { allOptions, whenAlone } from "../group-command.ts";
import { parseContentIdText } from "../parse-values.ts";
import { banLines, peerLines } from "../peer-screen.ts";
import { show } from "../watch-screen.ts";
import type { Sight } from "../watch-screen.ts";

interface PeersOptions extends WatchOptions {
  readonly content?: ContentId;
}

export const addPeers: Register = (program, context) => {
  const peers = subcommand(program, "peers", [
    "shoal peers",
    "shoal peers --watch",
    "shoal peers bans",
    "shoal peers unban 10.0.0.7",
    "shoal peers add /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…",
  ])
    .summary("show peers, and who is refused")
    .description("Peers that the running agent knows. Without a command, lists them.");
  addListOptions(peers);
  whenAlone<PeersOptions>(peers, (options) => listPeers(options, context));
  addListOptions(subcommand(peers, "list", ["shoal peers list", "shoal peers list --json"]))
    .summary("list them, and why they are not used")
    .description("Lists peers, connected ones first, and why the others are not.")
    .action((_own, command: Command) => listPeers(allOptions(command), context));
  addAskOptions(subcommand(peers, "add", ["shoal peers add /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…"]))
    .summary("connect to one, and stay so")
    .description("Makes a peer known to the agent until it stops.")
    .argument("<MULTIADDR>", "its address, as its agent prints it")
    .action((multiaddr: string, _own, command: Command) =>
      add(multiaddr, allOptions(command), context),
    );
  addAskOptions(subcommand(peers, "bans", ["shoal peers bans", "shoal peers bans --json"]))
    .summary("list those that are refused")
    .description("Lists whom the agent refuses, for what and until when.")
    .action((_own, command: Command) => listBans(allOptions(command), context));
  addAskOptions(subcommand(peers, "unban", ["shoal peers unban 10.0.0.7"]))
    .summary("lift a ban")
    .description("Lifts a ban, and forgets what led to it.")
    .argument("<SUBJECT>", "a peer's id, or an address, as shoal peers bans shows it")
    .action((subject: string, _own, command: Command) =>
      unban(subject, allOptions(command), context),
    );
};

function addListOptions(command: Command): Command {
  return addWatchOptions(
    command.addOption(
      valued("--content <CID>", "only those that take part in it", parseContentIdText),
    ),
  );
}

async function listPeers(options: PeersOptions, context: CommandContext): Promise<void> {
  await withAgent(options, context, (service) =>
    show(() => look(service, options, context), options, context),
  );
}

async function look(
  service: AgentService,
  { content }: PeersOptions,
  { terminal }: CommandContext,
): Promise<Sight> {
  const peers = await service.peers(content);
  const none = 'No peer is known. "shoal peers add" names one; "shoal doctor" finds out why.';
  return {
    lines: peers.length === 0 ? [none] : peerLines(peers, terminal),
    objects: peers.map((peer) => ({ type: "peer", ...peer })),
    whole: { type: "peers", peers },
  };
}

async function add(multiaddr: string, options: AskOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  await withAgent(options, context, (service) => service.addPeer(multiaddr));
  if (options.json === true) terminal.json({ type: "added", multiaddr });
  else terminal.say(`${escapeText(multiaddr)} is known now; "shoal peers" says how it is.\n`);
}

async function listBans(options: AskOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const bans = await withAgent(options, context, (service) => service.bans());
  if (options.json === true) for (const ban of bans) terminal.json({ type: "ban", ...ban });
  else for (const line of banLines(bans, terminal)) terminal.data(line);
}

async function unban(subject: string, options: AskOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const wasBanned = await withAgent(options, context, (service) => service.removeBan(subject));
  if (!wasBanned) throw new ShoalError("ERR_USAGE", `nobody is banned as ${subject}`);
  if (options.json === true) terminal.json({ type: "unbanned", subject });
  else terminal.say(`${escapeText(subject)} is not banned any longer.\n`);
}
