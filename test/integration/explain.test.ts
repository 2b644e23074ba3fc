/** Why bytes come from where they come from, as users and programs are told: real agents, sockets. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions } from "@shoal/agent";
import { MiB } from "@shoal/core";
import type { JobExplanation } from "@shoal/core";
import { connectJobs } from "@shoal/jobs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CliUser } from "./cli-process.ts";
import { TestSite, until } from "./harness.ts";
import type { TestContent, TestOrigin } from "./harness.ts";
import { HostilePeer } from "./hostile-peer.ts";

let site: TestSite;
let user: CliUser;
let content: TestContent;
let origin: TestOrigin;
beforeEach(async () => {
  site = await TestSite.create();
  user = await CliUser.create(site.directory);
  content = await site.publish("disk.iso", 5 * MiB + 17);
  origin = await site.serve(content);
});
afterEach(() => site[Symbol.asyncDispose]());

const jobSocket = (): string => join(site.directory, "run", "jobs.sock");

async function openAgent(options: Partial<AgentOptions> = {}): Promise<Agent> {
  const agent = await startAgent({
    stateDirectory: join(site.directory, "state"),
    listen: ["/ip4/127.0.0.1/tcp/0"],
    mdns: false,
    allowLoopbackPeers: true,
    api: { socketPath: jobSocket() },
    ...options,
  });
  return site.use(agent);
}

/** Fetches the content; resolves to the job's id when all is here. */
async function fetchAll(agent: Agent, file: { url?: string; contentId?: string }): Promise<string> {
  const destination = join(site.directory, "fetched");
  const job = await agent.jobs.createJob({
    displayName: "disk",
    files: [{ ...file, destination }],
  });
  await job.transferred;
  return job.id;
}

test("shoal explain says over the socket what the agent says in its own process", async () => {
  const peers = await site.startSeed("seed", content);
  const dead = `/ip4/127.0.0.1/tcp/${await freePort()}/p2p/${DEAD_ID}`;
  const agent = await openAgent({ peers: [...peers, dead] });
  const { contentId } = content;
  const jobId = await fetchAll(agent, { contentId });
  const here = await (await agent.jobs.get(jobId))?.explain();
  await using jobs = await connectJobs({ socketPath: jobSocket() });
  const there = await (await jobs.get(jobId))?.explain();
  const shares = [{ source: { kind: "peer" }, code: "offered", bytes: content.length }];
  expect(here).toMatchObject({ state: "transferred", files: [{ contentId, shares }] });
  expect(withoutTimes(there)).toEqual(withoutTimes(here));
  const { exitCode, stdout, stderr } = await user.run("explain", jobId.slice(0, 8), ...socket());
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(stdout).toContain(`Job ${jobId} (disk) is transferred.`);
  expect(stdout).toContain("fetched: 5.0 MiB of 5.0 MiB. 100 % from peers.");
  expect(stdout).toContain("it cannot be reached [dialFailed]");
  expect(stdout).toContain("Check that its agent runs");
  await using process = user.start("explain", jobId, "--json", ...socket());
  await process.ended();
  expect(process.objects).toMatchObject([{ type: "explanation", jobId, files: [{ shares }] }]);
});

test("without a job it is the only one under way, or all are listed; a wrong one is an error as elsewhere", async () => {
  const agent = await openAgent();
  const jobId = await fetchAll(agent, { url: origin.url });
  const only = await user.run("explain", ...socket());
  expect(only.stdout).toContain(`Job ${jobId} (disk) is transferred.`);
  await (await agent.jobs.get(jobId))?.acknowledge();
  const listed = await user.run("explain", ...socket());
  expect(listed.stdout).toMatch(
    new RegExp(`^JOB.*\n${jobId} {2}completed +100 % +5.0 MiB.* disk\n$`),
  );
  expect(await user.run("explain", "no-such-job", ...socket())).toMatchObject({ exitCode: 3 });
  const nobody = join(site.directory, "nobody");
  expect(await user.run("explain", jobId, "--socket", nobody)).toMatchObject({ exitCode: 9 });
});

test("after a restart says that bytes were fetched before it", async () => {
  const first = await openAgent();
  const jobId = await fetchAll(first, { url: origin.url });
  expect(await explain(first, jobId)).toMatchObject({ shares: [{ code: "noManifest" }] });
  await first.close();
  const second = await openAgent();
  const shares = [{ source: { kind: "thisMachine" }, code: "beforeRestart" }];
  expect(await explain(second, jobId)).toMatchObject({ shares });
});

test("shoal get --explain says at the end where the bytes came from, and why", async () => {
  const { exitCode, stderr } = await user.run("get", origin.url, "-o", "f", "--explain");
  expect(exitCode).toBe(0);
  const { host } = new URL(origin.url);
  const words = "without a verified manifest only the origin may be used";
  expect(stderr).toContain(`f: 5.0 MiB of 5.0 MiB. 100 % from the origin: ${words}.`);
  expect(stderr).toContain(`5.0 MiB  the origin ${host}: ${words} [noManifest]`);
  expect(stderr).toContain("What you can do\n    Name the content id");
  await using failing = user.start("get", `${origin.url}x`, "-o", "g", "--explain", "--json");
  expect((await failing.ended()).exitCode).toBe(3);
  const explanation = failing.objects.find(({ type }) => type === "explanation");
  expect(explanation).toMatchObject({ state: "error", verdicts: [{ code: "failed" }] });
});

test("shoal peers bans shows who is refused and for what, and unban lifts it (R-BAN-05)", async () => {
  const agent = await openAgent();
  const { contentId } = content;
  const slow = await site.serve(content, { rateBytesPerSec: MiB });
  const destination = join(site.directory, "got");
  const job = await agent.jobs.createJob({ files: [{ url: slow.url, contentId, destination }] });
  for (let count = 0; agent.bans.list().length === 0 && count < 12; count++) {
    const peer = site.use(await HostilePeer.start(content));
    peer.dial(agent);
    await until(() => peer.connected.size > 0 || peer.failedDials > 0, "an answer to the dial");
    await until(() => peer.connected.size === 0 || peer.sentPieces > 0, "the first piece");
  }
  await job.transferred;
  const { stdout } = await user.run("peers", "bans", ...socket());
  expect(stdout).toMatch(/address +127\.0\.0\.1 +corruptPiece +in \d+ min/);
  expect(await job.explain()).toMatchObject({ files: [{ contentId }] });
  expect(await user.run("peers", "unban", "127.0.0.1", ...socket())).toMatchObject({ exitCode: 0 });
  expect(agent.bans.list().map(({ subject }) => subject)).not.toContain("127.0.0.1");
});

const DEAD_ID = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq";

/** A port on which nobody listens any more. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const socket = (): [string, string] => ["--socket", jobSocket()];

async function explain(agent: Agent, jobId: string): Promise<object | undefined> {
  return (await (await agent.jobs.get(jobId))?.explain())?.files[0];
}

/** Without what passes between two questions. */
function withoutTimes(explanation: JobExplanation | undefined): unknown {
  const names = new Set(["waitMs", "bytesPerSec", "code", "words", "remedy", "detail"]);
  const files = explanation?.files.map(({ peers, ...file }) => {
    const kept = peers.map((peer) => Object.entries(peer).filter(([name]) => !names.has(name)));
    return { ...file, peers: kept };
  });
  return { ...explanation, files };
}
