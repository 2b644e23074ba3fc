/** The `shoal` command with an agent that runs: one agent for all, as on a user's machine. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Agent } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CliUserHere } from "./cli-here.ts";
import type { CliRun } from "./cli-here.ts";
import { startUsualAgent } from "./cli-running-agent.ts";
import { sha256Of, TestSite, until } from "./harness.ts";
import type { TestContent, TestOrigin } from "./harness.ts";

let site: TestSite;
let user: CliUserHere;
let agent: Agent;
let content: TestContent;
let quick: TestOrigin;
let slow: TestOrigin;
beforeAll(async () => {
  site = await TestSite.create();
  user = await CliUserHere.create(site.directory);
  content = await site.publish("disk.iso", 5 * MiB + 17);
  quick = await site.serve(content);
  slow = await site.serve(content, { rateBytesPerSec: MiB });
  agent = site.use(await startUsualAgent(user, join(site.directory, "state")));
});
afterAll(() => site[Symbol.asyncDispose]());

const inCwd = (name: string): string => join(user.cwd, name);
const liveJobs = async (): Promise<readonly string[]> =>
  (await agent.jobs.list()).filter(({ endedAt }) => endedAt === undefined).map((job) => job.state);

/** The JSON lines that a command prints. */
async function objectsOf(...args: string[]): Promise<readonly Record<string, unknown>[]> {
  await using process = user.startPlain(...args, "--json");
  const { exitCode, stderr } = await process.ended();
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return process.objects;
}

const isUnderWay = (process: CliRun): Promise<void> =>
  until(() => Number(process.objects.at(-1)?.["transferredBytes"] ?? 0) > 0, "some of the file");

