import type { JobSnapshot } from "@shoal/core";
import { beforeEach, describe, expect, test } from "vitest";
import { Jobs, LocalJobService } from "../src/index.ts";
import type { ByteRange, CreateJobOptions, JobCaller } from "../src/index.ts";
import { LENGTH, LiteralHost } from "./literal-host.ts";

const file = { url: "http://origin.test/f", destination: "/downloads/f" };

let host: LiteralHost;
let jobs: Jobs;

const jobsOf = (name: string, isAdministrator = false): Jobs => {
  const caller: JobCaller = { name, isAdministrator };
  return new Jobs(new LocalJobService(host, caller));
};

beforeEach(() => {
  host = new LiteralHost();
  jobs = jobsOf("local", true);
});

async function collect(snapshots: AsyncIterable<JobSnapshot>): Promise<string[]> {
  const states: string[] = [];
  for await (const { state } of snapshots) states.push(state);
  return states;
}

const withRange = (...ranges: readonly ByteRange[]): CreateJobOptions => ({
  files: [{ ...file, ranges }],
});

const timersOf = (resources: readonly string[]): number =>
  resources.filter((name) => name === "Timeout").length;

describe("creating a job", () => {
  test("resolves when the job is durable, and not before", async () => {
    host.isStoreQuick = false;
    let isDurable = false;
    const created = jobs.createJob({ files: [file] }).then(() => (isDurable = true));
    await Promise.resolve();
    expect(isDurable).toBe(false);
    host.releaseStore();
    await created;
    expect(isDurable).toBe(true);
  });

  test("works when the ticket settles inside the verb", async () => {
    const job = await jobs.createJob({ files: [file] });
    expect(await job.snapshot()).toMatchObject({ jobId: job.id, state: "connecting" });
  });

  test("completes the options and takes URL objects", async () => {
    const sha256 = "AB".repeat(32);
    const files = [{ url: new URL(file.url), destination: file.destination, sha256 }];
    const job = await jobs.createJob({ files, startSuspended: true });
    expect(await job.snapshot()).toMatchObject({
      displayName: "f",
      priority: "normal",
      state: "suspended",
      files: [{ url: file.url, integrity: "digest" }],
    });
  });

  test.each<[string, string, unknown]>([
    ["no options", "ERR_USAGE", undefined],
    ["files that are no array", "ERR_USAGE", { files: "f" }],
    ["a file that is no object", "ERR_USAGE", { files: [null] }],
    ["no destination", "ERR_SINK_MISSING", { files: [{ url: file.url }] }],
    [
      "a relative destination",
      "ERR_DESTINATION_INVALID",
      { files: [{ ...file, destination: "f" }] },
    ],
    ["neither URL nor content id", "ERR_URL_MISSING", { files: [{ destination: "/f" }] }],
    ["a number as a URL", "ERR_USAGE", { files: [{ ...file, url: 7 }] }],
    ["another scheme", "ERR_URL_INVALID", { files: [{ ...file, url: "ftp://x/f" }] }],
    ["a broken content id", "ERR_CONTENT_ID_INVALID", { files: [{ ...file, contentId: "x" }] }],
    ["a short digest", "ERR_USAGE", { files: [{ ...file, sha256: "00" }] }],
    ["an unknown priority", "ERR_USAGE", { files: [file], priority: "urgent" }],
    ["a text as a flag", "ERR_USAGE", { files: [file], overwrite: "yes" }],
    ["an object as a stream", "ERR_USAGE", { files: [{ url: file.url, stream: {} }] }],
    [
      "a stream and a destination",
      "ERR_SINK_TAKEN",
      { files: [{ ...file, stream: new WritableStream() }] },
    ],
    ["a range that ends before it begins", "ERR_RANGE_INVALID", withRange({ start: 2, end: 1 })],
    ["ranges that overlap", "ERR_RANGES_OVERLAP", withRange({ start: 0 }, { start: 5, end: 6 })],
    ["an unknown network cost", "ERR_USAGE", { files: [file], networkCosts: ["free"] }],
    ["a list as attributes", "ERR_USAGE", { files: [file], attributes: ["a"] }],
    ["an object as an attribute", "ERR_USAGE", { files: [file], attributes: { a: {} } }],
    ["a fraction as a timeout", "ERR_USAGE", { files: [file], noProgressTimeoutMs: 0.5 }],
    ["an empty idempotency key", "ERR_USAGE", { files: [file], idempotencyKey: "" }],
    ["one destination twice", "ERR_DESTINATION_INVALID", { files: [file, file] }],
    ["a job of no files", "ERR_JOB_EMPTY", { files: [] }],
  ])("refuses %s with a code", async (_name, code, options) => {
    await expect(jobs.createJob(options as CreateJobOptions)).rejects.toMatchObject({ code });
    expect(await jobs.list()).toEqual([]);
  });

  test("cancels the job when its creation is aborted", async () => {
    host.isStoreQuick = false;
    const aborter = new AbortController();
    const created = jobs.createJob({ files: [file] }, { signal: aborter.signal });
    aborter.abort(new Error("not wanted"));
    await expect(created).rejects.toThrow("not wanted");
    host.releaseStore();
    await expect.poll(() => jobs.list()).toMatchObject([{ state: "cancelled" }]);
  });
});

