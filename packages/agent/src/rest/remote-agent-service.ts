/**
 * The service of an agent somewhere else on this machine, over its REST API.
 *
 * Knows routes. Made by `connectAgent`.
 */
import type { Ban, ContentId, CounterName } from "@shoal/core";
import { followEvents, RemoteJobService } from "@shoal/jobs";
import type { CallOptions, JobService, RestClient } from "@shoal/jobs";
import type { CacheEntry } from "@shoal/store";
import type { AgentConfiguration } from "../agent-policies.ts";
import type {
  AgentEvent,
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
} from "../service/agent-service.ts";

/** Reading a file, or looking at everything, takes as long as it does. */
const UNTIL_DONE: CallOptions = { timeoutMs: Infinity };

export class RemoteAgentService implements AgentService {
  readonly jobs: JobService;
  readonly #client: RestClient;
  readonly #watchers = new Set<AgentWatcher>();
  #unfollow: (() => void) | undefined;

  constructor(client: RestClient) {
    this.#client = client;
    this.jobs = new RemoteJobService(client);
    client.onEnd((error) => {
      for (const watcher of this.#watchers) watcher.closed(error);
      this.#watchers.clear();
    });
  }

  facts(): Promise<AgentFacts> {
    return this.#get("/v1/agent");
  }

  contents(): Promise<readonly ContentStatus[]> {
    return this.#list("/v1/content", "contents");
  }

  peers(contentId?: ContentId): Promise<readonly PeerStatus[]> {
    const query = contentId === undefined ? "" : `?contentId=${encodeURIComponent(contentId)}`;
    return this.#list(`/v1/peers${query}`, "peers");
  }

  async addPeer(multiaddr: string): Promise<void> {
    await this.#client.call("POST", "/v1/peers", { body: { multiaddr } });
  }

  bans(): Promise<readonly Ban[]> {
    return this.jobs.bans();
  }

  removeBan(subject: string): Promise<boolean> {
    return this.jobs.removeBan(subject);
  }

  performance(): Promise<PerformanceSnapshot> {
    return this.#get("/v1/stats");
  }

  month(): Promise<MonthSnapshot> {
    return this.#get("/v1/stats/month");
  }

  traffic(): Promise<readonly TrafficPoint[]> {
    return this.#list("/v1/traffic", "points");
  }

  counters(): Promise<Readonly<Record<CounterName, number>>> {
    return this.#get("/v1/stats/counters");
  }

  cache(): Promise<readonly CacheEntry[]> {
    return this.#list("/v1/cache", "entries");
  }

  async changeCache(change: CacheChange): Promise<readonly CacheEntry[]> {
    const answer = await this.#client.call("POST", "/v1/cache", { body: change });
    return (answer as { readonly entries: readonly CacheEntry[] }).entries;
  }

  async share(path: string): Promise<ContentId> {
    const answer = await this.#client.call("POST", "/v1/content", {
      body: { path },
      ...UNTIL_DONE,
    });
    return (answer as { readonly contentId: ContentId }).contentId;
  }

  async announce(signed: string): Promise<void> {
    await this.#client.call("POST", "/v1/content/announcements", { body: { signed } });
  }

  configuration(): Promise<AgentConfiguration> {
    return this.#get("/v1/settings");
  }

  async changeSettings(changes: Readonly<Record<string, number>>): Promise<AgentConfiguration> {
    return (await this.#client.call("PATCH", "/v1/settings", {
      body: changes,
    })) as AgentConfiguration;
  }

  async reload(): Promise<AgentConfiguration> {
    return (await this.#client.call("POST", "/v1/settings/reload")) as AgentConfiguration;
  }

  log(after?: number): Promise<readonly LogRecord[]> {
    return this.#list(`/v1/log${after === undefined ? "" : `?after=${after}`}`, "records");
  }

  async diagnose(): Promise<readonly CheckReport[]> {
    const answer = await this.#client.call("GET", "/v1/doctor", UNTIL_DONE);
    return (answer as { readonly checks: readonly CheckReport[] }).checks;
  }

  watch(watcher: AgentWatcher): () => void {
    if (this.#client.isOver) {
      this.#client.onEnd((error) => watcher.closed(error));
      return () => {};
    }
    this.#watchers.add(watcher);
    this.#unfollow ??= followEvents(this.#client, {
      path: "/v1/events",
      happened: ({ event, id, data }) => {
        const reset = { sequence: Number(id), at: Date.now(), type: "reset" };
        const told = event === "reset" ? reset : (JSON.parse(data) as AgentEvent);
        for (const listener of this.#watchers) listener.happened(told);
      },
    });
    return () => {
      if (!this.#watchers.delete(watcher) || this.#watchers.size > 0) return;
      this.#unfollow?.();
      this.#unfollow = undefined;
    };
  }

  close(): void {
    this.#client.end("closed");
  }

  async #get<Value>(path: string): Promise<Value> {
    return (await this.#client.call("GET", path)) as Value;
  }

  async #list<Item>(path: string, name: string): Promise<readonly Item[]> {
    const answer = await this.#get<Readonly<Record<string, readonly Item[]>>>(path);
    return answer[name] ?? [];
  }
}
