/**
 * Tells applications of their jobs, at least once (job-API reference, section 9).
 *
 *   change ─▶ visit ─▶ what is due? ─▶ call ─▶ S_OK: told of this entry into the state
 *               ▲                        └──▶ failure: again after 1 s, 2 s, … 60 s
 *               └── at once for an entry into TRANSFERRED or ERROR, else at most every 500 ms
 *
 * - An entry into TRANSFERRED or ERROR is told once to each callback that is registered while the
 *   state lasts, also to one that comes later or replaces another.
 * - Other changes are told by `JobModification`, whose result does not matter. A pending one may
 *   come after `JobTransferred` or `JobError`.
 * - One call per job and four per manager run at a time; the rest waits in order.
 *
 * Participants: the job service, and callbacks that may do anything. No goal: keeping anything over
 * a restart; whoever registers anew is told of the state anew. Bounded by the jobs there are.
 */
import { HRESULTS, isFinalState, ShoalError } from "@shoal/core";
import type { JobId, JobSnapshot, JobState, Millis } from "@shoal/core";
import type { JobService } from "../../job-service.ts";
import { BG_NOTIFY } from "../constants/bits.ts";
import type { CallbackClock } from "../download/status-reporter.ts";
import type {
  CallbackResult,
  IBackgroundCopyCallback,
  IBackgroundCopyError,
  IBackgroundCopyJob,
} from "./interfaces.ts";
import { notifyClsidOf } from "./job-properties.ts";
import { notifyFlagsOf } from "./shown-values.ts";

export interface CallbackDeliveryDeps {
  readonly service: JobService;
  readonly clock: CallbackClock;
  /** Makes the object of a notification class that a job names, where this process has it. */
  readonly activate: (clsid: string) => IBackgroundCopyCallback | undefined;
  /** The objects that callbacks are given. */
  readonly objectsOf: (job: JobSnapshot) => CallbackObjects;
}

export interface CallbackObjects {
  readonly job: IBackgroundCopyJob;
  readonly error: IBackgroundCopyError | undefined;
}

/** BITS's own throttle. */
const MODIFICATION_INTERVAL_MS = 500;
const RETRY_DELAY_MS_MIN = 1_000;
const RETRY_DELAY_MS_MAX = 60_000;
/** A callback that has not answered by then has failed: it must not hold its place for ever. */
const CALL_TIMEOUT_MS = 300_000;
/** At the same time, of one manager (job-API reference, section 14). */
const CALLS_MAX = 4;

/** No count of state changes. */
const NEVER_FAILED = -1;

/** States whose entry has a callback of its own. */
const TOLD_STATES: readonly JobState[] = ["transferred", "error"];

/** One job of which somebody wants to hear. */
interface Registration {
  readonly jobId: JobId;
  /** What was registered in this process; it goes before `activated`. */
  live: IBackgroundCopyCallback | undefined;
  activated: { readonly clsid: string; readonly callback: IBackgroundCopyCallback } | undefined;
  /** The last change that has been looked at. */
  seen: { readonly state: JobState; readonly stateChanges: number };
  content: string;
  isModified: boolean;
  /** Before then no `JobModification` is told. */
  modificationAt: Millis;
  /** Before then changes that are not urgent are not looked at. */
  lookAt: Millis;
  /** The entry into a told state that a callback has answered with `S_OK`. */
  told: { readonly callback: IBackgroundCopyCallback; readonly stateChanges: number } | undefined;
  failures: number;
  /** Of the entry with these state changes. */
  failedAt: number;
  retryAt: Millis;
  isBusy: boolean;
  /** Something happened while it was busy. */
  isChanged: boolean;
  /** When it is to be visited without being changed. */
  wakeAt: Millis;
}

export class CallbackDelivery {
  readonly #deps: CallbackDeliveryDeps;
  readonly #registrations = new Map<JobId, Registration>();
  /** To be visited when there is a place, in order. */
  readonly #ready = new Set<Registration>();
  /** Those with a `wakeAt`. */
  readonly #waiting = new Set<Registration>();
  #busyCount = 0;
  #wakeAt: Millis = Infinity;
  #cancelWake: () => void = () => {};
  #isClosed = false;

  constructor(deps: CallbackDeliveryDeps) {
    this.#deps = deps;
  }

  /** The callback that this process has registered for the job. */
  callbackOf(jobId: JobId): IBackgroundCopyCallback | undefined {
    return this.#registrations.get(jobId)?.live;
  }

  /** From now on `callback` hears of the job, nobody else; absent: nobody does. */
  register(job: JobSnapshot, callback: IBackgroundCopyCallback | undefined): void {
    const registration = this.#registrationOf(job);
    if (registration === undefined) return;
    // Another one does not wait for what the one before has failed to do.
    if (callback !== registration.live) registration.failedAt = NEVER_FAILED;
    registration.live = callback;
    if (callback === undefined) registration.told = undefined;
    this.#visitSoon(registration);
  }

