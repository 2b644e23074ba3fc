import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MiB } from "@shoal/core";
import type { Notice } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Jobs, startAgent } from "@shoal/agent";
import type { Agent, AgentOptions, JobSnapshot, LogFields, NetworkState } from "@shoal/agent";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import { until } from "./harness.ts";

let directory = "";
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), "shoal-agent-"))));
afterEach(() => rm(directory, { recursive: true, force: true }));

const start = (name: string, options: Partial<AgentOptions> = {}): Promise<Agent> =>
  startAgent({
    stateDirectory: join(directory, name),
    listen: ["/ip4/127.0.0.1/tcp/0"],
    mdns: false,
    ...options,
  });

describe("an agent", () => {
  test("gives a file it shares to another agent, and counts the bytes", async () => {
    const bytes = new Uint8Array(randomBytes(3 * MiB));
    const path = join(directory, "shared.bin");
    const destination = join(directory, "fetched.bin");
    await writeFile(path, bytes);
    await using seed = await start("seed");
    const contentId = await seed.share(path);
    expect(seed.servedContents).toEqual([contentId]);
    await using agent = await start("agent", { peers: seed.addresses });
    const job = await agent.jobs.createJob({ files: [{ contentId, destination }] });
    expect(await job.transferred).toMatchObject({ peerBytes: bytes.length, originBytes: 0 });
    await job.acknowledge();
    expect(new Uint8Array(await readFile(destination))).toEqual(bytes);
    expect(seed.counters().shoal_peer_sent_bytes_total).toBeGreaterThanOrEqual(bytes.length);
    expect(agent.connectedPeers).toEqual([seed.peerId]);
  });

  test("keeps its identity and its jobs from run to run", async () => {
    const first = await start("agent");
    const files = [{ url: "http://127.0.0.1:1/f", destination: join(directory, "f") }];
    const { id } = await first.jobs.createJob({ files, startSuspended: true });
    await first.close();
    await using second = await start("agent");
    expect(second.peerId).toBe(first.peerId);
    expect(await second.jobs.list()).toMatchObject([{ jobId: id, state: "suspended" }]);
  });

  test("shares a state directory with no other agent (R-PROC-01)", async () => {
    await using agent = await start("agent");
    await expect(start("agent")).rejects.toMatchObject({ code: "ERR_STATE_LOCKED" });
    await agent.close();
    await using next = await start("agent");
    expect(await next.jobs.list()).toEqual([]);
  });

  test("closes within 3 s, twice if asked, and rejects what waits", async () => {
    const agent = await start("agent", { peers: [unreachable()] });
    const files = [{ url: "http://127.0.0.1:1/f", destination: join(directory, "f") }];
    const { transferred } = await agent.jobs.createJob({ files });
    const beganAt = performance.now();
    await Promise.all([agent.close(), agent.close()]);
    expect(performance.now() - beganAt).toBeLessThan(3_000);
    await expect(transferred).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
    expect(await readdir(join(directory, "agent"))).toContain("clean");
  });

  test("shows a caller its own jobs only, until the caller or the agent is done", async () => {
    const agent = await start("agent");
    const mine = new Jobs(agent.jobService({ name: "me", isAdministrator: false }));
    const others = agent.jobService({ name: "other", isAdministrator: false });
    const files = [{ url: "http://127.0.0.1:1/f", destination: join(directory, "f") }];
    const { id } = await mine.createJob({ files, startSuspended: true });
    expect(await others.list()).toEqual([]);
    await expect(others.snapshot(id)).rejects.toMatchObject({ code: "ERR_ACCESS_DENIED" });
    expect(await agent.jobs.list()).toMatchObject([{ jobId: id, owner: "me" }]);
    const closed = { code: "ERR_AGENT_CLOSED" };
    others.close();
    await expect(others.list()).rejects.toMatchObject(closed);
    expect(await mine.list()).toHaveLength(1);
    await agent.close();
    const late = agent.jobService();
    for (const jobs of [mine, agent.jobs, late]) {
      await expect(jobs.list()).rejects.toMatchObject(closed);
    }
  });

  test("holds jobs back while the network is gone, but not those on this machine", async () => {
    const path = join(directory, "served");
    await writeFile(path, "content");
    await using origin = await serveFiles({ served: path });
    await using agent = await start("agent", { watchNetwork: false });
    agent.setNetwork({ isOnline: false });
    const here = origin.urlOf("served");
    // The same machine under a name that does not say so.
    const url = here.replace("127.0.0.1", "0.0.0.0");
    const away = await agent.jobs.createJob({
      files: [{ url, destination: join(directory, "f") }],
      failOnTransient: true,
    });
    await expect(away.transferred).rejects.toMatchObject({ code: "ERR_NETWORK_DOWN" });
    const files = [{ url: here, destination: join(directory, "here") }];
    await (
      await agent.jobs.createJob({ files })
    ).transferred;
    agent.setNetwork({ cost: "roaming" });
    expect(await away.snapshot()).toMatchObject({ error: { code: "ERR_NETWORK_DOWN" } });
    agent.setNetwork({ isOnline: true });
    await until(
      async () => codeOf(await away.snapshot()) === "ERR_NETWORK_COST",
      "its cost counts",
    );
    agent.setNetwork({ cost: "unrestricted" });
    await until(async () => (await away.snapshot()).state === "transferred", "it is fetched");
    const hostile = [{ cost: "free" }, { isOnline: "no" }, { speed: 1 }, null];
    for (const network of hostile as unknown[] as Partial<NetworkState>[]) {
      expect(() => agent.setNetwork(network)).toThrow(
        expect.objectContaining({ code: "ERR_USAGE" }),
      );
    }
  });

  test("hears of peers, and survives a listener that throws", async () => {
    const thrown: unknown[] = [];
    const onThrown = (error: unknown): void => void thrown.push(error);
    const before = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", onThrown);
    try {
      const lines: string[] = [];
      const log = (fields: LogFields, message: string): void =>
        void lines.push(`${message} ${String(fields["peerId"])}`);
      const logger = { debug: log, info: log, warn: log, error: log };
      await using one = await start("one", { logger });
      one.onNotice(() => {
        throw new Error("a watcher's mistake");
      });
      const connected = Promise.withResolvers<Notice>();
      one.onNotice((notice) => notice.type === "peerConnected" && connected.resolve(notice));
      await using two = await start("two", { peers: one.addresses });
      expect(await connected.promise).toEqual({ type: "peerConnected", peerId: two.peerId });
      expect(lines).toContain(`peer connected ${two.peerId}`);
      expect(String(thrown[0])).toContain("a watcher's mistake");
    } finally {
      process.removeListener("uncaughtException", onThrown);
      for (const listener of before) process.on("uncaughtException", listener);
    }
  });
});