describe("a job", () => {
  test("is transferred, then acknowledged", async () => {
    host.deliver();
    const job = await jobs.createJob({ files: [file] });
    expect(await job.transferred).toMatchObject({ state: "transferred", transferredBytes: LENGTH });
    await job.acknowledge();
    expect(await job.snapshot()).toMatchObject({
      state: "acknowledged",
      files: [{ phase: "published" }],
    });
    expect(await job.transferred).toMatchObject({ state: "acknowledged" });
  });

  test("rejects `transferred` with its error, and makes a new promise after resume", async () => {
    host.refuse("fatal");
    const job = await jobs.createJob({ files: [file] });
    await expect(job.transferred).rejects.toMatchObject({ code: "ERR_ORIGIN_NOT_FOUND" });
    host.deliver();
    await job.resume();
    expect(await job.transferred).toMatchObject({ state: "transferred" });
  });

  test("goes on in transientError unless it was asked to fail there", async () => {
    host.refuse("transient");
    const patient = await jobs.createJob({ files: [file] });
    const other = { ...file, destination: "/downloads/g" };
    const hasty = await jobs.createJob({ files: [other], failOnTransient: true });
    await expect(hasty.transferred).rejects.toMatchObject({ code: "ERR_ORIGIN_UNREACHABLE" });
    const { transferred } = patient;
    expect((await patient.snapshot()).state).toBe("transientError");
    host.deliver();
    await patient.resume();
    expect(await transferred).toMatchObject({ state: "transferred" });
  });

  test("rejects `transferred` when it is cancelled, without an unhandled rejection", async () => {
    const job = await jobs.createJob({ files: [file] });
    const { transferred } = job;
    void job.transferred;
    await job.cancel();
    await expect(transferred).rejects.toMatchObject({ code: "ERR_JOB_CANCELLED" });
    await expect(job.suspend()).rejects.toMatchObject({ code: "ERR_JOB_STATE" });
  });

  test("rejects `acknowledge` when publication fails, and can be acknowledged again", async () => {
    host.deliver();
    host.publishError = "ERR_DESTINATION_EXISTS";
    const job = await jobs.createJob({ files: [file] });
    await expect(job.acknowledge()).rejects.toMatchObject({ code: "ERR_DESTINATION_EXISTS" });
    expect((await job.snapshot()).state).toBe("transferred");
    host.publishError = undefined;
    await job.acknowledge();
    expect((await job.snapshot()).state).toBe("acknowledged");
  });

  test("is found again by its id, and stays when handles are gone", async () => {
    const { id } = await jobs.createJob({ files: [file] });
    await (await jobs.get(id))?.suspend();
    const again = await jobs.get(id);
    expect(await again?.snapshot()).toMatchObject({ state: "suspended", files: [file] });
    expect(await jobs.get(crypto.randomUUID())).toBeUndefined();
    const [summary, ...others] = await jobs.list();
    expect(summary).toMatchObject({ jobId: id, state: "suspended", fileCount: 1 });
    expect(summary).not.toHaveProperty("files");
    expect(others).toEqual([]);
  });

  test("is cancelled at the end of its scope, unless it is over", async () => {
    host.deliver();
    {
      await using job = await jobs.createJob({ files: [file], startSuspended: true });
      expect(await job.snapshot()).toMatchObject({ state: "suspended" });
    }
    {
      await using job = await jobs.createJob({ files: [file] });
      await job.transferred;
      await job.acknowledge();
    }
    expect(await jobs.list()).toMatchObject([{ state: "cancelled" }, { state: "acknowledged" }]);
  });

  test("takes new values, files and attributes, and says them", async () => {
    const job = await jobs.createJob({
      files: [file],
      startSuspended: true,
      attributes: { ticket: "A-1", wave: 3 },
    });
    await job.change({ displayName: "new", priority: "low", attributes: { ticket: null } });
    await job.addFiles([{ fileId: "second", url: "http://origin.test/g" }]);
    await job.changeFile(1, { destination: "/downloads/g" });
    const missing = { url: "http://origin.test/h" };
    await job.changeFile(0, { fileId: "first", url: missing.url });
    await job.changeFile(0, { fileId: null });
    expect(await job.snapshot()).toMatchObject({
      displayName: "new",
      priority: "low",
      attributes: { wave: 3 },
      files: [missing, { fileId: "second", destination: "/downloads/g" }],
    });
    const before = await job.snapshot();
    expect(before.attributes).not.toHaveProperty("ticket");
    expect(before.files[0]).not.toHaveProperty("fileId");
    const refused = job.changeFile(0, { url: "ftp://origin.test/h" });
    await expect(refused).rejects.toMatchObject({ code: "ERR_URL_INVALID" });
    await expect(job.changeFile(2, {})).rejects.toMatchObject({ code: "ERR_USAGE" });
    expect(await job.snapshot()).toEqual(before);
  });

  test("acknowledged before it is complete says that it is partial", async () => {
    const job = await jobs.createJob({ files: [file] });
    expect(await job.acknowledge()).toMatchObject({ isPartial: true });
    await expect(job.transferred).rejects.toMatchObject({ code: "ERR_JOB_CANCELLED" });
  });

  test("takes a verb's effect even when nobody waits for it any more", async () => {
    const job = await jobs.createJob({ files: [file] });
    host.isStoreQuick = false;
    const aborter = new AbortController();
    const suspended = job.suspend({ signal: aborter.signal });
    aborter.abort(new Error("enough"));
    await expect(suspended).rejects.toThrow("enough");
    expect((await job.snapshot()).state).toBe("suspended");
    const aborted = AbortSignal.abort(new Error("too late"));
    await expect(job.resume({ signal: aborted })).rejects.toThrow("too late");
    expect((await job.snapshot()).state).toBe("suspended");
  });
});

