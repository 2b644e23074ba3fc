/**
 * A process that runs one agent after another under attack, and measures what each costs: the
 * largest heap with what hangs outside of it, and the most descriptors open at a time. Driven over
 * the channel by `Siege`.
 *
 * Knows agents and numbers. Knows nothing of attackers.
 */
import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions, CreateJobOptions, Notice } from "@shoal/agent";
import type { Ban, CounterName, JobSnapshot } from "@shoal/core";

export type BesiegedOrder =
  | { readonly type: "start"; readonly options: AgentOptions }
  | { readonly type: "meet"; readonly addresses: readonly string[] }
  | { readonly type: "share"; readonly path: string }
  | { readonly type: "download"; readonly job: CreateJobOptions }
  | { readonly type: "look" }
  | { readonly type: "stop" };

/** What peers and addresses did, as the agent tells it. */
export type ConductNotice = Extract<Notice, { readonly type: `peer${string}` | "addressBanned" }>;

/** Descriptors are 0 where the system does not list them. */
export interface BesiegedLook {
  readonly type: "looked";
  readonly bans: readonly Ban[];
  readonly counters: Readonly<Record<CounterName, number>>;
  readonly notices: readonly ConductNotice[];
  readonly connectedPeers: readonly string[];
  /** Since the agent was started. */
  readonly memoryBytesPeak: number;
  readonly descriptorsPeak: number;
}

export type BesiegedReport =
  | { readonly type: "started"; readonly peerId: string; readonly addresses: readonly string[] }
  | { readonly type: "shared" }
  | { readonly type: "published"; readonly snapshot: JobSnapshot; readonly elapsedMs: number }
  | BesiegedLook
  /** After the agent is closed and garbage collected. */
  | { readonly type: "stopped"; readonly memoryBytes: number; readonly descriptors: number }
  | { readonly type: "failed"; readonly error: { readonly message: string } };

const MEASURE_INTERVAL_MS = 20;

let agent: Agent | undefined;
let notices: ConductNotice[] = [];
let memoryBytesPeak = 0;
let descriptorsPeak = 0;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
setInterval(measure, MEASURE_INTERVAL_MS).unref();
process.on("disconnect", () => process.exit(0));
process.on("message", (order) => {
  obey(order as BesiegedOrder).catch((error: unknown) =>
    report({ type: "failed", error: { message: String(error) } }),
  );
});

async function obey(order: BesiegedOrder): Promise<void> {
  if (order.type === "start") return start(order.options);
  if (agent === undefined) throw new Error("no agent has been started");
  switch (order.type) {
    case "meet":
      for (const address of order.addresses) agent.addPeer(address);
      return;
    case "share":
      await agent.share(order.path);
      return report({ type: "shared" });
    case "download":
      return download(agent, order.job);
    case "look":
      return look(agent);
    case "stop":
      await agent.close();
      agent = undefined;
      return rest();
    default:
  }
}

async function start(options: AgentOptions): Promise<void> {
  notices = [];
  memoryBytesPeak = 0;
  descriptorsPeak = 0;
  agent = await startAgent(options);
  agent.onNotice((notice) => {
    if (isConductNotice(notice)) notices.push(notice);
  });
  report({ type: "started", peerId: agent.peerId, addresses: agent.addresses });
}

async function download({ jobs }: Agent, options: CreateJobOptions): Promise<void> {
  const startedAt = performance.now();
  const job = await jobs.createJob({ ...options, failOnTransient: true });
  const snapshot = await job.transferred;
  await job.acknowledge();
  report({ type: "published", snapshot, elapsedMs: performance.now() - startedAt });
}

function look(running: Agent): void {
  measure();
  report({
    type: "looked",
    bans: running.bans.list(),
    counters: running.counters(),
    notices,
    connectedPeers: running.connectedPeers,
    memoryBytesPeak,
    descriptorsPeak,
  });
}

/** Sockets that were closed are gone a few turns later. */
async function rest(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise(setImmediate);
    collectGarbage();
  }
  report({ type: "stopped", memoryBytes: memoryBytes(), descriptors: descriptors() });
}

function isConductNotice(notice: Notice): notice is ConductNotice {
  return notice.type.startsWith("peer") || notice.type === "addressBanned";
}

function measure(): void {
  memoryBytesPeak = Math.max(memoryBytesPeak, memoryBytes());
  descriptorsPeak = Math.max(descriptorsPeak, descriptors());
}

function memoryBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function descriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}

function report(message: BesiegedReport): void {
  if (process.connected) process.send?.(message);
}
