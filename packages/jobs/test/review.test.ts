/** Streams whose files change under them. */
import { beforeEach, expect, test } from "vitest";
import { Jobs, LocalJobService } from "../src/index.ts";
import { LiteralHost } from "./literal-host.ts";

const url = "http://origin.test/f";

let host: LiteralHost;
let service: LocalJobService;
let jobs: Jobs;
beforeEach(() => {
  host = new LiteralHost();
  host.deliver();
  service = new LocalJobService(host, { name: "local", isAdministrator: true });
  jobs = new Jobs(service);
});

/** A stream, what it has got, and how it ended. */
function sink(): {
  stream: WritableStream<Uint8Array>;
  lengths: number[];
  ended: Promise<unknown>;
} {
  const lengths: number[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<unknown>();
  const stream = new WritableStream<Uint8Array>({
    write: (chunk) => void lengths.push(chunk.length),
    close: () => resolve("closed"),
    abort: resolve,
  });
  return { stream, lengths, ended };
}

test("a stream whose file gets a destination instead is aborted, not closed as if it had all", async () => {
  const { stream, lengths, ended } = sink();
  const job = await jobs.createJob({ files: [{ url, stream }], startSuspended: true });
  await service.changeJob(job.id, {
    type: "setFile",
    fileIndex: 0,
    values: { destination: "/tmp/f", toStream: null },
  });
  await job.resume();
  expect(await job.transferred).toMatchObject({ state: "transferred" });
  expect(await ended).toMatchObject({ code: "ERR_SINK_FAILED" });
  expect(lengths).toEqual([]);
  expect(host.unreleasedCount).toBe(0);
});

test("a second stream for a file that was taken whole is refused, not closed without a byte", async () => {
  const first = sink();
  const job = await jobs.createJob({ files: [{ url, stream: first.stream }] });
  await job.transferred;
  expect(await first.ended).toBe("closed");
  const second = sink();
  await expect(job.attachStream(0, second.stream)).rejects.toMatchObject({ code: "ERR_JOB_STATE" });
  expect(second.stream.locked).toBe(false);
});
