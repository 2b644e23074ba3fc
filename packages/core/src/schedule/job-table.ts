/**
 * All jobs: the verbs users call, the facts transfers report, and what both lead to. States change
 * by the tables of `job/states.ts` only. A verb's ticket settles when its effect is durable
 * (R-DB-02).
 *
 * Runs the files of a job strictly in order, and at most `activeJobsMax` jobs at a time, by
 * priority and then age. Called by the scheduler.
 */
import type { JobRecord } from "../job/record.ts";
import { JOB_PRIORITIES } from "../job/record.ts";
import { checkJobRequest } from "../job/request.ts";
import type { JobRequest } from "../job/request.ts";
import { isActiveState, isFinalState, JOB_VERB_TABLE } from "../job/states.ts";
import type { JobVerb } from "../job/states.ts";
import type { ResumableContent, StoreEvent } from "../ports/store-port.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorCode, ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { JobId, Millis } from "../units.ts";
import { isRunnable, Job } from "./job.ts";
import type { JobFile } from "./job.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { resolutionOf, unverifiedLayout } from "./resolver.ts";
import type { JobSnapshot, VerbResult } from "./snapshot.ts";
import type { TransferTable } from "./transfer-table.ts";
import type { Transfer } from "./transfer.ts";
import type { TransferReport } from "./transfer-state.ts";

export class JobTable {
  readonly #deps: MachineDeps;
  readonly #transfers: TransferTable;
  readonly #jobs = new Map<JobId, Job>();
  readonly #changed = new Set<JobId>();
  /** Tickets that settle when a revision is saved, or a job's record deleted. */
  readonly #saves = new Map<number, number>();
  readonly #deletes = new Map<JobId, number>();
  #lastRevision = 0;
  #lastTicket = 0;

  constructor(deps: MachineDeps, transfers: TransferTable) {
    this.#deps = deps;
    this.#transfers = transfers;
  }

