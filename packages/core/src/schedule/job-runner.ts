/**
 * Runs jobs: which of them may transfer now, which files are next, and what follows when a transfer
 * fails, the network goes away or nothing moves. The files of a job run in order, several at a time
 * only while they are small (`nextFiles`), and at most `activeJobsMax` jobs at a time, by priority
 * and then age (job-API reference, section 12).
 *
 *   queued ─place free─▶ connecting ─bytes─▶ transferring ─all there─▶ transferred
 *     ▲                        └───failed, blocked───▶ transientError ─too long─▶ error
 *     └──────────────────retry due, network back───────────┘
 *
 * Knows jobs and transfers; verbs are `JobTable`'s. Called by `JobTable`.
 */
import { networkBlock, USUAL_NETWORK } from "../job/network.ts";
import type { NetworkState } from "../job/network.ts";
import { JOB_PRIORITIES } from "../job/record.ts";
import { isActiveState } from "../job/states.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorCode, ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Millis } from "../units.ts";
import { isRunnable } from "./job.ts";
import type { Job } from "./job.ts";
import type { JobFile } from "./job-file.ts";
import type { JobSaves } from "./job-saves.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { hasEarlierFile, nextFiles } from "./next-files.ts";
import type { TransferTable } from "./transfer-table.ts";

/**
 * How often the end of one of a job's files is saved: what is saved is the whole job, and its part
 * files say the same after a restart.
 */
const FILES_SAVE_INTERVAL_MS = 500;

export class JobRunner {
  readonly #deps: MachineDeps;
  readonly #transfers: TransferTable;
  readonly #saves: JobSaves;
  /** Jobs that transfer or would like to, and jobs in `transientError`. */
  readonly #runnable = new Set<Job>();
  readonly #waiting = new Set<Job>();
  readonly #filesSavedAt = new WeakMap<Job, Millis>();
  #network = USUAL_NETWORK;
  /** A lower bound of all deadlines; exact after `handleTimeout`. */
  #deadline: Millis = Infinity;

  constructor(deps: MachineDeps, transfers: TransferTable, saves: JobSaves) {
    this.#deps = deps;
    this.#transfers = transfers;
    this.#saves = saves;
  }

  /** To be called when a job has come to be, or its state or timeout has changed. */
  note(job: Job): void {
    if (isRunnable(job)) this.#runnable.add(job);
    else this.#runnable.delete(job);
    if (job.state === "transientError") this.#waiting.add(job);
    else this.#waiting.delete(job);
    this.#deadline = Math.min(this.#deadline, this.#deadlineOf(job));
  }

