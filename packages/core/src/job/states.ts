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

export const JOB_VERBS = ["resume", "suspend", "cancel", "acknowledge"] as const;
export type JobVerb = (typeof JOB_VERBS)[number];

export const JOB_FACTS = [
  "picked",
  "bytesMoved",
  "failedTransient",
  "failedFatal",
  "retryDue",
  "allTransferred",
] as const;
export type JobFact = (typeof JOB_FACTS)[number];

/** The state after a verb; absent: the state refuses the verb with `ERR_JOB_STATE`. */
export const JOB_VERB_TABLE: Readonly<Record<JobState, Partial<Record<JobVerb, JobState>>>> = {
  queued: {
    resume: "queued",
    suspend: "suspended",
    cancel: "cancelled",
    acknowledge: "acknowledged",
  },
  connecting: {
    resume: "connecting",
    suspend: "suspended",
    cancel: "cancelled",
    acknowledge: "acknowledged",
  },
  transferring: {
    resume: "transferring",
    suspend: "suspended",
    cancel: "cancelled",
    acknowledge: "acknowledged",
  },
  suspended: {
    resume: "queued",
    suspend: "suspended",
    cancel: "cancelled",
    acknowledge: "acknowledged",
  },
  error: {
    resume: "queued",
    suspend: "suspended",
    cancel: "cancelled",
    acknowledge: "acknowledged",
  },
  transientError: {
    resume: "queued",
    suspend: "suspended",
    cancel: "cancelled",
    acknowledge: "acknowledged",
  },
  transferred: {
    resume: "transferred",
    suspend: "transferred",
    cancel: "cancelled",
    acknowledge: "acknowledged",
  },
  acknowledged: {},
  cancelled: {},
};

/** The state after a fact; absent: the fact changes nothing in that state. */
export const JOB_FACT_TABLE: Readonly<Record<JobState, Partial<Record<JobFact, JobState>>>> = {
  queued: { picked: "connecting", failedFatal: "error" },
  connecting: {
    bytesMoved: "transferring",
    failedTransient: "transientError",
    failedFatal: "error",
    allTransferred: "transferred",
  },
  transferring: {
    failedTransient: "transientError",
    failedFatal: "error",
    allTransferred: "transferred",
  },
  suspended: {},
  error: {},
  transientError: { retryDue: "queued", failedFatal: "error" },
  transferred: {},
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
