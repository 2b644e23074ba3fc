/**
 * The job machine as data: BITS's nine states, the verbs users call and the events transfers cause.
 * The documents' state diagram and the state-times-verb test are made from these tables
 * (job-API reference, sections 7.1 and 7.2).
 */
export const JOB_STATES = [
  "queued",
  "connecting",
  "transferring",
  "suspended",
  "error",
  "transientError",
  "transferred",
  "acknowledged",
  "cancelled",
] as const;
export type JobState = (typeof JOB_STATES)[number];

/** `addFile` and `change` are the verbs behind `changeJob`. */
export const JOB_VERBS = [
  "resume",
  "suspend",
  "cancel",
  "acknowledge",
  "addFile",
  "change",
] as const;
export type JobVerb = (typeof JOB_VERBS)[number];
/** The verbs that take nothing but the job. */
export type PlainVerb = Exclude<JobVerb, "addFile" | "change">;

export const JOB_FACTS = [
  "picked",
  /** The network is gone, or may not be used. */
  "blocked",
  "bytesMoved",
  "failedTransient",
  "failedFatal",
  "retryDue",
  "allTransferred",
  "tooOld",
] as const;
export type JobFact = (typeof JOB_FACTS)[number];

/**
 * The state after a verb; absent: the state refuses the verb with `ERR_JOB_STATE`. Two cells depend
 * on the files: `resume` of a job without files is refused (`ERR_JOB_EMPTY`), and `resume` of a
 * `transferred` job to which files were added queues it.
 */
export const JOB_VERB_TABLE: Readonly<Record<JobState, Partial<Record<JobVerb, JobState>>>> = {
  queued: verbsOf("queued", { suspend: "suspended" }),
  connecting: verbsOf("connecting", { suspend: "suspended" }),
  transferring: verbsOf("transferring", { suspend: "suspended" }),
  suspended: verbsOf("suspended", { resume: "queued" }),
  error: verbsOf("error", { resume: "queued", suspend: "suspended" }),
  transientError: verbsOf("transientError", { resume: "queued", suspend: "suspended" }),
  transferred: verbsOf("transferred", {}),
  acknowledged: {},
  cancelled: {},
};

/** Every verb is allowed, and leaves the state as it is where nothing else is said. */
function verbsOf(
  state: JobState,
  moves: Partial<Record<JobVerb, JobState>>,
): Record<JobVerb, JobState> {
  return {
    resume: state,
    suspend: state,
    cancel: "cancelled",
    acknowledge: "acknowledged",
    addFile: state,
    change: state,
    ...moves,
  };
}

/** The state after a fact; absent: the fact changes nothing in that state. */
export const JOB_FACT_TABLE: Readonly<Record<JobState, Partial<Record<JobFact, JobState>>>> = {
  queued: {
    picked: "connecting",
    blocked: "transientError",
    failedFatal: "error",
    allTransferred: "transferred",
    tooOld: "cancelled",
  },
  connecting: {
    bytesMoved: "transferring",
    blocked: "transientError",
    failedTransient: "transientError",
    failedFatal: "error",
    allTransferred: "transferred",
    tooOld: "cancelled",
  },
  transferring: {
    blocked: "transientError",
    failedTransient: "transientError",
    failedFatal: "error",
    allTransferred: "transferred",
    tooOld: "cancelled",
  },
  suspended: { tooOld: "cancelled" },
  error: { tooOld: "cancelled" },
  transientError: { retryDue: "queued", failedFatal: "error", tooOld: "cancelled" },
  transferred: { tooOld: "cancelled" },
  acknowledged: {},
  cancelled: {},
};

/** States in which a job's transfers may run. */
export function isActiveState(state: JobState): boolean {
  return state === "connecting" || state === "transferring";
}

/** States a job never leaves. */
export function isFinalState(state: JobState): boolean {
  return state === "acknowledged" || state === "cancelled";
}
