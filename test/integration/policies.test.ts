/**
 * Policies on whole agents over real sockets: download modes, the gates of the machine, restriction
 * of peers and private files. Facts about the machine are said, not probed: nobody unplugs it.
 */
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions, CreateJobFile, MachineFacts, Policies } from "@shoal/agent";
import { KiB, MiB } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LOOPBACK, sha256Of, TestSite, until } from "./harness.ts";
import type { TestContent, TestOrigin } from "./harness.ts";

const GiB = 2 ** 30;
const NOTHING: MachineFacts = {};

let site: TestSite;
let content: TestContent;
let count = 0;
beforeEach(async () => {
  site = await TestSite.create();
  content = await site.publish("file.bin", 8 * MiB);
});
afterEach(() => site[Symbol.asyncDispose]());

interface Start extends Partial<AgentOptions> {
  readonly name?: string;
}

async function start({ name = `agent-${++count}`, ...options }: Start = {}): Promise<Agent> {
  const agent = await startAgent({
    stateDirectory: join(site.directory, name),
    listen: [LOOPBACK],
    allowLoopbackPeers: true,
    mdns: false,
    watchNetwork: false,
    machineProbe: () => NOTHING,
    ...options,
  });
  return site.use(agent);
}

/** An agent that has the content. */
async function startSeed(options: Start = {}): Promise<Agent> {
  const seed = await start(options);
  await seed.share(content.path);
  return seed;
}

interface Download extends Partial<CreateJobFile> {
  readonly priority?: "foreground" | "normal";
}

/** Fetches the content to its end; which sources it came from. */
async function download(agent: Agent, { priority = "foreground", ...file }: Download) {
  const destination = join(site.directory, `got-${++count}.bin`);
  const { contentId } = content;
  const job = await agent.jobs.createJob({
    priority,
    files: [{ contentId, ...file, destination }],
  });
  const { files } = await job.transferred;
  await job.acknowledge();
  expect(await sha256Of(destination)).toBe(content.sha256);
  const [snapshot] = files;
  if (snapshot === undefined) throw new Error("the job has a file");
  return snapshot;
}

const connected = (agent: Agent, peerCount: number): Promise<void> =>
  until(() => agent.connectedPeers.length === peerCount, `${peerCount} peers`);

describe("a download mode", () => {
  test("with peers takes a file from them", async () => {
    const seed = await startSeed();
    const origin = await site.serve(content, { rateBytesPerSec: MiB });
    const agent = await start({ peers: seed.addresses, policies: { DODownloadMode: 1 } });
    await connected(agent, 1);
    const { peerBytes, downloadMode } = await download(agent, { url: origin.url });
    expect(peerBytes).toBeGreaterThan(0);
    expect(downloadMode).toBe(1);
    expect(agent.counters().shoal_lan_received_bytes_total).toBe(peerBytes);
    await until(() => seed.counters().shoal_lan_sent_bytes_total >= peerBytes, "the seed's count");
    expect(seed.counters().shoal_internet_sent_bytes_total).toBe(0);
  });

  test.each([0, 2, 99, 100])(
    "%i dials nobody, listens to nobody and offers nothing (R-GRP-01)",
    async (mode) => {
      const seed = await startSeed();
      const origin = await site.serve(content);
      const policies = { DODownloadMode: mode };
      const agent = await start({ peers: seed.addresses, policies, mdns: true });
      expect(agent.addresses).toEqual([]);
      const snapshot = await download(agent, { url: origin.url });
      expect(snapshot).toMatchObject({ peerBytes: 0, originBytes: content.length });
      expect(snapshot.downloadMode).toBe(mode);
      expect(seed.connectedPeers).toEqual([]);
      expect(agent.servedContents).toEqual([]);
      expect(agent.configuration().peering).toMatchObject({ partners: "none", mayServe: false });
    },
  );

  test("without peers takes what is shared for later", async () => {
    const agent = await start({ policies: { DODownloadMode: 0 } });
    expect(await agent.share(content.path)).toBe(content.contentId);
    expect(agent.servedContents).toEqual([]);
  });

  test("2 without a source of the group's id says that the key is missing", async () => {
    const agent = await start({ policies: { DODownloadMode: 2, DOGroupIdSource: 1 } });
    const { policies, peering } = agent.configuration();
    expect(peering.reasons).toEqual(["groupKeyMissing"]);
    expect(policies).toContainEqual(
      expect.objectContaining({ name: "DOGroupIdSource", effect: "none" }),
    );
  });

  test("99 looks for no manifest, and checks what the job itself names", async () => {
    const origin = await site.serve(content);
    const agent = await start({ policies: { DODownloadMode: 99 }, trustedKeys: [] });
    const destination = join(site.directory, "plain.bin");
    const job = await agent.jobs.createJob({ files: [{ url: origin.url, destination }] });
    const { files } = await job.transferred;
    expect(files[0]).toMatchObject({ integrity: "none" });
    expect((await download(agent, { url: origin.url })).integrity).toBe("pieces");
  });

  test.each([
    [99, true],
    [100, false],
  ])("%i asks a cache server: %s", async (mode, isAsked) => {
    const [origin, cache] = [await site.serve(content), await site.serve(content)];
    const agent = await start({
      policies: { DODownloadMode: mode, DOCacheHost: new URL(cache.url).host },
    });
    const { cacheServerBytes } = await download(agent, { url: origin.url });
    expect(cacheServerBytes > 0).toBe(isAsked);
  });
});

