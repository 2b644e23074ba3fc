/** The part of the job service's contract that is about streams of bytes. */
import type { JobId } from "@shoal/core";
import type { JobService, StreamTaker } from "@shoal/jobs";
import { expect, it } from "vitest";
import { until } from "../integration/harness.ts";
import { reached, requestOf } from "./job-service-contract.ts";
import type { JobServiceSite } from "./job-service-contract.ts";

/** Takes pieces when the test lets it. */
class HeldTaker implements StreamTaker {
  readonly pieces: Buffer[] = [];
  /** Most pieces that were given at the same time. */
  heldMax = 0;
  #held: PromiseWithResolvers<void>[] = [];

  write(bytes: Uint8Array): Promise<void> {
    this.pieces.push(Buffer.from(bytes));
    const taken = Promise.withResolvers<void>();
    this.#held.push(taken);
    this.heldMax = Math.max(this.heldMax, this.#held.length);
    return taken.promise;
  }

  take(): void {
    for (const taken of this.#held.splice(0)) taken.resolve();
  }
}

function takerInto(pieces: Buffer[]): StreamTaker {
  return { write: async (bytes) => void pieces.push(Buffer.from(bytes)) };
}

export function describeStreams({ open, content, urlOf }: JobServiceSite): void {
  const createStream = (service: JobService): Promise<JobId> =>
    service.createJob(requestOf([{ url: urlOf(), toStream: true }]));

  it("streams a file's bytes in order, from the first to the last", async () => {
    const service = await open();
    const jobId = await createStream(service);
    const pieces: Buffer[] = [];
    const detach = await service.attachStream({ jobId, fileIndex: 0 }, takerInto(pieces));
    await service.applyVerb(jobId, "resume");
    const snapshot = await reached(service, jobId, "transferred");
    expect(snapshot.transferredBytes).toBe(content.length);
    expect(content.equals(Buffer.concat(pieces))).toBe(true);
    detach();
    await service.applyVerb(jobId, "acknowledge");
  });

  it("waits with the next piece until the one before is taken", async () => {
    const service = await open();
    const jobId = await createStream(service);
    const taker = new HeldTaker();
    await service.attachStream({ jobId, fileIndex: 0 }, taker);
    await service.applyVerb(jobId, "resume");
    await until(() => taker.pieces.length === 1, "the first piece is there");
    // Answers overtake the piece that is held.
    for (let i = 0; i < 20; i++) await service.list();
    expect(taker.pieces).toHaveLength(1);
    expect(await service.snapshot(jobId)).toMatchObject({ transferredBytes: 0 });
    const isDone = async (): Promise<boolean> => {
      taker.take();
      return (await service.snapshot(jobId))?.state === "transferred";
    };
    await until(isDone, "all pieces are taken");
    expect(taker.heldMax).toBe(1);
    expect(content.equals(Buffer.concat(taker.pieces))).toBe(true);
    await service.applyVerb(jobId, "acknowledge");
  });

  it("fails a job whose stream takes no more, with the stream's reason", async () => {
    const service = await open();
    const jobId = await createStream(service);
    const taker = { write: () => Promise.reject(new Error("the tape is full")) };
    const detach = await service.attachStream({ jobId, fileIndex: 0 }, taker);
    await service.applyVerb(jobId, "resume");
    await until(async () => (await service.snapshot(jobId))?.state === "error", "the job fails");
    const snapshot = await service.snapshot(jobId);
    expect(snapshot?.error?.code).toBe("ERR_SINK_FAILED");
    expect(snapshot?.error?.message).toContain("the tape is full");
    detach();
    await service.applyVerb(jobId, "cancel");
  });

  it("gives the next stream everything, whatever the one before does late", async () => {
    const service = await open();
    const jobId = await createStream(service);
    const file = { jobId, fileIndex: 0 };
    const first = new HeldTaker();
    const detach = await service.attachStream(file, first);
    await service.applyVerb(jobId, "resume");
    await until(() => first.pieces.length === 1, "the first piece is there");
    detach();
    detach();
    await until(async () => (await service.snapshot(jobId))?.state === "error", "the job fails");
    const second = new HeldTaker();
    await service.attachStream(file, second);
    await service.applyVerb(jobId, "resume");
    await until(() => second.pieces.length === 1, "the first piece is there again");
    first.take();
    await service.list();
    expect(second.pieces).toHaveLength(1);
    const isDone = async (): Promise<boolean> => {
      second.take();
      return (await service.snapshot(jobId))?.state === "transferred";
    };
    await until(isDone, "all pieces are taken");
    expect(content.equals(Buffer.concat(second.pieces))).toBe(true);
    await service.applyVerb(jobId, "acknowledge");
  });

  it("attaches one stream to a file, and none to files with a destination", async () => {
    const service = await open();
    const jobId = await createStream(service);
    const taker = takerInto([]);
    await service.attachStream({ jobId, fileIndex: 0 }, taker);
    const again = service.attachStream({ jobId, fileIndex: 0 }, taker);
    await expect(again).rejects.toMatchObject({ code: "ERR_SINK_TAKEN" });
    const nowhere = service.attachStream({ jobId, fileIndex: 1 }, taker);
    await expect(nowhere).rejects.toMatchObject({ code: "ERR_USAGE" });
    await service.applyVerb(jobId, "cancel");
  });

  it("fails a job whose stream went away with its service", async () => {
    const [service, another] = [await open(), await open()];
    const jobId = await createStream(service);
    const taker = new HeldTaker();
    await service.attachStream({ jobId, fileIndex: 0 }, taker);
    await service.applyVerb(jobId, "resume");
    await until(() => taker.pieces.length === 1, "the first piece is there");
    service.close();
    await until(async () => (await another.snapshot(jobId))?.state === "error", "the job fails");
    expect((await another.snapshot(jobId))?.error?.code).toBe("ERR_SINK_FAILED");
    taker.take();
    await another.applyVerb(jobId, "cancel");
  });
}