describe("shoal get", () => {
  test("uses the agent that runs, says the same, and leaves the content with it", async () => {
    const id = ["--content-id", content.contentId];
    const result = await user.runPlain("get", quick.url, "-o", "f.iso", ...id);
    expect(result.stderr).toContain("5.0 MiB from the origin, 0 B from peers");
    expect(result.stderr).toContain("Every piece was checked against the manifest.");
    expect(result).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await sha256Of(inCwd("f.iso"))).toBe(content.sha256);
    expect(agent.servedContents).toContain(content.contentId);
    expect(await agent.jobs.list()).toMatchObject([
      { state: "acknowledged", displayName: "f.iso" },
    ]);
    const again = await user.runPlain("get", quick.url, "-o", "f.iso");
    expect(again.stderr).toContain("The destination already exists");
    expect(again.exitCode).toBe(8);
  });

  test("has an agent of its own where that is asked for, or flags need it", async () => {
    const { length } = await agent.jobs.list();
    for (const flags of [
      ["--no-agent", "--no-mdns"],
      ["--listen", "/ip4/127.0.0.1/tcp/0", "--no-mdns"],
    ]) {
      const result = await user.runPlain("get", quick.url, "-o", "own", "--overwrite", ...flags);
      expect(result).toMatchObject({ exitCode: 0 });
    }
    expect(await agent.jobs.list()).toHaveLength(length);
    const both = await user.runPlain("get", quick.url, "-o", "g", "--socket", "s", "--no-mdns");
    expect(both.stderr).toContain("--no-mdns is of an agent of its own");
    expect(both.exitCode).toBe(2);
  });

  test("stopped by Ctrl-C leaves a suspended job, and goes on with the same command", async () => {
    const args = ["get", slow.url, "-o", "later", "--limit", "2MiB"];
    await using process = user.startPlain(...args, "--json");
    await isUnderWay(process);
    process.interrupt();
    expect((await process.ended()).exitCode).toBe(130);
    expect(process.objects.at(-1)).toMatchObject({
      code: "INTERRUPTED",
      remedy: "What was fetched is kept; the same command goes on from there.",
    });
    expect(await liveJobs()).toEqual(["suspended"]);
    const { stdout } = await user.runPlain("jobs");
    expect(stdout).toMatch(/^JOB .*\n[0-9a-f-]{36} {2}suspended .* later\n$/);
    expect((await user.runPlain(...args)).exitCode).toBe(0);
    expect(await sha256Of(inCwd("later"))).toBe(content.sha256);
    expect((await readdir(user.cwd)).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("joins the same command in another terminal, and both end well", async () => {
    const args = ["get", slow.url, "-o", "both", "--json"];
    await using first = user.startPlain(...args);
    await isUnderWay(first);
    await using second = user.startPlain(...args);
    const codes = [(await first.ended()).exitCode, (await second.ended()).exitCode];
    expect(codes).toEqual([0, 0]);
    expect(second.objects.at(-1)).toMatchObject({ type: "done" });
  });

  test("ends unfinished when somebody suspends its job, and does not take another's place", async () => {
    await using process = user.startPlain("get", slow.url, "-o", "mine", "--json");
    await isUnderWay(process);
    const other = await user.runPlain("get", quick.url, "-o", "mine");
    expect(other.stderr).toContain("The destination belongs to another job");
    expect((await user.runPlain("jobs", "suspend", "mine")).stderr).toMatch(
      /^Suspended .* \(mine\)/,
    );
    expect((await process.ended()).exitCode).toBe(7);
    expect(process.objects.at(-1)).toMatchObject({ code: "ERR_JOB_SUSPENDED" });
    expect((await user.runPlain("jobs", "cancel", "mine")).stderr).toMatch(
      /^Cancelled .* \(mine\)/,
    );
    expect(await liveJobs()).toEqual([]);
  });
});

describe("shoal jobs", () => {
  test("shows and changes a job that is named by the beginning of its id", async () => {
    const files = [{ url: slow.url, destination: inCwd("job.iso") }];
    const { id } = await agent.jobs.createJob({ files, startSuspended: true });
    const short = id.slice(0, 13);
    const change = async (...args: string[]): Promise<string> =>
      (await user.runPlain("jobs", ...args)).stderr;
    expect(await change("priority", short, "high")).toBe(`Made high ${id} (job.iso).\n`);
    expect(await objectsOf("jobs", "show", short)).toMatchObject([
      {
        type: "job",
        jobId: id,
        state: "suspended",
        priority: "high",
        files: [{ toStream: false }],
      },
    ]);
    expect(await change("resume", short)).toBe(`Resumed ${id} (job.iso).\n`);
    const watched = await user.runPlain("jobs", "watch", short);
    expect(watched.stderr).toContain(`"shoal jobs complete ${id}" puts it in place.`);
    expect(watched.exitCode).toBe(0);
    expect(await change("complete", short)).toBe(`Completed ${id} (job.iso).\n`);
    expect(await sha256Of(inCwd("job.iso"))).toBe(content.sha256);
    const { stdout } = await user.runPlain("jobs", "list", "--all");
    expect(stdout).toMatch(new RegExp(`${id} {2}completed .* job.iso`));
  });

  test("makes names harmless wherever they are shown (R-API-07)", async () => {
    const files = [{ url: slow.url, destination: inCwd("evil") }];
    const displayName = "a\u001b[2Jb\u202ecod.exe\nc";
    const { id } = await agent.jobs.createJob({ files, displayName, startSuspended: true });
    const shown = await Promise.all([
      user.runPlain("jobs"),
      user.runPlain("jobs", "show", id),
      user.runPlain("explain", id),
      user.runPlain("status"),
      user.runPlain("jobs", "--json"),
      user.runPlain("jobs", "cancel", id),
    ]);
    for (const { stdout, stderr, exitCode } of shown) {
      expect(exitCode).toBe(0);
      // oxlint-disable-next-line no-control-regex -- these are what must not be there
      expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    }
  });
});

describe("what the agent has and does", () => {
  test("shoal seed offers a file by the agent, and shoal status shows it", async () => {
    const other = await site.publish("other.iso", MiB);
    const { stdout, stderr, exitCode } = await user.runPlain("seed", other.path);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: `${other.contentId}\n` });
    expect(stderr).toContain("By the agent at ");
    const [first, ...contents] = await objectsOf("status");
    expect(first).toMatchObject({ type: "agent", peerId: agent.peerId });
    expect(contents).toContainEqual(
      expect.objectContaining({ type: "content", contentId: other.contentId, isOffered: true }),
    );
    const named = await user.runPlain("status", other.contentId.slice(0, 30));
    expect(named.stdout).toMatch(/^.*\n {2}status .*\n {2}content +bafyrei/);
    const watching = user.startPlain(
      "status",
      "--watch",
      "--json",
      "--interval",
      "100ms",
      "--peers",
    );
    await using process = watching;
    await until(() => process.objects.length > 2, "three looks");
    process.interrupt();
    expect((await process.ended()).exitCode).toBe(0);
    expect(process.objects[1]).toMatchObject({ type: "status", contents: expect.any(Array) });
  });

  test("shoal cache pins by name, lets go, and says what it cleared", async () => {
    const list = await user.runPlain("cache");
    expect(list.stdout).toMatch(/^CONTENT .*\nbafyrei/);
    expect((await user.runPlain("cache", "pin", "f.iso", "--for", "2h")).stderr).toMatch(
      /^Pinned ba/,
    );
    const pinned = await objectsOf("cache", "list");
    expect(pinned).toContainEqual(expect.objectContaining({ type: "cached", isPinned: true }));
    expect((await user.runPlain("cache", "clear")).stderr).toMatch(/^Cleared .* 1 left\.\n$/);
    expect((await user.runPlain("cache", "unpin", "f.iso")).exitCode).toBe(0);
    expect((await user.runPlain("cache", "expire", "--all")).stderr).toMatch(
      /^Expired .* 0 left\.\n$/,
    );
    expect((await user.runPlain("cache")).stdout).toBe("The cache is empty.\n");
    expect((await user.runPlain("cache", "pin", "f.iso")).exitCode).toBe(3);
  });

  test("shoal peers adds one and says why it is not connected", async () => {
    const [address = ""] = await site.startSeed("seed", content);
    expect((await user.runPlain("peers", "add", address)).exitCode).toBe(0);
    await until(() => agent.connectedPeers.length > 0, "the peer");
    const [peer] = await objectsOf("peers");
    expect(peer).toMatchObject({ type: "peer", state: "connected" });
    expect((await user.runPlain("peers", "bans")).stdout).toBe("Nobody is banned.\n");
    expect((await user.runPlain("peers", "add", "nowhere")).exitCode).toBe(2);
  });

  test("shoal stats, stats month and log answer in lines and in JSON", async () => {
    const [stats] = await objectsOf("stats");
    expect(stats).toMatchObject({ type: "performance", originBytes: expect.any(Number) });
    expect((await user.runPlain("stats")).stdout).toMatch(/^Files\n {2}downloaded /);
    const [month] = await objectsOf("stats", "month");
    expect(month).toMatchObject({ type: "month", month: expect.stringMatching(/^\d{4}-\d\d$/) });
    const records = await objectsOf("log", "-n", "3");
    expect(records.length).toBeLessThanOrEqual(3);
    await using process = user.startPlain("log", "--follow", "--json", "-n", "0");
    const before = process.objects.length;
    await until(async () => {
      const files = [{ url: quick.url, destination: inCwd(`log-${performance.now()}`) }];
      const job = await agent.jobs.createJob({ files });
      await job.transferred;
      await job.acknowledge();
      return process.objects.length > before;
    }, "a line of the log");
    process.interrupt();
    expect((await process.ended()).exitCode).toBe(0);
  });
});
