/**
 * What other processes, a full disk and a dying origin do to an agent, during its runs and between
 * them (threat model section 22). Kills at random points are `kill.test.ts`'s.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions, Job, JobState, LogFields } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import { scale } from "../long.ts";
import { LOOPBACK, sha256Of, TestSite, until } from "./harness.ts";
import type { TestContent, TestOrigin } from "./harness.ts";

const LENGTH = 8 * MiB;
/** Half a second for the whole file: time to do something in the middle. */
const ORIGIN_RATE_BYTES_PER_SEC = 16 * MiB;

let site: TestSite;
let downloads: string;
let destination: string;
beforeEach(async () => {
  site = await TestSite.create();
  downloads = await site.makeDirectory("downloads");
  destination = join(downloads, "file.bin");
});
afterEach(() => site[Symbol.asyncDispose]());

const stateOf = (name: string): string => join(site.directory, `state-${name}`);

async function start(name: string, options: Partial<AgentOptions> = {}): Promise<Agent> {
  const place = { stateDirectory: stateOf(name), listen: [LOOPBACK], mdns: false };
  return site.use(await startAgent({ ...place, ...options }));
}

async function publishSlowly(): Promise<[TestContent, TestOrigin]> {
  const content = await site.publish("file.bin", LENGTH);
  return [content, await site.serve(content, { rateBytesPerSec: ORIGIN_RATE_BYTES_PER_SEC })];
}

async function transferredBytesOf(job: Job): Promise<number> {
  return (await job.snapshot()).transferredBytes;
}

async function stateOfJob(job: Job): Promise<JobState> {
  return (await job.snapshot()).state;
}

/** Waits until some bytes are on disk, and not all. */
async function untilUnderWay(job: Job): Promise<void> {
  await until(async () => (await transferredBytesOf(job)) > LENGTH / 5, "the job gets on");
  expect(await stateOfJob(job)).toBe("transferring");
}

async function publish(job: Job): Promise<void> {
  await job.transferred;
  await job.acknowledge();
}

/** The one job of an agent that has started on the state of an earlier run. */
async function onlyJobOf(agent: Agent): Promise<Job> {
  const [summary, ...others] = await agent.jobs.list();
  const job = await agent.jobs.get(summary?.jobId ?? "");
  if (job === undefined || others.length > 0) throw new Error("there is not exactly one job");
  return job;
}

describe("between a kill and the next run", () => {
  /** Kills an agent in the middle of its download. */
  async function leave({ contentId }: TestContent, { url }: TestOrigin): Promise<void> {
    let transferredBytes = 0;
    const victim = site.startAgent("victim", {
      onReport: (report) => {
        if (report.type === "progress") transferredBytes = report.snapshot.transferredBytes;
      },
    });
    await victim.next("ready");
    victim.send({ type: "download", job: { files: [{ url, contentId, destination }] } });
    await until(() => transferredBytes > LENGTH / 5, "the victim gets on");
    await victim.kill();
  }

  const damages: [string, (path: string) => void][] = [
    ["zeroed", (path) => fs.writeFileSync(path, new Uint8Array(LENGTH), { flag: "r+" })],
    [
      "replaced by a link to another file",
      (path) => {
        fs.rmSync(path);
        fs.symlinkSync(join(site.directory, "precious"), path);
      },
    ],
  ];
  test.each(damages)("a part file that is %s is not believed (I-2, R-FS-14)", async (_, damage) => {
    fs.writeFileSync(join(site.directory, "precious"), "precious");
    const [content, origin] = await publishSlowly();
    await leave(content, origin);
    damage(join(downloads, fs.readdirSync(downloads)[0] ?? ""));
    await publish(await onlyJobOf(await start("victim")));
    expect(await sha256Of(destination)).toBe(content.sha256);
    expect(fs.readFileSync(join(site.directory, "precious"), "utf8")).toBe("precious");
  });

  test("a state whose every file is damaged still starts, says so, and serves (I-8)", async () => {
    const [content, origin] = await publishSlowly();
    await leave(content, origin);
    const { contentId, sha256 } = content;
    fs.rmSync(join(stateOf("victim"), "state.db-wal"));
    for (const entry of fs.readdirSync(stateOf("victim"), { withFileTypes: true })) {
      if (!entry.isFile()) continue;
      fs.writeFileSync(join(stateOf("victim"), entry.name), "x".repeat(50_000));
    }
    const warnings: string[] = [];
    const warn = (_: LogFields, message: string): void => void warnings.push(message);
    const agent = await start("victim", {
      logger: { debug: () => {}, info: () => {}, error: () => {}, warn },
    });
    expect(await agent.jobs.list()).toEqual([]);
    expect(warnings).toEqual([
      expect.stringContaining("the identity was damaged"), // R-DB-07
      expect.stringContaining("the state was damaged"), // R-DB-04
    ]);
    await publish(
      await agent.jobs.createJob({ files: [{ url: origin.url, contentId, destination }] }),
    );
    expect(await sha256Of(destination)).toBe(sha256);
  });
});

