/** Shoal as a contender: agents in processes of their own, as they run in production. */
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { AgentProcess, AgentProcessOptions } from "../../integration/harness.ts";
import { bundledAgent } from "../bundled-agent.ts";
import { ProcessMeter } from "../process-meter.ts";
import type { Contender, Transfer, Turn } from "../transfer.ts";
import { RUN_TIMEOUT_MS } from "../transfer.ts";

/**
 * From peers alone. `transports`: as the agent chooses, or Noise. `isCold`: it is the first transfer
 * of agents that have just started, whatever the others do.
 */
export function shoalPeers(transports: "both" | "noise", isCold = false): Contender {
  const agent = transports === "noise" ? { settings: { peerTls: 0 } } : {};
  return ({ warmUp, ...turn }) => {
    const warm = warmUp !== undefined && !isCold ? { warmUp } : {};
    return download({ ...turn, ...warm }, { peers: true, agent });
  };
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
  const { site, content, directories, ready, warmUp } = turn;
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
  const fetch = async (of: Pick<Turn, "content" | "directories">): Promise<void> => {
    for (const [index, agent] of agents.entries()) {
      const known = [...seedAddresses, ...addresses.slice(0, index).flat()];
      if (sources.peers === true) agent.send({ type: "meet", addresses: known });
      agent.send({ type: "download", job: { files: [fileOf(of, sources, index)] } });
    }
    await Promise.all(agents.map((agent) => agent.next("published", RUN_TIMEOUT_MS)));
  };
  if (warmUp !== undefined && seed !== undefined) {
    seed.send({ type: "share", path: warmUp.content.path });
    await seed.next("shared", RUN_TIMEOUT_MS);
    await fetch(warmUp);
  }
  await ready();
  const seedMeter = seed === undefined ? undefined : await ProcessMeter.start(seed.pid);
  const meters = await Promise.all(agents.map(({ pid }) => ProcessMeter.start(pid)));
  const startedAt = performance.now();
  await fetch(turn);
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

function fileOf(
  { content, directories }: Pick<Turn, "content" | "directories">,
  sources: Sources,
  index: number,
) {
  const { url, isVerified = true } = sources;
  const destination = join(directories[index] ?? "", content.name);
  const contentId = isVerified ? { contentId: content.contentId } : {};
  return { ...(url !== undefined && { url }), ...contentId, destination };
}