describe("progress", () => {
  test("ends with the snapshot that shows the end", async () => {
    const job = await jobs.createJob({ files: [file] });
    const states = collect(job.progress({ intervalMs: 60_000 }));
    await Promise.resolve();
    host.deliver();
    await job.suspend();
    await job.resume();
    expect(await states).toEqual(["connecting", "transferred"]);
  });

  test("of a job that is over is one snapshot", async () => {
    const job = await jobs.createJob({ files: [file] });
    await job.cancel();
    expect(await collect(job.progress())).toEqual(["cancelled"]);
  });

  test("shows a change that comes while the reader is busy", async () => {
    const job = await jobs.createJob({ files: [file] });
    const states: string[] = [];
    for await (const { state } of job.progress({ intervalMs: 1 })) {
      states.push(state);
      if (states.length === 1) await job.suspend();
      else break;
    }
    expect(states).toEqual(["connecting", "suspended"]);
  });

  test("ends with the signal's reason", async () => {
    const job = await jobs.createJob({ files: [file] });
    const aborter = new AbortController();
    const states = collect(job.progress({ signal: aborter.signal }));
    await Promise.resolve();
    aborter.abort(new Error("seen enough"));
    await expect(states).rejects.toThrow("seen enough");
  });
});

describe("an idempotency key", () => {
  const asked = { files: [file], idempotencyKey: "wave 1" };

  test("names the job that the first request created", async () => {
    const first = await jobs.createJob(asked);
    expect((await jobs.createJob(asked)).id).toBe(first.id);
    await first.cancel();
    expect((await jobs.createJob(asked)).id).toBe(first.id);
    expect(await jobs.list()).toHaveLength(1);
  });

  test("names one job when requests race", async () => {
    host.isStoreQuick = false;
    const creations = [jobs.createJob(asked), jobs.createJob(asked), jobs.createJob(asked)];
    host.releaseStore();
    const ids = (await Promise.all(creations)).map(({ id }) => id);
    expect(new Set(ids).size).toBe(1);
  });

  test("keeps a job that exists when a later request for it is aborted", async () => {
    const job = await jobs.createJob(asked);
    const aborter = new AbortController();
    const again = jobs.createJob(asked, { signal: aborter.signal });
    aborter.abort(new Error("not wanted"));
    await expect(again).rejects.toThrow("not wanted");
    await job.change({ priority: "low" });
    expect(await job.snapshot()).toMatchObject({ state: "connecting" });
  });

  test("is refused for another request, and free for another owner", async () => {
    const { id } = await jobs.createJob(asked);
    const other = jobs.createJob({ ...asked, priority: "high" });
    await expect(other).rejects.toMatchObject({ code: "ERR_IDEMPOTENCY_CONFLICT" });
    const files = [{ ...file, destination: "/downloads/g" }];
    const others = await jobsOf("somebody").createJob({ ...asked, files });
    expect(others.id).not.toBe(id);
  });
});

