/**
 * What happens in the agent, for everybody who watches: each event is written down once, as the
 * bytes that all watchers are sent, and kept for a while for those who are slow or come back.
 *
 *   jobs, agent ──▶ ring of events ──▶ watcher: its place in the ring
 *
 * A watcher is a number, so a thousand slow ones cost no more memory than one. Ids rise from run to
 * run: they begin with the time of the start. While nobody watches, nothing is listened to. News of
 * one job that has not changed its state are told at most every 250 ms, the latest at the end.
 *
 * Knows events, not connections. Called by `serveEvents`.
 */
import { LIMITS } from "@shoal/core";
import type { JobId, JobState } from "@shoal/core";
import type { AgentEvent, AgentService } from "../service/agent-service.ts";

/** An event as it is sent. */
export interface KeptEvent {
  readonly id: number;
  readonly type: string;
  readonly jobId: string | undefined;
  readonly bytes: Uint8Array;
}

export interface HubWatcher {
  /** There may be more than it has seen. */
  wake(): void;
  /** A comment is due, so that both ends see that the other is there. */
  beat(): void;
  /** Nothing more will happen. */
  end(): void;
}

/** Ids of a run begin here: room for a thousand events a millisecond since the run before. */
const IDS_PER_MS = 1_024;
const BEAT_INTERVAL_MS = 15_000;
/** The agent's own notices that say less than `jobChanged` does, or come with every piece. */
const UNTOLD: ReadonlySet<string> = new Set(["jobChanged", "ticketSettled", "pieceStored"]);

export class EventHub {
  readonly #service: AgentService;
  readonly #watchers = new Set<HubWatcher>();
  readonly #ring: (KeptEvent | undefined)[] = [];
  readonly #firstId = Date.now() * IDS_PER_MS;
  /** The next event's. */
  #nextId = this.#firstId;
  /** What is older is not there any more. */
  #oldestId = this.#firstId;
  /** When each job was told of last, and what; and what is still to be told. */
  readonly #told = new Map<JobId, { readonly state: JobState; readonly at: number }>();
  readonly #untold = new Map<JobId, JobState>();
  #tellTimer: NodeJS.Timeout | undefined;
  #wakeTimer: NodeJS.Immediate | undefined;
  #beatTimer: NodeJS.Timeout | undefined;
  #forgetTimer: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;
  #isClosed = false;

  constructor(service: AgentService) {
    this.#service = service;
  }

  get nextId(): number {
    return this.#nextId;
  }

  /** Whether everything from `id` on is still there. */
  has(id: number): boolean {
    return id >= this.#oldestId && id <= this.#nextId;
  }

  /** `id` is one that `has`, and below `nextId`. */
  eventOf(id: number): KeptEvent | undefined {
    const event = this.#ring[id % LIMITS.restEventsKeptMax];
    return event?.id === id ? event : undefined;
  }

  /** Until the returned function is called. */
  watch(watcher: HubWatcher): () => void {
    this.#watchers.add(watcher);
    this.#subscribe();
    if (this.#isClosed) watcher.end();
    return () => {
      if (!this.#watchers.delete(watcher) || this.#watchers.size > 0) return;
      clearInterval(this.#beatTimer);
      this.#beatTimer = undefined;
      this.#forgetTimer = setTimeout(() => this.#rest(), LIMITS.restEventsKeptMs).unref();
    };
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#rest();
    clearInterval(this.#beatTimer);
    clearImmediate(this.#wakeTimer);
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }

  #subscribe(): void {
    clearTimeout(this.#forgetTimer);
    this.#beatTimer ??= setInterval(() => {
      for (const watcher of this.#watchers) watcher.beat();
    }, BEAT_INTERVAL_MS).unref();
    if (this.#unsubscribe !== undefined || this.#isClosed) return;
    const closed = (): void => this.close();
    const unwatchJobs = this.#service.jobs.watch({
      changed: (jobId, state) => this.#takeJob(jobId, state),
      closed,
    });
    const unwatchAgent = this.#service.watch({
      happened: (event) => {
        if (!UNTOLD.has(event.type)) this.#keep(event);
      },
      closed,
    });
    this.#unsubscribe = () => {
      unwatchJobs();
      unwatchAgent();
    };
  }

  /** Listens to nothing and keeps nothing; who comes back has missed something. */
  #rest(): void {
    clearTimeout(this.#forgetTimer);
    clearTimeout(this.#tellTimer);
    this.#tellTimer = undefined;
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#told.clear();
    this.#untold.clear();
    this.#ring.length = 0;
    // One number is left out, so that the last event that was seen is too old as well.
    this.#nextId++;
    this.#oldestId = this.#nextId;
  }

  #takeJob(jobId: JobId, state: JobState): void {
    const now = performance.now();
    const told = this.#told.get(jobId);
    const isNew = told?.state !== state || now - told.at >= LIMITS.restJobEventIntervalMs;
    if (isNew) return this.#tellOf(jobId, state, now);
    this.#untold.set(jobId, state);
    this.#tellTimer ??= setTimeout(() => this.#tellRest(), LIMITS.restJobEventIntervalMs);
  }

  #tellRest(): void {
    this.#tellTimer = undefined;
    const now = performance.now();
    for (const [jobId, { at }] of this.#told) {
      if (now - at >= LIMITS.restJobEventIntervalMs) this.#told.delete(jobId);
    }
    for (const [jobId, state] of this.#untold) this.#tellOf(jobId, state, now);
  }

  #tellOf(jobId: JobId, state: JobState, now: number): void {
    if (this.#told.size >= LIMITS.jobsMax) this.#told.clear();
    this.#told.set(jobId, { state, at: now });
    this.#untold.delete(jobId);
    this.#keep({ sequence: 0, at: Date.now(), type: "jobChanged", jobId, state });
  }

  #keep(event: AgentEvent): void {
    const id = this.#nextId++;
    const text = JSON.stringify({ ...event, sequence: id });
    const bytes = Buffer.from(`id: ${id}\nevent: ${event.type}\ndata: ${text}\n\n`);
    const jobId = typeof event["jobId"] === "string" ? event["jobId"] : undefined;
    this.#ring[id % LIMITS.restEventsKeptMax] = { id, type: event.type, jobId, bytes };
    this.#oldestId = Math.max(this.#oldestId, this.#nextId - LIMITS.restEventsKeptMax);
    this.#wakeTimer ??= setImmediate(() => {
      this.#wakeTimer = undefined;
      for (const watcher of this.#watchers) watcher.wake();
    });
  }
}
