/**
 * An agent process that waits for the order to download, and says afterwards what happened when. Its
 * first argument is `ColdOptions` as JSON. Times are of the machine's monotonic clock, which all
 * processes share.
 *
 * It ends when the channel to the process that started it does.
 */
import type { JobSnapshot, Notice } from "@shoal/core";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions, CreateJobOptions } from "@shoal/agent";
import { until } from "./harness.ts";

export interface ColdOptions extends AgentOptions {
  /** Starts the agent at once. Otherwise it starts with the order, with nothing but code loaded. */
  readonly isRunning: boolean;
  /** Who is running has been for a while: it waits until it has met so many others. */
  readonly neighbourCount: number;
}

export interface ColdOrder {
  readonly type: "download";
  readonly job: CreateJobOptions;
}

/** Notices that tell who was met and what was asked of the origin, and when. */
export interface ColdMoment {
  readonly atMs: number;
  readonly notice: Notice;
}

export type ColdReport =
  | { readonly type: "waiting" }
  | {
      readonly type: "published";
      readonly atMs: number;
      readonly peerId: string;
      readonly snapshot: JobSnapshot;
      readonly moments: readonly ColdMoment[];
      readonly cpuMs: number;
    }
  | { readonly type: "failed"; readonly error: { readonly message: string } };

const MOMENTS_MAX = 20_000;
const TOLD = new Set<Notice["type"]>([
  "originAsked",
  "pieceStored",
  "peerConnected",
  "peerDisconnected",
  "peerOffended",
]);

let stop = (): void => process.exit(0);
process.on("disconnect", () => stop());
const { isRunning, neighbourCount, ...options } = JSON.parse(
  process.argv[2] ?? "{}",
) as ColdOptions;
let running: Agent | undefined;
if (isRunning) await meet((running = await start()));
process.on("message", (message) => {
  download(message as ColdOrder).catch((error: unknown) => {
    report({ type: "failed", error: { message: String(error) } });
  });
});
report({ type: "waiting" });

async function start(): Promise<Agent> {
  const agent = await startAgent(options);
  // libp2p keeps a process alive for a while after it has stopped.
  stop = () => void agent.close().finally(() => process.exit(0));
  return agent;
}

async function meet(agent: Agent): Promise<void> {
  const isMet = (): boolean => agent.connectedPeers.length >= neighbourCount;
  await until(isMet, "the neighbours are connected");
}

async function download({ job: request }: ColdOrder): Promise<void> {
  const cpuBefore = process.cpuUsage();
  const agent = (running ??= await start());
  const moments: ColdMoment[] = [];
  agent.onNotice((notice) => {
    if (moments.length < MOMENTS_MAX && TOLD.has(notice.type)) {
      moments.push({ atMs: machineMs(), notice });
    }
  });
  const job = await agent.jobs.createJob(request);
  const snapshot = await job.transferred;
  await job.acknowledge();
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpuMs = (user + system) / 1_000;
  const { peerId } = agent;
  report({ type: "published", atMs: machineMs(), peerId, snapshot, moments, cpuMs });
}

function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function report(message: ColdReport): void {
  if (process.connected) process.send?.(message);
}
