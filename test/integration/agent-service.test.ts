/** What a running agent answers to those who manage it, asked of real agents. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentEvent, AgentOptions, ContentStatus } from "@shoal/agent";
import { COUNTERS, GAUGES, MiB } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { LOOPBACK, TestSite, until } from "./harness.ts";

function start(site: TestSite, name: string, options: Partial<AgentOptions> = {}): Promise<Agent> {
  const stateDirectory = join(site.directory, `state-${name}`);
  return startAgent({
    stateDirectory,
    listen: [LOOPBACK],
    mdns: false,
    allowLoopbackPeers: true,
    watchNetwork: false,
    ...options,
  });
}

/** An agent that has a content of 3 MiB from a peer, and one of 1 MiB from an origin. */
async function fetchedBoth(site: TestSite, seed: Agent, agent: Agent) {
  const fromOrigin = await site.publish("from-origin", MiB);
  const path = join(site.directory, "shared");
  await writeFile(path, randomBytes(3 * MiB));
  const contentId = await seed.service().share(path);
  const fromPeer = { contentId, name: "from-peer", length: 3 * MiB };
  await agent.service().addPeer(seed.addresses[0] ?? "");
  const { url } = await site.serve(fromOrigin);
  for (const [content, place] of [
    [fromPeer, {}],
    [fromOrigin, { url }],
  ] as const) {
    const destination = join(site.directory, content.name);
    const files = [{ contentId: content.contentId, destination, ...place }];
    const job = await agent.jobs.createJob({ files, priority: "foreground" });
    await job.transferred;
    await job.acknowledge();
  }
  return { fromPeer, fromOrigin };
}

/** Values of a text in Prometheus' format, by name and labels. */
function metricsOf(text: string): ReadonlyMap<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

async function statusOf(agent: Agent, contentId: string): Promise<ContentStatus | undefined> {
  return (await agent.service().contents()).find((content) => content.contentId === contentId);
}

