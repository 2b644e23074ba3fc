/**
 * An agent while it runs: what whoever started it can ask of it and tell it. Every part answers for
 * itself; here they have one face.
 *
 * Knows the parts that are asked. Opens nothing, and closes what it is given. Made by `startAgent`.
 */
import { resolve as resolvePath } from "node:path";
import {
  isBoolean,
  isOneOf,
  isRecordOf,
  NETWORK_COSTS,
  SECURITY_EVENTS,
  ShoalError,
  USUAL_NETWORK,
} from "@shoal/core";
import type {
  ContentId,
  CounterName,
  MachineFacts,
  NetworkState,
  Notice,
  PaceSettings,
  PeerId,
  PieceBytes,
  PolicyRequest,
  SettingName,
  SecurityEventCode,
} from "@shoal/core";
import type { Engine } from "@shoal/engine";
import { announceTo, Jobs, LocalJobService } from "@shoal/jobs";
import type { JobCaller, JobHost, JobService } from "@shoal/jobs";
import type { Store } from "@shoal/store";
import type { Swarm } from "@shoal/swarm";
import { agentBans } from "./agent-bans.ts";
import type { AgentBans } from "./agent-bans.ts";
import { agentCache } from "./agent-cache.ts";
import type { AgentCache } from "./agent-cache.ts";
import type { AgentMachine, PolicyFace } from "./agent-machine.ts";
import type { AgentConfiguration } from "./agent-policies.ts";
import { changeOf } from "./settings-change.ts";
import { logSecurity } from "./logger.ts";
import type { LogFields } from "./logger.ts";
import { createMetrics } from "./service/metrics.ts";
import type { ApiOptions, RestDeps, RestListener } from "./rest/rest-options.ts";
import { startRest } from "./rest/start-rest.ts";
import type { AgentService } from "./service/agent-service.ts";
import { LocalAgentService } from "./service/local-agent-service.ts";
import type { AgentServiceHost } from "./service/local-agent-service.ts";
import { serviceHost } from "./service/service-host.ts";
import type { ServiceParts } from "./service/service-host.ts";
import type { DoRest } from "./do-rest/start-do-rest.ts";

/** A running agent. `await using` closes it. */
export interface Agent extends AsyncDisposable, PolicyFace {
  /** All jobs, as an administrator sees them; those it creates are owned by `local`. */
  readonly jobs: Jobs;
  /** What stays on offer to peers after its job. */
  readonly cache: AgentCache;
  /** Peers and addresses that are refused for what they did. */
  readonly bans: AgentBans;
  readonly peerId: PeerId;
  /** Where peers can reach this agent, each with `/p2p/` and its id. */
  readonly addresses: readonly string[];
  readonly connectedPeers: readonly PeerId[];
  /** Where the REST API is: absolute; `undefined` when there is no socket. */
  readonly socketPath: string | undefined;
  /** Such as `http://127.0.0.1:7070`; `undefined` when the API is on no TCP port. */
  readonly apiUrl: string | undefined;
  /** The listener for programs of the DO SDK; `undefined` when there is none. */
  readonly doRest: Pick<DoRest, "port" | "reload"> | undefined;
  /** Contents that peers can have from this agent, whole or in part. */
  readonly servedContents: readonly ContentId[];
  /**
   * The jobs as `caller` may see and change them, for `new Jobs`, for Microsoft's interfaces
   * (`@shoal/jobs/compat`), or for a transport. Default: an administrator named `local`. The agent
   * closes it with itself; whoever is done with it earlier closes it.
   */
  jobService(caller?: JobCaller): JobService;
  /**
   * All that the agent answers to those who manage it, for `caller`; the agent's own affairs are for
   * administrators. Default: an administrator named `local`. Closed as `jobService` says.
   */
  service(caller?: JobCaller): AgentService;
  /**
   * What the network is like from now on; what is not given stays. Jobs that may not use it wait in
   * `transientError`, those on this machine excepted. Throws `ERR_USAGE`.
   */
  setNetwork(network: Partial<NetworkState>): void;
  /**
   * Changes limits and windows of bandwidth (docs/settings.md), at once and until the agent is
   * closed; what is not given stays. Throws `ERR_SETTING_INVALID`, having changed nothing.
   */
  setLimits(limits: Partial<PaceSettings>): void;
  /**
   * Takes other settings and policies than it was started with: rates, windows and the cache's
   * limits at once. Resolves with the names of settings that differ and need another start. Rejects
   * with `ERR_SETTING_INVALID` or `ERR_POLICY_INVALID`, having changed nothing.
   */
  reconfigure(request: PolicyRequest): Promise<readonly SettingName[]>;
  /** Makes a peer known, to stay connected with. Throws `ERR_PEER_ADDRESS_INVALID`. */
  addPeer(multiaddr: string): void;
  /**
   * Offers a file of this machine to peers, without copying it; resolves when it is on offer, or
   * would be if policy let it (`configuration`).
   * Rejects with `ERR_FILE_UNREADABLE` and others. `signal` ends the reading of the file.
   */
  share(path: string, options?: { readonly signal?: AbortSignal }): Promise<ContentId>;
  /**
   * Takes a trusted publisher's signed announcement of a file at somebody else's URL
   * (docs/manifest.md); from then on peers that ask get it, as from any agent that has heard of it.
   * Throws `ERR_MANIFEST_UNTRUSTED`, `ERR_MANIFEST_EXPIRED`, `ERR_MANIFEST_ROLLBACK` or
   * `ERR_MANIFEST_MALFORMED`.
   */
  announce(signed: Uint8Array): void;
  /** Every counter of docs/metrics.md, since the start. */
  counters(): Readonly<Record<CounterName, number>>;
  /** All counters and gauges of docs/metrics.md, in Prometheus' text format. */
  metricsText(): Promise<string>;
  /**
   * Counts what a face of the agent has refused, and logs it (R-LOG-03); `fields` name who it was,
   * by `remote`, without secrets.
   */
  noteSecurityEvent(event: SecurityEventCode, fields?: LogFields): void;
  /** Calls `listener` with every notice until the returned function is called. */
  onNotice(listener: (notice: Notice) => void): () => void;
  /**
   * Writes down what is under way, disconnects, and marks the state as cleanly closed; within 3 s.
   * Jobs that have not ended go on when an agent next starts on this state. Idempotent.
   */
  close(): Promise<void>;
}

