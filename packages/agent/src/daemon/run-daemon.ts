/**
 * An agent as a process of its own: started from the configuration, watched over, told to its
 * supervisor, reloaded when asked, and stopped in order.
 *
 *   crash record ─▶ startAgent (lock) ─▶ share ─▶ READY ─▶ … reload … ─▶ STOPPING ─▶ closed
 *
 * Knows how the parts fit together; what is shown to people is the caller's. Called by
 * `shoal agent`.
 */
import { applyConfig } from "./reload.ts";
import type { ConfigChange } from "./reload.ts";
import { guardAgainstCrashes, isCrashLoop } from "./crash-record.ts";
import type { FaultSource } from "./crash-record.ts";
import type { DaemonLog } from "./daemon-log.ts";
import { checkDescriptors, MemoryWatch } from "./process-limits.ts";
import { openSupervisor } from "./supervisor.ts";
import { settleMemory } from "./settle-memory.ts";
import type { Supervisor } from "./supervisor.ts";
import { AGENT_KEYS } from "../config/agent-keys.ts";
import type { LogLevel } from "../config/agent-keys.ts";
import { agentOptionsOf, stateDirectoryOf, valueIn } from "../config/config-options.ts";
import { loadConfig } from "../config/load-config.ts";
import type { Config, ConfigRequest } from "../config/load-config.ts";
import type { Agent } from "../running-agent.ts";
import { startAgent } from "../start-agent.ts";

/** The part of `process` that is used. */
export interface DaemonProcess extends FaultSource {
  on(event: "uncaughtException", listener: (error: unknown) => void): unknown;
  on(event: "SIGHUP", listener: () => void): unknown;
  removeAllListeners(event: "SIGHUP"): unknown;
  umask(mask: number): number;
}

export interface DaemonDeps {
  readonly log: DaemonLog;
  readonly process: DaemonProcess;
  /** Aborted when the daemon is to stop. */
  readonly signal: AbortSignal;
  /** A file of the configuration is on offer. */
  shared(path: string, contentId: string): void;
  /** The agent runs; resolves when it is to stop. */
  running(agent: Agent, about: DaemonFacts): Promise<void>;
}

export interface DaemonFacts {
  readonly stateDirectory: string;
  readonly isSafeMode: boolean;
}

export interface DaemonOptions {
  readonly request: ConfigRequest;
  /** What `request` came to. */
  readonly config: Config;
  /** Whether SIGHUP reloads; else it stops the agent, as when its terminal is closed. */
  readonly reloadsOnHangUp: boolean;
}

/** Peers that are there at the start are connected by then. */
const SETTLE_AFTER_MS = 1_000;

/** Resolves when the agent is closed. Rejects as `startAgent` does. */
export async function runDaemon(deps: DaemonDeps, options: DaemonOptions): Promise<void> {
  const { log } = deps;
  const { config, request } = options;
  const stateDirectory = stateDirectoryOf(config, request.env);
  const umask = config.entries.get("umask")?.value;
  if (typeof umask === "number") deps.process.umask(umask);
  await checkDescriptors(log);
  if (process.getuid?.() === 0) {
    log.warn({}, "the agent runs as root, and writes files of jobs with root's rights");
  }
  const isSafeMode = isCrashLoop(stateDirectory, Date.now());
  if (isSafeMode) {
    log.warn({}, "safe mode after repeated crashes: no peers, and jobs wait to be resumed");
  }
  await using open = new AsyncDisposableStack();
  const endGuard = guardAgainstCrashes(deps.process, {
    stateDirectory,
    log: (error) => log.error({ fault: faultText(error) }, "the agent ends by a fault of its own"),
  });
  open.defer(endGuard);
  const supervisor = open.use(openSupervisor(request.env, log));
  let reloader: Reloader | undefined;
  const reload = async (): Promise<void> => void (await reloader?.reload());
  const agent = await startAgent({
    ...agentOptionsOf(config, request.env),
    isSafeMode,
    service: { reload },
    logger: log,
  });
  open.use(agent);
  const memory = open.use(watchMemory(agent, config, log));
  await shareFiles(agent, config, deps);
  reloader = new Reloader({ agent, supervisor, memory, log }, options);
  if (options.reloadsOnHangUp) {
    // In place of those that stop the process.
    deps.process.removeAllListeners("SIGHUP");
    deps.process.on("SIGHUP", () => void reload().catch(() => {}));
  }
  await supervisor.ready(statusText(agent));
  setTimeout(settleMemory, SETTLE_AFTER_MS).unref();
  try {
    await deps.running(agent, { stateDirectory, isSafeMode });
  } finally {
    // Closing takes longer than to say so.
    void supervisor.stopping();
  }
}