  /** The job may name a notification class. */
  track(job: JobSnapshot): void {
    const isKnown = this.#registrations.has(job.jobId);
    if (!isKnown && notifyClsidOf(job) === undefined) return;
    const registration = this.#registrationOf(job);
    if (registration !== undefined) this.#visitSoon(registration);
  }

  changed(jobId: JobId, state: JobState): void {
    const registration = this.#registrations.get(jobId);
    if (registration === undefined) return;
    if (isFinalState(state)) return this.#remove(registration);
    const isUrgent = state !== registration.seen.state || TOLD_STATES.includes(state);
    if (registration.isBusy) registration.isChanged = true;
    else if (isUrgent) this.#visitSoon(registration);
    else this.#wakeLater(registration, registration.lookAt);
    this.#arm();
  }

  /** Nothing more is delivered. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#registrations.clear();
    this.#ready.clear();
    this.#waiting.clear();
    this.#arm();
  }

  #registrationOf(job: JobSnapshot): Registration | undefined {
    if (this.#isClosed || isFinalState(job.state)) return undefined;
    const registration = this.#registrations.get(job.jobId) ?? newRegistration(job);
    this.#registrations.set(job.jobId, registration);
    return registration;
  }

  #visitSoon(registration: Registration): void {
    if (registration.isBusy) registration.isChanged = true;
    else {
      this.#waiting.delete(registration);
      registration.wakeAt = Infinity;
      this.#ready.add(registration);
    }
    this.#pump();
  }

  #wakeLater(registration: Registration, at: Millis): void {
    // It may have been removed while a call was under way.
    if (this.#registrations.get(registration.jobId) !== registration) return;
    registration.wakeAt = Math.min(registration.wakeAt, at);
    this.#waiting.add(registration);
  }

  #pump(): void {
    for (const registration of this.#ready) {
      if (this.#busyCount >= CALLS_MAX) break;
      this.#ready.delete(registration);
      this.#busyCount++;
      registration.isBusy = true;
      registration.isChanged = false;
      void this.#visit(registration).finally(() => this.#visited(registration));
    }
    this.#arm();
  }

  #visited(registration: Registration): void {
    this.#busyCount--;
    registration.isBusy = false;
    const isThere = this.#registrations.get(registration.jobId) === registration;
    if (isThere && registration.isChanged) this.#ready.add(registration);
    this.#pump();
  }

  /** Looks at the job, and makes the one call that is due. Never rejects. */
  async #visit(registration: Registration): Promise<void> {
    const { service, clock } = this.#deps;
    registration.lookAt = clock.now() + MODIFICATION_INTERVAL_MS;
    let job: JobSnapshot | undefined;
    try {
      job = await service.snapshot(registration.jobId);
    } catch (error) {
      // Closing is told by the service itself. A job that may no longer be seen is not heard of.
      const isDenied = error instanceof ShoalError && error.code === "ERR_ACCESS_DENIED";
      if (isDenied) this.#remove(registration);
      else this.#wakeLater(registration, clock.now() + RETRY_DELAY_MS_MAX);
      return;
    }
    if (job === undefined || isFinalState(job.state)) return this.#remove(registration);
    // Closed or over meanwhile: nothing more is told.
    if (this.#registrations.get(registration.jobId) !== registration) return;
    noteChange(registration, job);
    const flags = notifyFlagsOf(job);
    if (isSet(flags, "BG_NOTIFY_DISABLE")) return;
    const callback = this.#callbackFor(registration, job);
    if (callback === undefined) return;
    if (isEntryDue(registration, job, { flags, callback })) {
      await this.#tellEntry(registration, job, callback);
    } else if (registration.isModified && isSet(flags, "BG_NOTIFY_JOB_MODIFICATION")) {
      await this.#tellModification(registration, job, callback);
    }
  }