describe("an agent's service", () => {
  test("counts the bytes of each content by the class of the peers", async () => {
    await using site = await TestSite.create();
    await using seed = await start(site, "seed");
    await using agent = await start(site, "agent");
    const { fromPeer, fromOrigin } = await fetchedBoth(site, seed, agent);
    const none = { linkLocal: 0, lan: 0, group: 0, internet: 0 };
    expect(await statusOf(agent, fromPeer.contentId)).toMatchObject({
      status: "caching",
      isOffered: true,
      heldBytes: fromPeer.length,
      length: fromPeer.length,
      downloadedBytes: fromPeer.length,
      peerBytes: fromPeer.length,
      receivedBytes: { ...none, lan: fromPeer.length },
      sentBytes: none,
      peerPercent: 100,
      peerConnections: { ...none, lan: 1 },
      peerCount: 1,
    });
    expect(await statusOf(agent, fromOrigin.contentId)).toMatchObject({
      downloadedBytes: fromOrigin.length,
      httpBytes: fromOrigin.length,
      receivedBytes: none,
      peerPercent: 0,
    });
    await until(
      async () => (await statusOf(seed, fromPeer.contentId))?.sentBytes.lan === fromPeer.length,
      "the seed has counted what it sent",
    );
  });

  test("shows connected peers with what went each way, and others with the reason", async () => {
    await using site = await TestSite.create();
    await using seed = await start(site, "seed");
    await using agent = await start(site, "agent");
    const { fromPeer, fromOrigin } = await fetchedBoth(site, seed, agent);
    const service = agent.service();
    expect(await service.peers()).toMatchObject([
      {
        peerId: seed.peerId,
        state: "connected",
        foundBy: "static",
        peerClass: "lan",
        host: "127.0.0.1",
        transport: "tls",
        receivedBytes: fromPeer.length,
        receivedBytesPerSec: expect.closeTo(fromPeer.length / 20, -5) as number,
      },
    ]);
    expect(await service.peers(fromPeer.contentId)).toMatchObject([
      { peerId: seed.peerId, reason: { code: "nothingMissing" } },
    ]);
    expect(await service.peers(fromOrigin.contentId)).toEqual([]);
    await seed.close();
    await until(async () => (await service.peers())[0]?.state !== "connected", "it is gone");
    expect(await service.peers()).toMatchObject([
      { peerId: seed.peerId, reason: { code: expect.stringMatching(/^(dial|disc)/) as string } },
    ]);
  });

  test("sums up performance, and the month over a restart", async () => {
    await using site = await TestSite.create();
    await using seed = await start(site, "seed");
    const first = await start(site, "agent");
    const { fromPeer, fromOrigin } = await fetchedBoth(site, seed, first);
    expect(await first.service().performance()).toMatchObject({
      filesDownloaded: 2,
      filesUploaded: 0,
      files: 2,
      downloadedBytes: fromPeer.length + fromOrigin.length,
      originBytes: fromOrigin.length,
      receivedBytes: { lan: fromPeer.length },
      peerConnections: { lan: 1 },
      peerCount: 1,
      uploadCount: 2,
      totalDiskBytes: expect.any(Number) as number,
    });
    const month = await first.service().month();
    expect(month).toMatchObject({
      month: new Date().toISOString().slice(0, 7),
      originBytes: fromOrigin.length,
      receivedBytes: { linkLocal: 0, lan: fromPeer.length, group: 0, internet: 0 },
      isUploadLimitReached: false,
      averageBackgroundBytesPerSec: 0,
    });
    expect(month.averageForegroundBytesPerSec).toBeGreaterThan(0);
    await first.close();
    await using second = await start(site, "agent");
    expect(await second.service().month()).toEqual(month);
    expect((await second.service().performance()).downloadedBytes).toBe(0);
  });

  test("tells watchers what happens, in order, without what comes with every piece", async () => {
    await using site = await TestSite.create();
    await using seed = await start(site, "seed");
    const agent = await start(site, "agent");
    const events: AgentEvent[] = [];
    const { promise: closed, resolve } = Promise.withResolvers<Error>();
    agent.service().watch({ happened: (event) => events.push(event), closed: resolve });
    await fetchedBoth(site, seed, agent);
    await agent.close();
    expect(await closed).toMatchObject({ code: "ERR_AGENT_CLOSED" });
    const types = new Set(events.map(({ type }) => type));
    expect([...types]).toEqual(expect.arrayContaining(["peerConnected", "contentServed"]));
    expect(types.has("pieceStored")).toBe(false);
    const sequences = events.map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    expect(events.findLast(({ type }) => type === "jobChanged")).toMatchObject({
      state: "acknowledged",
    });
  });

  test("is for administrators, but for jobs", async () => {
    await using site = await TestSite.create();
    await using agent = await start(site, "agent");
    const service = agent.service({ name: "somebody", isAdministrator: false });
    const denied = { code: "ERR_ACCESS_DENIED" };
    await expect(service.contents()).rejects.toMatchObject(denied);
    await expect(service.changeSettings({})).rejects.toMatchObject(denied);
    await expect(service.log()).rejects.toMatchObject(denied);
    await expect(service.share("/etc/hostname")).rejects.toMatchObject(denied);
    expect(await service.jobs.list()).toEqual([]);
    service.close();
    await expect(service.jobs.list()).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
  });

  test("changes settings while it runs, and says who did", async () => {
    await using site = await TestSite.create();
    await using agent = await start(site, "agent");
    const service = agent.service();
    const changed = await service.changeSettings({ uploadRateBytesPerSec: MiB });
    const row = changed.settings.find(({ name }) => name === "uploadRateBytesPerSec");
    expect(row).toMatchObject({ value: MiB, provider: "setting" });
    expect(await service.performance()).toMatchObject({ uploadRateBytesPerSec: MiB });
    const invalid = { code: "ERR_SETTING_INVALID" };
    await expect(service.changeSettings({ activeJobsMax: 3 })).rejects.toMatchObject(invalid);
    await expect(service.changeSettings({ noSuch: 3 })).rejects.toMatchObject(invalid);
    await expect(service.reload()).rejects.toMatchObject({ code: "ERR_FEATURE_UNSUPPORTED" });
  });

  test("tells of itself, and keeps the latest of its log", async () => {
    await using site = await TestSite.create();
    await using seed = await start(site, "seed");
    await using agent = await start(site, "agent", { peers: seed.addresses });
    const service = agent.service();
    await until(() => agent.connectedPeers.length > 0, "they are connected");
    expect(await service.facts()).toMatchObject({
      processId: process.pid,
      peerId: agent.peerId,
      isSafeMode: false,
      stateDirectory: join(site.directory, "state-agent"),
    });
    const log = await service.log();
    const last = log.find(({ message }) => message === "peer connected");
    expect(last).toMatchObject({ level: "info", fields: { peerId: seed.peerId } });
    expect(await service.log(log.at(-1)?.sequence)).toEqual([]);
  });

  test("says all counters and gauges in Prometheus' format, also when asked at once", async () => {
    await using site = await TestSite.create();
    await using seed = await start(site, "seed");
    await using agent = await start(site, "agent");
    const { fromPeer, fromOrigin } = await fetchedBoth(site, seed, agent);
    const [text, again] = await Promise.all([agent.metricsText(), agent.metricsText()]);
    const values = metricsOf(text ?? "");
    const names = new Set(Array.from(values.keys(), (key) => key.replace(/\{.*/, "")));
    expect([...names].toSorted()).toEqual(
      [...Object.keys(COUNTERS), ...Object.keys(GAUGES)].toSorted(),
    );
    expect(values.get("shoal_lan_received_bytes_total")).toBe(fromPeer.length);
    expect(values.get("shoal_origin_received_bytes_total")).toBe(fromOrigin.length);
    expect(values.get('shoal_jobs{state="acknowledged"}')).toBe(2);
    expect(values.get('shoal_peer_connections{class="lan"}')).toBe(1);
    expect(values.get("shoal_disk_available_bytes")).toBeGreaterThan(0);
    expect(metricsOf(again ?? "").get("shoal_files_downloaded_total")).toBe(2);
  });

  test("counts security events and logs them by their codes (R-LOG-03)", async () => {
    await using site = await TestSite.create();
    await using agent = await start(site, "agent");
    agent.noteSecurityEvent("authFailure", { remote: "127.0.0.1" });
    const service = agent.service();
    expect((await service.counters()).shoal_auth_failures_total).toBe(1);
    expect((await service.log()).at(-1)).toMatchObject({
      level: "warn",
      fields: { event: "authFailure", remote: "127.0.0.1" },
    });
  });

  test("counts a redirect that is refused, and a file that changes (R-LOG-03)", async () => {
    await using site = await TestSite.create();
    await using agent = await start(site, "agent");
    const server = createServer((_request, response) => {
      response.writeHead(302, { location: "file:///etc/passwd" }).end();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    site.use({ [Symbol.asyncDispose]: async () => void server.close() });
    const { port } = server.address() as AddressInfo;
    const files = [{ url: `http://127.0.0.1:${port}/f`, destination: join(site.directory, "f") }];
    const job = await agent.jobs.createJob({ files, noProgressTimeoutMs: 0 });
    await until(async () => (await job.snapshot()).state === "error", "it has failed");
    expect(agent.counters().shoal_redirects_refused_total).toBeGreaterThan(0);
  });

  test("withholds a file that cannot be read from peers", async () => {
    await using site = await TestSite.create();
    await using agent = await start(site, "agent");
    const service = agent.service();
    await expect(service.share("relative")).rejects.toMatchObject({ code: "ERR_USAGE" });
    const path = join(site.directory, "gone");
    await expect(service.share(path)).rejects.toMatchObject({ code: "ERR_FILE_UNREADABLE" });
    await writeFile(path, "here");
    const contentId = await service.share(path);
    expect(await service.contents()).toMatchObject([{ contentId, status: "caching" }]);
  });
});
