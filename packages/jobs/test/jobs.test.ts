import type { JobSnapshot } from "@shoal/core";
import { beforeEach, describe, expect, test } from "vitest";
import { Jobs } from "../src/index.ts";
import type { CreateJobOptions } from "../src/index.ts";
import { LENGTH, LiteralHost } from "./literal-host.ts";

const file = { url: "http://origin.test/f", destination: "/downloads/f" };

let host: LiteralHost;
let jobs: Jobs;

beforeEach(() => {
  host = new LiteralHost();
  jobs = new Jobs(host);
});

async function collect(snapshots: AsyncIterable<JobSnapshot>): Promise<string[]> {
  const states: string[] = [];
  for await (const { state } of snapshots) states.push(state);
  return states;
}

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
    expect(job.snapshot()).toMatchObject({ jobId: job.id, state: "connecting" });
  });

  test("completes the options and takes URL objects", async () => {
    const sha256 = "AB".repeat(32);
    const files = [{ url: new URL(file.url), destination: file.destination, sha256 }];
    const job = await jobs.createJob({ files, startSuspended: true });
    expect(job.snapshot()).toMatchObject({
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
    ["no destination", "ERR_USAGE", { files: [{ url: file.url }] }],
    [
      "a relative destination",
      "ERR_DESTINATION_INVALID",
      { files: [{ ...file, destination: "f" }] },
    ],
    ["neither URL nor content id", "ERR_USAGE", { files: [{ destination: "/f" }] }],
    ["a number as a URL", "ERR_USAGE", { files: [{ ...file, url: 7 }] }],
    ["another scheme", "ERR_URL_INVALID", { files: [{ ...file, url: "ftp://x/f" }] }],
    ["a broken content id", "ERR_CONTENT_ID_INVALID", { files: [{ ...file, contentId: "x" }] }],
    ["a short digest", "ERR_USAGE", { files: [{ ...file, sha256: "00" }] }],
    ["an unknown priority", "ERR_USAGE", { files: [file], priority: "urgent" }],
    ["a text as a flag", "ERR_USAGE", { files: [file], overwrite: "yes" }],
  ])("refuses %s with a code", async (_name, code, options) => {
    await expect(jobs.createJob(options as CreateJobOptions)).rejects.toMatchObject({ code });
    expect(jobs.list()).toEqual([]);
  });

  test("cancels the job when its creation is aborted", async () => {
    host.isStoreQuick = false;
    const aborter = new AbortController();
    const created = jobs.createJob({ files: [file] }, { signal: aborter.signal });
    aborter.abort(new Error("not wanted"));
    await expect(created).rejects.toThrow("not wanted");
    host.releaseStore();
    expect(jobs.list()).toMatchObject([{ state: "cancelled" }]);
  });
});

describe("a job", () => {
  test("is transferred, then acknowledged", async () => {
    host.deliver();
    const job = await jobs.createJob({ files: [file] });
    expect(await job.transferred).toMatchObject({ state: "transferred", transferredBytes: LENGTH });
    await job.acknowledge();
    expect(job.snapshot()).toMatchObject({
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
    expect(patient.snapshot().state).toBe("transientError");
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
    expect(job.snapshot().state).toBe("transferred");
    host.publishError = undefined;
    await job.acknowledge();
    expect(job.snapshot().state).toBe("acknowledged");
  });

  test("is found again by its id, and stays when handles are gone", async () => {
    const { id } = await jobs.createJob({ files: [file] });
    await jobs.get(id)?.suspend();
    expect(jobs.get(id)?.snapshot().state).toBe("suspended");
    expect(jobs.get(crypto.randomUUID())).toBeUndefined();
  });

  test("takes a verb's effect even when nobody waits for it any more", async () => {
    const job = await jobs.createJob({ files: [file] });
    host.isStoreQuick = false;
    const aborter = new AbortController();
    const suspended = job.suspend({ signal: aborter.signal });
    aborter.abort(new Error("enough"));
    await expect(suspended).rejects.toThrow("enough");
    expect(job.snapshot().state).toBe("suspended");
    const aborted = AbortSignal.abort(new Error("too late"));
    await expect(job.resume({ signal: aborted })).rejects.toThrow("too late");
    expect(job.snapshot().state).toBe("suspended");
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

test("closing rejects everything that waits, and everything after", async () => {
  const job = await jobs.createJob({ files: [file] });
  host.isStoreQuick = false;
  const waiting = [job.suspend(), job.transferred, collect(job.progress())];
  await Promise.resolve();
  jobs.close();
  for (const promise of waiting) {
    await expect(promise).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
  }
  await expect(job.resume()).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
  await expect(jobs.createJob({ files: [] })).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
  expect(host.listenerCount).toBe(0);
});