  ids(): JobId[] {
    return [...this.#jobs.keys()];
  }

  snapshot(jobId: JobId): JobSnapshot | undefined {
    return this.#jobs.get(jobId)?.snapshot();
  }

  /** Takes up the jobs of earlier runs. Whatever was under way is queued again. */
  load(records: readonly JobRecord[], resumable: readonly ResumableContent[], now: Millis): void {
    for (const record of records) {
      const waits = record.state === "transientError" ? "queued" : record.state;
      this.#jobs.set(record.jobId, new Job(record, waits));
    }
    for (const content of resumable) {
      const file = this.#jobs.get(content.jobId)?.files[content.fileIndex];
      if (file === undefined) continue;
      const { manifest, length, validatorKey } = content;
      if (manifest !== undefined) file.resolution = resolutionOf(manifest);
      else if (file.transferred) {
        const known = validatorKey === undefined ? {} : { validatorKey };
        file.resolution = { layout: unverifiedLayout(length), acceptsRanges: false, ...known };
      }
    }
    this.#schedule(now);
  }

  create(request: JobRequest, now: Millis): VerbResult {
    const problem = checkJobRequest(request) ?? this.#checkAgainstOthers(request);
    if (problem !== undefined) return { ok: false, error: problem };
    const job = Job.from(request);
    this.#jobs.set(job.jobId, job);
    const ticket = this.#save(job, true);
    this.#schedule(now);
    return { ok: true, ticket };
  }

  verb(jobId: JobId, verb: JobVerb, now: Millis): VerbResult {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return refusal("ERR_JOB_NOT_FOUND", jobId);
    const next = JOB_VERB_TABLE[job.state][verb];
    if (next === undefined || job.acknowledgeTicket !== undefined) {
      return refusal("ERR_JOB_STATE", `cannot ${verb} a job that is ${job.state}`);
    }
    switch (verb) {
      case "resume":
        if (job.files.length === 0) return refusal("ERR_JOB_STATE", "the job has no files");
        job.state = next;
        job.error = undefined;
        job.retryAt = Infinity;
        break;
      case "suspend":
        job.state = next;
        this.#stopFiles(job, "keep");
        break;
      case "cancel":
        return { ok: true, ticket: this.#end(job, "cancelled") };
      case "acknowledge":
        return { ok: true, ticket: this.#acknowledge(job, now) };
    }
    const ticket = this.#save(job, true);
    this.#schedule(now);
    return { ok: true, ticket };
  }

  /** A transfer of a job has come to something. */
  report(transfer: Transfer, report: TransferReport, now: Millis): void {
    const job = transfer.jobId === undefined ? undefined : this.#jobs.get(transfer.jobId);
    const file = job?.files[transfer.fileIndex];
    if (job === undefined || file === undefined || file.transfer !== transfer) return;
    this.#changed.add(job.jobId);
    switch (report.type) {
      case "transferred":
        file.resolution = transfer.resolution;
        if (!file.transferred) {
          file.transferred = true;
          if (job.allTransferred && job.apply("allTransferred")) job.error = undefined;
          this.#save(job, false);
        }
        break;
      case "failed":
        this.#failed(job, file, report, now);
        break;
      case "published":
        file.published = true;
        this.#save(job, false);
        break;
      case "publishFailed":
        // Opened again, by the next acknowledge, it fetches what was damaged.
        if (report.error.code === "ERR_CONTENT_MISMATCH") transfer.close("keep");
        this.#settleAcknowledge(job, report.error);
        break;
      case "closed":
        keepTotals(file, transfer);
        file.transfer = undefined;
        break;
    }
    if (job.acknowledgeTicket !== undefined) this.#publishNext(job, now);
    this.#schedule(now);
  }

  /** A piece of the transfer was stored: the job moves, and is not stuck. */
  moved(transfer: Transfer): void {
    const job = transfer.jobId === undefined ? undefined : this.#jobs.get(transfer.jobId);
    if (job === undefined) return;
    this.#changed.add(job.jobId);
    job.stuckSince = undefined;
    job.apply("bytesMoved");
  }

  storeEvent(event: StoreEvent): void {
    if (event.type === "jobSaved") this.#settle(take(this.#saves, event.revision));
    else if (event.type === "jobDeleted") this.#settle(take(this.#deletes, event.jobId));
  }

  /** Jobs whose snapshots changed since the last call. */
  takeChanged(): JobId[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  pollDeadline(): Millis {
    let deadline = Infinity;
    for (const job of this.#jobs.values()) {
      if (job.state === "transientError") deadline = Math.min(deadline, job.retryAt);
    }
    return deadline;
  }

  handleTimeout(now: Millis): void {
    const { noProgressTimeoutMs } = this.#deps.settings;
    for (const job of this.#jobs.values()) {
      if (job.state !== "transientError" || job.retryAt > now) continue;
      this.#changed.add(job.jobId);
      job.retryAt = Infinity;
      if (job.stuckSince !== undefined && now - job.stuckSince >= noProgressTimeoutMs) {
        job.error = errorInfo("ERR_NO_PROGRESS", job.error?.message);
        job.apply("failedFatal");
      } else job.apply("retryDue");
      this.#save(job, false);
    }
    this.#schedule(now);
  }

  #checkAgainstOthers(request: JobRequest): ErrorInfo | undefined {
    if (this.#jobs.has(request.jobId)) return errorInfo("ERR_USAGE", "the job id is in use");
    const taken = new Set<string>();
    let live = 0;
    for (const job of this.#jobs.values()) {
      if (isFinalState(job.state)) continue;
      live++;
      for (const file of job.files) taken.add(file.spec.destination);
    }
    if (live >= LIMITS.jobsMax) return errorInfo("ERR_JOB_LIMIT", `${live} jobs`);
    const clash = request.files.find((file) => taken.has(file.destination));
    if (clash === undefined) return undefined;
    return errorInfo("ERR_DESTINATION_INVALID", `${clash.destination} belongs to another job`);
  }

  /** Gives free places to queued jobs, and every running job its next file. */
  #schedule(now: Millis): void {
    const runnable = [...this.#jobs.values()].filter(isRunnable);
    let places = this.#deps.settings.activeJobsMax;
    for (const job of runnable) if (isActiveState(job.state)) places--;
    for (const priority of JOB_PRIORITIES) {
      for (const job of runnable) {
        if (job.priority !== priority || job.state !== "queued" || places <= 0) continue;
        if (job.apply("picked")) places--;
        this.#changed.add(job.jobId);
      }
    }
    for (const job of runnable) if (isActiveState(job.state)) this.#runFile(job, now);
  }

  #runFile(job: Job, now: Millis): void {
    const index = job.files.findIndex((file) => !file.transferred);
    const file = job.files[index];
    if (file === undefined) {
      if (job.apply("allTransferred")) this.#save(job, false);
    } else if (file.transfer === undefined) this.#openFile(job, index, now);
  }

  #openFile(job: Job, fileIndex: number, now: Millis): void {
    const file = job.files[fileIndex];
    if (file === undefined) return;
    const { resolution } = file;
    const options = { job: { jobId: job.jobId, fileIndex, file: file.spec } };
    const known = resolution === undefined ? {} : { resolution };
    file.transfer = this.#transfers.open({ ...options, ...known }, now);
    this.#changed.add(job.jobId);
  }

  /** Ends transfers that are still fetching. Complete ones stay, and are served. */
  #stopFiles(job: Job, outcome: "keep" | "discard"): void {
    for (const file of job.files) {
      if (file.transferred && outcome === "keep") continue;
      // What has failed is being closed; whether to believe it again was decided then.
      const isFailed = file.transfer === undefined || file.transfer.phase === "waiting";
      if (!isFailed) file.resolution ??= file.transfer?.resolution;
      if (!file.published) file.transfer?.close(outcome);
    }
  }

  #failed(
    job: Job,
    file: JobFile,
    { error, transient }: { error: ErrorInfo; transient: boolean },
    now: Millis,
  ): void {
    job.error = error;
    if (job.acknowledgeTicket !== undefined) this.#settleAcknowledge(job, error);
    file.resolution ??= file.transfer?.resolution;
    // A manifest or a stored state that proved wrong must not be believed again.
    if (!transient) file.resolution = undefined;
    file.transfer?.close("keep");
    if (transient && job.apply("failedTransient")) {
      job.stuckSince ??= now;
      const { jobRetryDelayMs, noProgressTimeoutMs } = this.#deps.settings;
      const waitMs = error.code === "ERR_DISK_FULL" ? LIMITS.diskFullRetryMs : jobRetryDelayMs;
      job.retryAt = Math.min(now + waitMs, Math.max(now, job.stuckSince + noProgressTimeoutMs));
    } else job.apply("failedFatal");
    this.#save(job, false);
  }

