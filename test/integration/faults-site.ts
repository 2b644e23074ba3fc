/**
 * What the tests of faults share: an agent in this process that downloads one file at a rate that
 * leaves time to do something in the middle, and a watch over its API while the fault lasts.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions, Job, JobState } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { expect } from "vitest";
import { LOOPBACK, TestSite, until } from "./harness.ts";
import type { TestContent, TestOrigin } from "./harness.ts";
import { PowerLossDisk } from "./power-loss-disk.ts";
import type { PowerLossDiskOptions } from "./power-loss-disk.ts";

export const FAULT_LENGTH = 8 * MiB;
/** A second for the whole file: time to do something in the middle. */
const FAULT_RATE_BYTES_PER_SEC = 8 * MiB;
/** So long an answer of the API may take, whatever happens to the disk. */
const ANSWER_MS_MAX = 2_000;

/** What has a list of jobs: an agent's `jobs`, or what `connectJobs` gives. */
interface Lists {
  list(): Promise<readonly unknown[]>;
}

export class FaultSite implements AsyncDisposable {
  readonly site: TestSite;

  private constructor(site: TestSite) {
    this.site = site;
  }

  static async create(): Promise<FaultSite> {
    return new FaultSite(await TestSite.create());
  }

  stateOf(name: string): string {
    return join(this.site.directory, `state-${name}`);
  }

  async start(name: string, options: Partial<AgentOptions> = {}): Promise<Agent> {
    const place = { stateDirectory: this.stateOf(name), listen: [LOOPBACK], mdns: false };
    return this.site.use(await startAgent({ ...place, ...options }));
  }

  async publishSlowly(): Promise<[TestContent, TestOrigin]> {
    const content = await this.site.publish("file.bin", FAULT_LENGTH);
    return [content, await this.site.serve(content, { rateBytesPerSec: FAULT_RATE_BYTES_PER_SEC })];
  }

  /** A disk that goes away with the test; or why there is none. */
  async makeDisk(name: string, options?: PowerLossDiskOptions): Promise<PowerLossDisk | string> {
    const directory = await this.site.makeDirectory(name);
    const disk = await PowerLossDisk.create(directory, { lengthMiB: 64, ...options });
    return typeof disk === "string" ? disk : this.site.use(disk);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.site[Symbol.asyncDispose]();
  }
}

export async function stateOfJob(job: Job): Promise<JobState> {
  return (await job.snapshot()).state;
}

/** Waits until some bytes are on disk, and not all. */
export async function untilUnderWay(job: Job): Promise<void> {
  const isThere = async (): Promise<boolean> =>
    (await job.snapshot()).transferredBytes > FAULT_LENGTH / 5;
  await until(isThere, "the job gets on");
  expect(await stateOfJob(job)).toBe("transferring");
}

export async function publish(job: Job): Promise<void> {
  await job.transferred;
  await job.acknowledge();
}

/** Asks for the list of jobs over and over while `work` runs; each answer has its deadline. */
export async function whileAnswering<T>(jobs: Lists, work: () => Promise<T>): Promise<T> {
  let isOver = false;
  let answers = 0;
  const asking = (async () => {
    while (!isOver) {
      const late = delay(ANSWER_MS_MAX, "late", { ref: false });
      if ((await Promise.race([jobs.list(), late])) === "late") {
        throw new Error(`the API did not answer within ${ANSWER_MS_MAX} ms`);
      }
      answers++;
      await delay(10);
    }
  })();
  try {
    return await Promise.race([work(), asking.then(() => Promise.reject(new Error("not over")))]);
  } finally {
    isOver = true;
    await asking;
    expect(answers).toBeGreaterThan(0);
  }
}
