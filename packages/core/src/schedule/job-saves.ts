/**
 * Makes jobs durable, and settles the tickets of verbs when they are (R-DB-02). Every change of a
 * job that outlives a restart ends in `save` or `end`.
 *
 * Knows tickets and revisions. Called by `JobTable` and `JobRunner`.
 */
import type { StoreEvent } from "../ports/store-port.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { JobId, Millis } from "../units.ts";
import type { Job } from "./job.ts";
import type { Outbox } from "./outbox.ts";
import type { VerbOutcome } from "./snapshot.ts";
import type { WallClock } from "./wall-clock.ts";

interface SaveTicket {
  readonly revision: number;
  readonly ticket: number;
}

/** Most events change no job. */
const NONE: readonly JobId[] = [];

export class JobSaves {
  readonly #outbox: Outbox;
  readonly #wallClock: WallClock;
  readonly #changed = new Set<JobId>();
  /** Tickets that settle when a revision, or a later one, is saved, the oldest first. */
  readonly #saves = new Map<JobId, SaveTicket[]>();
  readonly #ends = new Map<JobId, { readonly ticket: number; readonly isPartial: boolean }>();
  #lastRevision = 0;
  #lastTicket = 0;

  constructor(deps: { outbox: Outbox; wallClock: WallClock }) {
    this.#outbox = deps.outbox;
    this.#wallClock = deps.wallClock;
  }

  newTicket(): number {
    return ++this.#lastTicket;
  }

  /** Something in the job's snapshot changed that need not be durable. */
  changed(job: Job, now: Millis): void {
    job.modifiedAt = this.#wallClock.at(now);
    this.#changed.add(job.jobId);
  }

  save(job: Job, now: Millis): void {
    this.changed(job, now);
    const revision = ++this.#lastRevision;
    this.#outbox.store({ type: "saveJob", revision, job: job.toRecord() });
  }

  /** Returns a ticket that settles when the job is saved. */
  saveForTicket(job: Job, now: Millis): number {
    const ticket = this.newTicket();
    this.save(job, now);
    const waiting = this.#saves.get(job.jobId) ?? [];
    waiting.push({ revision: this.#lastRevision, ticket });
    this.#saves.set(job.jobId, waiting);
    return ticket;
  }

  /** The job is over; `ticket` settles when that is durable and its part files are gone. */
  end(job: Job, verb: { readonly ticket: number; readonly isPartial: boolean }, now: Millis): void {
    this.changed(job, now);
    job.endedAt = job.modifiedAt;
    this.#ends.set(job.jobId, verb);
    this.#outbox.store({ type: "endJob", job: job.toRecord() });
  }

  /** Whether the end of the job is not durable yet. */
  isEnding(jobId: JobId): boolean {
    return this.#ends.has(jobId);
  }

  storeEvent(event: Extract<StoreEvent, { type: "jobSaved" | "jobEnded" }>): void {
    const { jobId } = event;
    // A store without room answers the newest only, which has in it what came before.
    this.#settleSaves(jobId, event.type === "jobSaved" ? event.revision : Infinity);
    if (event.type === "jobSaved") return;
    const { undeletedCount } = event;
    const verb = this.#ends.get(jobId);
    this.#ends.delete(jobId);
    if (verb === undefined) return;
    this.#settle(verb.ticket, { outcome: { isPartial: verb.isPartial, undeletedCount } });
  }

  /** Fails all that waits for the store. */
  storeFailed(error: ErrorInfo): void {
    const saves = [...this.#saves.values()].flat().map(({ ticket }) => ticket);
    const ends = [...this.#ends.values()].map(({ ticket }) => ticket);
    this.#saves.clear();
    this.#ends.clear();
    for (const ticket of [...saves, ...ends]) this.fail(ticket, error);
  }

  /** The verb has nothing to wait for. */
  settled(ticket: number): void {
    this.#settle(ticket, {});
  }

  fail(ticket: number, error: ErrorInfo): void {
    this.#settle(ticket, { error });
  }

  /** Jobs whose snapshots changed since the last call. */
  takeChanged(): readonly JobId[] {
    if (this.#changed.size === 0) return NONE;
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  #settleSaves(jobId: JobId, upToRevision: number): void {
    const waiting = this.#saves.get(jobId);
    if (waiting === undefined) return;
    let next = waiting[0];
    while (next !== undefined && next.revision <= upToRevision) {
      waiting.shift();
      this.#settle(next.ticket, {});
      next = waiting[0];
    }
    if (next === undefined) this.#saves.delete(jobId);
  }

  #settle(ticket: number, how: { error?: ErrorInfo; outcome?: VerbOutcome }): void {
    this.#outbox.notice({ type: "ticketSettled", ticket, ...how });
  }
}
