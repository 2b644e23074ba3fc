/**
 * Disks that turn read-only, stop answering, or have borders of their own, under an agent that goes
 * on (threat model section 22, rows 4, 5 and 8). Each test has an ext4 image of its own and skips,
 * with the reason, where none can be had. Full disks are in `faults.test.ts`.
 */
import fs from "node:fs";
import { join } from "node:path";
import type { Job } from "@shoal/agent";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TestContext } from "vitest";
import {
  FAULT_LENGTH,
  FaultSite,
  publish,
  stateOfJob,
  untilUnderWay,
  whileAnswering,
} from "./faults-site.ts";
import { sha256Of, until } from "./harness.ts";
import type { PowerLossDisk, PowerLossDiskOptions } from "./power-loss-disk.ts";

let site: FaultSite;
beforeEach(async () => {
  site = await FaultSite.create();
});
afterEach(() => site[Symbol.asyncDispose]());

async function makeDisk(
  context: TestContext,
  options?: PowerLossDiskOptions,
): Promise<PowerLossDisk> {
  const disk = await site.makeDisk("image", options);
  if (typeof disk === "string") context.skip(disk);
  return disk as PowerLossDisk;
}

async function untilState(job: Job, state: string): Promise<void> {
  await until(async () => (await stateOfJob(job)) === state, `the job is ${state}`);
}

describe("a destination", () => {
  test("that turns read-only under a download fails the job, which goes on where it was (R-FS-13)", async (context) => {
    const disk = await makeDisk(context, { mount: ["errors=remount-ro"] });
    const [{ contentId, sha256 }, origin] = await site.publishSlowly();
    const agent = await site.start("agent", { settings: { syncDelayMs: 20 } });
    const destination = join(disk.path, "file.bin");
    const files = [{ url: origin.url, contentId, destination }];
    const job = await agent.jobs.createJob({ files });
    await untilUnderWay(job);
    await whileAnswering(agent.jobs, async () => {
      await disk.failReadOnly();
      await untilState(job, "error");
      const elsewhere = join(site.site.directory, "elsewhere");
      await publish(
        await agent.jobs.createJob({ files: [{ url: origin.url, destination: elsewhere }] }),
      );
    });
    const { error, transferredBytes } = await job.snapshot();
    expect(error).toMatchObject({
      code: "ERR_DIRECTORY_UNWRITABLE",
      message: expect.stringContaining(destination),
    });
    expect(transferredBytes).toBeGreaterThan(0);
    expect(fs.existsSync(destination)).toBe(false);
    await disk.restore({ isRepaired: true });
    const sentBytes = origin.sentBytes;
    await job.resume();
    await publish(job);
    expect(await sha256Of(destination)).toBe(sha256);
    expect(origin.sentBytes - sentBytes).toBeLessThan(FAULT_LENGTH);
    await agent.close();
  });

  test("that is mounted read-only between suspend and resume is said, and keeps its bytes (R-FS-13)", async (context) => {
    const disk = await makeDisk(context);
    const [{ contentId, sha256 }, origin] = await site.publishSlowly();
    const agent = await site.start("agent");
    const destination = join(disk.path, "file.bin");
    const job = await agent.jobs.createJob({
      files: [{ url: origin.url, contentId, destination }],
    });
    await untilUnderWay(job);
    await job.suspend();
    await until(
      () =>
        disk.remount("ro").then(
          () => true,
          () => false,
        ),
      "a suspended job holds no file open",
    );
    await job.resume();
    await untilState(job, "error");
    expect((await job.snapshot()).error?.code).toBe("ERR_DIRECTORY_UNWRITABLE");
    await disk.remount("rw");
    const sentBytes = origin.sentBytes;
    await job.resume();
    await publish(job);
    expect(await sha256Of(destination)).toBe(sha256);
    expect(origin.sentBytes - sentBytes).toBeLessThan(FAULT_LENGTH);
    await agent.close();
  });

  test("whose disk fails with EIO costs the job a wait, and no claim (R-FS-09)", async (context) => {
    const disk = await makeDisk(context);
    const [{ contentId, sha256 }, origin] = await site.publishSlowly();
    const agent = await site.start("agent", { settings: { syncDelayMs: 20 } });
    const destination = join(disk.path, "file.bin");
    await disk.arm();
    const job = await agent.jobs.createJob({
      files: [{ url: origin.url, contentId, destination }],
    });
    await untilUnderWay(job);
    await whileAnswering(agent.jobs, async () => {
      await disk.cut();
      await untilState(job, "transientError");
    });
    expect((await job.snapshot()).error?.code).toBe("ERR_DISK_IO");
    await disk.restore();
    await job.resume();
    await publish(job);
    expect(await sha256Of(destination)).toBe(sha256);
    await agent.close();
  });
});

describe("a state directory", () => {
  const failures: [string, (disk: PowerLossDisk) => Promise<void>][] = [
    ["turns read-only", (disk) => disk.failReadOnly()],
    ["fails with EIO", (disk) => disk.cut()],
  ];
  test.for(failures)(
    "whose disk %s refuses what it cannot keep, answers, and is right after a restart (R-DB-02)",
    { timeout: 20_000 },
    async ([, fail], context) => {
      const disk = await makeDisk(context, { mount: ["errors=remount-ro"] });
      const [{ contentId, sha256 }, { url }] = await site.publishSlowly();
      const stateDirectory = join(disk.path, "state");
      const agent = await site.start("agent", { stateDirectory, settings: { syncDelayMs: 20 } });
      const destination = join(site.site.directory, "file.bin");
      await disk.arm();
      const kept = await agent.jobs.createJob({ files: [{ url, contentId, destination }] });
      await untilUnderWay(kept);
      const lost = { files: [{ url, destination: join(site.site.directory, "lost") }] };
      await whileAnswering(agent.jobs, async () => {
        await fail(disk);
        const refusal = { code: "ERR_STATE_UNUSABLE" };
        await expect(agent.jobs.createJob(lost)).rejects.toMatchObject(refusal);
        await expect(kept.suspend()).rejects.toMatchObject(refusal);
      });
      await agent.close();
      await disk.restore({ isRepaired: true });
      const again = await site.start("again", { stateDirectory });
      const jobIds = (await again.jobs.list()).map(({ jobId }) => jobId);
      expect(jobIds).toEqual([kept.id]);
      const job = await again.jobs.get(kept.id);
      if (job === undefined) throw new Error("the job is listed and cannot be had");
      await publish(job);
      expect(await sha256Of(destination)).toBe(sha256);
      await again.close();
    },
  );
});
