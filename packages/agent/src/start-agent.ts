/**
 * Composes an agent: state directory and its lock first, then identity, scheduler and engine, then
 * the network. Whatever was opened is closed again when a later step fails.
 *
 *   startAgent ─▶ store (lock) ─▶ identity ─▶ engine ─▶ swarm, origin ─▶ notice `ready` ─▶ Agent
 *
 * Knows how the parts fit together, and none of them from inside. Used by whoever embeds Shoal, and
 * by the `shoal` command.
 */
import { randomInt } from "node:crypto";
import { join, resolve as resolvePath } from "node:path";
import {
  assert,
  PieceBufferPool,
  Random,
  Scheduler,
  SECURITY_EVENTS,
  ShoalError,
} from "@shoal/core";
import type { Counters, EventSink, PeerId, PieceBytes, Settings } from "@shoal/core";
import { Engine, monotonicClock } from "@shoal/engine";
import type { EnginePorts } from "@shoal/engine";
import { createOrigin, readCaFile } from "@shoal/origin";
import type { OriginOptions, ProxyOptions } from "@shoal/origin";
import { openStore } from "@shoal/store";
import type { Store } from "@shoal/store";
import { createSwarm, loadIdentity } from "@shoal/swarm";
import { AgentMachine } from "./agent-machine.ts";
import { resolveAgentPolicies } from "./agent-policies.ts";
import type { AgentPolicies, AgentPolicyOptions } from "./agent-policies.ts";
import { openDoRest } from "./do-rest/open-do-rest.ts";
import type { DoRestOptions } from "./do-rest/start-do-rest.ts";
import { readGroupKeys } from "./group-key-file.ts";
import { logNotice, silentLogger } from "./logger.ts";
import type { Logger } from "./logger.ts";
import { watchNetwork } from "./network-watch.ts";
import { machineProbe } from "./probes/machine-probe.ts";
import { apiFilesOf } from "./rest/rest-options.ts";
import type { ApiFiles, ApiOptions } from "./rest/rest-options.ts";
import { guard, RunningAgent } from "./running-agent.ts";
import type { Agent } from "./running-agent.ts";
import { AgentEvents } from "./service/agent-events.ts";
import { AgentMonitor } from "./service/agent-monitor.ts";
import type { AgentServiceHooks } from "./service/local-agent-service.ts";
import { LogTail } from "./service/log-tail.ts";
import { swarmOptionsOf } from "./swarm-options.ts";
import type { SwarmOptionsParts } from "./swarm-options.ts";
import { parseTrustedKeys } from "./trusted-keys.ts";

export interface AgentOptions extends AgentPolicyOptions {
  /** Created when it does not exist. One agent at a time may use it. */
  readonly stateDirectory: string;
  /** Multiaddrs to listen on. Default: any port of every IPv4 interface. Empty: only dial. */
  readonly listen?: readonly string[];
  /** Multiaddrs of peers to stay connected with, each ending in `/p2p/` and the peer's id. */
  readonly peers?: readonly string[];
  /**
   * Networks such as `192.0.2.0/24` that peers may be in, beside private ones and those this
   * machine is in. Default: none.
   */
  readonly peerNetworks?: readonly string[];
  /**
   * Files that `shoal group create` made: the group's current key and, while it is being changed,
   * the previous one. Only agents that have one of them are talked to. Default: no group, everybody.
   */
  readonly groupKeyFiles?: readonly string[];
  /** Look for peers on the local network. Default true. */
  readonly mdns?: boolean;
  /** Whether agents on this machine may connect. Default: when `listen` names a loopback address. */
  readonly allowLoopbackPeers?: boolean;
  /**
   * Whether jobs wait while this machine has lost its last network address. Default true. Without
   * it, `Agent.setNetwork` alone tells what the network is like.
   */
  readonly watchNetwork?: boolean;
  /**
   * Where other processes reach the agent, as administrators, by `connectAgent`, `connectJobs` or
   * its REST API (docs/rest-api.md). Default: nowhere.
   */
  readonly api?: ApiOptions;
  /**
   * Serve programs that were built on Microsoft's Delivery Optimization SDK for Linux
   * (docs/do-rest.md). Default: not. Rejects with `ERR_LISTEN_FAILED`.
   */
  readonly doRest?: DoRestOptions;
  /** A file of PEM certificates: authorities that origins may have theirs from, beside the usual. */
  readonly caFile?: string;
  /** How origins are reached. Default: directly. The environment is not looked at. */
  readonly proxy?: ProxyOptions;
  /**
   * Cache servers (Connected Cache), each a host name or address with or without a port, asked
   * before the origin, at most 16. Default: none. DO policy DOCacheHost.
   */
  readonly cacheHosts?: readonly string[];
  /**
   * Publishers whose signed manifests are believed, also beside files that come without TLS, each
   * the text that `shoal key generate` prints, `KEY,KEY` for either or `2/KEY,KEY,KEY` for two of
   * three (docs/manifest.md). What is not here any more is not believed by jobs of earlier runs
   * either. At most 64. Default: none.
   */
  readonly trustedKeys?: readonly string[];
  /**
   * After crashes (R-PROC-04): no peers, whatever settings and policies say, and jobs of earlier
   * runs stay queued until somebody resumes them. Default false.
   */
  readonly isSafeMode?: boolean;
  /** Settings that differ from their defaults (docs/settings.md). */
  readonly settings?: Partial<Settings>;
  /** Default: silence. */
  readonly logger?: Logger;
  /** What the agent's service cannot do by itself. */
  readonly service?: AgentServiceHooks;
}

