/**
 * The agent's service in its own process: puts together what the scheduler, the store, the machine
 * and the monitor know, and hands on what is to be done. What is the agent's rather than a job's is
 * for administrators alone.
 *
 * Knows whom to ask; keeps nothing of its own. Made by the agent, for itself and for every
 * connection that it serves.
 */
import { isAbsolute } from "node:path";
import { ShoalError } from "@shoal/core";
import type {
  Ban,
  ContentId,
  CounterName,
  Millis,
  PaceSettings,
  Scheduler,
  Settings,
} from "@shoal/core";
import type { JobCaller, JobService } from "@shoal/jobs";
import type { CacheEntry, CacheRequest } from "@shoal/store";
import type { AgentConfiguration } from "../agent-policies.ts";
import type { AgentEvents } from "./agent-events.ts";
import type { AgentMonitor } from "./agent-monitor.ts";
import type {
  AgentFacts,
  AgentService,
  AgentWatcher,
  CacheChange,
  CheckReport,
  ContentStatus,
  LogRecord,
  MonthSnapshot,
  PeerStatus,
  PerformanceSnapshot,
  TrafficPoint,
} from "./agent-service.ts";
import { contentStatus } from "./content-status.ts";
import type { LogTail } from "./log-tail.ts";
import { monthSnapshot, performanceSnapshot } from "./performance.ts";
import type { DiskProbe } from "./performance.ts";

/** What whoever starts an agent adds to its service. */
export interface AgentServiceHooks {
  /** Reads the configuration files again and applies what may change while the agent runs. */
  reload?(service: AgentService): Promise<void>;
  /** Looks at everything, within 15 s. */
  diagnose?(service: AgentService): Promise<readonly CheckReport[]>;
}

/** What of a running agent the service asks. */
export interface AgentServiceHost {
  /** Runs a verb on the scheduler. */
  act<Result>(verb: (scheduler: Scheduler, now: Millis) => Result): Result;
  readonly settings: Settings;
  readonly hooks: AgentServiceHooks;
  readonly monitor: AgentMonitor;
  readonly events: AgentEvents;
  readonly log: LogTail;
  readonly disk: DiskProbe;
  facts(): AgentFacts;
  configuration(): AgentConfiguration;
  cache(request: CacheRequest): Promise<readonly CacheEntry[]>;
  addPeer(multiaddr: string): void;
  share(path: string): Promise<ContentId>;
  announce(signed: Uint8Array): void;
}

export interface AgentServiceOptions {
  readonly caller: JobCaller;
  /** The caller's jobs; closed with the service. */
  readonly jobs: JobService;
  /** The service is closed, and will not be asked again. */
  readonly onClosed?: () => void;
}

export class LocalAgentService implements AgentService {
  readonly jobs: JobService;
  readonly #host: AgentServiceHost;
  readonly #caller: JobCaller;
  readonly #onClosed: (() => void) | undefined;
  readonly #unsubscribe = new Set<() => void>();
  #isClosed = false;

  constructor(host: AgentServiceHost, { caller, jobs, onClosed }: AgentServiceOptions) {
    this.#host = host;
    this.#caller = caller;
    this.#onClosed = onClosed;
    this.jobs = jobs;
  }

  async facts(): Promise<AgentFacts> {
    return this.#admitted("facts").facts();
  }

  async contents(): Promise<readonly ContentStatus[]> {
    const host = this.#admitted("contents");
    const entries = new Map<ContentId, CacheEntry>();
    for (const entry of await host.cache({ verb: "list" })) entries.set(entry.contentId, entry);
    const { cacheAgeMs } = host.settings;
    const contents = host.act((scheduler, now) => scheduler.overview.contents(now));
    return contents.map((content) => {
      const { contentId } = content;
      const entry = contentId === undefined ? undefined : entries.get(contentId);
      return contentStatus(content, { entry, cacheAgeMs });
    });
  }

  async peers(contentId?: ContentId): Promise<readonly PeerStatus[]> {
    const host = this.#admitted("peers");
    const peers = host.act((scheduler, now) => scheduler.overview.peers(contentId, now));
    return peers.map(({ standing, host: address, ...peer }) => ({
      ...peer,
      ...(address !== undefined && { host: address }),
      ...(standing && {
        reason: {
          code: standing.code,
          words:
            standing.detail === undefined
              ? standing.words
              : `${standing.words}: ${standing.detail}`,
          ...(standing.remedy !== undefined && { remedy: standing.remedy }),
        },
      }),
    }));
  }

