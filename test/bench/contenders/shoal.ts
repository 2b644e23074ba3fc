/** Shoal as a contender: agents in processes of their own, as they run in production. */
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { AgentProcess, AgentProcessOptions } from "../../integration/harness.ts";
import { bundledAgent } from "../bundled-agent.ts";
import { ProcessMeter } from "../process-meter.ts";
import type { Contender, Transfer, Turn } from "../transfer.ts";
import { RUN_TIMEOUT_MS } from "../transfer.ts";

/** From peers alone. `transports`: as the agent chooses, or Noise. */
export function shoalPeers(transports: "both" | "noise"): Contender {
  const settings = transports === "noise" ? { settings: { peerTls: 0 } } : {};
  return (turn) => download(turn, { peers: true, agent: settings });
}

/** From an HTTP origin, with every piece verified or with nothing to verify by. */
export function shoalOrigin(url: string, isVerified: boolean): Contender {
  return (turn) => download(turn, { url, isVerified, agent: { listen: [] } });
}

/** From an origin and a peer. */
export function shoalMixed(url: string): Contender {
  return (turn) => download(turn, { peers: true, url, agent: {} });
}

interface Sources {
  readonly peers?: boolean;
  readonly url?: string;
  readonly isVerified?: boolean;
  readonly agent: AgentProcessOptions;
}

async function download(turn: Turn, sources: Sources): Promise<Transfer> {
  const { site, content, directories, ready } = turn;
  const script = await bundledAgent(site);
  const start = async (): Promise<AgentProcess> => {
    const stateDirectory = await mkdtemp(join(site.directory, "state-"));
    return site.startAgent("bench", { ...sources.agent, stateDirectory, script });
  };
  await using stack = new AsyncDisposableStack();
  const seed = sources.peers === true ? stack.use(await start()) : undefined;
  const seedAddresses = seed === undefined ? [] : (await seed.next("ready")).addresses;
  seed?.send({ type: "share", path: content.path });
  await seed?.next("shared", RUN_TIMEOUT_MS);
  const agents: AgentProcess[] = [];
  for (const _ of directories) agents.push(stack.use(await start()));
  const addresses: (readonly string[])[] = [];
  for (const agent of agents) addresses.push((await agent.next("ready")).addresses);
  await ready();
  const seedMeter = seed === undefined ? undefined : await ProcessMeter.start(seed.pid);
  const meters = await Promise.all(agents.map(({ pid }) => ProcessMeter.start(pid)));
  const startedAt = performance.now();
  for (const [index, agent] of agents.entries()) {
    const known = [...seedAddresses, ...addresses.slice(0, index).flat()];
    if (sources.peers === true) agent.send({ type: "meet", addresses: known });
    agent.send({ type: "download", job: { files: [fileOf(turn, sources, index)] } });
  }
  await Promise.all(agents.map((agent) => agent.next("published", RUN_TIMEOUT_MS)));
  const ms = performance.now() - startedAt;
  const used = await Promise.all(meters.map((meter) => meter.read()));
  const uploader = await seedMeter?.read();
  return {
    ms,
    downloaderCpuMs: used.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / used.length,
    downloaderRssBytes: Math.max(...used.map(({ peakRssBytes }) => peakRssBytes)),
    ...(uploader && { uploaderCpuMs: uploader.cpuMs, uploaderRssBytes: uploader.peakRssBytes }),
  };
}

function fileOf({ content, directories }: Turn, sources: Sources, index: number) {
  const { url, isVerified = true } = sources;
  const destination = join(directories[index] ?? "", content.name);
  const contentId = isVerified ? { contentId: content.contentId } : {};
  return { ...(url !== undefined && { url }), ...contentId, destination };
}