describe("a file below the least length", () => {
  test("is fetched as in mode 99, whoever has it, and is not offered", async () => {
    const seed = await startSeed();
    const origin = await site.serve(content);
    const agent = await start({ peers: seed.addresses, policies: { DOMinFileSizeToCache: 9 } });
    await connected(agent, 1);
    const snapshot = await download(agent, { url: origin.url });
    expect(snapshot).toMatchObject({ peerBytes: 0, downloadMode: 99, integrity: "pieces" });
    expect(agent.servedContents).toEqual([]);
  });

  test("does not wait for peers that it cannot have", async () => {
    const origin = await site.serve(content);
    const policies = { DOMinFileSizeToCache: 9, DODelayForegroundDownloadFromHttp: 3_600 };
    const agent = await start({ policies });
    const { originBytes } = await download(agent, { url: origin.url });
    expect(originBytes).toBe(content.length);
  });

  test("is fetched from peers when it is as long as that", async () => {
    const seed = await startSeed();
    const agent = await start({ peers: seed.addresses, policies: { DOMinFileSizeToCache: 8 } });
    expect(await download(agent, {})).toMatchObject({ peerBytes: content.length, downloadMode: 1 });
  });
});

describe("a machine that policy does not let take part", () => {
  test.each<[string, Policies, MachineFacts, string]>([
    ["little memory", { DOMinRAMAllowedToPeer: 4 }, { ramBytes: 3 * GiB }, "ramTooSmall"],
    ["a small disk", { DOMinDiskSizeAllowedToPeer: 32 }, { diskBytes: GiB }, "diskTooSmall"],
    ["a VPN", { DOAllowVPNPeerCaching: 0 }, { hasVpn: true }, "vpnUp"],
  ])("for %s has no peers, and has them when that is over", async (_, policies, facts, reason) => {
    const seed = await startSeed();
    const options = { peers: seed.addresses, policies, machineProbe: () => facts };
    const agent = await start({ ...options, settings: { dialBackoffMsMin: 10 } });
    expect(agent.configuration().peering.reasons).toEqual([reason]);
    const origin = await site.serve(content);
    expect(await download(agent, { url: origin.url })).toMatchObject({ peerBytes: 0 });
    expect(seed.connectedPeers).toEqual([]);
    // On VPN whoever is found by local discovery may have it.
    expect(agent.servedContents).toHaveLength(reason === "vpnUp" ? 1 : 0);
    agent.setMachine({ ramBytes: 4 * GiB, diskBytes: 32 * GiB, hasVpn: false });
    await connected(agent, 1);
    expect(agent.servedContents).toEqual([content.contentId]);
    expect(agent.configuration().peering).toMatchObject({ partners: "all", reasons: [] });
  });

  test("lets go of its peers in the middle of a file, which goes on from the origin", async () => {
    const seed = await startSeed({ settings: { uploadRateBytesPerSec: MiB } });
    const origin = await site.serve(content, { rateBytesPerSec: 4 * MiB });
    const policies = { DOAllowVPNPeerCaching: 0 };
    const settings = { p2pDelayForegroundMs: 1_500, dialBackoffMsMin: 10 };
    const agent = await start({ peers: seed.addresses, policies, settings });
    await connected(agent, 1);
    const came = until(
      () => agent.counters().shoal_peer_received_bytes_total > 0,
      "a piece of a peer",
    ).then(() => agent.setMachine({ hasVpn: true }));
    const { peerBytes, originBytes } = await download(agent, { url: origin.url });
    await came;
    expect(peerBytes).toBeGreaterThan(0);
    expect(originBytes).toBeGreaterThan(content.length / 2);
    expect(seed.connectedPeers).toEqual([]);
  });
});

