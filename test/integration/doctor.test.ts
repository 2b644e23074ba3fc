/**
 * The doctor in a running agent: finds nothing wrong with one that is well, and names the fault and
 * the remedy where there is one. Each fault is real: a server that lies about the time, a full
 * file system, a proxy that is gone, peers with another key.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, statfs, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions, CheckReport } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { serveHttp } from "../../packages/origin/test/origin-harness.ts";
import { LOOPBACK, TestSite, until } from "./harness.ts";

const execute = promisify(execFile);

let site: TestSite;
beforeEach(async () => void (site = await TestSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

async function start(name: string, options: Partial<AgentOptions> = {}): Promise<Agent> {
  const agent = await startAgent({
    stateDirectory: join(site.directory, name),
    listen: [LOOPBACK],
    mdns: false,
    watchNetwork: false,
    ...options,
  });
  return site.use(agent);
}

async function checksOf(agent: Agent): Promise<ReadonlyMap<string, CheckReport>> {
  const checks = await agent.service().diagnose();
  return new Map(checks.map((check) => [check.id, check]));
}

/** A job that stays, so that its origin is a recent one. */
async function addJob(agent: Agent, url: string): Promise<void> {
  const destination = join(site.directory, "wanted.bin");
  const job = await agent.jobs.createJob({ files: [{ url, destination }], displayName: "wanted" });
  await job.suspend();
}

/** A port of this machine at which nobody listens. */
async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("the doctor of an agent that is well", () => {
  test("finds no fault, within its time, and says what to do about all that is not fine", async () => {
    const content = await site.publish("file.bin", 2 * MiB);
    const origin = await site.serve(content);
    const api = { socketPath: join(site.directory, "run", "agent.sock"), tcp: { port: 0 } };
    await mkdir(join(site.directory, "run"), { mode: 0o700 });
    const seed = await start("seed");
    await seed.share(content.path);
    const agent = await start("agent", { peers: seed.addresses, api });
    await until(() => agent.connectedPeers.length > 0, "they are connected");
    const destination = join(site.directory, "got.bin");
    const job = await agent.jobs.createJob({ files: [{ url: origin.url, destination }] });
    await job.transferred;
    const beganAt = performance.now();
    const checks = await agent.service().diagnose();
    expect(performance.now() - beganAt).toBeLessThan(15_000);
    expect(checks.filter(({ result }) => result === "fail" || result === "notRun")).toEqual([]);
    const results = new Map(checks.map(({ id, result }) => [id, result]));
    for (const id of ["state.disk", "state.database", "state.identity", "network.ports"]) {
      expect([id, results.get(id)]).toEqual([id, "pass"]);
    }
    for (const id of ["machine.clock", "network.origins", "peers.connections", "agent.api"]) {
      expect([id, results.get(id)]).toEqual([id, "pass"]);
    }
    for (const { result, finding, remedy } of checks) {
      expect(finding).toMatch(/[.)]$/);
      if (result !== "pass") expect(remedy).toMatch(/\S/);
    }
    expect(new Set(checks.map(({ id }) => id)).size).toBe(checks.length);
  });
});

