/**
 * Random verbs, changes, networks and streams against ports that answer late, out of order and with
 * failures. Whatever happens: every accepted verb settles once, no buffer is lost, no job gets
 * bytes of two files or is stuck, and once everything works every started job ends well.
 */
import { describe, expect, test } from "vitest";
import type { JobChange, JobFileSpec, JobRequest, VerbResult } from "@shoal/core";
import { parseJobRecord, USUAL_NETWORK } from "@shoal/core";
import { request } from "./harness.ts";
import { JobWorld } from "./job-world.ts";

const RUNS = 150;
const STEPS = 250;
const HOUR_MS = 3_600_000;
const KIB = 1_024;
const URLS = ["a", "b", "c"].map((name) => `http://origin.test/${name}`);
const LOCAL_URL = "http://127.0.0.1/local";
const GOING: ReadonlySet<string> = new Set([
  "queued",
  "connecting",
  "transferring",
  "transientError",
]);
const VERBS = ["resume", "suspend", "cancel", "acknowledge", "resume"] as const;

function drawnFile(world: JobWorld): JobFileSpec {
  const url = world.pick([...URLS, LOCAL_URL]);
  const offset = world.random.below(300 * KIB);
  const ranges = [
    { offset: 400 * KIB, length: 200 * KIB },
    { offset, length: 1 + world.random.below(90 * KIB) },
  ];
  return {
    url,
    ...(world.chance(3) ? { mirrors: [world.pick(URLS), world.pick(URLS)] } : {}),
    ...(world.chance(4)
      ? { toStream: true }
      : { destination: `/tmp/${world.pick(["a", "b", "c", "d", "e", "f"])}` }),
    ...(world.chance(4) ? { ranges } : {}),
  };
}

function drawnRequest(world: JobWorld, count: number): JobRequest {
  const files = Array.from({ length: world.random.below(4) }, () => drawnFile(world));
  return {
    ...request(),
    jobId: `00000000-0000-4000-8000-${String(count).padStart(12, "0")}`,
    priority: world.pick(["foreground", "normal"]),
    startSuspended: world.chance(2),
    ...(world.chance(5) ? { noProgressTimeoutMs: 0 } : {}),
    ...(world.chance(6) ? { networkCosts: 1 } : {}),
    files,
  };
}

function drawnChange(world: JobWorld): JobChange {
  const fileIndex = world.random.below(2);
  const others = world.pick([
    { destination: "/tmp/z" },
    { destination: null, toStream: true },
    { destination: "/tmp/y", toStream: null },
    { ranges: [{ offset: 5, length: 6 }] },
  ]);
  return world.pick<JobChange>([
    { type: "addFiles", files: [drawnFile(world)] },
    { type: "setJob", values: { priority: world.pick(["foreground", "low"]) } },
    { type: "setJob", values: { noProgressTimeoutMs: world.pick([null, 0, 60_000]) } },
    { type: "setFile", fileIndex, values: { url: world.pick(URLS) } },
    { type: "setFile", fileIndex, values: others },
    { type: "addRanges", fileIndex, ranges: [{ offset: 650 * KIB, length: 10 * KIB }] },
  ]);
}

function note(world: JobWorld, result: VerbResult): void {
  if (result.ok) world.accepted.push(result.ticket);
  world.drain();
}

function attach(world: JobWorld, jobId: string, fileIndex: number): void {
  const key = `${jobId} ${fileIndex}`;
  const before = world.streams.get(key);
  world.streams.set(key, []);
  if (world.scheduler.attachSink(jobId, fileIndex, world.now) !== undefined) {
    if (before === undefined) world.streams.delete(key);
    else world.streams.set(key, before);
  }
  world.drain();
}

