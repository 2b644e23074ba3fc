/**
 * The main job: one origin process, several agent processes with empty state, one file. All agents
 * start at once, and fetch the file from the origin and from each other.
 *
 * Knows processes and files. Does not know how it is shown; tells whoever watches.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SIDECAR_SUFFIX } from "@shoal/core";
import type { JobSnapshot } from "@shoal/core";
import { describeFile } from "@shoal/store";
import type { AgentOrder, AgentReport } from "./agent-process.ts";
import { Child } from "./child.ts";
import type { OriginOrder, OriginReport } from "./origin-process.ts";
import { sha256OfFile } from "./source-file.ts";
import type { SourceFile } from "./source-file.ts";

export interface DeliveryOptions {
  readonly agentCount: number;
  /** Most bytes the origin sends per second. Default: no limit. */
  readonly originRateBytesPerSec?: number;
  /** How long the agents may take. */
  readonly timeoutMs: number;
}

export interface DeliveryDeps {
  readonly source: SourceFile;
  /** An empty directory for state and downloads; whoever gives it removes it. */
  readonly directory: string;
  readonly signal: AbortSignal;
  /** Called when a step begins. */
  readonly onStep: (step: string) => void;
  /** Called whenever an agent has news; the latest snapshot of each. */
  readonly onProgress: (agents: readonly AgentProgress[]) => void;
}

export interface AgentProgress {
  readonly name: string;
  readonly snapshot: JobSnapshot | undefined;
}

export interface AgentResult {
  readonly name: string;
  /** From the start of its job to the file in its place. */
  readonly elapsedMs: number;
  readonly originBytes: number;
  readonly peerBytes: number;
  readonly wastedBytes: number;
  /** SHA-256 of the published file, read back from disk. */
  readonly sha256: string;
  readonly isVerified: boolean;
  readonly maxRssBytes: number;
}

export interface DeliveryResult {
  readonly length: number;
  /** SHA-256 of the file at the origin. */
  readonly sha256: string;
  readonly contentId: string;
  readonly agents: readonly AgentResult[];
  /** Bytes of the file that the origin sent; its manifest, of 32 bytes per piece, not counted. */
  readonly originSentBytes: number;
}

type AgentChild = Child<AgentOrder, AgentReport>;

/**
 * Delivers the source to every agent. Rejects with the failure of the first agent or origin that
 * fails, after all processes have ended.
 */
export async function deliver(
  { source, directory, signal, onStep, onProgress }: DeliveryDeps,
  { agentCount, originRateBytesPerSec, timeoutMs }: DeliveryOptions,
): Promise<DeliveryResult> {
  onStep(`Publishing ${source.name}: one SHA-256 per piece`);
  const { bytes, contentId } = await describeFile(source.path, { signal });
  const sha256 = await sha256OfFile(source.path, signal);
  const manifestPath = join(directory, `manifest${SIDECAR_SUFFIX}`);
  await writeFile(manifestPath, bytes);
  const files = { [source.name]: source.path, [source.name + SIDECAR_SUFFIX]: manifestPath };

  onStep(`Starting an origin and ${agentCount} agents`);
  await using processes = new AsyncDisposableStack();
  const origin = processes.use(
    new Child<OriginOrder, OriginReport>(new URL("origin-process.ts", import.meta.url), {
      name: "origin",
      argument: {
        files,
        ...(originRateBytesPerSec === undefined ? {} : { rateBytesPerSec: originRateBytesPerSec }),
      },
      signal,
    }),
  );
  const swarm = new Swarm({ directory, signal, onProgress }, agentCount);
  processes.use(swarm);
  const { urls } = await origin.next("ready");
  await swarm.connect();

  onStep(`Delivering ${contentId}`);
  const url = urls[source.name] ?? "";
  const reports = await swarm.download({ url, contentId, timeoutMs });
  origin.send({ type: "count", name: source.name });
  const { sentBytes: originSentBytes } = await origin.next("counted");

  onStep("Reading the published files back");
  const agents: AgentResult[] = [];
  for (const { name, destination, report } of reports) {
    const readBack = await sha256OfFile(destination, signal);
    const { originBytes, peerBytes, wastedBytes } = report.snapshot;
    const { elapsedMs, maxRssBytes } = report;
    const result = { name, elapsedMs, originBytes, peerBytes, wastedBytes, maxRssBytes };
    agents.push({ ...result, sha256: readBack, isVerified: readBack === sha256 });
  }
  return { length: source.length, sha256, contentId, agents, originSentBytes };
}

interface Published {
  readonly name: string;
  readonly destination: string;
  readonly report: Extract<AgentReport, { readonly type: "published" }>;
}

/** The agents: each a process with a state directory of its own. */
class Swarm implements AsyncDisposable {
  readonly #directory: string;
  readonly #agents: readonly AgentChild[];
  readonly #connected = new Map<AgentChild, Set<string>>();
  readonly #progress: AgentProgress[];

  constructor(
    { directory, signal, onProgress }: Pick<DeliveryDeps, "directory" | "signal" | "onProgress">,
    agentCount: number,
  ) {
    this.#directory = directory;
    const names = Array.from({ length: agentCount }, (_, index) => `agent ${index + 1}`);
    this.#progress = names.map((name) => ({ name, snapshot: undefined }));
    this.#agents = names.map((name, index) => {
      const connected = new Set<string>();
      const onReport = (report: AgentReport): void => {
        if (report.type === "peerConnected") connected.add(report.peerId);
        if (report.type === "peerDisconnected") connected.delete(report.peerId);
        if (report.type !== "progress") return;
        this.#progress[index] = { name, snapshot: report.snapshot };
        onProgress(this.#progress);
      };
      const argument = {
        stateDirectory: join(directory, `state-${index + 1}`),
        listen: ["/ip4/127.0.0.1/tcp/0"],
        mdns: false,
        allowLoopbackPeers: true,
      };
      const script = new URL("agent-process.ts", import.meta.url);
      const agent: AgentChild = new Child(script, { name, argument, onReport, signal });
      this.#connected.set(agent, connected);
      return agent;
    });
  }

  /** Introduces every agent to every other and waits until all are connected. */
  async connect(): Promise<void> {
    const ready = await Promise.all(this.#agents.map((agent) => agent.next("ready")));
    for (const [index, agent] of this.#agents.entries()) {
      const others = ready.filter((_, other) => other !== index);
      agent.send({ type: "meet", addresses: others.flatMap(({ addresses }) => addresses) });
    }
    await Promise.all(
      [...this.#connected].map(async ([agent, connected]) => {
        while (connected.size < this.#agents.length - 1) await agent.next("peerConnected");
      }),
    );
  }

  /** Gives every agent the same job at the same time; resolves when all have published. */
  async download(options: {
    url: string;
    contentId: string;
    timeoutMs: number;
  }): Promise<readonly Published[]> {
    const { url, contentId, timeoutMs } = options;
    return Promise.all(
      this.#agents.map(async (agent, index) => {
        const destination = join(this.#directory, `delivered-${index + 1}`);
        agent.send({ type: "download", job: { files: [{ url, contentId, destination }] } });
        const report = await agent.next("published", timeoutMs);
        return { name: agent.name, destination, report };
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.close()));
  }
}
