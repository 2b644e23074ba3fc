/**
 * One job of the service, for the objects that stand for it and its files: asks and changes, and
 * turns every failure into an `HResultError`. Remembers what it last saw, so that getters go on
 * answering when the job is over and the agent has forgotten it.
 *
 * Knows one job id. Called by the objects beside it.
 */
import { isFinalState } from "@shoal/core";
import type {
  FileSnapshot,
  JobChange,
  JobId,
  JobSnapshot,
  OriginResponse,
  PlainVerb,
  VerbGuard,
  VerbOutcome,
} from "@shoal/core";
import type { JobService } from "../../job-service.ts";
import { HResultError } from "../hresult-error.ts";

export class JobAccess {
  readonly jobId: JobId;
  readonly #service: JobService;
  #last: JobSnapshot | undefined;

  constructor(service: JobService, jobId: JobId, last?: JobSnapshot) {
    this.jobId = jobId;
    this.#service = service;
    this.#last = last;
  }

  /** Of a job that is forgotten: as it ended. Otherwise rejects with `DO_E_JOB_NOT_FOUND`. */
  async snapshot(): Promise<JobSnapshot> {
    const found = await translated(this.#service.snapshot(this.jobId));
    if (found !== undefined) this.#last = found;
    const shown = this.#last;
    if (shown === undefined || (found === undefined && !isFinalState(shown.state))) {
      throw HResultError.of("DO_E_JOB_NOT_FOUND", this.jobId);
    }
    return shown;
  }

  async file(fileIndex: number): Promise<{ job: JobSnapshot; file: FileSnapshot }> {
    const job = await this.snapshot();
    const file = job.files[fileIndex];
    if (file === undefined) throw HResultError.of("E_UNEXPECTED", `file ${fileIndex}`);
    return { job, file };
  }

  /** Rejects with `DO_E_INVALID_STATE` when the job is over. */
  async verb(verb: PlainVerb): Promise<VerbOutcome> {
    const outcome = await this.#unlessOver(this.#service.applyVerb(this.jobId, verb));
    // What it ended as is remembered, whenever the agent forgets it.
    if (verb === "cancel" || verb === "acknowledge") await this.snapshot().catch(() => {});
    return outcome;
  }

  /** Rejects with `DO_E_INVALID_STATE` when the job is over, or where `guard` does not hold. */
  change(change: JobChange, guard?: VerbGuard): Promise<void> {
    return this.#unlessOver(this.#service.changeJob(this.jobId, change, guard));
  }

  async response(fileIndex: number): Promise<OriginResponse | undefined> {
    return translated(this.#service.fileResponse({ jobId: this.jobId, fileIndex }));
  }

  /** A job that ended, and that the agent has forgotten since, is still one that is over. */
  async #unlessOver<Result>(promise: Promise<Result>): Promise<Result> {
    try {
      return await translated(promise);
    } catch (error) {
      const isGone = error instanceof HResultError && error.code === "ERR_JOB_NOT_FOUND";
      if (!isGone || this.#last === undefined || !isFinalState(this.#last.state)) throw error;
      throw HResultError.of("DO_E_INVALID_STATE", this.jobId);
    }
  }
}

/** The promise, rejected with an `HResultError` if at all. */
export async function translated<Result>(promise: Promise<Result>): Promise<Result> {
  try {
    return await promise;
  } catch (error) {
    throw HResultError.from(error);
  }
}
