/**
 * What a running agent's watchers hear: the scheduler's notices in order, numbered for the whole
 * agent, so that whoever was away can tell what has been missed. Notices that come with every
 * piece are left out, and changes of one job that come at once are told once.
 *
 *   notice ──▶ numbered ──▶ watchers          jobChanged ──100 ms──▶ one event for each job
 *
 * Knows notices and who may hear of which jobs. Asked by `LocalAgentService`.
 */
import { ShoalError } from "@shoal/core";
import type { JobId, JobState, Notice } from "@shoal/core";
import type { JobCaller } from "@shoal/jobs";
import type { AgentEvent, AgentWatcher } from "./agent-service.ts";

/** How long changes of jobs wait for further ones. */
const JOB_INTERVAL_MS = 100;

/** What is asked about a job that has changed. */
export type BriefOf = (
  jobId: JobId,
) => { readonly owner: string; readonly state: JobState } | undefined;

interface Watching {
  readonly watcher: AgentWatcher;
  readonly caller: JobCaller;
}

export class AgentEvents implements Disposable {
  readonly #briefOf: BriefOf;
  readonly #watching = new Set<Watching>();
  readonly #changed = new Set<JobId>();
  #timer: NodeJS.Timeout | undefined;
  #sequence = 0;
  #closedWith: Error | undefined;

  constructor(briefOf: BriefOf) {
    this.#briefOf = briefOf;
  }

  /** The number of the latest event. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Until the returned function is called. Who is no administrator hears of own jobs alone. */
  watch(watcher: AgentWatcher, caller: JobCaller): () => void {
    if (this.#closedWith !== undefined) {
      watcher.closed(this.#closedWith);
      return () => {};
    }
    const watching = { watcher, caller };
    this.#watching.add(watching);
    return () => void this.#watching.delete(watching);
  }

  /** To be called with every notice. */
  take(notice: Notice): void {
    if (this.#watching.size === 0 || this.#closedWith !== undefined) return;
    switch (notice.type) {
      case "pieceStored":
      case "ticketSettled":
        return;
      case "jobChanged":
        this.#changed.add(notice.jobId);
        this.#timer ??= setTimeout(() => this.#tellJobs(), JOB_INTERVAL_MS);
        return;
      default:
        this.#tell({ ...notice });
    }
  }

  [Symbol.dispose](): void {
    this.#tellJobs();
    const error = new ShoalError("ERR_AGENT_CLOSED");
    this.#closedWith = error;
    const all = [...this.#watching];
    this.#watching.clear();
    for (const { watcher } of all) watcher.closed(error);
  }

  #tellJobs(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const jobIds = [...this.#changed];
    this.#changed.clear();
    for (const jobId of jobIds) {
      const brief = this.#briefOf(jobId);
      if (brief === undefined) continue;
      this.#tell({ type: "jobChanged", jobId, state: brief.state }, brief.owner);
    }
  }

  #tell(event: { readonly type: string; readonly [field: string]: unknown }, owner?: string): void {
    const numbered: AgentEvent = { ...event, sequence: ++this.#sequence, at: Date.now() };
    for (const { watcher, caller } of this.#watching) {
      if (caller.isAdministrator || owner === caller.name) watcher.happened(numbered);
    }
  }
}