describe("somebody else's job", () => {
  test("is neither shown nor changed, and an administrator may do both", async () => {
    const mine = await jobsOf("me").createJob({ files: [file] });
    const other = jobsOf("other");
    expect(await other.list()).toEqual([]);
    const refusal = { code: "ERR_ACCESS_DENIED" };
    await expect(other.get(mine.id)).rejects.toMatchObject(refusal);
    const service = new LocalJobService(host, { name: "other", isAdministrator: false });
    const key = { jobId: mine.id, fileIndex: 0 };
    const attempts = [
      service.snapshot(mine.id),
      service.applyVerb(mine.id, "cancel"),
      service.changeJob(mine.id, { type: "setJob", values: { priority: "low" } }),
      service.fileSpec(key),
      service.fileResponse(key),
      service.attachStream(key, { write: async () => {} }),
    ];
    for (const attempt of attempts) await expect(attempt).rejects.toMatchObject(refusal);
    expect(await mine.snapshot()).toMatchObject({ owner: "me", priority: "normal" });
    await (await jobs.get(mine.id))?.suspend();
    expect(await mine.snapshot()).toMatchObject({ owner: "me", state: "suspended" });
  });

  test("is not heard of by a watcher", async () => {
    const heard: string[] = [];
    const service = new LocalJobService(host, { name: "other", isAdministrator: false });
    service.watch({ changed: (jobId) => heard.push(jobId), closed: () => {} });
    await jobsOf("me").createJob({ files: [file] });
    expect(heard).toEqual([]);
    const files = [{ ...file, destination: "/downloads/g" }];
    const { id } = await jobsOf("other").createJob({ files });
    expect(new Set(heard)).toEqual(new Set([id]));
  });
});

test("watching leaves neither listeners nor timers behind", async () => {
  const timers = (): number => timersOf(process.getActiveResourcesInfo());
  const before = timers();
  const job = await jobs.createJob({ files: [file] });
  for await (const _ of job.progress({ intervalMs: 60_000 })) break;
  const aborter = new AbortController();
  const watching = [
    collect(job.progress({ intervalMs: 60_000 })),
    collect(job.progress({ intervalMs: 60_000, signal: aborter.signal })),
    job.transferred,
  ];
  await job.snapshot();
  expect(timers()).toBeGreaterThan(before);
  aborter.abort(new Error("seen enough"));
  await jobs.close();
  await Promise.allSettled(watching);
  expect(timers()).toBe(before);
  expect(host.listenerCount).toBe(0);
});

test("closing rejects everything that waits, and everything after", async () => {
  const job = await jobs.createJob({ files: [file] });
  host.isStoreQuick = false;
  const waiting = [job.suspend(), job.transferred, collect(job.progress())];
  await Promise.resolve();
  await jobs.close();
  for (const promise of waiting) {
    await expect(promise).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
  }
  await expect(job.resume()).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
  await expect(jobs.list()).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
  await expect(jobs.createJob({ files: [file] })).rejects.toMatchObject({
    code: "ERR_AGENT_CLOSED",
  });
  expect(host.listenerCount).toBe(0);
});