  /** Gives free places to queued jobs, and every running job its next files. */
  schedule(now: Millis): void {
    let places = this.#deps.settings.activeJobsMax;
    const queued: Job[] = [];
    for (const job of this.#runnable) {
      const block = networkBlock(this.#network, job.networkNeeds());
      if (block !== undefined) this.#block(job, block, now);
      else if (isActiveState(job.state)) places--;
      else queued.push(job);
    }
    for (const job of queued.toSorted(byPriorityAndAge)) {
      // Somebody waits for a foreground job: it need not wait for a place. For others it is no lack
      // of progress to wait for one.
      if (places <= 0 && !job.isForeground) job.stuckSince = undefined;
      else if (job.apply("picked")) {
        places--;
        job.stuckSince ??= now;
        this.#saves.changed(job, now);
        this.note(job);
      }
    }
    const active = [...this.#runnable].filter((job) => isActiveState(job.state));
    const { demand } = this.#deps;
    demand.foregroundJobs = active.filter((job) => job.isForeground).length;
    demand.backgroundJobs = active.length - demand.foregroundJobs;
    for (const job of active) this.#runFiles(job, now);
  }

  openFile(job: Job, fileIndex: number, now: Millis): void {
    const file = job.files[fileIndex];
    if (file === undefined) return;
    const { resolution, spec } = file;
    const options = { job: { jobId: job.jobId, fileIndex, file: spec, urgency: job } };
    const transfer = this.#transfers.open({ ...options, ...(resolution && { resolution }) }, now);
    file.opened(transfer, now);
    this.#saves.changed(job, now);
  }

  /** Ends transfers that are still fetching. Complete ones stay, and are served. */
  stop(job: Job, outcome: "keep" | "discard"): void {
    for (const file of job.files) {
      if (file.isTransferred && outcome === "keep") continue;
      // What has failed is being closed; whether to believe it again was decided then.
      const isFailed = file.transfer === undefined || file.transfer.phase === "waiting";
      if (!isFailed) file.resolution ??= file.transfer?.resolution;
      if (!file.isPublished) file.transfer?.close(outcome);
    }
  }

  /** A piece of the job was stored, or taken by a stream: the job moves, and is not stuck. */
  moved(job: Job, now: Millis): void {
    this.#saves.changed(job, now);
    job.stuckSince = now;
    if (!job.apply("bytesMoved")) return;
    job.error = undefined;
    this.note(job);
  }

  /** All bytes of the file are here, and taken where a stream wants them. */
  fileTransferred(job: Job, file: JobFile, now: Millis): void {
    if (file.transfer === undefined || file.isTransferred) return;
    file.transferred(file.transfer, now);
    this.#deps.counters.add("shoal_files_downloaded_total");
    if (job.allTransferred) this.#allTransferred(job, now);
    else return this.#saveFiles(job, now);
    this.#saves.save(job, now);
  }

  /** The file is in its place; the end of the acknowledgement saves the whole job. */
  filePublished(job: Job, file: JobFile, now: Millis): void {
    file.isPublished = true;
    file.seal();
    this.#saveFiles(job, now);
  }

  fileFailed(
    job: Job,
    file: JobFile,
    { error, transient }: { readonly error: ErrorInfo; readonly transient: boolean },
    now: Millis,
  ): void {
    // Small files fail in their turn, as if each had been alone: those before it come first.
    if (hasEarlierFile(job.files, file)) {
      file.waitsForTurn = true;
      file.transfer?.close("keep");
      return;
    }
    job.error = { ...error, fileIndex: job.files.indexOf(file) };
    file.resolution ??= file.transfer?.resolution;
    // A manifest or a stored state that proved wrong must not be believed again.
    if (!transient) file.resolution = undefined;
    file.transfer?.close("keep");
    // A stream may fail while another file of the job is being fetched.
    this.stop(job, "keep");
    const { settings } = this.#deps;
    const timeoutMs = job.noProgressTimeoutMs(settings);
    if (error.code === "ERR_DISK_IO") job.diskFailureCount++;
    const isWornOut = job.diskFailureCount >= LIMITS.diskFailuresMax;
    if (transient && !isWornOut && timeoutMs > 0 && job.apply("failedTransient")) {
      job.stuckSince ??= now;
      const isFull = error.code === "ERR_DISK_FULL";
      job.retryAt = now + (isFull ? LIMITS.diskFullRetryMs : settings.jobRetryDelayMs);
    } else job.apply("failedFatal");
    this.note(job);
    this.#saves.save(job, now);
  }

  /**
   * What the network is like from now on. All jobs that wait try again when it comes back, whatever
   * they wait for; otherwise those do that were blocked and no longer are.
   */
  setNetwork(network: NetworkState, now: Millis): void {
    const isBack = network.isOnline && !this.#network.isOnline;
    this.#network = network;
    for (const job of this.#waiting) {
      const block = networkBlock(network, job.networkNeeds());
      const isForNetwork = job.retryAt === Infinity;
      if (isBack || (isForNetwork && block === undefined)) this.#retry(job, now);
      else if (isForNetwork && block !== undefined && block !== job.error?.code) {
        job.error = errorInfo(block);
        this.#saves.save(job, now);
      }
    }
    this.schedule(now);
  }

  /** Somebody is there who may have what jobs wait for that found nobody: they try again soon. */
  peerConnected(now: Millis): void {
    const soon = now + this.#deps.settings.retryDelayMsMin;
    for (const job of this.#waiting) {
      if (job.error?.code !== "ERR_NO_SOURCE" || job.retryAt === Infinity) continue;
      job.retryAt = Math.min(job.retryAt, soon);
      this.#deadline = Math.min(this.#deadline, soon);
    }
  }

  /** A job's own rules have changed: what blocked it may not do so any more. */
  recheck(job: Job, now: Millis): void {
    const isBlocked = networkBlock(this.#network, job.networkNeeds()) !== undefined;
    if (job.state === "transientError" && job.retryAt === Infinity && !isBlocked) {
      this.#retry(job, now);
    }
    this.note(job);
    this.schedule(now);
  }

  pollDeadline(): Millis {
    return this.#deadline;
  }

  handleTimeout(now: Millis): void {
    if (now < this.#deadline) return;
    for (const job of [...this.#waiting, ...this.#runnable]) {
      if (this.#stuckAt(job) <= now) this.#giveUp(job, now);
      else if (job.state === "transientError" && job.retryAt <= now) this.#retry(job, now);
    }
    this.#deadline = Infinity;
    for (const set of [this.#waiting, this.#runnable]) {
      for (const job of set) this.#deadline = Math.min(this.#deadline, this.#deadlineOf(job));
    }
    this.schedule(now);
  }

  #runFiles(job: Job, now: Millis): void {
    const { next, isDone } = nextFiles(job.files);
    if (isDone) {
      this.#allTransferred(job, now);
      this.#saves.save(job, now);
    }
    for (const index of next) this.openFile(job, index, now);
  }

  #saveFiles(job: Job, now: Millis): void {
    const savedAt = this.#filesSavedAt.get(job) ?? -Infinity;
    if (now < savedAt + FILES_SAVE_INTERVAL_MS) return this.#saves.changed(job, now);
    this.#filesSavedAt.set(job, now);
    this.#saves.save(job, now);
  }

  #allTransferred(job: Job, now: Millis): void {
    if (!job.apply("allTransferred")) return;
    job.error = undefined;
    job.stuckSince = undefined;
    job.transferredAt = this.#deps.wallClock.at(now);
    this.note(job);
  }

  #block(job: Job, code: ErrorCode, now: Millis): void {
    this.stop(job, "keep");
    job.error = errorInfo(code);
    if (!job.apply("blocked")) return;
    job.retryAt = Infinity;
    job.stuckSince ??= now;
    this.note(job);
    this.#saves.save(job, now);
  }

  #retry(job: Job, now: Millis): void {
    job.retryAt = Infinity;
    if (!job.apply("retryDue")) return;
    this.note(job);
    this.#saves.save(job, now);
  }

  /** transientError, connecting or transferring -> error */
  #giveUp(job: Job, now: Millis): void {
    this.stop(job, "keep");
    const because = job.state === "transientError" ? job.error : undefined;
    // Without patience the failure itself is what ended the job.
    const isAtOnce = job.noProgressTimeoutMs(this.#deps.settings) === 0;
    if (because === undefined || !isAtOnce) {
      const { fileIndex } = job.error ?? {};
      job.error = {
        ...errorInfo("ERR_NO_PROGRESS", because?.message),
        ...(fileIndex === undefined ? {} : { fileIndex }),
      };
    }
    job.apply("failedFatal");
    this.note(job);
    this.#saves.save(job, now);
  }

  #stuckAt(job: Job): Millis {
    const isWaiting = job.state === "transientError" || isActiveState(job.state);
    if (!isWaiting || job.stuckSince === undefined) return Infinity;
    const timeoutMs = job.noProgressTimeoutMs(this.#deps.settings);
    // 0 makes every failure final; it does not end a job that transfers.
    if (timeoutMs === 0 && job.state !== "transientError") return Infinity;
    return job.stuckSince + timeoutMs;
  }

  #deadlineOf(job: Job): Millis {
    const retryAt = job.state === "transientError" ? job.retryAt : Infinity;
    return Math.min(retryAt, this.#stuckAt(job));
  }
}

function byPriorityAndAge(a: Job, b: Job): number {
  const rank = (job: Job): number => JOB_PRIORITIES.indexOf(job.values.priority);
  return rank(a) - rank(b) || a.sequence - b.sequence;
}
