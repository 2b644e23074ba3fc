/**
 * Calls a download's callback when its status changes (download-API reference, section 9): a change
 * of state or error at once; of bytes when enough seconds or enough percent have passed since the
 * last call, whichever comes first. Calls come one after the other, each with the latest status.
 *
 *   change ─▶ look (at most every LOOK_INTERVAL_MS, unless the state moved) ─▶ due? ─▶ call
 *                                                          └─ not yet ─▶ timer ─▶ look
 *
 * A timer runs only while a change waits to be told. Knows one download and one callback. Made by
 * `DODownload` for each callback it is given.
 */
import { isFinalState } from "@shoal/core";
import type { JobId, JobSnapshot, JobState, Millis } from "@shoal/core";
import type { JobWatch } from "../../job-watch.ts";
import { statusOf } from "./download-status.ts";
import type {
  DO_DOWNLOAD_STATUS,
  IDODownload,
  IDODownloadStatusCallback,
} from "./download-types.ts";
import { FREQUENCY_PERCENT, FREQUENCY_SECONDS } from "./property-rules.ts";

/** Where a reporter takes the time from; monotonic. */
export interface CallbackClock {
  now(): Millis;
  /** Calls `wake` once after the delay, unless the returned function is called before. */
  schedule(delayMs: Millis, wake: () => void): () => void;
}

export interface StatusReporterDeps {
  readonly watch: JobWatch;
  readonly clock: CallbackClock;
  /** The job as it is now; `undefined` when it is forgotten. */
  look(): Promise<JobSnapshot | undefined>;
}

/** Bytes may move thousands of times a second, and a look may cross a socket. */
const LOOK_INTERVAL_MS = 100;
const FREQUENCY_SECONDS_DEFAULT = 1;
/** A callback that has not answered by then never will, and later changes are told all the same. */
const CALL_TIMEOUT_MS = 300_000;

export class StatusReporter {
  readonly #deps: StatusReporterDeps;
  readonly #download: IDODownload;
  readonly #callback: IDODownloadStatusCallback;
  #unsubscribe: (() => void) | undefined;
  #last: DO_DOWNLOAD_STATUS;
  #jobState: JobState;
  #lastReportAt: Millis;
  #lastLookAt: Millis = -Infinity;
  #isLooking = false;
  #lookAgain = false;
  #isStopped = false;
  #disarm: (() => void) | undefined;
  /** Waits no more for the call under way. */
  #endCall = (): void => {};

  /** `snapshot` is what the caller knows already: what differs from it is told. */
  constructor(
    deps: StatusReporterDeps,
    options: {
      readonly download: IDODownload;
      readonly callback: IDODownloadStatusCallback;
      readonly snapshot: JobSnapshot;
    },
  ) {
    this.#deps = deps;
    this.#download = options.download;
    this.#callback = options.callback;
    this.#last = statusOf(options.snapshot);
    this.#jobState = options.snapshot.state;
    this.#lastReportAt = deps.clock.now();
    this.#unsubscribe = deps.watch.add(options.snapshot.jobId as JobId, {
      changed: (state) => this.#changed(state),
      closed: () => this.stop(),
    });
    // Whatever changed between the snapshot and now.
    this.#look();
  }

  /** The callback is not called any more. Idempotent. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#disarm?.();
    this.#endCall();
    this.#unsubscribe?.();
  }

  #changed(state: JobState): void {
    if (state !== this.#jobState) this.#look();
    else this.#wakeAt(this.#lastLookAt + LOOK_INTERVAL_MS);
    this.#jobState = state;
  }

  #look(): void {
    this.#lookAgain = true;
    if (!this.#isLooking) void this.#lookOn();
  }

  async #lookOn(): Promise<void> {
    this.#isLooking = true;
    while (this.#lookAgain && !this.#isStopped) {
      this.#lookAgain = false;
      this.#disarm?.();
      this.#disarm = undefined;
      this.#lastLookAt = this.#deps.clock.now();
      // An agent that is gone has nothing to report, and `closed` says so as well.
      const snapshot = await this.#deps.look().catch(() => undefined);
      if (snapshot === undefined) this.stop();
      else await this.#consider(snapshot);
    }
    this.#isLooking = false;
  }

  async #consider(snapshot: JobSnapshot): Promise<void> {
    const status = statusOf(snapshot);
    if (!this.#isStopped && differs(this.#last, status, EVERY_FIELD)) {
      const dueAt = this.#dueAt(snapshot);
      const isDue =
        differs(this.#last, status, URGENT_FIELDS) ||
        this.#deps.clock.now() >= dueAt ||
        this.#hasMovedEnough(status, snapshot);
      if (isDue) await this.#report(status);
      else this.#wakeAt(dueAt);
    }
    if (isFinalState(snapshot.state)) this.stop();
  }

  async #report(status: DO_DOWNLOAD_STATUS): Promise<void> {
    this.#last = status;
    this.#lastReportAt = this.#deps.clock.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#deps.clock.schedule(CALL_TIMEOUT_MS, resolve);
    this.#endCall = resolve;
    const call = async (): Promise<unknown> =>
      this.#callback.OnStatusChange(this.#download, status);
    // A callback's result is not interpreted; a failure is one of its results.
    call().then(
      () => resolve(),
      () => resolve(),
    );
    await promise.finally(cancel);
  }

  #dueAt({ attributes }: JobSnapshot): Millis {
    const seconds = attributes[FREQUENCY_SECONDS] ?? FREQUENCY_SECONDS_DEFAULT;
    return this.#lastReportAt + Number(seconds) * 1000;
  }

  #hasMovedEnough(
    { BytesTotal, BytesTransferred }: DO_DOWNLOAD_STATUS,
    from: JobSnapshot,
  ): boolean {
    const percent = Number(from.attributes[FREQUENCY_PERCENT] ?? 0);
    if (percent === 0 || BytesTotal === 0n) return false;
    const moved = BytesTransferred - this.#last.BytesTransferred;
    return moved * 100n >= BigInt(percent) * BytesTotal;
  }

  #wakeAt(at: Millis): void {
    if (this.#disarm !== undefined || this.#isStopped) return;
    const delayMs = Math.max(0, at - this.#deps.clock.now());
    this.#disarm = this.#deps.clock.schedule(Math.min(delayMs, TIMER_MS_MAX), () => {
      this.#disarm = undefined;
      this.#look();
    });
  }
}

/** Longer timers than this fire at once; a look that comes early costs nothing. */
const TIMER_MS_MAX = 2 ** 31 - 1;

const URGENT_FIELDS = ["State", "Error", "ExtendedError"] as const;
const EVERY_FIELD = [...URGENT_FIELDS, "BytesTotal", "BytesTransferred"] as const;

function differs(
  a: DO_DOWNLOAD_STATUS,
  b: DO_DOWNLOAD_STATUS,
  fields: ReadonlyArray<keyof DO_DOWNLOAD_STATUS>,
): boolean {
  return fields.some((field) => a[field] !== b[field]);
}
