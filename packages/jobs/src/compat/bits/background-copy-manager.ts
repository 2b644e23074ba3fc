/**
 * The legacy, BITS-shaped face: jobs under Microsoft's names, over any job service (job-API
 * reference, section 6). This is how every call of these objects answers:
 *
 * - All methods of interfaces are asynchronous; `queryInterface` alone answers at once.
 * - Failures are thrown as `HResultError`, with the documented code. A call that fails has changed
 *   nothing.
 * - What the documents call out-parameters is what a call resolves to: the value itself where there
 *   is one, an object of them where there are several. Arrays know their length, so counts of
 *   arrays are left out.
 * - Where success has more than one code, the code is returned: alone (`Cancel`, `Complete`,
 *   `Skip`), or as `hr` (`Next`, `GetFileRanges`). Other calls that succeed mean `S_OK`.
 * - GUIDs are texts in upper case, taken in any form; 64-bit numbers are `bigint`, and taken as
 *   exact numbers too; HRESULTs are unsigned numbers. All that is returned is the caller's.
 *
 * Knows the service. Made by whoever migrates from BITS; several managers may share a service.
 */
import { isFinalState, LIMITS } from "@shoal/core";
import type { JobId, JobSnapshot } from "@shoal/core";
import type { JobService } from "../../job-service.ts";
import { JobWatch } from "../../job-watch.ts";
import { BG_JOB_TYPE, LEGACY_IIDS } from "../constants/bits.ts";
import { COM_IIDS } from "../constants/guid.ts";
import type { CallbackClock } from "../download/status-reporter.ts";
import { HResultError } from "../hresult-error.ts";
import { BackgroundCopyJob } from "./background-copy-job.ts";
import { CallbackDelivery } from "./callback-delivery.ts";
import type { CallbackObjects } from "./callback-delivery.ts";
import { FileStreams } from "./file-streams.ts";
import type {
  IBackgroundCopyCallback,
  IBackgroundCopyJob,
  IBackgroundCopyManager,
  InterfacesById,
} from "./interfaces.ts";
import { JobAccess, translated } from "./job-access.ts";
import { notifyClsidOf } from "./job-properties.ts";
import { viewOf } from "./query-interface.ts";
import { invalid, readGuid, readText } from "./read-arguments.ts";

export interface BackgroundCopyManagerOptions {
  /**
   * Makes the callback of a notification class, in upper case, that a job names; used while nothing
   * else is registered for the job. `undefined`: this process does not have the class. Jobs that
   * named one in earlier runs are heard of again.
   */
  readonly activate?: (clsid: string) => IBackgroundCopyCallback | undefined;
  /** What callbacks wait by. Default: the process's own monotonic clock. */
  readonly clock?: CallbackClock;
}

/** A manager of the jobs that the service's caller may see. */
export function createBackgroundCopyManager(
  service: JobService,
  options: BackgroundCopyManagerOptions = {},
): BackgroundCopyManager {
  return new BackgroundCopyManager(service, options);
}

/** Made by `createBackgroundCopyManager`. Callbacks are heard until it is disposed of. */
export class BackgroundCopyManager implements IBackgroundCopyManager, Disposable {
  readonly #service: JobService;
  readonly #delivery: CallbackDelivery;
  readonly #streams: FileStreams;

  constructor(service: JobService, options: BackgroundCopyManagerOptions) {
    const { activate = () => undefined, clock = MONOTONIC_CLOCK } = options;
    const watch = new JobWatch();
    this.#service = service;
    this.#streams = new FileStreams({ service, watch });
    const objectsOf = (job: JobSnapshot): CallbackObjects => this.#objectsOf(job);
    this.#delivery = new CallbackDelivery({ service, clock, activate, objectsOf });
    service.watch({
      changed: (jobId, state) => {
        watch.tell(jobId, state);
        this.#delivery.changed(jobId, state);
        if (isFinalState(state)) this.#streams.forget(jobId);
      },
      closed: (error) => {
        watch.close(error);
        this.#delivery.close();
      },
    });
    if (options.activate !== undefined) void this.#trackAll();
  }

  async CreateJob(
    displayName: string,
    type: BG_JOB_TYPE,
  ): Promise<{ readonly jobId: string; readonly job: IBackgroundCopyJob }> {
    const name = readText(displayName, "the display name", LIMITS.displayNameLengthMax);
    if (!Object.values<unknown>(BG_JOB_TYPE).includes(type)) throw invalid("unknown type of job");
    if (type !== BG_JOB_TYPE.BG_JOB_TYPE_DOWNLOAD) throw HResultError.of("E_NOTIMPL", "uploads");
    const request = { ...NEW_JOB, jobId: crypto.randomUUID(), displayName: name };
    const jobId = await translated(this.#service.createJob(request));
    return { jobId: jobId.toUpperCase(), job: this.#jobOf(jobId) };
  }

  async GetJob(jobId: string): Promise<IBackgroundCopyJob> {
    const id = readGuid(jobId, "the job id").toLowerCase();
    const found = await translated(this.#service.snapshot(id));
    if (found === undefined || isFinalState(found.state)) {
      throw HResultError.of("DO_E_JOB_NOT_FOUND", id);
    }
    return this.#jobOf(id, found);
  }

  queryInterface<Iid extends keyof InterfacesById>(iid: Iid): InterfacesById[Iid] {
    return viewOf({ [COM_IIDS.IUnknown]: this, [LEGACY_IIDS.IBackgroundCopyManager]: this }, iid);
  }

  /** No callback is called any more. Jobs go on, and so do streams until the service closes. */
  [Symbol.dispose](): void {
    this.#delivery.close();
  }

  async #trackAll(): Promise<void> {
    try {
      for (const summary of await this.#service.list()) {
        if (notifyClsidOf(summary) === undefined || isFinalState(summary.state)) continue;
        const job = await this.#service.snapshot(summary.jobId);
        if (job !== undefined) this.#delivery.track(job);
      }
    } catch {
      // The service has closed, and nothing is heard of any job.
    }
  }

  #jobOf(jobId: JobId, last?: JobSnapshot): BackgroundCopyJob {
    const access = new JobAccess(this.#service, jobId, last);
    return new BackgroundCopyJob({ access, delivery: this.#delivery, streams: this.#streams });
  }

  #objectsOf(snapshot: JobSnapshot): CallbackObjects {
    const job = this.#jobOf(snapshot.jobId, snapshot);
    return { job, error: snapshot.state === "error" ? job.errorOf(snapshot) : undefined };
  }
}

/** What BITS does: it waits for `Resume`, and replaces what is there when it completes. */
const NEW_JOB = {
  priority: "normal",
  overwrite: true,
  allowsCellular: true,
  isVolatile: false,
  attributes: {},
  startSuspended: true,
  files: [],
} as const;

const MONOTONIC_CLOCK: CallbackClock = {
  now: () => performance.now(),
  schedule: (delayMs, wake) => {
    const timer = setTimeout(wake, Math.ceil(delayMs));
    return () => clearTimeout(timer);
  },
};