/** Who works with the jobs unless somebody else is named. */
export const LOCAL_ADMINISTRATOR: JobCaller = { name: "local", isAdministrator: true };
/** For a file that changes while it is shared, and must then be read once more. */
const SERVE_TIMEOUT_MS = 60_000;

/** What a running agent is made of. */
interface RunningParts {
  readonly engine: Engine<PieceBytes>;
  /** Those that are open. */
  readonly services: Set<{ close(): void }>;
  readonly store: Store;
  readonly swarm: Swarm;
  readonly open: AsyncDisposableStack;
  readonly machine: AgentMachine;
  readonly service: ServiceParts;
  readonly doRest: DoRest | undefined;
}

export class RunningAgent implements Agent {
  readonly jobs: Jobs;
  readonly cache: AgentCache;
  readonly bans: AgentBans;
  readonly peerId: PeerId;
  #rest: RestListener | undefined;
  readonly doRest: Agent["doRest"];
  readonly #parts: RunningParts;
  readonly #serviceHost: AgentServiceHost;
  #network = USUAL_NETWORK;
  #metrics: Promise<() => Promise<string>> | undefined;
  #closed: Promise<void> | undefined;

  constructor(parts: RunningParts) {
    this.#parts = parts;
    this.jobs = new Jobs(this.jobService());
    this.cache = agentCache((request) => parts.store.cache(request));
    this.bans = agentBans((verb) => parts.engine.act(verb));
    this.peerId = parts.swarm.peerId;
    this.#serviceHost = serviceHost(this, { ...parts, ...parts.service });
    this.doRest = parts.doRest;
  }

  get socketPath(): string | undefined {
    return this.#rest?.socketPath;
  }

  get apiUrl(): string | undefined {
    return this.#rest?.url;
  }

  /** Once, before anybody else has the agent. Rejects as `startRest` does. */
  async serveRest(options: ApiOptions, deps: Omit<RestDeps, "service">): Promise<void> {
    this.#rest = await startRest({ ...deps, service: this.service() }, options);
    this.#parts.open.use(this.#rest);
  }

  get addresses(): readonly string[] {
    return this.#parts.swarm.addresses;
  }

  get connectedPeers(): readonly PeerId[] {
    return this.#parts.engine.act((scheduler) => scheduler.connectedPeers);
  }

  get servedContents(): readonly ContentId[] {
    return this.#parts.engine.act((scheduler) => scheduler.servedContents);
  }