test("of agents started at once on one state exactly one runs (R-PROC-01)", async () => {
  const agents = [1, 2, 3].map(() => site.startAgent("one"));
  const starts = await Promise.allSettled(agents.map((agent) => agent.next("ready")));
  const reasons = starts.map((start) => (start.status === "rejected" ? start.reason.code : "runs"));
  expect(new Set(reasons)).toEqual(new Set(["runs", "ERR_STATE_LOCKED"]));
  expect(reasons.filter((reason) => reason === "runs")).toHaveLength(1);
});

describe("while a file is on its way", () => {
  const faults: [string, string, () => void][] = [
    ["is removed", "ERR_DIRECTORY_MISSING", () => fs.rmSync(downloads, { recursive: true })],
    ["is moved", "ERR_DIRECTORY_MISSING", () => fs.renameSync(downloads, `${downloads}-moved`)],
    [
      "is replaced",
      "ERR_DESTINATION_MOVED",
      () => {
        fs.renameSync(downloads, `${downloads}-moved`);
        fs.mkdirSync(downloads);
      },
    ],
    ["gets a file of that name", "ERR_DESTINATION_EXISTS", () => fs.writeFileSync(destination, "")],
    ["gets a directory of that name", "ERR_DESTINATION_TYPE", () => fs.mkdirSync(destination)],
  ];
  test.each(faults)("a destination directory that %s: %s", async (_, code, happen) => {
    const [{ sha256 }, { url }] = await publishSlowly();
    const agent = await start("agent");
    const job = await agent.jobs.createJob({ files: [{ url, destination }] });
    await untilUnderWay(job);
    happen();
    await expect(publish(job)).rejects.toMatchObject({ code });
    const present = fs.statSync(destination, { throwIfNoEntry: false });
    expect(present?.isFile() === true ? present.size : 0).toBe(0);
    expect(await stateOfJob(job)).toBe("transferred");
    // What is gone for good is given up; what stands in the way can be put away.
    if (!fs.existsSync(downloads) || code === "ERR_DESTINATION_MOVED") {
      await job.cancel();
      return;
    }
    fs.rmSync(destination, { recursive: true });
    await job.acknowledge();
    expect(await sha256Of(destination)).toBe(sha256);
  });

  test("a part file that is cut short is fetched anew, though nothing has digests", async () => {
    const path = join(site.directory, "plain");
    fs.writeFileSync(path, Buffer.alloc(LENGTH, "plain"));
    const rate = { rateBytesPerSec: ORIGIN_RATE_BYTES_PER_SEC };
    const origin = site.use(await serveFiles({ plain: path }, rate));
    const agent = await start("agent");
    const files = [{ url: origin.urlOf("plain"), destination }];
    const job = await agent.jobs.createJob({ files });
    await untilUnderWay(job);
    fs.truncateSync(join(downloads, fs.readdirSync(downloads)[0] ?? ""), 100);
    await publish(job);
    expect((await job.snapshot()).files[0]?.integrity).toBe("none");
    expect(await sha256Of(destination)).toBe(await sha256Of(path));
  });

  test("an origin that dies and comes back costs time and few bytes (R-HTTP-10)", async () => {
    const [content, origin] = await publishSlowly();
    const agent = await start("agent");
    const { contentId, path, sha256 } = content;
    const job = await agent.jobs.createJob({
      files: [{ url: origin.url, contentId, destination }],
    });
    await untilUnderWay(job);
    await origin.close();
    const port = Number(new URL(origin.url).port);
    const again = site.use(await serveFiles({ "file.bin": path }, { port }));
    await publish(job);
    expect(await sha256Of(destination)).toBe(sha256);
    expect(again.sentBytesOf("file.bin")).toBeLessThan(LENGTH * 0.9);
  });

  test("an origin that comes back with another file gives that one, whole (R-HTTP-11)", async () => {
    const path = join(site.directory, "plain");
    fs.writeFileSync(path, Buffer.alloc(LENGTH, 1));
    const rate = { rateBytesPerSec: ORIGIN_RATE_BYTES_PER_SEC };
    const origin = site.use(await serveFiles({ plain: path }, rate));
    const url = origin.urlOf("plain");
    const agent = await start("agent");
    const job = await agent.jobs.createJob({ files: [{ url, destination }] });
    await untilUnderWay(job);
    await origin.close();
    fs.writeFileSync(path, Buffer.alloc(LENGTH, 2));
    site.use(await serveFiles({ plain: path }, { port: Number(new URL(url).port) }));
    await publish(job);
    expect(await sha256Of(destination)).toBe(await sha256Of(path));
  });
});

