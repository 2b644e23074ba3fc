import { MiB } from "@shoal/core";
import { beforeEach, expect, test } from "vitest";
import { Jobs, LocalJobService } from "../src/index.ts";
import type { Job } from "../src/index.ts";
import { LiteralHost } from "./literal-host.ts";

const url = "http://origin.test/f";
const LENGTH = 5 * MiB;

let host: LiteralHost;
let jobs: Jobs;
beforeEach(() => {
  host = new LiteralHost();
  host.length = LENGTH;
  host.deliver();
  jobs = new Jobs(new LocalJobService(host, { name: "local", isAdministrator: true }));
});

/** Takes one chunk whenever the test says so, or all at once. */
class Taker {
  readonly chunks: Uint8Array[] = [];
  readonly stream: WritableStream<Uint8Array>;
  readonly ended: Promise<unknown>;
  #open = Promise.withResolvers<void>();

  constructor({ isEager = true, failsAt = Infinity } = {}) {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.ended = promise;
    if (isEager) this.#open.resolve();
    this.stream = new WritableStream<Uint8Array>({
      write: async (chunk) => {
        if (this.chunks.length >= failsAt) throw new Error("the reader is full");
        this.chunks.push(chunk);
        await this.#open.promise;
      },
      close: () => resolve("closed"),
      abort: (reason: unknown) => resolve(reason),
    });
  }

  get byteLength(): number {
    return this.chunks.reduce((sum, { length }) => sum + length, 0);
  }

  open(): void {
    this.#open.resolve();
  }
}

const stateOf = async (job: Job): Promise<string> => (await job.snapshot()).state;

test("a stream gets every byte in order, is closed, and keeps its chunks", async () => {
  const taker = new Taker();
  const job = await jobs.createJob({ files: [{ url, stream: taker.stream }] });
  expect(await job.transferred).toMatchObject({ transferredBytes: LENGTH });
  expect(await taker.ended).toBe("closed");
  expect(taker.byteLength).toBe(LENGTH);
  expect(taker.chunks.map(([first]) => first)).toEqual(taker.chunks.map((_, index) => index + 1));
  expect(host.unreleasedCount).toBe(0);
  expect(await job.acknowledge()).toMatchObject({ isPartial: false });
});

test("a slow stream holds the job back, one chunk at a time", async () => {
  const taker = new Taker({ isEager: false });
  const job = await jobs.createJob({ files: [{ url, stream: taker.stream }] });
  await job.snapshot();
  expect(taker.chunks).toHaveLength(1);
  expect(host.unreleasedCount).toBe(1);
  expect(await stateOf(job)).toBe("transferring");
  taker.open();
  await job.transferred;
  expect(taker.byteLength).toBe(LENGTH);
});

test("a stream that fails fails the job, with its reason", async () => {
  const taker = new Taker({ failsAt: 1 });
  const job = await jobs.createJob({ files: [{ url, stream: taker.stream }] });
  const error = { code: "ERR_SINK_FAILED", message: expect.stringContaining("the reader is full") };
  await expect(job.transferred).rejects.toMatchObject(error);
  expect(host.unreleasedCount).toBe(0);
});

test("a stream is aborted when the job fails, and another may take its place", async () => {
  host.refuse("fatal");
  const taker = new Taker();
  const job = await jobs.createJob({ files: [{ url, stream: taker.stream }] });
  await expect(job.transferred).rejects.toMatchObject({ code: "ERR_ORIGIN_NOT_FOUND" });
  expect(await taker.ended).toMatchObject({ code: "ERR_ORIGIN_NOT_FOUND" });
  host.deliver();
  const second = new Taker();
  await job.attachStream(0, second.stream);
  await job.changeFile(0, { url: "http://origin.test/g" });
  await job.resume();
  expect(await second.ended).toBe("closed");
  expect(second.byteLength).toBe(LENGTH);
});

test("a stream is aborted when the job is cancelled or the agent closes", async () => {
  const cancelled = new Taker({ isEager: false });
  const job = await jobs.createJob({ files: [{ url, stream: cancelled.stream }] });
  await job.cancel();
  cancelled.open();
  expect(await cancelled.ended).toMatchObject({ code: "ERR_JOB_CANCELLED" });

  const left = new Taker();
  await jobs.createJob({ files: [{ url, stream: left.stream }], startSuspended: true });
  await jobs.close();
  expect(await left.ended).toMatchObject({ code: "ERR_AGENT_CLOSED" });
});

test("a stream that is attached while the job or the agent ends is refused or aborted", async () => {
  const isOver = { code: expect.stringMatching(/^ERR_(JOB_CANCELLED|JOB_STATE|AGENT_CLOSED)$/) };
  for (let turns = 0; turns < 12; turns++) {
    const files = [{ url, stream: new Taker({ failsAt: 0 }).stream }];
    const others = new Jobs(new LocalJobService(host, { name: "local", isAdministrator: true }));
    const job = await others.createJob({ files });
    await expect(job.transferred).rejects.toMatchObject({ code: "ERR_SINK_FAILED" });
    const taker = new Taker();
    const attaching = job.attachStream(0, taker.stream);
    for (let turn = 0; turn < turns >> 1; turn++) await Promise.resolve();
    const ending = turns % 2 === 0 ? job.cancel() : others.close();
    const refusal = await attaching.catch((error: unknown) => error);
    expect(refusal ?? (await taker.ended)).toMatchObject(isOver);
    await ending;
  }
});

test("a stream that cannot be used leaves no job behind", async () => {
  const { stream } = new Taker();
  const locked = new WritableStream();
  locked.getWriter();
  for (const streams of [[locked], [stream, stream]]) {
    const files = streams.map((each) => ({ url, stream: each }));
    await expect(jobs.createJob({ files })).rejects.toMatchObject({ code: "ERR_USAGE" });
  }
  const states = async (): Promise<string[]> => (await jobs.list()).map(({ state }) => state);
  await expect.poll(states).toEqual(["cancelled", "cancelled"]);
});

test("a second stream for one file is refused, and left usable", async () => {
  const taker = new Taker();
  const files = [{ url, stream: taker.stream }];
  const job = await jobs.createJob({ files, startSuspended: true });
  const second = new Taker();
  const refusal = { code: "ERR_SINK_TAKEN" };
  await expect(job.attachStream(0, second.stream)).rejects.toMatchObject(refusal);
  expect(second.stream.locked).toBe(false);
  await expect(job.attachStream(1, second.stream)).rejects.toMatchObject({ code: "ERR_USAGE" });
  await job.resume();
  expect(await taker.ended).toBe("closed");
});

test("a file of a job goes to a stream, and the next to a destination", async () => {
  const taker = new Taker();
  const files = [
    { url, stream: taker.stream },
    { url, destination: "/downloads/f" },
  ];
  const job = await jobs.createJob({ files });
  expect(await job.transferred).toMatchObject({ transferredFileCount: 2 });
  expect(await taker.ended).toBe("closed");
});
