/**
 * What is done to an agent's process and to its state between runs: descriptors run out, the clock
 * is set, the database is damaged in many ways, files are put away or replaced (threat model section
 * 22, rows 7, 9, 10, 12 and 16). The API answers throughout.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startAgent } from "@shoal/agent";
import type { Job } from "@shoal/agent";
import { connectJobs } from "@shoal/jobs";
import type { Jobs } from "@shoal/jobs";
import { Random } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isLong } from "../long.ts";
import {
  FAULT_LENGTH,
  FaultSite,
  publish,
  stateOfJob,
  untilUnderWay,
  whileAnswering,
} from "./faults-site.ts";
import { sha256Of, until } from "./harness.ts";
import type { AgentProcess } from "./harness.ts";

let site: FaultSite;
let downloads: string;
let destination: string;
beforeEach(async () => {
  site = await FaultSite.create();
  downloads = await site.site.makeDirectory("downloads");
  destination = join(downloads, "file.bin");
});
afterEach(() => site[Symbol.asyncDispose]());

/** An agent in a process of its own, whose jobs are reached through its socket. */
async function startProcess(): Promise<{ process: AgentProcess; pid: number; jobs: Jobs }> {
  const jobSocket = join(site.site.directory, "run", "jobs.sock");
  const settings = { jobRetryDelayMs: 5_000, retryDelayMsMin: 50, retryDelayMsMax: 200 };
  const process = site.site.startAgent("process", { api: { socketPath: jobSocket }, settings });
  await process.next("ready");
  const jobs = site.site.use(await connectJobs({ socketPath: jobSocket }));
  return { process, pid: process.pid ?? 0, jobs };
}

