/**
 * The process that `job-kill.test.ts` kills: an agent whose jobs are called by several lanes at a
 * time, each with jobs of its own and one call after the other. Every call is announced before it is
 * made and reported when it has been answered, by lines of JSON that are written synchronously, so
 * that the starter has all of them whenever the kill comes.
 *
 *   ready ─▶ will … done | refused … ─▶ (killed)      `exercise`
 *   ready ─▶ atRest ─▶ will … done … ─▶ over           `settle`
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isFinalState, JOB_PRIORITIES, PART_FILE_PREFIX, Random, ShoalError } from "@shoal/core";
import type { JobChange, JobFileSpec, JobSnapshot, JobState, PlainVerb } from "@shoal/core";
import { startAgent } from "@shoal/agent";
import type { JobService, ServiceJobRequest } from "@shoal/jobs";
import { ORIGIN_MOODS } from "./job-kill-origin.ts";

/** A content that the origin has. */
export interface TargetContent {
  readonly name: string;
  readonly length: number;
  /** Of some; its manifest lies beside it. */
  readonly contentId?: string;
}

/** What the process is to do. */
export interface TargetOrder {
  readonly mode: "exercise" | "settle";
  readonly seed: number;
  readonly stateDirectory: string;
  /** Every job gets a directory of its own below. */
  readonly downloads: string;
  readonly baseUrl: string;
  readonly contents: readonly TargetContent[];
  /** Creations that were not answered, to be asked for once more under their keys. */
  readonly unanswered: readonly ServiceJobRequest[];
}

/** A call of the job service that changes something. */
export type Call =
  | { readonly type: "create"; readonly request: ServiceJobRequest }
  | { readonly type: "change"; readonly jobId: string; readonly change: JobChange }
  | { readonly type: "verb"; readonly jobId: string; readonly verb: PlainVerb };

/** One line of the report. A lane has at most one call that is neither done nor refused. */
export type TargetReport =
  | {
      readonly type: "ready" | "atRest" | "over";
      readonly jobs: readonly JobSnapshot[];
      /** Names of all part files, beside destinations and in the spool. */
      readonly partNames: readonly string[];
    }
  | { readonly type: "will"; readonly lane: number; readonly call: Call }
  | {
      readonly type: "done";
      readonly lane: number;
      /** Of a creation. */
      readonly jobId?: string;
      /** Of a verb. */
      readonly isPartial?: boolean;
      readonly undeletedCount?: number;
    }
  | { readonly type: "refused"; readonly lane: number; readonly code: string };

export const TARGET_LANES = 3;
/** Where the report goes. */
const REPORT_FD = 3;
const CALLS_PER_LANE_MAX = 60;
const LIVE_JOBS_PER_LANE_MAX = 3;
const REST_TIMEOUT_MS = 20_000;
const SETTINGS = {
  activeJobsMax: 3,
  originFailuresMax: 2,
  retryDelayMsMin: 5,
  retryDelayMsMax: 50,
  jobRetryDelayMs: 5_000,
  syncDelayMs: 20,
};

/** Calls the service in one lane, and reports. */
class Lane {
  readonly random: Random;
  readonly #service: JobService;
  readonly #order: TargetOrder;
  readonly #lane: number;
  #lastName = 0;

  constructor(service: JobService, { order, lane }: { order: TargetOrder; lane: number }) {
    this.#service = service;
    this.#order = order;
    this.#lane = lane;
    this.random = new Random(order.seed * TARGET_LANES + lane);
  }