  async #tellEntry(
    registration: Registration,
    job: JobSnapshot,
    callback: IBackgroundCopyCallback,
  ): Promise<void> {
    const { clock, objectsOf } = this.#deps;
    const { stateChanges } = job;
    if (registration.failedAt !== stateChanges) {
      registration.failures = 0;
      registration.retryAt = -Infinity;
    }
    if (registration.retryAt > clock.now()) {
      return this.#wakeLater(registration, registration.retryAt);
    }
    const { job: object, error } = objectsOf(job);
    const isDone = await this.#call(() =>
      error === undefined ? callback.JobTransferred(object) : callback.JobError(object, error),
    );
    if (isDone) {
      registration.told = { callback, stateChanges };
      // A modification may have waited for its turn.
      registration.isChanged = true;
      return;
    }
    registration.failedAt = stateChanges;
    const delayMs = RETRY_DELAY_MS_MIN * 2 ** Math.min(registration.failures++, 16);
    registration.retryAt = clock.now() + Math.min(delayMs, RETRY_DELAY_MS_MAX);
    this.#wakeLater(registration, registration.retryAt);
  }

  async #tellModification(
    registration: Registration,
    job: JobSnapshot,
    callback: IBackgroundCopyCallback,
  ): Promise<void> {
    const { clock, objectsOf } = this.#deps;
    if (registration.modificationAt > clock.now()) {
      return this.#wakeLater(registration, registration.modificationAt);
    }
    registration.isModified = false;
    registration.modificationAt = clock.now() + MODIFICATION_INTERVAL_MS;
    const { job: object } = objectsOf(job);
    await this.#call(() => callback.JobModification(object, 0));
  }

  /** Whether the callback answered with success, in time. */
  async #call(call: () => CallbackResult): Promise<boolean> {
    const { clock } = this.#deps;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const cancel = clock.schedule(CALL_TIMEOUT_MS, () => resolve(false));
    const answer = async (): Promise<boolean> => {
      const result = await call();
      return result === undefined || result === HRESULTS.S_OK;
    };
    answer().then(resolve, () => resolve(false));
    return promise.finally(cancel);
  }

  #callbackFor(registration: Registration, job: JobSnapshot): IBackgroundCopyCallback | undefined {
    if (registration.live !== undefined) return registration.live;
    const clsid = notifyClsidOf(job);
    if (clsid === undefined) {
      registration.activated = undefined;
      return undefined;
    }
    if (registration.activated?.clsid === clsid) return registration.activated.callback;
    try {
      const callback = this.#deps.activate(clsid);
      registration.activated = callback && { clsid, callback };
      return callback;
    } catch {
      this.#wakeLater(registration, this.#deps.clock.now() + RETRY_DELAY_MS_MAX);
      return undefined;
    }
  }

  #remove(registration: Registration): void {
    if (this.#registrations.get(registration.jobId) === registration) {
      this.#registrations.delete(registration.jobId);
    }
    this.#ready.delete(registration);
    this.#waiting.delete(registration);
    this.#arm();
  }

  /** One timer, for whoever is first; none when nobody waits. */
  #arm(): void {
    let wakeAt = Infinity;
    for (const registration of this.#waiting) wakeAt = Math.min(wakeAt, registration.wakeAt);
    if (wakeAt === this.#wakeAt) return;
    this.#cancelWake();
    this.#wakeAt = wakeAt;
    const { clock } = this.#deps;
    const delayMs = Math.max(0, wakeAt - clock.now());
    this.#cancelWake = wakeAt === Infinity ? () => {} : clock.schedule(delayMs, () => this.#wake());
  }

  #wake(): void {
    const now = this.#deps.clock.now();
    this.#wakeAt = Infinity;
    for (const registration of this.#waiting) {
      if (registration.wakeAt > now) continue;
      this.#waiting.delete(registration);
      registration.wakeAt = Infinity;
      if (registration.isBusy) registration.isChanged = true;
      else this.#ready.add(registration);
    }
    this.#pump();
  }
}

function newRegistration(job: JobSnapshot): Registration {
  const { jobId, state, stateChanges } = job;
  return {
    jobId,
    live: undefined,
    activated: undefined,
    seen: { state, stateChanges },
    content: contentOf(job),
    isModified: false,
    modificationAt: -Infinity,
    lookAt: -Infinity,
    told: undefined,
    failures: 0,
    failedAt: NEVER_FAILED,
    retryAt: -Infinity,
    isBusy: false,
    isChanged: false,
    wakeAt: Infinity,
  };
}

/** Entering a told state is no modification, whatever else changed with it. */
function noteChange(registration: Registration, job: JobSnapshot): void {
  const { seen } = registration;
  const hasEntered = job.stateChanges !== seen.stateChanges && TOLD_STATES.includes(job.state);
  const content = contentOf(job);
  if (!hasEntered && content !== registration.content) registration.isModified = true;
  registration.content = content;
  registration.seen = { state: job.state, stateChanges: job.stateChanges };
}

/**
 * What a modification changes. Times are not in it: the end of a transfer moves them once more when
 * the job has entered its state already.
 */
function contentOf(job: JobSnapshot): string {
  const { displayName, priority, noProgressTimeoutMs, networkCosts, allowsCellular } = job;
  const { attributes, stateChanges, transferredBytes } = job;
  const values = [displayName, priority, noProgressTimeoutMs, networkCosts, allowsCellular];
  const files = job.files.map((file) => {
    const { url, destination, toStream, declaredLength, mandatoryIntegrity, ranges } = file;
    return [url, destination, toStream, declaredLength, mandatoryIntegrity, ranges?.length];
  });
  return JSON.stringify([values, attributes, stateChanges, transferredBytes, files]);
}

function isEntryDue(
  { told }: Registration,
  { state, stateChanges }: JobSnapshot,
  { flags, callback }: { readonly flags: number; readonly callback: IBackgroundCopyCallback },
): boolean {
  const isWanted =
    (state === "transferred" && isSet(flags, "BG_NOTIFY_JOB_TRANSFERRED")) ||
    (state === "error" && isSet(flags, "BG_NOTIFY_JOB_ERROR"));
  return isWanted && !(told?.callback === callback && told.stateChanges === stateChanges);
}

function isSet(flags: number, name: keyof typeof BG_NOTIFY): boolean {
  return (flags & BG_NOTIFY[name]) !== 0;
}