describe("a start that fails", () => {
  test("because of a setting leaves nothing", async () => {
    const settings = { banMs: -1 };
    await expect(start("agent", { settings })).rejects.toMatchObject({
      code: "ERR_SETTING_INVALID",
    });
    expect(await readdir(directory)).toEqual([]);
  });

  test.each<[string, string, () => Promise<Partial<AgentOptions>>]>([
    ["a peer's address", "ERR_PEER_ADDRESS_INVALID", async () => ({ peers: ["/dns4/a/tcp/1"] })],
    ["a port in use", "ERR_LISTEN_FAILED", async () => ({ listen: [await takenAddress()] })],
    ["an address that is none", "ERR_LISTEN_FAILED", async () => ({ listen: ["nonsense"] })],
  ])("because of %s gives the lock back", async (_name, code, options) => {
    await expect(start("agent", await options())).rejects.toMatchObject({ code });
    await using agent = await start("agent");
    expect(agent.addresses).toHaveLength(1);
  });
});

test("sharing what cannot be read is refused, and can be stopped", async () => {
  await using agent = await start("agent");
  const missing = agent.share(join(directory, "missing"));
  await expect(missing).rejects.toMatchObject({ code: "ERR_FILE_UNREADABLE" });
  const path = join(directory, "file");
  await writeFile(path, "content");
  const signal = AbortSignal.abort(new Error("not now"));
  await expect(agent.share(path, { signal })).rejects.toThrow("not now");
  expect(agent.servedContents).toEqual([]);
});

const codeOf = ({ error }: JobSnapshot): string | undefined => error?.code;

const servers: ReturnType<typeof createServer>[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close()));

async function takenAddress(): Promise<string> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`;
}

/** A peer at an address where nobody answers. */
function unreachable(): string {
  return "/ip4/127.0.0.1/tcp/65000/p2p/12D3KooWDWBSXV9Ca643gDFbiHNfzBswtCmJ5x3YfM3sE9455ehR";
}
