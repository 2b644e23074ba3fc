/**
 * The job service of an agent somewhere else on this machine, over its REST API. Calls that are made
 * without waiting for each other may be taken up in any order.
 *
 * Knows routes. Made by `connectJobService`, and by `connectAgent` of package agent.
 */
import { ShoalError } from "@shoal/core";
import type {
  Ban,
  JobChange,
  JobExplanation,
  JobFileSpec,
  JobId,
  JobSnapshot,
  JobState,
  JobSummary,
  OriginResponse,
  PlainVerb,
  VerbGuard,
  VerbOutcome,
} from "@shoal/core";
import type {
  FileKey,
  JobService,
  ServiceAnnouncement,
  ServiceJobRequest,
  ServiceWatcher,
  StreamTaker,
} from "../job-service.ts";
import { followEvents } from "./remote-events.ts";
import { attachRemoteStream } from "./remote-stream.ts";
import type { RestClient } from "./rest-client.ts";

export class RemoteJobService implements JobService {
  readonly #client: RestClient;
  readonly #watchers = new Set<ServiceWatcher>();
  #unfollow: (() => void) | undefined;

  constructor(client: RestClient) {
    this.#client = client;
    client.onEnd((error) => {
      for (const watcher of this.#watchers) watcher.closed(error);
      this.#watchers.clear();
    });
  }

  async createJob(request: ServiceJobRequest): Promise<JobId> {
    const { jobId } = await this.#call<{ jobId: JobId }>("POST", "/v1/jobs", { body: request });
    return jobId;
  }

  async list(): Promise<readonly JobSummary[]> {
    return (await this.#client.lines("/v1/jobs")) as readonly JobSummary[];
  }

  snapshot(jobId: JobId): Promise<JobSnapshot | undefined> {
    return this.#look(pathOf(jobId));
  }

  explain(jobId: JobId): Promise<JobExplanation | undefined> {
    return this.#look(`${pathOf(jobId)}/explain`);
  }

  /** Acknowledging takes as long as publishing does. */
  applyVerb(jobId: JobId, verb: PlainVerb, guard?: VerbGuard): Promise<VerbOutcome> {
    const timeout = verb === "acknowledge" ? { timeoutMs: Infinity } : {};
    const body = guard === undefined ? {} : { guard };
    return this.#call("POST", `${pathOf(jobId)}/${verb}`, { body, ...timeout });
  }

  async changeJob(jobId: JobId, change: JobChange, guard?: VerbGuard): Promise<void> {
    const body = { change, ...(guard === undefined ? {} : { guard }) };
    await this.#call("PATCH", pathOf(jobId), { body });
  }

  fileSpec(file: FileKey): Promise<JobFileSpec | undefined> {
    return this.#look(`${filePathOf(file)}/spec`);
  }

  fileResponse(file: FileKey): Promise<OriginResponse | undefined> {
    return this.#look(`${filePathOf(file)}/response`);
  }

  attachStream(file: FileKey, taker: StreamTaker): Promise<() => void> {
    return attachRemoteStream(this.#client, file, taker);
  }

  /** Takes as long as the file's length does: all of it is read. */
  async announce({ path, signed }: ServiceAnnouncement): Promise<void> {
    const body = { path, signed };
    await this.#call("POST", "/v1/content/announcements", { body, timeoutMs: Infinity });
  }

  async bans(): Promise<readonly Ban[]> {
    return (await this.#call<{ bans: readonly Ban[] }>("GET", "/v1/peers/bans")).bans;
  }

  async removeBan(subject: string): Promise<boolean> {
    const path = `/v1/peers/bans/${encodeURIComponent(subject)}`;
    return (await this.#call<{ wasBanned: boolean }>("DELETE", path)).wasBanned;
  }

  watch(watcher: ServiceWatcher): () => void {
    if (this.#client.isOver) {
      this.#client.onEnd((error) => watcher.closed(error));
      return () => {};
    }
    this.#watchers.add(watcher);
    this.#unfollow ??= followEvents(this.#client, {
      path: "/v1/events?types=jobChanged",
      happened: ({ event, data }) => {
        if (event === "reset") void this.#tellAll();
        else this.#tell(JSON.parse(data) as { jobId: JobId; state: JobState });
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

  #tell({ jobId, state }: { readonly jobId: JobId; readonly state: JobState }): void {
    for (const watcher of this.#watchers) watcher.changed(jobId, state);
  }

  /** Some changes were missed: any job may have changed. */
  async #tellAll(): Promise<void> {
    for (const job of await this.list().catch(() => [])) this.#tell(job);
  }

  async #call<Value>(...args: Parameters<RestClient["call"]>): Promise<Value> {
    return (await this.#client.call(...args)) as Value;
  }

  /** `undefined` when there is no such job or file. */
  async #look<Value>(path: string): Promise<Value | undefined> {
    try {
      return await this.#call<Value>("GET", path);
    } catch (error) {
      if (error instanceof ShoalError && error.code === "ERR_JOB_NOT_FOUND") return undefined;
      throw error;
    }
  }
}

function pathOf(jobId: JobId): string {
  return `/v1/jobs/${encodeURIComponent(jobId)}`;
}

function filePathOf({ jobId, fileIndex }: FileKey): string {
  return `${pathOf(jobId)}/files/${fileIndex}`;
}
