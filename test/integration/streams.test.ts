/** Streams as destinations, on whole agents: what disks, origins and processes do to them. */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TestSite, until } from "./harness.ts";

const LENGTH = 8 * MiB;

let site: TestSite;
beforeEach(async () => void (site = await TestSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

const state = (): string => join(site.directory, "state");
const start = async (): Promise<Agent> =>
  site.use(await startAgent({ stateDirectory: state(), listen: [], mdns: false }));

/** A stream that digests what it takes, `write` by `write`. */
function digestStream(onWrite: (byteLength: number) => unknown = () => {}): {
  readonly stream: WritableStream<Uint8Array>;
  readonly sha256: Promise<string>;
} {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  promise.catch(() => {});
  const digest = createHash("sha256");
  const stream = new WritableStream<Uint8Array>({
    write: async (chunk) => {
      digest.update(chunk);
      await onWrite(chunk.length);
    },
    close: () => resolve(digest.digest("hex")),
    abort: reject,
  });
  return { stream, sha256: promise };
}

test("a stream gets the verified file, and nothing stays on disk", async () => {
  const content = await site.publish("file.bin", LENGTH);
  const { url } = await site.serve(content);
  const agent = await start();
  const { stream, sha256 } = digestStream();
  const { contentId } = content;
  const job = await agent.jobs.createJob({ files: [{ url, contentId, stream }] });
  expect(await job.transferred).toMatchObject({ transferredBytes: LENGTH });
  expect(await sha256).toBe(content.sha256);
  expect(await job.acknowledge()).toEqual({ isPartial: false, undeletedCount: 0 });
  expect(readdirSync(join(state(), "spool"))).toEqual([]);
});

test("a stream that is suspended in the middle goes on where it was", async () => {
  const content = await site.publish("file.bin", LENGTH);
  const { url } = await site.serve(content, { rateBytesPerSec: 32 * MiB });
  const agent = await start();
  let takenBytes = 0;
  const { stream, sha256 } = digestStream((byteLength) => (takenBytes += byteLength));
  const job = await agent.jobs.createJob({ files: [{ url, stream }] });
  await until(() => takenBytes > MiB, "the stream gets on");
  await job.suspend();
  await job.resume();
  await job.transferred;
  expect(await sha256).toBe(content.sha256);
  expect(takenBytes).toBe(LENGTH);
});

test("a job with a stream waits for another one after a restart, from the first byte", async () => {
  const content = await site.publish("file.bin", LENGTH);
  const { url } = await site.serve(content);
  const first = await start();
  const never = Promise.withResolvers<void>();
  const stuck = digestStream(() => never.promise);
  const { id } = await first.jobs.createJob({ files: [{ url, stream: stuck.stream }] });
  const beganAt = performance.now();
  await first.close();
  expect(performance.now() - beganAt).toBeLessThan(3_000);
  never.resolve();
  await expect(stuck.sha256).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });

  const second = await start();
  const job = await second.jobs.get(id);
  expect(await job?.snapshot()).toMatchObject({ state: "suspended" });
  await expect(job?.resume()).rejects.toMatchObject({ code: "ERR_SINK_MISSING" });
  const { stream, sha256 } = digestStream();
  await job?.attachStream(0, stream);
  await job?.resume();
  await job?.transferred;
  expect(await sha256).toBe(content.sha256);
});
