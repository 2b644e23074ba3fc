/** `shoal status`: what the running agent fetches and offers, and with whom. */
import { InvalidArgumentError, Option } from "commander";
import { ShoalError } from "@shoal/core";
import type { AgentService, ContentStatus } from "../../service/agent-service.ts";
import type { CommandContext } from "../command-context.ts";
import { addWatchOptions, subcommand } from "../define-command.ts";
import type { Register, WatchOptions } from "../define-command.ts";
import { withAgent } from "../find-agent.ts";
import {
  agentLines,
  contentDetailLines,
  contentLines,
  contentName,
  contentPeerLines,
} from "../status-screen.ts";
import { show } from "../watch-screen.ts";
import type { Sight } from "../watch-screen.ts";

interface StatusOptions extends WatchOptions {
  /** True: as many as usual. */
  readonly peers?: number | true;
}

/** As many as Delivery Optimization shows. */
const PEERS_SHOWN = 5;

export const addStatus: Register = (program, context) => {
  const command = subcommand(program, "status", [
    "shoal status",
    "shoal status --watch",
    "shoal status disk.iso --peers 10",
    "shoal status --json",
  ])
    .summary("show what the agent fetches and offers")
    .description(
      "Contents that the running agent fetches or offers to peers; of one that is named, all " +
        "that is known. HELD is what is here, PEER% the part of the bytes that came from peers, " +
        "CONN connections to the origin + to peers.",
    )
    .argument("[CONTENT]", "a content's name, its id, or the beginning of it")
    .addOption(
      new Option("--peers [COUNT]", "the peers of each content; default: 5").argParser(parseCount),
    );
  addWatchOptions(command).action((named: string | undefined, options: StatusOptions) =>
    runStatus(named, options, context),
  );
};

function parseCount(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError("It takes a whole number.");
  return Number(text);
}

async function runStatus(
  named: string | undefined,
  options: StatusOptions,
  context: CommandContext,
): Promise<void> {
  await withAgent(options, context, (service) =>
    show(() => look(service, { named, options, context }), options, context),
  );
}

interface Looking {
  readonly named: string | undefined;
  readonly options: StatusOptions;
  readonly context: CommandContext;
}

async function look(
  service: AgentService,
  { named, options, context: { terminal } }: Looking,
): Promise<Sight> {
  const [facts, performance, all] = await Promise.all([
    service.facts(),
    service.performance(),
    service.contents(),
  ]);
  const contents = named === undefined ? all : matching(all, named);
  const lines =
    named === undefined
      ? [...agentLines(facts, performance, terminal), "", ...contentLines(contents, terminal)]
      : contents.flatMap((content) => contentDetailLines(content, terminal));
  const objects: object[] = named === undefined ? [{ type: "agent", ...facts }] : [];
  const countMax = options.peers === true ? PEERS_SHOWN : (options.peers ?? 0);
  const shown = [];
  for (const content of contents) {
    const peers = countMax === 0 ? [] : await peersOf(service, content);
    if (countMax > 0) lines.push(...contentPeerLines(content, peers, { countMax, terminal }));
    shown.push({ ...content, ...(countMax > 0 && { peers: peers.slice(0, countMax) }) });
  }
  objects.push(...shown.map((content) => ({ type: "content", ...content })));
  return { lines, objects, whole: { type: "status", agent: facts, contents: shown } };
}

async function peersOf(
  service: AgentService,
  { contentId }: ContentStatus,
): ReturnType<AgentService["peers"]> {
  return contentId === undefined ? [] : await service.peers(contentId);
}

/** Those of this name; without one, the one whose id begins so. */
function matching(all: readonly ContentStatus[], text: string): readonly ContentStatus[] {
  const isNamed = (content: ContentStatus): boolean =>
    [content.contentId, content.jobId, content.displayName, content.path].includes(text) ||
    contentName(content) === text;
  const named = all.filter(isNamed);
  const found = named.length > 0 ? named : all.filter((one) => beginsSo(one, text));
  if (found.length === 0) throw new ShoalError("ERR_CONTENT_NOT_CACHED", text);
  return found;
}

function beginsSo({ contentId, jobId }: ContentStatus, text: string): boolean {
  return contentId?.startsWith(text) === true || jobId?.startsWith(text) === true;
}
