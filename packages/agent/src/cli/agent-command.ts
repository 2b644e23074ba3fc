/**
 * `shoal agent`: an agent that runs until it is told to stop, and gives peers what it has. Its
 * addresses go to stdout; what happens goes to stderr, a line at a time and not too many.
 */
import { join } from "node:path";
import { POLICY_REASONS } from "@shoal/core";
import type { Policies, PolicyPreset, Settings } from "@shoal/core";
import type { Logger, LogFields } from "../logger.ts";
import { startAgent } from "../start-agent.ts";
import type { AgentOptions } from "../start-agent.ts";
import type { Agent } from "../running-agent.ts";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { Interruption } from "./failure.ts";
import { formatBytes, formatCount } from "./format-values.ts";
import { policiesOf } from "./policy-file.ts";
import { stateHome } from "./state-place.ts";
import type { Terminal } from "./terminal.ts";
import { wayOut } from "./way-out.ts";

export interface AgentCommandOptions {
  readonly state?: string;
  readonly peer?: readonly string[];
  readonly listen?: readonly string[];
  readonly cacheHost?: readonly string[];
  readonly trust?: readonly string[];
  readonly groupKey?: readonly string[];
  readonly share?: readonly string[];
  readonly jobSocket?: string;
  readonly doRest?: true;
  readonly doRestRun?: string;
  readonly doRestConfig?: string;
  readonly mdns: boolean;
  readonly ca?: string;
  readonly setting?: Partial<Settings>;
  readonly policy?: Policies;
  readonly policyFile?: string;
  readonly policyPreset?: PolicyPreset;
  readonly json?: true;
}

const SUMMARY_INTERVAL_MS = 10_000;

export async function runAgentCommand(
  options: AgentCommandOptions,
  { terminal, env, signal }: CommandContext,
): Promise<void> {
  const stateDirectory = options.state ?? join(stateHome(env), "agent");
  const log = new CalmLog(terminal);
  await using agent = await startAgent({
    stateDirectory,
    peers: options.peer ?? [],
    mdns: options.mdns,
    cacheHosts: options.cacheHost ?? [],
    trustedKeys: options.trust ?? [],
    groupKeyFiles: options.groupKey ?? [],
    ...wayOut(options, env),
    settings: options.setting ?? {},
    policies: await policiesOf(options),
    ...(options.policyPreset === undefined ? {} : { policyPreset: options.policyPreset }),
    logger: log,
    ...(options.listen === undefined ? {} : { listen: options.listen }),
    ...(options.jobSocket === undefined ? {} : { api: { socketPath: options.jobSocket } }),
    ...doRestOf(options),
  });
  try {
    for (const path of options.share ?? []) {
      const contentId = await agent.share(path, { signal });
      terminal.say(`Sharing ${escapeText(path)} as ${contentId}.\n`);
    }
    announce(agent, { stateDirectory, terminal, json: options.json === true });
    await stopped(signal, () => log.summarize(agent));
  } catch (error) {
    // Being told to stop is how this command ends.
    if (!(error instanceof Interruption)) throw error;
  }
  terminal.say("Stopping.\n");
}

/** Naming a directory of it asks for the listener, too. */
function doRestOf(options: AgentCommandOptions): Pick<AgentOptions, "doRest"> {
  const { doRest, doRestRun: runDirectory, doRestConfig: configDirectory } = options;
  if (doRest !== true && runDirectory === undefined && configDirectory === undefined) return {};
  return {
    doRest: {
      ...(runDirectory !== undefined && { runDirectory }),
      ...(configDirectory !== undefined && { configDirectory }),
    },
  };
}

function announce(
  agent: Agent,
  about: { stateDirectory: string; terminal: Terminal; json: boolean },
): void {
  const { terminal, stateDirectory } = about;
  const { peerId, addresses, servedContents: contents, socketPath: jobSocket } = agent;
  const doRestPort = agent.doRest?.port;
  if (about.json) {
    const socket = jobSocket === undefined ? {} : { jobSocket };
    const doRest = doRestPort === undefined ? {} : { doRestPort };
    const ready = { type: "ready", peerId, addresses, stateDirectory, contents } as const;
    terminal.json({ ...ready, ...socket, ...doRest });
    return;
  }
  terminal.say(`The agent runs; its state is in ${escapeText(stateDirectory)}.\n`);
  if (jobSocket !== undefined) {
    terminal.say(`Programs on this machine reach its jobs at ${escapeText(jobSocket)}.\n`);
  }
  if (doRestPort !== undefined) {
    terminal.say(`Programs of the DO SDK are served at 127.0.0.1:${doRestPort}.\n`);
  }
  terminal.say("Peers reach it at:\n");
  for (const address of addresses) terminal.data(address);
  if (addresses.length === 0) terminal.say("(no address: it can only dial)\n");
  for (const reason of agent.configuration().peering.reasons) {
    terminal.say(`${POLICY_REASONS[reason].meaning} (${reason}, see docs/policies.md)\n`);
  }
}

/** Rejects with the signal's reason; calls `tick` from time to time until then. */
async function stopped(signal: AbortSignal, tick: () => void): Promise<never> {
  const timer = setInterval(tick, SUMMARY_INTERVAL_MS);
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  return await promise.finally(() => clearInterval(timer));
}

/** R-LOG-02: so many lines of a kind per minute, then a count. */
const LINES_PER_MINUTE_MAX = 10;
const MINUTE_MS = 60_000;

/** The agent's log on stderr, bounded so that no peer can fill the screen. */
export class CalmLog implements Logger {
  readonly #terminal: Pick<Terminal, "say">;
  readonly #now: () => number;
  readonly #lines = new Map<string, { since: number; count: number; unsaid: number }>();
  #sentBytes = 0;
  #contentCount = 0;

  constructor(terminal: Pick<Terminal, "say">, now: () => number = () => performance.now()) {
    this.#terminal = terminal;
    this.#now = now;
  }

  debug(): void {}

  info(fields: LogFields, message: string): void {
    this.#write(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#write(fields, message);
  }

  /** A line each about uploads, contents on offer and what was left unsaid, if there is news. */
  summarize(agent: Pick<Agent, "counters" | "connectedPeers" | "servedContents">): void {
    const contentCount = agent.servedContents.length;
    if (contentCount !== this.#contentCount) {
      this.#terminal.say(`${formatCount(contentCount, "content")} on offer\n`);
      this.#contentCount = contentCount;
    }
    const sentBytes = agent.counters().shoal_peer_sent_bytes_total;
    if (sentBytes !== this.#sentBytes) {
      const peers = formatCount(agent.connectedPeers.length, "peer");
      const fresh = formatBytes(sentBytes - this.#sentBytes);
      this.#terminal.say(`sent ${fresh} (${formatBytes(sentBytes)} in all), ${peers} connected\n`);
      this.#sentBytes = sentBytes;
    }
    for (const [message, lines] of this.#lines) {
      if (this.#now() - lines.since < MINUTE_MS) continue;
      this.#lines.delete(message);
      if (lines.unsaid > 0) this.#terminal.say(`${message}: ${lines.unsaid} times more\n`);
    }
  }

  #write(fields: LogFields, message: string): void {
    const lines = this.#lines.get(message) ?? { since: this.#now(), count: 0, unsaid: 0 };
    this.#lines.set(message, lines);
    lines.count++;
    if (lines.count > LINES_PER_MINUTE_MAX) {
      lines.unsaid++;
      return;
    }
    const details = Object.values(fields).map((value) => escapeText(String(value)).slice(0, 256));
    this.#terminal.say(`${[message, ...details].join(" ")}\n`);
  }
}