function step(world: JobWorld, jobCount: number): void {
  const { scheduler, now } = world;
  const jobId = world.pick([...scheduler.jobIds(), ""]);
  switch (world.random.below(14)) {
    case 0:
      return note(world, scheduler.createJob(drawnRequest(world, jobCount), now));
    case 1:
    case 2:
      return note(world, scheduler.applyVerb(jobId, world.pick(VERBS), now));
    case 3:
      return note(world, scheduler.changeJob(jobId, drawnChange(world), now));
    case 4:
    case 5:
      return attach(world, jobId, world.random.below(3));
    case 6: {
      const isOnline = !world.chance(3);
      const cost = world.pick(["unrestricted", "nearCap"] as const);
      scheduler.setNetwork({ ...USUAL_NETWORK, isOnline, cost }, now);
      return world.drain();
    }
    case 7:
      return world.advance(world.pick([10, 500, 5_000, 700_000]));
    case 8: {
      const remote = world.remotes.get(world.pick(URLS))!;
      if (!world.chance(8)) return;
      remote.version++;
      remote.length = 700 * KIB + world.random.below(400 * KIB);
      return;
    }
    default:
      if (world.owedCount > 0) world.answerOne(false);
  }
}

/** What must hold of every job at any time, seen from outside. */
function check(world: JobWorld): void {
  const taken = new Map<string, string>();
  for (const jobId of world.scheduler.jobIds()) {
    const job = world.scheduler.jobSnapshot(jobId, world.now)!;
    expect(job.transferredBytes).toBeLessThanOrEqual(job.length ?? Infinity);
    expect(job.fileCount).toBe(job.files.length);
    if (job.state === "acknowledged" || job.state === "cancelled") continue;
    for (const { destination } of job.files) {
      if (destination === undefined) continue;
      expect(taken.get(destination) ?? jobId).toBe(jobId);
      taken.set(destination, jobId);
    }
    if (job.state === "transferred") expect(job.transferredAt).toBeDefined();
    if (GOING.has(job.state)) {
      expect(job.hasStarted).toBe(true);
      for (const [index, file] of job.files.entries()) {
        if (!file.toStream || ["transferred", "published"].includes(file.phase)) continue;
        expect(world.streams.has(`${jobId} ${index}`), `stream of ${jobId}`).toBe(true);
      }
    }
  }
}

/** From now on everything works. A retry is due after ten minutes, and a job has three files. */
function recover(world: JobWorld): Set<string> {
  const { scheduler, now } = world;
  scheduler.setNetwork(USUAL_NETWORK, now);
  const going = new Set<string>();
  for (const jobId of scheduler.jobIds()) {
    const values = { noProgressTimeoutMs: null };
    note(world, scheduler.changeJob(jobId, { type: "setJob", values }, now));
    if (GOING.has(scheduler.jobBrief(jobId)!.state)) going.add(jobId);
  }
  for (let i = 0; i < 12; i++) {
    world.answerAll();
    world.advance(HOUR_MS / 4);
  }
  world.answerAll();
  return going;
}

/** Runs one life of the seed; returns how many verbs and changes were accepted. */
function run(seed: number): number {
  const world = new JobWorld(seed, { activeJobsMax: 2, originConnectionsMax: 2 });
  for (const url of [...URLS, LOCAL_URL]) {
    world.remotes.set(url, { length: 700 * KIB + world.random.below(400 * KIB), version: 1 });
  }
  for (let i = 0; i < STEPS; i++) {
    step(world, i);
    check(world);
  }
  const going = recover(world);
  expect(world.openBuffers).toBe(0);
  for (const ticket of world.accepted) {
    expect(world.settled.get(ticket), `ticket ${ticket}`).toBe(1);
  }
  for (const jobId of world.scheduler.jobIds()) {
    const job = world.scheduler.jobSnapshot(jobId, world.now)!;
    expect(["suspended", "error", "transferred", "acknowledged", "cancelled"]).toContain(job.state);
    expect(going.has(jobId) && job.error?.code === "ERR_NO_PROGRESS").toBe(false);
    const record = world.saved.get(jobId);
    expect(record?.state).toBe(job.state);
    expect(parseJobRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
    if (job.state !== "error" && job.state !== "suspended") continue;
    // Whatever went wrong, the user gets out of it.
    note(world, world.scheduler.applyVerb(jobId, "acknowledge", world.now));
    world.answerAll();
    expect(world.scheduler.jobSnapshot(jobId, world.now)?.state).toBe("acknowledged");
  }
  return world.accepted.length;
}

describe("jobs under random verbs and failing ports", () => {
  test.each(Array.from({ length: RUNS }, (_, index) => index + 1))(
    "settle every ticket once, keep every promise about bytes, and are never stuck: seed %i",
    (seed) => {
      expect(run(seed)).toBeGreaterThan(0);
    },
  );
});
