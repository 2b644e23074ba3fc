/**
 * Downloads as a view of jobs: which state a job's state shows, and which verb of the job stands
 * behind each verb of the download (download-API reference, section 7). Two tables; whoever applies
 * a verb hands the machine the states it is meant for, so that nothing happens in between.
 *
 *   Created ─Start─▶ Transferring ─all bytes─▶ Transferred ─Finalize─▶ Finalized
 *                    │    ▲   ▲───Start(ranges)───┘
 *              Pause,│    │Start, end of a transient failure         any of these four
 *             failure▼    │                                          ─Abort, too old─▶ Aborted
 *                     Paused
 *
 * Knows states. Used by `DODownload`.
 */
import { assert } from "@shoal/core";
import type { JobState, PlainVerb, VerbGuard } from "@shoal/core";
import { DODownloadState } from "../constants/download.ts";

export type DownloadVerb = "Start" | "Pause" | "Finalize" | "Abort";

const {
  DODownloadState_Created: created,
  DODownloadState_Transferring: transferring,
  DODownloadState_Transferred: transferred,
  DODownloadState_Finalized: finalized,
  DODownloadState_Aborted: aborted,
  DODownloadState_Paused: paused,
} = DODownloadState;

interface StateRow {
  readonly jobStates: readonly JobState[];
  /** Tells apart what the job's state alone does not. */
  readonly hasStarted?: boolean;
}

/** Which jobs show as a download in that state. Every job is in exactly one row. */
export const DOWNLOAD_STATES: Readonly<Record<DODownloadState, StateRow>> = {
  [created]: { jobStates: ["suspended"], hasStarted: false },
  [transferring]: { jobStates: ["queued", "connecting", "transferring"] },
  [transferred]: { jobStates: ["transferred"] },
  [finalized]: { jobStates: ["acknowledged"] },
  [aborted]: { jobStates: ["cancelled"] },
  [paused]: { jobStates: ["suspended", "transientError", "error"], hasStarted: true },
};

/** What a verb of a download does to its job; without `verb` it succeeds and does nothing. */
export interface VerbCell {
  readonly verb?: PlainVerb;
  /** Those of the state's job states in which the job must be told; default: all of them. */
  readonly jobStates?: readonly JobState[];
}

const NOTHING: VerbCell = {};
const RESUME: VerbCell = { verb: "resume" };
const CANCEL: VerbCell = { verb: "cancel" };

/** By state, then verb; absent: refused with `DO_E_INVALID_STATE`. */
export const DOWNLOAD_VERBS: Readonly<
  Record<DODownloadState, Readonly<Partial<Record<DownloadVerb, VerbCell>>>>
> = {
  [created]: { Start: RESUME, Pause: NOTHING, Abort: CANCEL },
  [transferring]: { Start: NOTHING, Pause: { verb: "suspend" }, Abort: CANCEL },
  // `Start` brings further ranges; without any it does nothing.
  [transferred]: {
    Start: RESUME,
    Pause: NOTHING,
    Finalize: { verb: "acknowledge" },
    Abort: CANCEL,
  },
  // What waits for a transient failure to end looks paused, and goes on by itself unless told.
  [paused]: {
    Start: RESUME,
    Pause: { verb: "suspend", jobStates: ["transientError"] },
    Abort: CANCEL,
  },
  [finalized]: { Finalize: NOTHING },
  [aborted]: { Abort: NOTHING },
};

const STATES = Object.values(DODownloadState);

/** The state a job shows as. */
export function downloadStateOf(job: {
  readonly state: JobState;
  readonly hasStarted: boolean;
}): DODownloadState {
  const found = STATES.find((state) => {
    const { jobStates, hasStarted = job.hasStarted } = DOWNLOAD_STATES[state];
    return jobStates.includes(job.state) && hasStarted === job.hasStarted;
  });
  assert(found !== undefined, "every state of a job shows as a state of a download");
  return found;
}

/**
 * The guard that lets a verb or change through in these states alone. Exact for one state, and for
 * sets with both `Created` and `Paused`, or neither.
 */
export function guardOf(states: readonly DODownloadState[]): VerbGuard {
  const rows = states.map((state) => DOWNLOAD_STATES[state]);
  const { hasStarted } = rows.length === 1 ? (rows[0] ?? {}) : {};
  return {
    states: rows.flatMap(({ jobStates }) => jobStates),
    ...(hasStarted === undefined ? {} : { hasStarted }),
  };
}