  async addPeer(multiaddr: string): Promise<void> {
    this.#admitted("peers").addPeer(multiaddr);
  }

  async bans(): Promise<readonly Ban[]> {
    return this.#admitted("bans").act((scheduler, now) => scheduler.bans.bans(now));
  }

  async removeBan(subject: string): Promise<boolean> {
    const host = this.#admitted("bans");
    return host.act((scheduler, now) => scheduler.bans.removeBan(subject, now));
  }

  async performance(): Promise<PerformanceSnapshot> {
    const host = this.#admitted("performance");
    const [entries, disk] = await Promise.all([host.cache({ verb: "list" }), host.disk()]);
    return host.act((scheduler, now) => {
      const totals = scheduler.overview.totals(now);
      const { counters, paceSettings } = scheduler;
      const { downloadMode } = host.settings;
      return performanceSnapshot({ counters, totals, paceSettings, downloadMode, entries, disk });
    });
  }

  async month(): Promise<MonthSnapshot> {
    const host = this.#admitted("month");
    return monthSnapshot(host.act((scheduler, now) => scheduler.overview.month(now)));
  }

  async traffic(): Promise<readonly TrafficPoint[]> {
    return this.#admitted("traffic").monitor.traffic;
  }

  async counters(): Promise<Readonly<Record<CounterName, number>>> {
    return this.#admitted("counters").act((scheduler) => scheduler.counters.snapshot());
  }

  async cache(): Promise<readonly CacheEntry[]> {
    return await this.#admitted("cache").cache({ verb: "list" });
  }

  async changeCache(change: CacheChange): Promise<readonly CacheEntry[]> {
    return await this.#admitted("cache").cache(change);
  }

  async share(path: string): Promise<ContentId> {
    const host = this.#admitted("share");
    if (!isAbsolute(path)) throw new ShoalError("ERR_USAGE", "a file is named by an absolute path");
    return await host.share(path);
  }

  async announce(signed: string): Promise<void> {
    this.#admitted("announce").announce(Buffer.from(signed, "base64"));
  }

  async configuration(): Promise<AgentConfiguration> {
    return this.#admitted("configuration").configuration();
  }

  async changeSettings(changes: Readonly<Record<string, number>>): Promise<AgentConfiguration> {
    const host = this.#admitted("configuration");
    // The scheduler refuses what is no setting, and what only a start can change.
    const settings: Partial<PaceSettings> = changes;
    host.act((scheduler, now) => scheduler.applySettings(settings, now));
    return host.configuration();
  }

  async reload(): Promise<AgentConfiguration> {
    const host = this.#admitted("configuration");
    if (host.hooks.reload === undefined) throw new ShoalError("ERR_FEATURE_UNSUPPORTED", "reload");
    await host.hooks.reload(this);
    return host.configuration();
  }

  async log(after?: number): Promise<readonly LogRecord[]> {
    return this.#admitted("log").log.records(after);
  }

  async diagnose(): Promise<readonly CheckReport[]> {
    const { hooks } = this.#admitted("diagnose");
    if (hooks.diagnose === undefined) throw new ShoalError("ERR_FEATURE_UNSUPPORTED", "diagnose");
    return await hooks.diagnose(this);
  }

  watch(watcher: AgentWatcher): () => void {
    if (this.#isClosed) {
      watcher.closed(new ShoalError("ERR_AGENT_CLOSED"));
      return () => {};
    }
    const stop = this.#host.events.watch(watcher, this.#caller);
    const unsubscribe = (): void => {
      this.#unsubscribe.delete(end);
      stop();
    };
    const end = (): void => {
      unsubscribe();
      watcher.closed(new ShoalError("ERR_AGENT_CLOSED"));
    };
    this.#unsubscribe.add(end);
    return unsubscribe;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const end of this.#unsubscribe) end();
    this.jobs.close();
    this.#onClosed?.();
  }

  #admitted(what: string): AgentServiceHost {
    if (this.#isClosed) throw new ShoalError("ERR_AGENT_CLOSED");
    if (!this.#caller.isAdministrator) throw new ShoalError("ERR_ACCESS_DENIED", what);
    return this.#host;
  }
}