describe("a machine on battery", () => {
  const policies = { DOMinBatteryPercentageAllowedToUpload: 40 };
  const low: MachineFacts = { isOnBattery: true, batteryPercent: 20 };

  test("gives nothing and takes what peers have", async () => {
    const seed = await startSeed();
    const agent = await start({ peers: seed.addresses, policies, machineProbe: () => low });
    expect(await download(agent, {})).toMatchObject({ peerBytes: content.length });
    expect(agent.servedContents).toEqual([]);
    expect(agent.configuration().peering.reasons).toEqual(["onBattery"]);
  });

  test("takes its offer back, so that others go on from the origin, and renews it on mains", async () => {
    const seed = await startSeed({ policies, settings: { uploadRateBytesPerSec: MiB } });
    const origin = await site.serve(content, { rateBytesPerSec: 8 * MiB });
    const agent = await start({ peers: seed.addresses, settings: { p2pDelayForegroundMs: 1_500 } });
    await connected(agent, 1);
    const came = until(
      () => agent.counters().shoal_peer_received_bytes_total > 0,
      "a piece of a peer",
    ).then(() => seed.setMachine(low));
    const { originBytes } = await download(agent, { url: origin.url });
    await came;
    expect(originBytes).toBeGreaterThan(content.length / 2);
    expect(seed.servedContents).toEqual([]);
    expect(seed.bans.list()).toEqual([]);
    seed.setMachine({ isOnBattery: false });
    expect(seed.servedContents).toEqual([content.contentId]);
    const third = await start({ peers: seed.addresses });
    seed.setLimits({ uploadRateBytesPerSec: 0 });
    expect(await download(third, {})).toMatchObject({ peerBytes: content.length });
  });
});

describe("restricted selection of peers", () => {
  test("to local discovery leaves out peers that were named", async () => {
    const seed = await startSeed();
    const origin = await site.serve(content);
    const policies = { DORestrictPeerSelectionBy: 2 };
    const agent = await start({ peers: seed.addresses, policies });
    expect(await download(agent, { url: origin.url })).toMatchObject({ peerBytes: 0 });
    expect(seed.connectedPeers).toEqual([]);
    expect(agent.configuration().peering.reasons).toEqual(["localDiscoveryOnly"]);
    seed.addPeer(agent.addresses[0] ?? "");
    await until(() => agent.counters().shoal_peer_bans_total === 0, "no ban");
    expect(agent.servedContents).toEqual([content.contentId]);
  });

  test("to the subnet takes peers on this machine", async () => {
    const seed = await startSeed();
    const agent = await start({
      peers: seed.addresses,
      policies: { DORestrictPeerSelectionBy: 1 },
    });
    expect(await download(agent, {})).toMatchObject({ peerBytes: content.length });
  });
});

describe("a private file", () => {
  let origin: TestOrigin;
  beforeEach(async () => {
    origin = await site.serve(content);
  });

  /** Whether a peer can have the content from the agent, and what else it could. */
  async function isGiven(agent: Agent): Promise<boolean> {
    const peer = await start({ peers: agent.addresses, settings: { manifestTimeoutMs: 500 } });
    await connected(peer, 1);
    return await download(peer, {}).then(
      () => true,
      () => false,
    );
  }

  test.each<[string, (url: string) => Download]>([
    ["a query string", (url) => ({ url: `${url}?token=secret` })],
    ["header fields", (url) => ({ url, request: { headers: [["X-Token", "secret"]] } })],
    [
      "credentials",
      (url) => ({ url, request: { challengeHeaders: [["Authorization", "Basic c2VjcmV0"]] } }),
    ],
  ])(
    "asked for with %s is given to nobody, after a restart either (R-PRIV-02, R-PRIV-03)",
    async (_, fileOf) => {
      let agent = await start({ name: "owner" });
      await download(agent, fileOf(origin.url));
      expect(agent.servedContents).toEqual([]);
      expect(await isGiven(agent)).toBe(false);
      await agent.close();
      agent = await start({ name: "owner" });
      expect(agent.servedContents).toEqual([]);
      expect(await isGiven(agent)).toBe(false);
    },
  );

  test("is given where its job says that it may be", async () => {
    const agent = await start({ name: "owner" });
    await download(agent, { url: `${origin.url}?version=2`, isShareable: true });
    expect(agent.servedContents).toEqual([content.contentId]);
    expect(await isGiven(agent)).toBe(true);
    await agent.close();
    const again = await start({ name: "owner" });
    await until(() => again.servedContents.length === 1, "the offer after a restart");
  });

  test("takes from peers what they give to everybody", async () => {
    const seed = await startSeed();
    const agent = await start({ peers: seed.addresses });
    await connected(agent, 1);
    const slow = await site.serve(content, { rateBytesPerSec: 512 * KiB });
    const { peerBytes } = await download(agent, { url: `${slow.url}?token=secret` });
    expect(peerBytes).toBeGreaterThan(0);
    expect(agent.servedContents).toEqual([]);
  });
});
