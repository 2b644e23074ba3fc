/**
 * `shoal agent`: an agent that runs until it is told to stop, and gives peers what it has. Its
 * addresses go to stdout; what happens goes to stderr, on a terminal a line at a time and not too
 * many (`calm-log.ts`), else as lines of JSON (`json-log.ts`).
 */
import { POLICY_REASONS } from "@shoal/core";
import type { Policies, PolicyPreset, Settings } from "@shoal/core";
import { AGENT_KEYS } from "../config/agent-keys.ts";
import type { LogFormat, LogLevel } from "../config/agent-keys.ts";
import { valueIn } from "../config/config-options.ts";
import { loadConfig } from "../config/load-config.ts";
import type { Config, ConfigRequest } from "../config/load-config.ts";
import { LevelledLog } from "../daemon/daemon-log.ts";
import type { DaemonLog } from "../daemon/daemon-log.ts";
import { runDaemon } from "../daemon/run-daemon.ts";
import type { DaemonFacts } from "../daemon/run-daemon.ts";
import type { Agent } from "../running-agent.ts";
import { flagsOf } from "./agent-flags.ts";
import { CalmLog } from "./calm-log.ts";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { Interruption } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

export interface AgentCommandOptions {
  /** In place of the user's configuration file. */
  readonly config?: string;
  readonly state?: string;
  readonly peer?: readonly string[];
  readonly listen?: readonly string[];
  readonly cacheHost?: readonly string[];
  readonly trust?: readonly string[];
  readonly groupKey?: readonly string[];
  readonly share?: readonly string[];
  readonly apiSocket?: string;
  readonly apiPort?: number;
  /** `--no-api` says false. */
  readonly api?: boolean;
  readonly doRest?: true;
  readonly doRestRun?: string;
  readonly doRestConfig?: string;
  readonly mdns: boolean;
  readonly ca?: string;
  readonly setting?: Partial<Settings>;
  /** Any keys, as `KEY=VALUE`. */
  readonly set?: readonly string[];
  readonly policy?: Policies;
  readonly policyFile?: string;
  readonly policyPreset?: PolicyPreset;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
  readonly json?: true;
}

const SUMMARY_INTERVAL_MS = 10_000;

export async function runAgentCommand(
  options: AgentCommandOptions,
  { terminal, env, signal }: CommandContext,
): Promise<void> {
  const flags = await flagsOf(options);
  const file = options.config;
  const request: ConfigRequest = { env, flags, ...(file !== undefined && { file }) };
  const config = await loadConfig(request);
  const voice = await voiceOf(config, { terminal, json: options.json === true });
  const deps = {
    log: voice.log,
    process,
    signal,
    shared: (path: string, contentId: string) => voice.shared(path, contentId),
    running: async (agent: Agent, about: DaemonFacts) => {
      voice.ready(agent, about);
      await stopped(signal, () => voice.tick(agent)).finally(() => voice.stopping());
    },
  };
  try {
    await runDaemon(deps, {
      request,
      config,
      reloadsOnHangUp: !terminal.isLive,
    });
  } catch (error) {
    // Being told to stop is how this command ends.
    if (!(error instanceof Interruption)) throw error;
  }
}

/** How the agent speaks: to people, or to a log. */
interface Voice {
  readonly log: DaemonLog;
  shared(path: string, contentId: string): void;
  ready(agent: Agent, about: DaemonFacts): void;
  /** From time to time. */
  tick(agent: Agent): void;
  stopping(): void;
}

interface VoiceParts {
  readonly terminal: Terminal;
  readonly json: boolean;
}

async function voiceOf(config: Config, parts: VoiceParts): Promise<Voice> {
  const level = valueIn<LogLevel>(config, "logLevel", AGENT_KEYS.logLevel.default);
  const format = valueIn<LogFormat>(config, "logFormat", AGENT_KEYS.logFormat.default);
  const isText = format === "text" || (format === "auto" && parts.terminal.stderr.isTTY === true);
  if (isText) return textVoice(parts, level);
  // Who runs an agent in a terminal needs none of it.
  const { createJsonLog } = await import("../daemon/json-log.ts");
  return jsonVoice(parts, createJsonLog({ level }));
}

function textVoice({ terminal, json }: VoiceParts, level: LogLevel): Voice {
  const calm = new CalmLog(terminal);
  return {
    log: new LevelledLog(calm, level),
    shared: (path, contentId) => terminal.say(`Sharing ${escapeText(path)} as ${contentId}.\n`),
    ready: (agent, about) => {
      if (json) return announceAsJson(agent, { ...about, terminal });
      announce(agent, { ...about, terminal });
    },
    tick: (agent) => calm.summarize(agent),
    stopping: () => terminal.say("Stopping.\n"),
  };
}

function jsonVoice({ terminal, json }: VoiceParts, log: DaemonLog): Voice {
  return {
    log,
    shared: (path, contentId) => log.info({ path, contentId }, "file is on offer"),
    ready: (agent, about) => {
      const { peerId, addresses } = agent;
      const { stateDirectory } = about;
      log.info({ peerId, addresses: addresses.join(" "), stateDirectory }, "agent is running");
      if (json) announceAsJson(agent, { ...about, terminal });
      else for (const address of addresses) terminal.data(address);
    },
    tick: () => {},
    stopping: () => log.info({}, "agent stops"),
  };
}

function announceAsJson(
  { peerId, addresses, servedContents: contents, socketPath, apiUrl, doRest }: Agent,
  { terminal, stateDirectory, isSafeMode }: DaemonFacts & { readonly terminal: Terminal },
): void {
  terminal.json({
    type: "ready",
    peerId,
    addresses,
    stateDirectory,
    contents,
    ...(socketPath !== undefined && { socketPath }),
    ...(apiUrl !== undefined && { apiUrl }),
    ...(doRest !== undefined && { doRestPort: doRest.port }),
    ...(isSafeMode && { isSafeMode }),
  });
}

function announce(
  agent: Agent,
  { terminal, stateDirectory }: DaemonFacts & { readonly terminal: Terminal },
): void {
  const { addresses, socketPath, apiUrl, doRest } = agent;
  terminal.say(`The agent runs; its state is in ${escapeText(stateDirectory)}.\n`);
  const places = [socketPath, apiUrl].filter((place) => place !== undefined);
  if (places.length > 0) {
    const text = places.map(escapeText).join(" and ");
    terminal.say(`Commands and programs on this machine reach it at ${text}.\n`);
  }
  if (doRest !== undefined) {
    terminal.say(`Programs of the DO SDK are served at 127.0.0.1:${doRest.port}.\n`);
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
