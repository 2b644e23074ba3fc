/**
 * What finalized downloads leave for peers: a job with a verified manifest is not acknowledged when
 * its client is done with it, but stays as it is, complete and on offer, as a copy in the cache does
 * that other jobs leave. The oldest go first: for age, for bytes, and for room on the disk.
 *
 * Knows jobs that are complete; volatile as they are, none outlives this run. Called by
 * `RestDownloads` and `JobFetch`.
 */
import { statfs } from "node:fs/promises";
import type { JobId, JobSnapshot, Millis, Settings } from "@shoal/core";
import type { JobService } from "@shoal/jobs";

export interface KeptJobsDeps {
  readonly service: JobService;
  /** The settings of the cache. */
  readonly settings: Settings;
  /** Where jobs with a stream store what they fetch. */
  readonly stateDirectory: string;
  /** Monotonic. */
  readonly now: () => Millis;
}

interface KeptJob {
  readonly jobId: JobId;
  readonly length: number;
  readonly since: Millis;
}

/** Jobs count among those that may be live at a time; most of these places are for new ones. */
const KEPT_MAX = 64;

export class KeptJobs {
  readonly #deps: KeptJobsDeps;
  /** The oldest first. */
  #kept: readonly KeptJob[] = [];

  constructor(deps: KeptJobsDeps) {
    this.#deps = deps;
  }

  /** Keeps a complete job where peers may want it; acknowledges any other. */
  async finish(jobId: JobId): Promise<void> {
    const { service, now } = this.#deps;
    const snapshot = await service.snapshot(jobId);
    if (snapshot === undefined || !this.#isWanted(snapshot)) return await this.#end(jobId);
    this.#kept = [...this.#kept, { jobId, length: snapshot.length ?? 0, since: now() }];
    await this.trim();
  }

  /** Ends those for which the cache's settings leave no room or time. */
  async trim(): Promise<void> {
    const { settings, stateDirectory, now } = this.#deps;
    const { cacheAgeMs, cacheBytesMax, cachePercentMax } = settings;
    const { bsize, blocks, bavail } = await statfs(stateDirectory);
    const bytesMax = Math.min(cacheBytesMax, (cachePercentMax / 100) * blocks * bsize);
    const { cacheFreeBytesMin, cacheFreePercentMin } = settings;
    const freeMin = Math.max(cacheFreeBytesMin, (cacheFreePercentMin / 100) * blocks * bsize);
    let missing = freeMin - bavail * bsize;
    let bytes = this.#kept.reduce((sum, { length }) => sum + length, 0);
    const isTooMuch = ({ since }: KeptJob): boolean =>
      missing > 0 ||
      bytes > bytesMax ||
      this.#kept.length > KEPT_MAX ||
      (cacheAgeMs > 0 && now() - since >= cacheAgeMs);
    for (let job = this.#kept[0]; job !== undefined && isTooMuch(job); job = this.#kept[0]) {
      this.#kept = this.#kept.slice(1);
      missing -= job.length;
      bytes -= job.length;
      await this.#end(job.jobId);
    }
  }

  /** Somebody needs the room now. */
  async clear(): Promise<void> {
    const all = this.#kept;
    this.#kept = [];
    for (const { jobId } of all) await this.#end(jobId);
  }

  #isWanted({ state, files: [file] }: JobSnapshot): boolean {
    const isShareable = file?.integrity === "pieces" && !(file.url ?? "").includes("?");
    return state === "transferred" && isShareable && this.#deps.settings.cacheCopies > 0;
  }

  async #end(jobId: JobId): Promise<void> {
    await this.#deps.service.applyVerb(jobId, "acknowledge");
  }
}