  async exercise(): Promise<void> {
    for (const request of this.#order.unanswered) {
      if (request.attributes["lane"] !== this.#lane) continue;
      await this.call({ type: "create", request: { ...request, jobId: crypto.randomUUID() } });
    }
    for (let count = 0; count < CALLS_PER_LANE_MAX; count++) {
      await this.#step();
      if (this.random.below(3) === 0) await delay(this.random.below(30));
    }
  }

  async call(call: Call): Promise<void> {
    const lane = this.#lane;
    report({ type: "will", lane, call });
    try {
      report({ type: "done", lane, ...(await this.#perform(call)) });
    } catch (error) {
      if (!(error instanceof ShoalError)) throw error;
      report({ type: "refused", lane, code: error.code });
    }
  }

  async #perform(call: Call): Promise<Partial<Extract<TargetReport, { type: "done" }>>> {
    switch (call.type) {
      case "create":
        return { jobId: await this.#service.createJob(call.request) };
      case "change":
        await this.#service.changeJob(call.jobId, call.change);
        return {};
      case "verb":
        return this.#service.applyVerb(call.jobId, call.verb);
    }
  }

  async #step(): Promise<void> {
    const all = (await this.#service.list()).filter((job) => job.attributes["lane"] === this.#lane);
    const live = all.filter(({ state }) => !isFinalState(state));
    if (live.length === 0 || (live.length < LIVE_JOBS_PER_LANE_MAX && this.#isLuck(4))) {
      await this.#create();
      return;
    }
    const { jobId } = this.#pick(this.#isLuck(20) ? all : live);
    const job = await this.#service.snapshot(jobId);
    if (job === undefined) return;
    switch (this.random.below(10)) {
      case 0:
        return this.call({ type: "verb", jobId, verb: "cancel" });
      case 1:
      case 2:
        return this.call({ type: "verb", jobId, verb: "acknowledge" });
      case 3:
        return this.call({ type: "verb", jobId, verb: "suspend" });
      case 4:
      case 5:
        await this.#attach(job);
        return this.call({ type: "verb", jobId, verb: "resume" });
      default:
        return this.call({ type: "change", jobId, change: this.#change(job) });
    }
  }

  async #create(): Promise<void> {
    const name = `${this.#order.seed}-${this.#lane}-${++this.#lastName}`;
    const directory = join(this.#order.downloads, name);
    mkdirSync(directory);
    // Whoever makes a directory answers for its name after a loss of power.
    const parent = openSync(dirname(directory), "r");
    fsyncSync(parent);
    closeSync(parent);
    const isStreamed = this.#isLuck(8);
    const files: JobFileSpec[] = isStreamed ? [{ url: this.#url(), toStream: true }] : [];
    for (let count = this.random.below(4); count > 0; count--) files.push(this.#file(directory));
    const request: ServiceJobRequest = {
      jobId: crypto.randomUUID(),
      displayName: name,
      priority: this.#pick(JOB_PRIORITIES),
      overwrite: false,
      allowsCellular: true,
      isVolatile: this.#isLuck(12),
      attributes: { lane: this.#lane, directory },
      startSuspended: isStreamed || files.length === 0 || this.#isLuck(3),
      ...(this.#isLuck(2) ? { idempotencyKey: name } : {}),
      files,
    };
    await this.call({ type: "create", request });
    if (request.idempotencyKey === undefined || !this.#isLuck(4)) return;
    await this.call({ type: "create", request: { ...request, jobId: crypto.randomUUID() } });
  }

  #change({ files, attributes }: JobSnapshot): JobChange {
    const directory = String(attributes["directory"]);
    const fileIndex = this.random.below(Math.max(1, files.length));
    const file = files[fileIndex];
    const kind = this.random.below(6);
    if (kind === 0 || file === undefined) {
      return { type: "addFiles", files: [this.#file(directory), this.#file(directory)] };
    }
    if (kind === 1 && file.ranges !== undefined) {
      const { offset, length = 1 } = file.ranges.at(-1) ?? { offset: 0 };
      return {
        type: "addRanges",
        fileIndex,
        ranges: [{ offset: offset + length + 3, length: 50 }],
      };
    }
    if (kind === 2) {
      const destination = join(directory, `moved-${this.random.uint32()}`);
      return { type: "setFile", fileIndex, values: { destination } };
    }
    if (kind < 5) {
      const url = this.#url(file.url?.split("/").at(-1));
      return { type: "setFile", fileIndex, values: { url } };
    }
    const attribute = `a${this.random.below(3)}`;
    const priority = this.#pick(JOB_PRIORITIES);
    const value = this.#isLuck(3) ? null : this.random.uint32();
    return { type: "setJob", values: { priority, attributes: { [attribute]: value } } };
  }

  #file(directory: string): JobFileSpec {
    const content = this.#pick(this.#order.contents);
    const { name, contentId } = content;
    const isPart = contentId === undefined && content.length > 10_000 && this.#isLuck(3);
    return {
      url: this.#url(name),
      destination: join(directory, `file-${this.random.uint32()}`),
      ...(isPart ? { ranges: [{ offset: this.random.below(1_000), length: 3_000 }] } : {}),
      ...(contentId === undefined ? {} : { contentId }),
    };
  }

  #url(
    name = this.#pick(this.#order.contents.filter((content) => !content.contentId)).name,
  ): string {
    const mood = this.#isLuck(2) ? "fast" : this.#pick(ORIGIN_MOODS);
    return `${this.#order.baseUrl}/${mood}/${name}`;
  }

  async #attach({ jobId, files }: JobSnapshot): Promise<void> {
    if (files[0]?.toStream !== true) return;
    const taker = { write: () => Promise.resolve() };
    await this.#service.attachStream({ jobId, fileIndex: 0 }, taker).catch(() => {});
  }

  /** Once in so many times. */
  #isLuck(times: number): boolean {
    return this.random.below(times) === 0;
  }

  #pick<T>(all: readonly T[]): T {
    return all[this.random.below(all.length)] as T;
  }
}

/** Waits until nothing moves, and ends all jobs. */
async function settle(service: JobService, order: TargetOrder): Promise<void> {
  const isAtRest = ({ state }: { state: JobState }): boolean =>
    isFinalState(state) || ["suspended", "error", "transferred"].includes(state);
  const deadlineAt = performance.now() + REST_TIMEOUT_MS;
  while (!(await service.list()).every(isAtRest) && performance.now() < deadlineAt) await delay(5);
  await show("atRest", { service, order });
  const lane = new Lane(service, { order, lane: 0 });
  for (const { jobId, state } of await service.list()) {
    if (isFinalState(state)) continue;
    const isWanted = state === "transferred" || lane.random.below(2) === 0;
    await lane.call({ type: "verb", jobId, verb: isWanted ? "acknowledge" : "cancel" });
  }
  await show("over", { service, order });
}

async function show(
  type: "ready" | "atRest" | "over",
  { service, order }: { readonly service: JobService; readonly order: TargetOrder },
): Promise<void> {
  const all = (await service.list()).map(({ jobId }) => service.snapshot(jobId));
  const jobs = (await Promise.all(all)).filter((job) => job !== undefined);
  const partNames = [order.downloads, join(order.stateDirectory, "spool")].flatMap((path) =>
    readdirSync(path, { recursive: true, encoding: "utf8" })
      .map((name) => basename(name))
      .filter((name) => name.startsWith(PART_FILE_PREFIX)),
  );
  report({ type, jobs, partNames });
}

function report(line: TargetReport): void {
  writeSync(REPORT_FD, `${JSON.stringify(line)}\n`);
}

async function run(order: TargetOrder): Promise<void> {
  // Whoever started it holds the other end, and it never outlives them.
  process.stdin.on("end", () => process.exit(1)).resume();
  const { stateDirectory } = order;
  const agent = await startAgent({ stateDirectory, mdns: false, listen: [], settings: SETTINGS });
  const service = agent.jobService();
  await show("ready", { service, order });
  if (order.mode === "exercise") {
    const lanes = Array.from({ length: TARGET_LANES }, (_, lane) =>
      new Lane(service, { order, lane }).exercise(),
    );
    await Promise.all(lanes);
    return;
  }
  await settle(service, order);
  await agent.close();
  process.exit(0);
}

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? "{}") as TargetOrder);