function faultText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function statusText(agent: Agent): string {
  const { length } = agent.addresses;
  return length === 0 ? "Running without a listener" : `Reachable at ${agent.addresses[0]}`;
}

function watchMemory(agent: Agent, config: Config, logger: DaemonLog): MemoryWatch {
  const setShort = (isShortOfMemory: boolean): void => agent.setMachine({ isShortOfMemory });
  const residentBytes = (): number => process.memoryUsage.rss();
  return new MemoryWatch({ logger, setShort, residentBytes }, { limitBytes: memoryMax(config) });
}

/** What is in force: of keys that need another start, the value before. */
function withoutPending(
  before: Config,
  { after, change }: { readonly after: Config; readonly change: ConfigChange },
): Config {
  const entries = new Map(after.entries);
  for (const name of change.restartNeeded) {
    const old = before.entries.get(name);
    if (old === undefined) entries.delete(name);
    else entries.set(name, old);
  }
  return { ...after, entries };
}

function memoryMax(config: Config): number {
  return valueIn<number>(config, "memoryBytesMax", AGENT_KEYS.memoryBytesMax.default);
}

/** A file that a configuration file names, and that is gone, keeps no agent from running. */
async function shareFiles(agent: Agent, config: Config, deps: DaemonDeps): Promise<void> {
  const isAsked = config.entries.get("share")?.layer === "flag";
  for (const path of valueIn<readonly string[]>(config, "share", [])) {
    try {
      deps.shared(path, await agent.share(path, { signal: deps.signal }));
    } catch (error) {
      if (isAsked || deps.signal.aborted) throw error;
      deps.log.warn({ path, reason: String(error) }, "a file cannot be offered");
    }
  }
}

interface ReloaderDeps {
  readonly agent: Agent;
  readonly supervisor: Supervisor;
  readonly memory: MemoryWatch;
  readonly log: DaemonLog;
}

/** Reads the configuration again, one time after the other. */
export class Reloader {
  readonly #deps: ReloaderDeps;
  readonly #request: ConfigRequest;
  #config: Config;
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: ReloaderDeps, { request, config }: DaemonOptions) {
    this.#deps = deps;
    this.#request = request;
    this.#config = config;
  }

  /** Rejects when the new configuration is wrong; the old one then stays, whole. */
  reload(): Promise<ConfigChange> {
    const reloaded = this.#last.then(() => this.#reload());
    this.#last = reloaded.catch(() => {});
    return reloaded;
  }

  async #reload(): Promise<ConfigChange> {
    const { agent, supervisor, memory, log } = this.#deps;
    await supervisor.reloading();
    try {
      const after = await loadConfig(this.#request);
      const change = await applyConfig(agent, { before: this.#config, after });
      agent.doRest?.reload();
      log.setLevel(valueIn<LogLevel>(after, "logLevel", AGENT_KEYS.logLevel.default));
      memory.limitBytes = memoryMax(after);
      this.#config = withoutPending(this.#config, { after, change });
      log.info({ applied: change.applied.join(" ") }, "configuration reloaded");
      if (change.restartNeeded.length > 0) {
        log.warn({ keys: change.restartNeeded.join(" ") }, "these keys need another start");
      }
      return change;
    } catch (error) {
      log.warn({ reason: String(error) }, "the configuration is wrong; the old one stays in force");
      throw error;
    } finally {
      await supervisor.ready(statusText(agent));
    }
  }
}