  jobService(caller: JobCaller = LOCAL_ADMINISTRATOR): JobService {
    const { services } = this.#parts;
    const service = new LocalJobService(this.#jobHost(), caller);
    services.add(service);
    service.watch({ changed: () => {}, closed: () => void services.delete(service) });
    if (this.#closed !== undefined) service.close();
    return service;
  }

  service(caller: JobCaller = LOCAL_ADMINISTRATOR): AgentService {
    const { services } = this.#parts;
    const service: AgentService = new LocalAgentService(this.#serviceHost, {
      caller,
      jobs: this.jobService(caller),
      onClosed: () => void services.delete(service),
    });
    services.add(service);
    if (this.#closed !== undefined) service.close();
    return service;
  }

  #jobHost(): JobHost {
    const { engine, store } = this.#parts;
    return {
      act: (verb) => engine.act(verb),
      onNotice: (listener) => engine.onNotice(listener),
      attachSink: (jobId, fileIndex, deliver) => engine.attachSink(jobId, fileIndex, deliver),
      share: (path) => store.shareFile(path),
    };
  }

  setNetwork(network: Partial<NetworkState>): void {
    if (!isNetworkShape(network)) throw new ShoalError("ERR_USAGE", "not a state of a network");
    this.#network = { ...this.#network, ...network };
    this.#parts.engine.act((scheduler, now) => scheduler.setNetwork(this.#network, now));
  }

  setMachine(facts: MachineFacts): void {
    this.#parts.machine.setMachine(facts);
  }

  configuration(): AgentConfiguration {
    return this.#parts.machine.configuration();
  }

  setLimits(limits: Partial<PaceSettings>): void {
    this.#parts.engine.act((scheduler, now) => scheduler.applySettings(limits, now));
  }

  async reconfigure(request: PolicyRequest): Promise<readonly SettingName[]> {
    const { engine, machine, store } = this.#parts;
    const change = changeOf(this.configuration(), request);
    // First what may be refused.
    engine.act((scheduler, now) => scheduler.applySettings(change.pace, now));
    if (change.cache !== undefined) await store.cache({ verb: "limit", settings: change.cache });
    machine.setPolicies(change.inForce);
    return change.restartNeeded;
  }

  addPeer(multiaddr: string): void {
    this.#parts.swarm.addPeer(multiaddr);
  }

  async share(path: string, options: { signal?: AbortSignal } = {}): Promise<ContentId> {
    const contentId = await this.#parts.store.shareFile(resolvePath(path), options);
    await this.#served(contentId, path);
    return contentId;
  }

  announce(signed: Uint8Array): void {
    announceTo(this.#parts.engine, signed);
  }

  counters(): Readonly<Record<CounterName, number>> {
    return this.#parts.engine.act((scheduler) => scheduler.counters.snapshot());
  }

  metricsText(): Promise<string> {
    this.#metrics ??= createMetrics(this.#serviceHost);
    return this.#metrics.then((text) => text());
  }

  noteSecurityEvent(event: SecurityEventCode, fields: LogFields = {}): void {
    const { counter } = SECURITY_EVENTS[event];
    this.#parts.engine.act((scheduler) => scheduler.counters.add(counter));
    logSecurity(this.#parts.service.log, event, fields);
  }

  onNotice(listener: (notice: Notice) => void): () => void {
    return this.#parts.engine.onNotice((notice) => guard(() => listener(notice)));
  }

  close(): Promise<void> {
    this.#closed ??= this.#parts.open.disposeAsync();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Resolves when the content is on offer; the store opens a file it has just read at once. */
  async #served(contentId: ContentId, path: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const unsubscribe = this.#parts.engine.onNotice((notice) => {
      // Not served: policy keeps it from peers for now.
      if (notice.type === "contentServed" && notice.contentId === contentId) resolve();
    });
    if (this.servedContents.includes(contentId)) resolve();
    const timer = setTimeout(
      () => reject(new ShoalError("ERR_FILE_UNREADABLE", `${path}: it cannot be opened again`)),
      SERVE_TIMEOUT_MS,
    );
    await promise.finally(() => {
      clearTimeout(timer);
      unsubscribe();
    });
  }
}

const isNetworkShape = isRecordOf(
  {},
  { isOnline: isBoolean, isCellular: isBoolean, cost: isOneOf(Object.keys(NETWORK_COSTS)) },
);

/** A watcher's mistake is the process's to hear of, and does not stop the engine in mid-turn. */
export function guard(watcher: () => void): void {
  try {
    watcher();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