describe("while it runs", () => {
  test.skipIf(process.platform !== "linux")(
    "without a descriptor left an agent answers, does not spin, and goes on when there are some (R-FS-12)",
    async () => {
      const [{ contentId, sha256 }, { url }] = await site.publishSlowly();
      const { process, pid, jobs } = await startProcess();
      const first = await jobs.createJob({ files: [{ url, contentId, destination }] });
      await untilUnderWay(first);
      const open = fs.readdirSync(`/proc/${pid}/fd`).length;
      execFileSync("prlimit", [`--pid=${pid}`, `--nofile=${open}:`]);
      const others: Job[] = [];
      await whileAnswering(jobs, async () => {
        for (let number = 0; number < 5; number++) {
          const file = { url, destination: join(downloads, `other-${number}`) };
          others.push(await jobs.createJob({ files: [file] }));
        }
        await until(async () => {
          const states = await Promise.all(others.map(stateOfJob));
          return states.includes("transientError");
        }, "some job feels it");
        const before = cpuTicksOf(pid);
        const startedAt = performance.now();
        await until(() => performance.now() - startedAt > 1_000, "a second passes");
        // A hundred ticks are a second of one core; the answers above cost some.
        expect(cpuTicksOf(pid) - before).toBeLessThan(60);
      });
      execFileSync("prlimit", [`--pid=${pid}`, "--nofile=1024:"]);
      for (const job of [first, ...others]) await publish(job);
      expect(process.isRunning).toBe(true);
      expect(await sha256Of(destination)).toBe(sha256);
      for (let number = 0; number < 5; number++) {
        expect(await sha256Of(join(downloads, `other-${number}`))).toBe(sha256);
      }
    },
    40_000,
  );

  test("a clock that jumps by days and years neither stops nor ends a job (R-TIME-02, R-TIME-03)", async () => {
    const preload = new URL("faults-clock.ts", import.meta.url);
    const options = process.env["NODE_OPTIONS"];
    process.env["NODE_OPTIONS"] = `${options ?? ""} --import=${fileURLToPath(preload)}`;
    const [{ contentId, sha256 }, { url }] = await site.publishSlowly();
    const { pid, jobs } = await startProcess().finally(() => {
      process.env["NODE_OPTIONS"] = options ?? "";
    });
    const job = await jobs.createJob({ files: [{ url, contentId, destination }] });
    const waiting = await jobs.createJob({
      startSuspended: true,
      files: [{ url, destination: join(downloads, "waiting") }],
    });
    await untilUnderWay(job);
    await whileAnswering(jobs, async () => {
      for (let jump = 0; jump < 4; jump++) {
        const before = (await jobs.list()).map(({ jobId }) => jobId);
        process.kill(pid, "SIGUSR2");
        const { modifiedAt } = await job.snapshot();
        await until(
          async () =>
            Math.abs((await job.snapshot()).modifiedAt - modifiedAt) > 3_600_000 ||
            (await stateOfJob(job)) === "transferred",
          "the agent has seen the jump",
        );
        expect((await jobs.list()).map(({ jobId }) => jobId)).toEqual(before);
      }
      await publish(job);
    });
    expect(await sha256Of(destination)).toBe(sha256);
    await waiting.resume();
    await publish(waiting);
    expect(await sha256Of(join(downloads, "waiting"))).toBe(sha256);
  });

  const losses: [string, (part: string) => void][] = [
    ["deleted", (part) => fs.rmSync(part)],
    ["moved away", (part) => fs.renameSync(part, join(site.site.directory, "elsewhere"))],
    [
      "replaced by another file",
      (part) => {
        fs.rmSync(part);
        fs.writeFileSync(part, Buffer.alloc(FAULT_LENGTH, 1));
      },
    ],
    [
      "overwritten with other bytes",
      (part) => fs.writeFileSync(part, Buffer.alloc(FAULT_LENGTH, 1), { flag: "r+" }),
    ],
  ];
  test.each(losses)(
    "a part file that is %s is noticed, and never published (I-1)",
    async (_, lose) => {
      const [{ contentId, sha256 }, { url }] = await site.publishSlowly();
      const agent = await site.start("agent", { settings: { jobRetryDelayMs: 5_000 } });
      const job = await agent.jobs.createJob({ files: [{ url, contentId, destination }] });
      await untilUnderWay(job);
      lose(join(downloads, fs.readdirSync(downloads)[0] ?? ""));
      await job.transferred;
      // What stands in the way is said; trying again fetches what is missing.
      const attempt = async (): Promise<boolean> =>
        job.acknowledge().then(
          () => true,
          async () => {
            expect(fs.existsSync(destination)).toBe(false);
            await job.resume().catch(() => {});
            return false;
          },
        );
      await until(attempt, "it is fetched again and published", 20_000);
      expect(await sha256Of(destination)).toBe(sha256);
    },
    30_000,
  );

  const obstacles: [string, () => void][] = [
    [
      "a link to another file",
      () => fs.symlinkSync(join(site.site.directory, "precious"), destination),
    ],
    ["a link to nowhere", () => fs.symlinkSync(join(site.site.directory, "nowhere"), destination)],
    ["a pipe", () => void execFileSync("mkfifo", [destination])],
    ["a directory", () => fs.mkdirSync(destination)],
  ];
  test.each(obstacles)(
    "a destination that has become %s is not followed, written or removed, overwrite or not (R-FS-06)",
    async (_, obstruct) => {
      fs.writeFileSync(join(site.site.directory, "precious"), "precious");
      const [{ contentId, sha256 }, { url }] = await site.publishSlowly();
      const agent = await site.start("agent");
      const files = [{ url, contentId, destination }];
      const job = await agent.jobs.createJob({ overwrite: true, files });
      await untilUnderWay(job);
      obstruct();
      await expect(publish(job)).rejects.toMatchObject({ code: "ERR_DESTINATION_TYPE" });
      expect(fs.lstatSync(destination).isFile()).toBe(false);
      expect(fs.readFileSync(join(site.site.directory, "precious"), "utf8")).toBe("precious");
      expect(fs.existsSync(join(site.site.directory, "nowhere"))).toBe(false);
      fs.rmSync(destination, { recursive: true });
      await job.acknowledge();
      expect(await sha256Of(destination)).toBe(sha256);
    },
  );
});