test("a peer's changed, cut or replaced file is never sent (I-3, R-CACHE-02)", async () => {
  const [content, origin] = await publishSlowly();
  const { contentId, sha256 } = content;
  const served = join(downloads, "served");
  const seed = await start("seed");
  await publish(
    await seed.jobs.createJob({ files: [{ url: origin.url, contentId, destination: served }] }),
  );
  const damages: [string, () => void][] = [
    ["changed", () => fs.writeFileSync(served, Buffer.alloc(MiB, "evil"), { flag: "r+" })],
    ["cut", () => fs.truncateSync(served, LENGTH / 2)],
    [
      "replaced",
      () => {
        fs.rmSync(served);
        fs.symlinkSync("/dev/zero", served);
      },
    ],
  ];
  for (const [name, damage] of damages) {
    damage();
    const agent = await start(name, { peers: seed.addresses });
    const files = [{ url: origin.url, contentId, destination: join(downloads, name) }];
    await publish(await agent.jobs.createJob({ files }));
    expect(await sha256Of(join(downloads, name))).toBe(sha256);
    expect(agent.counters().shoal_corrupt_pieces_total).toBe(0);
    await agent.close();
  }
});

describe("a small file system", () => {
  /** Mounts one at `path`, or says why it cannot. */
  function mount(path: string, megabytes: number): string | undefined {
    try {
      const options = `size=${megabytes}m,mode=0700`;
      execFileSync("mount", ["-t", "tmpfs", "-o", options, "none", path], { stdio: "pipe" });
    } catch (error) {
      return `a file system cannot be mounted here: ${String(error).split("\n")[0]}`;
    }
    site.use({
      // Lazily: the agent, which is closed after this, may still hold files.
      [Symbol.asyncDispose]: async () => void execFileSync("umount", ["-l", path]),
    });
    return undefined;
  }

  /** Writes until nothing more fits. */
  function fill(path: string): void {
    const fd = fs.openSync(path, "w");
    const block = new Uint8Array(64 * 1024);
    let failure: unknown;
    while (failure === undefined) {
      try {
        fs.writeSync(fd, block);
      } catch (error) {
        failure = error;
      }
    }
    fs.closeSync(fd);
    expect(failure).toMatchObject({ code: "ENOSPC" });
  }

  test("that fills up stops the job, which goes on where it was (R-FS-11)", async (context) => {
    const problem = mount(downloads, 32);
    if (problem !== undefined) context.skip(problem);
    const [{ contentId, sha256 }, origin] = await publishSlowly();
    const agent = await start("agent");
    const job = await agent.jobs.createJob({
      files: [{ url: origin.url, contentId, destination }],
    });
    await untilUnderWay(job);
    fill(join(downloads, "filler"));
    await until(async () => (await stateOfJob(job)) === "transientError", "the disk is found full");
    expect((await job.snapshot()).error?.code).toBe("ERR_DISK_FULL");
    const keptBytes = await transferredBytesOf(job);
    expect(keptBytes).toBeGreaterThan(0);
    const other = join(site.directory, "other");
    await publish(await agent.jobs.createJob({ files: [{ url: origin.url, destination: other }] }));
    fs.rmSync(join(downloads, "filler"));
    const sentBytes = origin.sentBytes;
    await job.resume();
    await publish(job);
    expect(await sha256Of(destination)).toBe(sha256);
    expect(origin.sentBytes - sentBytes).toBeLessThanOrEqual(LENGTH - keptBytes);
    await agent.close();
  });

  test("that holds the state and fills up stops no job (R-FS-11)", async (context) => {
    fs.mkdirSync(stateOf("agent"));
    const problem = mount(stateOf("agent"), 12);
    if (problem !== undefined) context.skip(problem);
    const [{ contentId, sha256 }, { url }] = await publishSlowly();
    const agent = await start("agent");
    const job = await agent.jobs.createJob({ files: [{ url, contentId, destination }] });
    await untilUnderWay(job);
    fill(join(stateOf("agent"), "filler"));
    await publish(job);
    expect(await sha256Of(destination)).toBe(sha256);
    await agent.close();
    const again = await start("agent");
    expect(await again.jobs.list()).toMatchObject([{ state: "acknowledged" }]);
    await again.close();
  });
});

