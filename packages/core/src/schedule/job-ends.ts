/**
 * How jobs end: acknowledged by their user, cancelled, grown too old, or dropped because they were
 * volatile. What is published stays and is served; everything else of the job goes.
 *
 *   acknowledge: publish file after file, small ones side by side ─▶ all done ─▶ acknowledged
 *           └─ one fails ─▶ none begins, those under way end ─▶ the verb fails, the job is as it
 *                             was, published files stay
 *
 * Knows jobs, wall-clock ages and publication. Called by `JobTable`.
 */
import { isFinalState } from "../job/states.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Millis, UnixMillis } from "../units.ts";
import type { JobIndex } from "./job-index.ts";
import type { JobRunner } from "./job-runner.ts";
import type { JobSaves } from "./job-saves.ts";
import type { JobSinks } from "./job-sinks.ts";
import type { Job } from "./job.ts";
import type { JobFile } from "./job-file.ts";
import type { MachineDeps } from "./machine-deps.ts";
import type { VerbResult } from "./snapshot.ts";

/** How often ages are looked at, at least. */
const AGE_CHECK_MS = 3_600_000;
/** R-TIME-03: after the clock has jumped, nothing expires for so long. */
const JUMP_GRACE_MS = 24 * 3_600_000;

export interface JobEndsParts {
  readonly index: JobIndex;
  readonly saves: JobSaves;
  readonly runner: JobRunner;
  readonly sinks: JobSinks;
}

export class JobEnds {
  readonly #deps: MachineDeps;
  readonly #parts: JobEndsParts;
  #deadline: Millis = Infinity;

  constructor(deps: MachineDeps, parts: JobEndsParts) {
    this.#deps = deps;
    this.#parts = parts;
  }

  /** All jobs are loaded: ages count from now on. */
  start(now: Millis): void {
    this.#deadline = now + this.#deps.settings.expiryGraceMs;
    this.#forgetBeyond();
  }

  cancel(job: Job, now: Millis): number {
    const ticket = this.#parts.saves.newTicket();
    this.#end(job, { state: "cancelled", ticket, isPartial: false }, now);
    return ticket;
  }

  /** Publishes what is complete and gives up the rest; the ticket settles when all is done. */
  acknowledge(job: Job, now: Millis): number {
    const ticket = this.#parts.saves.newTicket();
    const isPartial = job.files.some((file) => !file.isTransferred);
    job.acknowledging = { ticket, isPartial };
    // What is given up goes with the job: until then the verb may fail, and the job go on.
    for (const file of job.files) {
      if (!file.isTransferred) file.transfer?.close("keep");
    }
    if (isPartial && job.state !== "transferred") job.state = "suspended";
    this.#parts.runner.note(job);
    this.proceed(job, now);
    return ticket;
  }

  /** A job that is over is asked for once more: answered when it is over for certain. */
  again(job: Job): VerbResult {
    const { saves } = this.#parts;
    const { jobId } = job;
    const ticket = saves.newTicket();
    if (saves.isEnding(jobId)) return { ok: false, error: errorInfo("ERR_JOB_STATE", job.state) };
    saves.settled(ticket);
    return { ok: true, ticket, jobId };
  }

  /** Takes the next step of an acknowledgement that is under way. */
  proceed(job: Job, now: Millis): void {
    const verb = job.acknowledging;
    if (verb === undefined) return;
    if (verb.error !== undefined) {
      const isUnderWay = job.files.some(({ transfer }) => transfer?.isPublishing);
      if (!isUnderWay) this.abort(job, verb.error, now);
      return;
    }
    let underWay = 0;
    for (const [index, file] of job.files.entries()) {
      if (!file.isTransferred || file.isPublished) continue;
      if (file.spec.toStream === true) file.isPublished = true;
      else {
        if (file.transfer === undefined) this.#parts.runner.openFile(job, index, now);
        else if (file.transfer.phase === "transferred") this.#publish(job, file);
        const isSmall = (file.length ?? Infinity) <= LIMITS.smallFileLengthMax;
        if (++underWay >= LIMITS.smallFilesUnderWayMax || !isSmall) return;
      }
    }
    if (underWay > 0) return;
    if (job.files.some((file) => !file.isTransferred && file.transfer !== undefined)) return;
    job.acknowledging = undefined;
    this.#end(job, { state: "acknowledged", ...verb }, now);
  }