describe("between a kill and the next run", () => {
  const inState = (name: string): string => join(site.stateOf("victim"), name);
  const damages: [string, () => void][] = [
    [
      "cut in half",
      () => fs.truncateSync(inState("state.db"), fs.statSync(inState("state.db")).size / 2),
    ],
    [
      "empty, and its log gone",
      () => {
        fs.truncateSync(inState("state.db"), 0);
        fs.rmSync(inState("state.db-wal"), { force: true });
      },
    ],
    ["gone, and its log there", () => fs.rmSync(inState("state.db"))],
    ["without its log", () => fs.rmSync(inState("state.db-wal"), { force: true })],
    [
      "beside a log of garbage",
      () => fs.writeFileSync(inState("state.db-wal"), Buffer.alloc(64_000, "x")),
    ],
    [
      "cut in its log",
      () => {
        const path = inState("state.db-wal");
        fs.truncateSync(path, Math.floor(fs.statSync(path).size * 0.6));
      },
    ],
    ["flipped in bits here and there", () => flipBits(inState("state.db-wal"), 1)],
    [
      "flipped in bits all over",
      () => {
        flipBits(inState("state.db"), 200);
        flipBits(inState("state.db-wal"), 200);
      },
    ],
  ];
  const chosen = isLong ? damages : damages.filter((_, index) => index % 2 === 0);
  test.each(chosen)(
    "a database %s is survived: what it says is checked (R-DB-04, R-DB-05)",
    async (_, damage) => {
      const [content, { url }] = await site.publishSlowly();
      const { contentId, sha256 } = content;
      let transferredBytes = 0;
      const victim = site.site.startAgent("victim", {
        settings: { syncDelayMs: 50 },
        onReport: (report) => {
          if (report.type === "progress") ({ transferredBytes } = report.snapshot);
        },
      });
      await victim.next("ready");
      const files = [{ url, contentId, destination }];
      victim.send({ type: "download", job: { files } });
      await until(() => transferredBytes > FAULT_LENGTH / 5, "the victim gets on");
      await victim.kill();
      damage();
      await using agent = await startAgent({
        stateDirectory: site.stateOf("victim"),
        listen: [],
        mdns: false,
      });
      await whileAnswering(agent.jobs, async () => {
        const [summary] = await agent.jobs.list();
        const found = await agent.jobs.get(summary?.jobId ?? "");
        if (found !== undefined && (await stateOfJob(found)) === "error") await found.cancel();
        const isUsable = found !== undefined && (await stateOfJob(found)) !== "cancelled";
        await publish(isUsable ? found : await agent.jobs.createJob({ files }));
      });
      expect(await sha256Of(destination)).toBe(sha256);
    },
  );

  test("an older database put back is not believed (R-DB-09)", async () => {
    const [{ contentId, sha256 }, { url }] = await site.publishSlowly();
    const place = { stateDirectory: site.stateOf("agent"), listen: [], mdns: false };
    const first = await startAgent(place);
    const job = await first.jobs.createJob({ files: [{ url, contentId, destination }] });
    await untilUnderWay(job);
    await first.close();
    const copy = join(site.site.directory, "backup");
    fs.cpSync(site.stateOf("agent"), copy, { recursive: true });
    const second = await startAgent(place);
    await publish((await second.jobs.get(job.id)) as Job);
    await second.close();
    // The claims of the copy are about a part file that is not there any more.
    fs.rmSync(site.stateOf("agent"), { recursive: true });
    fs.cpSync(copy, site.stateOf("agent"), { recursive: true });
    fs.chmodSync(site.stateOf("agent"), 0o700);
    fs.writeFileSync(destination, "the user's own");
    await using third = await startAgent(place);
    const found = (await third.jobs.get(job.id)) as Job;
    await expect(publish(found)).rejects.toMatchObject({ code: "ERR_DESTINATION_EXISTS" });
    expect(fs.readFileSync(destination, "utf8")).toBe("the user's own");
    fs.rmSync(destination);
    await found.acknowledge();
    expect(await sha256Of(destination)).toBe(sha256);
  });
});

/** Flips `count` bits at places that are always the same. */
function flipBits(path: string, count: number): void {
  const bytes = fs.readFileSync(path);
  const random = new Random(count);
  for (let i = 0; i < count; i++) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
  }
  fs.writeFileSync(path, bytes);
}

/** User and system time of a process, in ticks of 10 ms. */
function cpuTicksOf(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}
