/**
 * The job behind a download: looks at it, and changes it in the states that a table allows and in no
 * others. Between the look that chose a verb and the verb itself the job may move on by itself; the
 * guard makes the machine refuse then, and the table is asked again.
 *
 * Knows tables and the job service. Used by `DODownload` and `startDownload`.
 */
import { isFinalState, ShoalError } from "@shoal/core";
import type { JobChange, JobFileSpec, JobId, JobSnapshot, OriginResponse } from "@shoal/core";
import type { JobService } from "../../job-service.ts";
import type { JobWatch } from "../../job-watch.ts";
import { watchProgress } from "../../progress.ts";
import { DODownloadState } from "../constants/download.ts";
import { HResultError } from "../hresult-error.ts";
import { DOWNLOAD_VERBS, downloadStateOf, guardOf } from "./download-states.ts";
import type { DownloadVerb } from "./download-states.ts";
import { statusOf } from "./download-status.ts";
import type { DownloadLook } from "./property-rules.ts";

export interface DownloadJobParts {
  readonly service: JobService;
  readonly watch: JobWatch;
}

/** A job moves on by itself through a few states only, so that this many refusals are no race. */
const RACES_MAX = 8;
/** Changes of state end the waiting at once; those of bytes only cost a look. */
const WAIT_INTERVAL_MS = 1_000;

const { DODownloadState_Transferred: transferred, DODownloadState_Finalized: finalized } =
  DODownloadState;

export class DownloadJob implements DownloadLook {
  readonly jobId: JobId;
  readonly #parts: DownloadJobParts;
  /** Known once it has ended: the machine forgets jobs that are over. */
  #ended: JobSnapshot | undefined;

  constructor(parts: DownloadJobParts, jobId: JobId) {
    this.#parts = parts;
    this.jobId = jobId;
  }

  /** `ERR_JOB_NOT_FOUND` when it is forgotten, and was not seen to end. */
  async snapshot(): Promise<JobSnapshot> {
    const snapshot = (await this.#parts.service.snapshot(this.jobId)) ?? this.#ended;
    if (snapshot === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", this.jobId);
    if (isFinalState(snapshot.state)) this.#ended = snapshot;
    return snapshot;
  }

  async spec(): Promise<JobFileSpec> {
    const spec = await this.#parts.service.fileSpec(this.#file);
    if (spec === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", this.jobId);
    return spec;
  }

  response(): Promise<OriginResponse | undefined> {
    return this.#parts.service.fileResponse(this.#file);
  }

  /** Makes the change if the download is in one of the states; `ERR_JOB_STATE` otherwise. */
  async change(change: JobChange, states: readonly DODownloadState[]): Promise<void> {
    // An ended download that the machine has forgotten refuses as one that it remembers.
    const snapshot = await this.snapshot();
    if (!states.includes(downloadStateOf(snapshot))) throw invalidState("change", snapshot);
    await this.#parts.service.changeJob(this.jobId, change, guardOf(states));
  }

  /**
   * Applies a verb by the table. `prepare` comes first, also where the verb does nothing; it throws
   * to refuse, and answers whether the verb is to go on.
   */
  async apply(
    verb: DownloadVerb,
    prepare?: (snapshot: JobSnapshot) => Promise<boolean>,
  ): Promise<void> {
    for (let refusals = 0; ; refusals++) {
      const snapshot = await this.snapshot();
      const state = downloadStateOf(snapshot);
      const cell = DOWNLOAD_VERBS[state][verb];
      if (cell === undefined || refusals >= RACES_MAX) throw invalidState(verb, snapshot);
      const { verb: jobVerb, jobStates } = cell;
      try {
        if (prepare !== undefined && !(await prepare(snapshot))) return;
        const isWanted = jobStates?.includes(snapshot.state) ?? true;
        if (jobVerb === undefined || !isWanted) return;
        const guard = jobStates === undefined ? guardOf([state]) : { states: jobStates };
        await this.#parts.service.applyVerb(this.jobId, jobVerb, guard);
        return;
      } catch (error) {
        const isRace = error instanceof ShoalError && error.code === "ERR_JOB_STATE";
        if (!isRace) throw error;
      }
    }
  }

  /**
   * Resolves when all bytes are here. Rejects with the download's error, or with `E_ABORT` when it
   * was paused or aborted. Bounded as the download itself is: by its no-progress timeout, and by the
   * age at which it expires.
   */
  async untilTransferred(): Promise<void> {
    const source = {
      snapshot: () => this.snapshot(),
      subscribe: this.#parts.watch.add.bind(this.#parts.watch, this.jobId),
      isOver: (state: JobSnapshot["state"]) => !GOES_ON.includes(state),
    };
    let last: JobSnapshot | undefined;
    const options = { intervalMs: WAIT_INTERVAL_MS, signal: undefined };
    for await (const snapshot of watchProgress(source, options)) last = snapshot;
    if (last === undefined) return;
    const { State: state, Error: hresult } = statusOf(last);
    if (state === transferred || state === finalized) return;
    if (last.error !== undefined && hresult !== 0) throw ShoalError.from(last.error);
    throw HResultError.of("E_ABORT", "the download was paused or aborted");
  }

  get #file(): { readonly jobId: JobId; readonly fileIndex: number } {
    return { jobId: this.jobId, fileIndex: 0 };
  }
}

/** States that lead on without anybody's doing. */
const GOES_ON: readonly string[] = ["queued", "connecting", "transferring", "transientError"];

function invalidState(verb: string, { state }: JobSnapshot): HResultError {
  return HResultError.of("DO_E_INVALID_STATE", `cannot ${verb} a download whose job is ${state}`);
}