test("absurd destinations are refused, and nothing is made (R-FS-03, I-6)", async () => {
  const { url } = await site.serve(await site.publish("file.bin", MiB));
  const agent = await start("agent");
  const inState = ["state.db", "identity", "new"].map((name) => join(stateOf("agent"), name));
  const names = ["a\nb", "a\0b", "x".repeat(256), "..", "", "a/../b", ".shoal-x", "\ud800"];
  const paths = names.map((name) => `${downloads}/${name}`);
  const before = fs.readdirSync(stateOf("agent")).toSorted();
  for (const path of [...paths, ...inState, "relative", "/".repeat(5_000)]) {
    const files = [{ url, destination: path }];
    const creation = agent.jobs.createJob({ files, overwrite: true });
    const outcome = creation.then(publish);
    await expect(outcome).rejects.toMatchObject({ code: "ERR_DESTINATION_INVALID" });
  }
  expect(fs.readdirSync(downloads)).toEqual([]);
  expect(fs.readdirSync(stateOf("agent")).toSorted()).toEqual(before);
  for (const name of ["-rf", "$(reboot)", "*", " ", "\u202egnp.exe", "\u{1f41f}".repeat(60)]) {
    const files = [{ url, destination: join(downloads, name) }];
    await publish(await agent.jobs.createJob({ files }));
    expect(fs.statSync(join(downloads, name)).size).toBe(MiB);
  }
});

test("thousands of jobs are kept over a restart, and small files go on among them", async () => {
  const { url } = await site.serve(await site.publish("file.bin", 1_000));
  const count = scale(2_000, 5_000);
  const create = (agent: Agent, name: string, startSuspended: boolean): Promise<Job> => {
    return agent.jobs.createJob({
      startSuspended,
      files: [{ url, destination: join(downloads, name) }],
    });
  };
  const numbers = Array.from({ length: count - 100 }, (_, i) => i);
  const settings = { jobsMax: count };
  const first = await start("agent", { settings });
  await Promise.all(numbers.map((i) => create(first, `later-${i}`, true)));
  await first.close();
  const second = await start("agent", { settings });
  expect(await second.jobs.list()).toHaveLength(numbers.length);
  const small = numbers.slice(0, 100);
  await Promise.all(small.map((i) => create(second, `now-${i}`, false).then(publish)));
  expect(fs.readdirSync(downloads)).toHaveLength(small.length);
});
