/**
 * All jobs and the verbs users call. States change by the tables of `job/states.ts` only. A verb's
 * ticket settles when its effect is durable (R-DB-02); a verb that is refused changes nothing.
 *
 *   JobTable ── verbs, ends, expiry
 *   ├── JobIndex    which jobs there are
 *   ├── JobSaves    durability and tickets
 *   ├── JobRunner   which files transfer now
 *   └── JobSinks    streams attached to files
 *
 * Called by the scheduler.
 */
import type { JobRecord } from "../job/record.ts";
import { checkJobRequest } from "../job/request.ts";
import type { JobChange, JobRequest, VerbGuard } from "../job/request.ts";
import type { NetworkState } from "../job/network.ts";
import { checkStartable } from "../job/file-spec.ts";
import type { JobFileSpec } from "../job/file-spec.ts";
import { isFinalState, JOB_VERB_TABLE } from "../job/states.ts";
import type { JobVerb, PlainVerb } from "../job/states.ts";
import { sha256Hex } from "../hash/digest.ts";
import type { OriginResponse } from "../ports/origin-port.ts";
import type { ResumableContent, StoreEvent } from "../ports/store-port.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { JobId, Millis } from "../units.ts";
import { prepareChange } from "./job-changes.ts";
import { JobEnds } from "./job-ends.ts";
import { JobFile } from "./job-file.ts";
import { JobIndex } from "./job-index.ts";
import { JobRunner } from "./job-runner.ts";
import { JobSaves } from "./job-saves.ts";
import { JobSinks } from "./job-sinks.ts";
import { Job, newRecord, valuesOf } from "./job.ts";
import type { MachineDeps } from "./machine-deps.ts";
import type { JobSnapshot, JobSummary, VerbResult } from "./snapshot.ts";
import type { TransferTable } from "./transfer-table.ts";
import type { Transfer } from "./transfer.ts";
import type { TransferReport } from "./transfer-state.ts";

export class JobTable {
  readonly sinks: JobSinks;
  readonly #deps: MachineDeps;
  readonly #index = new JobIndex();
  readonly #saves: JobSaves;
  readonly #runner: JobRunner;
  readonly #ends: JobEnds;
  /** Jobs that no store has kept yet: their creators wait to hear whether there are any. */
  readonly #unsaved = new Set<JobId>();