  /** Publishes what is complete and gives up the rest; the ticket settles when all is done. */
  #acknowledge(job: Job, now: Millis): number {
    const ticket = ++this.#lastTicket;
    job.acknowledgeTicket = ticket;
    for (const file of job.files) {
      if (!file.transferred) file.transfer?.close("discard");
    }
    if (!job.allTransferred) job.state = "suspended";
    this.#publishNext(job, now);
    return ticket;
  }

  #publishNext(job: Job, now: Millis): void {
    const index = job.files.findIndex((file) => file.transferred && !file.published);
    const file = job.files[index];
    if (file === undefined) {
      if (job.files.some((other) => !other.transferred && other.transfer !== undefined)) return;
      const ticket = job.acknowledgeTicket;
      job.acknowledgeTicket = undefined;
      this.#end(job, "acknowledged", ticket);
    } else if (file.transfer === undefined) this.#openFile(job, index, now);
    else if (file.transfer.phase === "transferred") file.transfer.publish(job.overwrite);
  }

  #settleAcknowledge(job: Job, error: ErrorInfo): void {
    const ticket = job.acknowledgeTicket;
    job.acknowledgeTicket = undefined;
    if (ticket !== undefined) this.#settle(ticket, error);
  }

  /** any state -> acknowledged or cancelled. Published contents stay and are served. */
  #end(job: Job, state: "acknowledged" | "cancelled", ticket = ++this.#lastTicket): number {
    job.state = state;
    job.error = undefined;
    this.#stopFiles(job, "discard");
    for (const file of job.files) {
      if (file.published && file.transfer?.contentId === undefined) file.transfer?.close("keep");
    }
    this.#deletes.set(job.jobId, ticket);
    this.#deps.outbox.store({ type: "deleteJob", jobId: job.jobId });
    this.#changed.add(job.jobId);
    this.#forgetOldest();
    return ticket;
  }

  /** Jobs that are over stay visible for the rest of the run, but not without bound. */
  #forgetOldest(): void {
    if (this.#jobs.size <= LIMITS.jobsMax) return;
    for (const job of this.#jobs.values()) {
      if (!isFinalState(job.state) || this.#deletes.has(job.jobId)) continue;
      this.#jobs.delete(job.jobId);
      return;
    }
  }

  #save(job: Job, settles: boolean): number {
    const revision = ++this.#lastRevision;
    this.#deps.outbox.store({ type: "saveJob", revision, job: job.toRecord() });
    this.#changed.add(job.jobId);
    if (!settles) return 0;
    const ticket = ++this.#lastTicket;
    this.#saves.set(revision, ticket);
    return ticket;
  }

  #settle(ticket: number | undefined, error?: ErrorInfo): void {
    if (ticket === undefined) return;
    const failed = error === undefined ? {} : { error };
    this.#deps.outbox.notice({ type: "ticketSettled", ticket, ...failed });
  }
}

function refusal(code: ErrorCode, details: string): VerbResult {
  return { ok: false, error: errorInfo(code, details) };
}

/** Keeps what an ended transfer has counted. */
function keepTotals(file: JobFile, transfer: Transfer): void {
  const { origin, peers, wasted } = transfer.bytes;
  file.received.origin += origin;
  file.received.peers += peers;
  file.received.wasted += wasted;
  file.storedBytes = transfer.storedBytes;
}

function take<K, V>(map: Map<K, V>, key: K): V | undefined {
  const value = map.get(key);
  map.delete(key);
  return value;
}