  /**
   * A file has failed, and with it the acknowledgement under way, if any. The verb ends when nothing
   * is being published any more: whoever hears of it finds in place what will be. Of several
   * failures the first is told.
   */
  failed({ acknowledging }: Job, error: ErrorInfo): void {
    if (acknowledging !== undefined) acknowledging.error ??= error;
  }

  /** The acknowledgement under way, if any, ends now; that of a part leaves a suspended job. */
  abort(job: Job, error: ErrorInfo, now: Millis): void {
    const verb = job.acknowledging;
    if (verb === undefined) return;
    job.acknowledging = undefined;
    this.#parts.saves.save(job, now);
    this.#parts.saves.fail(verb.ticket, error);
  }

  /** Ends a job that is to leave nothing: it was volatile, or could never be kept. */
  drop(job: Job, now: Millis): void {
    if (!isFinalState(job.state)) this.cancel(job, now);
    this.#forget(job);
  }

  pollDeadline(): Millis {
    return this.#deadline;
  }

  handleTimeout(now: Millis): void {
    if (now < this.#deadline) return;
    const { wallClock } = this.#deps;
    const trustedAt = wallClock.jumpedAt + JUMP_GRACE_MS;
    if (now < trustedAt) {
      this.#deadline = trustedAt;
      return;
    }
    const wallAt = wallClock.at(now);
    let nextAt = wallAt + AGE_CHECK_MS;
    for (const job of this.#parts.index.all()) {
      const dueAt = this.#dueAt(job);
      if (dueAt > wallAt) nextAt = Math.min(nextAt, dueAt);
      else if (isFinalState(job.state)) this.#forget(job);
      else this.#expire(job, now);
    }
    this.#deadline = now + (nextAt - wallAt);
  }

  /** When the job has been there for too long. */
  #dueAt(job: Job): UnixMillis {
    const { jobAgeMsMax, endedJobAgeMsMax } = this.#deps.settings;
    if (!isFinalState(job.state)) return job.createdAt + jobAgeMsMax + 1;
    return (job.endedAt ?? job.modifiedAt) + endedJobAgeMsMax + 1;
  }

  #expire(job: Job, now: Millis): void {
    const error = errorInfo("ERR_JOB_TOO_OLD");
    this.abort(job, error, now);
    const ticket = this.#parts.saves.newTicket();
    this.#end(job, { state: "cancelled", ticket, isPartial: false, error }, now);
  }

  #publish(job: Job, file: JobFile): void {
    const { overwrite } = job.values;
    const { modifiedAt } = file;
    file.transfer?.publish({ overwrite, ...(modifiedAt === undefined ? {} : { modifiedAt }) });
  }

  /** any state -> acknowledged or cancelled. Published contents stay and are served. */
  #end(job: Job, end: JobEnd, now: Millis): void {
    const { saves, runner, sinks, index } = this.#parts;
    if (end.state === "cancelled" && end.error !== undefined) job.apply("tooOld");
    else job.state = end.state;
    job.error = end.error;
    runner.stop(job, "discard");
    for (const file of job.files) {
      sinks.detach(file);
      const isOnlyHere = file.spec.toStream === true || file.transfer?.contentId === undefined;
      if (file.isPublished && isOnlyHere) {
        file.transfer?.close(file.spec.toStream === true ? "discard" : "keep");
      }
    }
    runner.note(job);
    index.ended(job);
    saves.end(job, end, now);
    this.#forgetBeyond();
    runner.schedule(now);
  }

  /** Jobs that are over stay visible for a while, but not without bound. */
  #forgetBeyond(): void {
    const { index, saves } = this.#parts;
    if (index.overCount <= LIMITS.jobsOverMax) return;
    for (const job of index.all()) {
      if (index.overCount <= LIMITS.jobsOverMax) return;
      if (isFinalState(job.state) && !saves.isEnding(job.jobId)) this.#forget(job);
    }
  }

  #forget(job: Job): void {
    this.#parts.index.remove(job);
    this.#deps.outbox.store({ type: "forgetJob", jobId: job.jobId });
  }
}

interface JobEnd {
  readonly state: "acknowledged" | "cancelled";
  readonly ticket: number;
  readonly isPartial: boolean;
  /** Why it was cancelled, where its user did not do it. */
  readonly error?: ErrorInfo;
}