  constructor(deps: MachineDeps, transfers: TransferTable) {
    this.#deps = deps;
    this.#saves = new JobSaves(deps);
    this.#runner = new JobRunner(deps, transfers, this.#saves);
    this.sinks = new JobSinks(deps.outbox, this.#runner);
    const parts = { index: this.#index, saves: this.#saves, runner: this.#runner };
    this.#ends = new JobEnds(deps, { ...parts, sinks: this.sinks });
  }

  ids(): JobId[] {
    return [...this.#index.all()].map(({ jobId }) => jobId);
  }

  summaries(): JobSummary[] {
    return [...this.#index.all()].map((job) => job.summary(this.#deps.settings));
  }

  snapshot(jobId: JobId, now: Millis): JobSnapshot | undefined {
    return this.#index.get(jobId)?.snapshot(this.#deps.settings, now);
  }

  /** What the job's owner asked for, header fields included. */
  fileSpec(jobId: JobId, fileIndex: number): JobFileSpec | undefined {
    return this.#index.get(jobId)?.files[fileIndex]?.spec;
  }

  response(jobId: JobId, fileIndex: number): OriginResponse | undefined {
    return this.#index.get(jobId)?.files[fileIndex]?.response;
  }

  /** The oldest first; those that are over are among them. */
  all(): Iterable<Job> {
    return this.#index.all();
  }

  get(jobId: JobId): Job | undefined {
    return this.#index.get(jobId);
  }

  /** Takes up the jobs of earlier runs. Whatever was under way is queued again. */
  load(records: readonly JobRecord[], resumable: readonly ResumableContent[], now: Millis): void {
    const inOrder = records.toSorted((a, b) => a.sequence - b.sequence);
    for (const record of inOrder) this.#load(record);
    for (const content of resumable) {
      const file = this.#index.get(content.jobId)?.files[content.fileIndex];
      file?.recall(content, this.#deps.publishers);
    }
    // An end gives its place to others, which by now know what they have stored.
    for (const { jobId, isVolatile, state } of records) {
      const job = isVolatile && !isFinalState(state) ? this.#index.get(jobId) : undefined;
      if (job !== undefined) this.#ends.drop(job, now);
    }
    this.#ends.start(now);
    this.#runner.schedule(now);
  }

  /** The same idempotency key names the job it created, as long as the request is the same. */
  create(request: JobRequest, now: Millis): VerbResult {
    const { settings, wallClock } = this.#deps;
    const { idempotencyKey: key, owner, jobId } = request;
    const fingerprint = key === undefined ? "" : fingerprintOf(request);
    const earlier = key === undefined ? undefined : this.#index.byKey(owner, key);
    const createdAt = wallClock.at(now);
    if (earlier !== undefined && createdAt - earlier.createdAt < settings.idempotencyMs) {
      if (earlier.idempotency?.fingerprint !== fingerprint) {
        return refused(errorInfo("ERR_IDEMPOTENCY_CONFLICT"));
      }
      if (isFinalState(earlier.state)) return this.#ends.again(earlier);
      return accepted(earlier, this.#saves.saveForTicket(earlier, now));
    }
    const problem = checkJobRequest(request, settings) ?? this.#checkAgainstOthers(request);
    if (problem !== undefined) return refused(problem);
    const idempotency = key === undefined ? undefined : { key, fingerprint };
    const files = request.files.map((spec) => JobFile.of(spec).toRecord());
    const sequence = this.#index.nextSequence();
    const origin = { jobId, owner, sequence, createdAt, ...(idempotency && { idempotency }) };
    const job = new Job(newRecord(origin, valuesOf(request), files));
    if (!request.startSuspended) {
      job.state = "queued";
      job.hasStarted = true;
    }
    this.#index.add(job);
    this.#unsaved.add(jobId);
    this.#runner.note(job);
    const ticket = this.#saves.saveForTicket(job, now);
    this.#runner.schedule(now);
    return accepted(job, ticket);
  }

  verb(jobId: JobId, verb: PlainVerb, now: Millis, guard: VerbGuard = {}): VerbResult {
    const job = this.#index.get(jobId);
    if (job === undefined) return refused(errorInfo("ERR_JOB_NOT_FOUND", jobId));
    const problem = checkVerb(job, verb, guard);
    if (problem !== undefined) return refused(problem);
    switch (verb) {
      case "resume":
        return this.#resume(job, now);
      case "suspend":
        return this.#suspend(job, now);
      case "cancel":
        return accepted(job, this.#ends.cancel(job, now));
      case "acknowledge":
        return accepted(job, this.#ends.acknowledge(job, now));
    }
  }

  change(jobId: JobId, change: JobChange, now: Millis, guard: VerbGuard = {}): VerbResult {
    const job = this.#index.get(jobId);
    if (job === undefined) return refused(errorInfo("ERR_JOB_NOT_FOUND", jobId));
    const verb = change.type === "addFiles" ? "addFile" : "change";
    const problem = checkVerb(job, verb, guard);
    if (problem !== undefined) return refused(problem);
    const prepared = prepareChange(job, change, this.#deps.settings);
    if ("code" in prepared) return refused(prepared);
    const taken = this.#index.takenDestination(prepared.destinations, jobId);
    if (taken !== undefined) return refused(errorInfo("ERR_DESTINATION_TAKEN", taken));
    this.#index.releaseDestinations(job);
    const reopened = prepared.apply();
    this.#index.claimDestinations(job);
    if (reopened !== undefined && reopened.spec.toStream !== true) this.sinks.detach(reopened);
    // Closed, it is opened again with what it is now, when its turn comes.
    reopened?.transfer?.close("keep");
    if (reopened !== undefined && Number.isFinite(job.retryAt)) job.retryAt = now;
    const ticket = this.#saves.saveForTicket(job, now);
    this.#runner.recheck(job, now);
    return accepted(job, ticket);
  }

  setNetwork(network: NetworkState, now: Millis): void {
    this.#runner.setNetwork(network, now);
  }

  peerConnected(now: Millis): void {
    this.#runner.peerConnected(now);
  }

  /** A client's stream takes the file's bytes from now on. */
  attachSink(jobId: JobId, fileIndex: number, now: Millis): ErrorInfo | undefined {
    const job = this.#index.get(jobId);
    if (job === undefined) return errorInfo("ERR_JOB_NOT_FOUND", jobId);
    const file = job.files[fileIndex];
    if (file === undefined) return errorInfo("ERR_USAGE", `there is no file ${fileIndex}`);
    const details = `cannot attach a stream to a job that is ${job.state}`;
    if (isFinalState(job.state)) return errorInfo("ERR_JOB_STATE", details);
    if (file.spec.toStream !== true) return errorInfo("ERR_SINK_TAKEN");
    if (file.sink?.isAttached === true) return errorInfo("ERR_SINK_TAKEN");
    if (file.isTransferred) return errorInfo("ERR_JOB_STATE", "a stream has taken all of the file");
    this.sinks.attach(job, fileIndex, now);
    return undefined;
  }

  /** A transfer of a job has come to something. */
  report(transfer: Transfer, report: TransferReport, now: Millis): void {
    const job = transfer.jobId === undefined ? undefined : this.#index.get(transfer.jobId);
    const file = job?.files[transfer.fileIndex];
    if (job === undefined || isFinalState(job.state)) {
      // What is merely served is nothing that the job would tell.
      if (report.type === "failed") transfer.close("keep");
      if (report.type === "closed" && file?.transfer === transfer) {
        file.closed(transfer, now);
        file.seal();
      }
      return;
    }
    if (file === undefined || file.transfer !== transfer) return;
    this.#saves.changed(job, now);
    switch (report.type) {
      case "resolved":
        break;
      case "transferred":
        if (file.spec.toStream === true) this.sinks.pump(file, now);
        else this.#runner.fileTransferred(job, file, now);
        break;
      case "failed":
        this.#ends.failed(job, report.error);
        this.#runner.fileFailed(job, file, report, now);
        break;
      case "published":
        this.#runner.filePublished(job, file, now);
        break;
      case "publishFailed":
        // Opened again, by the next acknowledge, it fetches what was damaged.
        if (report.error.code === "ERR_CONTENT_MISMATCH") transfer.close("keep");
        this.#ends.failed(job, report.error);
        break;
      case "closed":
        file.closed(transfer, now);
        break;
    }
    this.#ends.proceed(job, now);
    this.#runner.schedule(now);
  }

  /** A piece of the transfer was stored or committed. */
  storeMoved(transfer: Transfer, isStored: boolean, now: Millis): void {
    const job = transfer.jobId === undefined ? undefined : this.#index.get(transfer.jobId);
    const file = job?.files[transfer.fileIndex];
    if (job === undefined || file === undefined) return;
    if (isStored) this.#runner.moved(job, now);
    else job.diskFailureCount = 0;
    this.sinks.pump(file, now);
  }

  storeEvent(event: Extract<StoreEvent, { type: "jobSaved" | "jobEnded" }>): void {
    this.#unsaved.delete(event.jobId);
    this.#saves.storeEvent(event);
  }

  /** The store cannot keep jobs: no verb waits for it any longer, and none was created (R-DB-02). */
  storeFailed(error: ErrorInfo, now: Millis): void {
    for (const job of this.#index.all()) this.#ends.abort(job, error, now);
    for (const jobId of this.#unsaved) {
      const job = this.#index.get(jobId);
      if (job !== undefined) this.#ends.drop(job, now);
    }
    this.#unsaved.clear();
    this.#saves.storeFailed(error);
  }

  takeChanged(): readonly JobId[] {
    return this.#saves.takeChanged();
  }

  pollDeadline(): Millis {
    return Math.min(this.#runner.pollDeadline(), this.#ends.pollDeadline());
  }

  handleTimeout(now: Millis): void {
    this.#runner.handleTimeout(now);
    this.#ends.handleTimeout(now);
  }

  #load(record: JobRecord): void {
    const job = new Job(record);
    if (job.state === "transientError") job.state = "queued";
    const lacksStream = job.files.some(
      ({ spec, isTransferred }) => spec.toStream && !isTransferred,
    );
    if (job.state === "queued" && lacksStream) job.state = "suspended";
    job.isHeld = this.#deps.holdsJobs;
    this.#index.add(job);
    this.#runner.note(job);
  }

  #resume(job: Job, now: Millis): VerbResult {
    if (job.files.length === 0) return refused(errorInfo("ERR_JOB_EMPTY"));
    for (const file of job.files) {
      if (file.isTransferred) continue;
      const isReady = file.spec.toStream !== true || file.sink?.isAttached === true;
      const missing = isReady ? checkStartable(file.spec) : errorInfo("ERR_SINK_MISSING");
      if (missing !== undefined) return refused(missing);
    }
    const next = JOB_VERB_TABLE[job.state].resume;
    if (next !== undefined) job.state = next;
    if (job.state === "transferred" && !job.allTransferred) job.state = "queued";
    job.isHeld = false;
    job.hasStarted = true;
    job.diskFailureCount = 0;
    job.retryAt = Infinity;
    if (job.state === "queued") job.error = undefined;
    if (job.state === "queued") job.stuckSince = undefined;
    this.#runner.note(job);
    const ticket = this.#saves.saveForTicket(job, now);
    this.#runner.schedule(now);
    return accepted(job, ticket);
  }

  #suspend(job: Job, now: Millis): VerbResult {
    job.state = JOB_VERB_TABLE[job.state].suspend ?? job.state;
    job.stuckSince = undefined;
    this.#runner.stop(job, "keep");
    this.#runner.note(job);
    const ticket = this.#saves.saveForTicket(job, now);
    this.#runner.schedule(now);
    return accepted(job, ticket);
  }

  #checkAgainstOthers(request: JobRequest): ErrorInfo | undefined {
    const { settings } = this.#deps;
    if (this.#index.get(request.jobId)) return errorInfo("ERR_USAGE", "the job id is in use");
    const live = this.#index.liveCount;
    if (live >= Math.min(settings.jobsMax, LIMITS.jobsMax)) {
      return errorInfo("ERR_JOB_LIMIT", `${live} jobs`);
    }
    const own = this.#index.liveCountOf(request.owner);
    if (!request.isAdministrator && own >= settings.jobsPerOwnerMax) {
      return errorInfo("ERR_JOB_LIMIT_OWNER", `${own} jobs`);
    }
    const destinations = request.files.map(({ destination }) => destination);
    const taken = this.#index.takenDestination(destinations, undefined);
    return taken === undefined ? undefined : errorInfo("ERR_DESTINATION_TAKEN", taken);
  }
}

/** By the table, unless the verb was wanted under other circumstances only. */
function checkVerb(job: Job, verb: JobVerb, guard: VerbGuard): ErrorInfo | undefined {
  const isAllowed = JOB_VERB_TABLE[job.state][verb] !== undefined;
  const isWanted =
    (guard.states?.includes(job.state) ?? true) &&
    (guard.hasStarted ?? job.hasStarted) === job.hasStarted;
  if (isAllowed && isWanted && job.acknowledging === undefined) return undefined;
  return errorInfo("ERR_JOB_STATE", `cannot ${verb} a job that is ${job.state}`);
}

/** What makes two requests the same: everything but the id that each caller makes anew. */
function fingerprintOf(request: JobRequest): string {
  const text = JSON.stringify({ ...request, jobId: "" });
  return sha256Hex(new TextEncoder().encode(text));
}

function accepted({ jobId }: Job, ticket: number): VerbResult {
  return { ok: true, ticket, jobId };
}

function refused(error: ErrorInfo): VerbResult {
  return { ok: false, error };
}