/**
 * Starts an agent; jobs of earlier runs go on. Rejects with `ERR_POLICY_INVALID`, `ERR_STATE_LOCKED`,
 * `ERR_STATE_UNUSABLE`, `ERR_LISTEN_FAILED`, `ERR_PEER_ADDRESS_INVALID`, `ERR_SETTING_INVALID`,
 * `ERR_CA_INVALID`, `ERR_PROXY_INVALID`, `ERR_KEY_INVALID` and others, having left nothing running.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const logger = new LogTail(options.logger ?? silentLogger);
  const policies = await resolveAgentPolicies({ ...options, logger });
  const { settings } = policies;
  const stateDirectory = resolvePath(options.stateDirectory);
  const originOptions = await originOptionsOf(options);
  const groupKeys = await groupKeysOf(options, policies);
  const pool = new PieceBufferPool();
  await using opened = new AsyncDisposableStack();

  let running: Engine<PieceBytes> | undefined;
  const sink: EventSink<PieceBytes> = (event, payload) => {
    assert(running !== undefined, "adapters speak after the engine is made");
    running.sink(event, payload);
  };
  const api = apiFilesOf(options.api ?? {});
  const secretFiles = secretFilesOf(options, api);
  const store = await openStore({ pool, sink }, { stateDirectory, cache: settings, secretFiles });
  opened.adopt(store, () => store.close());
  const privateKey = await loadIdentity(join(stateDirectory, "identity"), () =>
    logger.warn({}, "the identity was damaged; peers see a new agent"),
  );
  const selfId = privateKey.publicKey.toString();
  const parts = { policies, privateKey, groupKeys };
  const scheduler = schedulerOf(options, { ...parts, selfId });
  const engine = new Engine({ scheduler, clock: monotonicClock(), payloads: PAYLOADS });
  running = engine;
  const services = new Set<{ close(): void }>();
  opened.defer(() => services.forEach((service) => service.close()));
  noteDamage(store.report, scheduler.counters, logger);
  const events = opened.use(eventsOf(engine));
  engine.onNotice((notice) => guard(() => logNotice(logger, notice)));

  const swarm = await createSwarm({ pool, sink }, swarmOptionsOf(options, parts));
  opened.adopt(swarm, () => swarm.close());
  assert(swarm.peerId === selfId, "the swarm and the scheduler agree on who we are");
  const origin = createOrigin({ pool, sink }, originOptions);
  opened.adopt(origin, () => origin.close());
  // Closed first, and closes the ports itself: sources before the store.
  opened.defer(() => engine.close());
  const machine = opened.use(await startMachine(engine, options, policies));
  await startEngine(engine, { store, origin, swarm });
  const own = { stateDirectory, apiFiles: Object.values(api) as string[] };
  const restOptions = { doRest: options.doRest, ...own, settings, originOptions };
  const doRest = opened.use(await openDoRest({ host: engine, logger }, restOptions));
  const monitor = opened.use(new AgentMonitor({ act: (verb) => engine.act(verb), logger }));
  const open = opened.move();
  const basis = { settings, stateDirectory, groupKeys, monitor, events, log: logger };
  const hooks = hooksOf(options, () => agent);
  const service = { ...basis, hooks, isSafeMode: options.isSafeMode === true };
  const ports = { engine, services, store, swarm, doRest };
  const agent: RunningAgent = new RunningAgent({ ...ports, open, machine, service });
  await openApi(agent, options);
  if (options.watchNetwork ?? true) {
    open.defer(watchNetwork((isOnline) => agent.setNetwork({ isOnline })));
  }
  return agent;
}

/** What becomes of notices for watchers, from now on. */
function eventsOf(engine: Engine<PieceBytes>): AgentEvents {
  const events = new AgentEvents((jobId) => engine.act((scheduler) => scheduler.jobBrief(jobId)));
  engine.onNotice((notice) => guard(() => events.take(notice)));
  return events;
}

