/**
 * As many jobs as an agent takes, with as many files as a job takes: start, list, show and watch them
 * all, and sit idle. The bounds are those of the issue times a margin for slow and busy machines; a
 * calibration loop tells how slow this one is.
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startAgent } from "@shoal/agent";
import type { Agent } from "@shoal/agent";
import { resolveSettings } from "@shoal/core";
import type { JobSnapshot } from "@shoal/core";
import { Jobs } from "@shoal/jobs";
import type { JobService } from "@shoal/jobs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isLong, scale } from "../long.ts";
import { TestSite, until } from "./harness.ts";

const { jobsMax: JOBS, filesPerJobMax: FILES } = resolveSettings();
const STARTUP_MS_MAX = 2_000;
const LIST_MS_MAX = 100;
/** All snapshots, one call each. */
const SNAPSHOTS_MS_MAX = 2_000;
const IDLE_MS = scale(1_000, 2_000);
/** Of one processor. */
const IDLE_CPU_SHARE_MAX = 0.02;
/** How often the bounds may be exceeded on a machine that runs other things at the same time. */
const MARGIN = 3;
/** What the calibration loop takes on the machine that the bounds were tried on. */
const CALIBRATION_MS = 60;

let site: TestSite;
/** The state as a run leaves it that ends in order, and as one that is killed does. */
let cleanState: string;
let killedState: string;

beforeAll(async () => {
  site = await TestSite.create();
  cleanState = join(site.directory, "clean");
  killedState = join(site.directory, "killed");
  const downloads = await site.makeDirectory("downloads");
  await using agent = await start(cleanState);
  const service = agent.jobService();
  for (let job = 0; job < JOBS; job++) await createJob(service, { job, downloads });
  // All of it was answered, and is durable.
  await cp(cleanState, killedState, { recursive: true });
});

afterAll(() => site[Symbol.asyncDispose]());

test(`starts with ${JOBS} jobs of ${FILES} files, lists and shows them, in the time it has`, async () => {
  const slowness = calibrate();
  for (const [state, name] of [
    [cleanState, "ended in order"],
    [killedState, "killed"],
  ] as const) {
    const beganAt = performance.now();
    await using agent = await start(state);
    const startupMs = performance.now() - beganAt;
    const service = agent.jobService();
    const { value: summaries, elapsedMs: listMs } = await timed(() => service.list());
    const { value: snapshots, elapsedMs: snapshotsMs } = await timed(() =>
      Promise.all(summaries.map(({ jobId }) => service.snapshot(jobId))),
    );
    note(
      `${name}: start ${startupMs.toFixed(0)} ms, list ${listMs.toFixed(1)} ms, ` +
        `all snapshots ${snapshotsMs.toFixed(0)} ms, slowness ${slowness.toFixed(2)}`,
    );
    expect(summaries.map(({ displayName }) => displayName)).toEqual(
      Array.from({ length: JOBS }, (_, job) => `job ${job}`),
    );
    expect(snapshots.every(isComplete)).toBe(true);
    expect(startupMs).toBeLessThan(STARTUP_MS_MAX * MARGIN * slowness);
    expect(listMs).toBeLessThan(LIST_MS_MAX * MARGIN * slowness);
    expect(snapshotsMs).toBeLessThan(SNAPSHOTS_MS_MAX * MARGIN * slowness);
  }
});

test("sits idle with a watcher on every job, and tells the one whose job changes", async () => {
  await using agent = await start(cleanState);
  const jobs = new Jobs(agent.jobService());
  const seen = new Map<string, number>();
  const stop = new AbortController();
  const summaries = await jobs.list();
  const watches = summaries.map(async ({ jobId }) => {
    const job = await jobs.get(jobId);
    if (job === undefined) return;
    const progress = job.progress({ intervalMs: 10, signal: stop.signal });
    for await (const snapshot of progress) seen.set(jobId, snapshot.stateChanges);
  });
  await until(() => seen.size === JOBS, "every watcher has seen its job");
  seen.clear();
  // The first time still has the garbage of the start in it.
  let share = await measureCpuShare(IDLE_MS);
  for (let again = 0; again < 3 && share > IDLE_CPU_SHARE_MAX; again++) {
    share = await measureCpuShare(IDLE_MS);
  }
  note(`idle: ${(share * 100).toFixed(2)} % of a processor with ${JOBS} watchers`);
  expect(share).toBeLessThan(IDLE_CPU_SHARE_MAX * MARGIN);
  expect(seen.size).toBe(0);
  const chosen = summaries[JOBS >> 1];
  const changed = await jobs.get(chosen?.jobId ?? "");
  const { elapsedMs: changeMs } = await timed(async () => changed?.suspend());
  await until(() => seen.size > 0, "the watcher of the changed job hears of it");
  expect([...seen.keys()]).toEqual([chosen?.jobId]);
  note(`a call on one of them takes ${changeMs.toFixed(1)} ms`);
  stop.abort();
  await Promise.allSettled(watches);
  await jobs.close();
});

function start(stateDirectory: string): Promise<Agent> {
  return startAgent({ stateDirectory, mdns: false, listen: [] });
}

async function createJob(
  service: JobService,
  { job, downloads }: { readonly job: number; readonly downloads: string },
): Promise<void> {
  await service.createJob({
    jobId: crypto.randomUUID(),
    displayName: `job ${job}`,
    priority: "normal",
    overwrite: false,
    allowsCellular: true,
    isVolatile: false,
    attributes: { cause: "a fleet that updates everything at once" },
    startSuspended: true,
    files: Array.from({ length: FILES }, (_, file) => ({
      url: `http://127.0.0.1:9/software/release-${job}/package-${file}.tar.gz?channel=stable`,
      destination: join(downloads, `release-${job}-package-${file}.tar.gz`),
    })),
  });
}

function isComplete(job: JobSnapshot | undefined): boolean {
  return job?.state === "suspended" && job.files.length === FILES;
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; elapsedMs: number }> {
  const beganAt = performance.now();
  const value = await work();
  return { value, elapsedMs: performance.now() - beganAt };
}

/** How much of one processor this process uses meanwhile, all its threads together. */
async function measureCpuShare(lengthMs: number): Promise<number> {
  const before = process.cpuUsage();
  await delay(lengthMs);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / lengthMs;
}

/** How much slower than the machine the bounds were tried on; at least 1. */
function calibrate(): number {
  const row = { jobs: Array.from({ length: 2_000 }, (_, i) => ({ name: `job ${i}`, count: i })) };
  const beganAt = performance.now();
  for (let i = 0; i < 50; i++) JSON.parse(JSON.stringify(row));
  return Math.max(1, (performance.now() - beganAt) / CALIBRATION_MS);
}

function note(text: string): void {
  if (isLong) console.log(`job scale: ${text}`);
}