describe("the doctor of an agent with a fault", () => {
  test("names a clock that is wrong, by what an origin says of the time", async () => {
    const server = site.use(
      await serveHttp((_request, response) => {
        const date = new Date(Date.now() - 7_200_000).toUTCString();
        response.writeHead(404, { date }).end();
      }),
    );
    const agent = await start("agent");
    await addJob(agent, `${server.url}?signature=once`);
    const clock = (await checksOf(agent)).get("machine.clock");
    expect(clock).toMatchObject({ result: "fail", remedy: expect.stringContaining("set-ntp") });
    expect(clock?.finding).toMatch(/clock is (?:2 h|1 h 59 min).* ahead of that of http:/);
  });

  test("names an origin that is gone, without the secrets of its URL", async () => {
    const agent = await start("agent");
    const port = await unusedPort();
    await addJob(agent, `http://127.0.0.1:${port}/file?signature=once`);
    const origins = (await checksOf(agent)).get("network.origins");
    expect(origins).toMatchObject({ result: "fail", facts: { silentCount: 1 } });
    expect(origins?.finding).toContain(`127.0.0.1:${port}`);
    expect(origins?.remedy).toContain("Check that the server runs");
    expect(JSON.stringify(origins)).not.toContain("once");
  });

  test("names a proxy that is gone, without its password", async () => {
    const http = `http://me:hunter2@127.0.0.1:${await unusedPort()}`;
    const agent = await start("agent", { proxy: { http, noProxy: "intranet.test" } });
    await addJob(agent, "http://origin.test/file");
    const checks = await checksOf(agent);
    const proxy = checks.get("network.proxy");
    expect(proxy).toMatchObject({ result: "fail" });
    expect(proxy?.finding).toMatch(/proxy 127\.0\.0\.1:\d+ does not answer \(ECONNREFUSED\)/);
    expect(proxy?.remedy).toContain("noProxy");
    expect(checks.get("network.origins")?.result).toBe("fail");
    expect(JSON.stringify([...checks.values()])).not.toContain("hunter2");
  });

  test("names peers of another group, and what their agents need", async () => {
    const keys: string[] = [];
    for (const name of ["ours", "theirs"]) {
      const path = join(site.directory, `${name}.group`);
      const text = Buffer.alloc(32, name).toString("base64url");
      await writeFile(path, `shoal-group-1:${text}\n`, { mode: 0o600 });
      keys.push(path);
    }
    const other = await start("other", { groupKeyFiles: keys.slice(1) });
    const agent = await start("agent", { groupKeyFiles: keys.slice(0, 1), peers: other.addresses });
    const isRefused = async (): Promise<boolean> =>
      (await agent.service().peers()).some(({ reason }) => reason?.code === "dialFailed");
    await until(isRefused, "the peer is refused");
    const checks = await checksOf(agent);
    const group = checks.get("peers.group");
    expect(group).toMatchObject({ result: "fail", facts: { strangers: 1, members: 0 } });
    expect(group?.finding).toContain("another key");
    expect(group?.remedy).toContain("--group-key");
    expect(checks.get("peers.connections")).toMatchObject({ result: "warn" });
    expect(JSON.stringify([...checks.values()])).not.toContain(
      Buffer.alloc(32, "ours").toString("base64url"),
    );
  });

  test("names an identity that others may read, and one that is damaged", async () => {
    const agent = await start("agent");
    const path = join(site.directory, "agent", "identity");
    await chmod(path, 0o644);
    const open = (await checksOf(agent)).get("state.identity");
    expect(open).toMatchObject({ result: "fail", remedy: expect.stringContaining("chmod 600") });
    await chmod(path, 0o600);
    await writeFile(path, "no key");
    const damaged = (await checksOf(agent)).get("state.identity");
    expect(damaged).toMatchObject({ result: "fail" });
    expect(damaged?.finding).toContain("no identity");
  });

  test("names safe mode after crashes, and policies that keep peers away", async () => {
    const safe = await checksOf(await start("safe", { isSafeMode: true }));
    expect(safe.get("state.crashes")).toMatchObject({ result: "fail" });
    expect(safe.get("state.crashes")?.finding).toContain("safe mode");
    const alone = await checksOf(await start("alone", { policies: { DODownloadMode: 0 } }));
    expect(alone.get("peers.eligibility")).toMatchObject({
      result: "warn",
      facts: { reasons: "modeHttpOnly" },
      remedy: expect.stringContaining("DODownloadMode"),
    });
    expect(alone.get("network.ports")?.result).toBe("notApplicable");
  });

  test("names limits in force and who has set them", async () => {
    const settings = { uploadRateBytesPerSec: 4 * MiB };
    const limits = (await checksOf(await start("agent", { settings }))).get("peers.limits");
    expect(limits).toMatchObject({ result: "pass" });
    expect(limits?.finding).toContain("uploads 4.0 MiB/s, set by uploadRateBytesPerSec");
  });

  test("names an API whose directory lets others in (R-FS-01)", async () => {
    const directory = join(site.directory, "run");
    await mkdir(directory, { mode: 0o700 });
    const agent = await start("agent", { api: { socketPath: join(directory, "agent.sock") } });
    await chmod(directory, 0o755);
    const api = (await checksOf(agent)).get("agent.api");
    expect(api).toMatchObject({ result: "fail", remedy: `chmod 700 ${directory}` });
  });

  test("names a full disk", async ({ skip }) => {
    const place = join(site.directory, "small");
    await mkdir(place);
    const mount = ["-t", "tmpfs", "-o", "size=40m", "tmpfs", place];
    await execute("mount", mount).catch((error: unknown) => skip(`no mount: ${String(error)}`));
    try {
      await using agent = await startAgent({
        stateDirectory: join(place, "state"),
        listen: [],
        mdns: false,
        watchNetwork: false,
      });
      await chmod(join(place, "state"), 0o700);
      expect((await checksOf(agent)).get("state.disk")?.result).not.toBe("fail");
      const { bavail, bsize } = await statfs(place);
      await writeFile(join(place, "ballast.bin"), Buffer.alloc(bavail * bsize - 2 * MiB));
      const disk = (await checksOf(agent)).get("state.disk");
      expect(disk).toMatchObject({ result: "fail" });
      expect(disk?.finding).toMatch(/^The disk is full: 2\.0 MiB free of 40\.0 MiB/);
      expect(disk?.remedy).toContain("shoal cache clear");
    } finally {
      await execute("umount", ["-l", place]);
    }
  });
});