/** The doctor is loaded when somebody asks for it. */
function hooksOf(options: AgentOptions, agent: () => Agent): AgentServiceHooks {
  return {
    diagnose: async (service) => {
      const { diagnose } = await import("./doctor/diagnose.ts");
      return await diagnose(service, options, agent());
    },
    ...options.service,
  };
}

/** The last thing that may fail, since it answers at once. */
async function openApi(agent: RunningAgent, { api, logger }: AgentOptions): Promise<void> {
  if (api === undefined) return;
  const onFault = (error: unknown): void => {
    const kind = error instanceof Error ? error.name : typeof error;
    logger?.warn({ kind }, "a request to the API ended by a fault of the agent");
  };
  try {
    await agent.serveRest(api, { onFault, metricsText: () => agent.metricsText() });
  } catch (error) {
    if (api.isOptional === true && error instanceof ShoalError) {
      return logger?.warn({ reason: error.message }, "the API is not served");
    }
    await agent.close();
    throw error;
  }
}

function startMachine(
  engine: Engine<PieceBytes>,
  { stateDirectory, machineProbe: given, isSafeMode = false }: AgentOptions,
  policies: AgentPolicies,
): Promise<AgentMachine> {
  const probe = given ?? machineProbe({ ...policies, stateDirectory: resolvePath(stateDirectory) });
  const told = isSafeMode ? { facts: { isSafeMode } } : {};
  return AgentMachine.start(engine, { policies, probe, ...told });
}

async function originOptionsOf({ caFile, proxy }: AgentOptions): Promise<OriginOptions> {
  const ca = caFile === undefined ? {} : { ca: await readCaFile(resolvePath(caFile)) };
  return { ...ca, ...(proxy && { proxy }) };
}

/** They are never offered to peers (R-API-13, R-GRP-02). */
function secretFilesOf({ groupKeyFiles = [] }: AgentOptions, { tokenFile }: ApiFiles): string[] {
  const files = groupKeyFiles.map((file) => resolvePath(file));
  return tokenFile === undefined ? files : [...files, tokenFile];
}

/** Key files say more than a group's id does, which many may know. */
async function groupKeysOf(
  { groupKeyFiles = [] }: AgentOptions,
  policies: AgentPolicies,
): Promise<readonly Uint8Array[]> {
  return groupKeyFiles.length > 0 ? await readGroupKeys(groupKeyFiles) : policies.groupKeys;
}

function schedulerOf(
  { trustedKeys = [], isSafeMode: holdsJobs = false }: AgentOptions,
  {
    policies,
    groupKeys,
    selfId,
  }: SwarmOptionsParts & {
    readonly policies: AgentPolicies;
    readonly selfId: PeerId;
  },
): Scheduler {
  const { settings, cacheHosts } = policies;
  const random = new Random(randomInt(2 ** 32));
  const publishers = parseTrustedKeys(trustedKeys);
  const hasGroupKey = groupKeys.length > 0;
  const policy = { settings, cacheHosts, publishers, hasGroupKey, holdsJobs };
  return new Scheduler({ random, selfId, ...policy });
}

function noteDamage(report: Store["report"], counters: Counters, logger: Logger): void {
  const { damagedDatabasePath: path } = report;
  if (path === undefined) return;
  counters.add(SECURITY_EVENTS.recovery.counter);
  logger.warn({ path, event: "recovery" }, "the state was damaged; what could be read is kept");
}

const PAYLOADS = {
  byteLength: (payload: PieceBytes): number => payload.bytes.length,
  release: (payload: PieceBytes): void => payload.release(),
};

/** Resolves when the stored state is in; rejects when it cannot be used. */
function startEngine(engine: Engine<PieceBytes>, ports: EnginePorts<PieceBytes>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const unsubscribe = engine.onNotice((notice) => {
    if (notice.type === "ready") resolve();
    else if (notice.type === "unusable") reject(ShoalError.from(notice.error));
  });
  engine.start(ports);
  return promise.finally(unsubscribe);
}
