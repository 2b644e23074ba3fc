/**
 * One agent in a process of its own, driven over the channel to the process that started it. Its
 * first argument is the agent's options as JSON.
 *
 * Jobs left in the state directory by an earlier run go on by themselves. A job is acknowledged as
 * soon as it is transferred, which puts its file in place. The agent closes when the channel does,
 * so that it never outlives whoever started it.
 */
import { isFinalState, ShoalError } from "@shoal/core";
import type { ErrorInfo, JobSnapshot, Notice } from "@shoal/core";
import { startAgent } from "@shoal/agent";
import type { AgentOptions, CreateJobOptions, Job } from "@shoal/agent";

/** What the starter asks for. */
export type AgentOrder =
  | { readonly type: "meet"; readonly addresses: readonly string[] }
  | { readonly type: "download"; readonly job: CreateJobOptions }
  | { readonly type: "share"; readonly path: string };

/** What the agent says. Peer notices pass as they are. */
export type AgentReport =
  | { readonly type: "ready"; readonly peerId: string; readonly addresses: readonly string[] }
  | { readonly type: "shared"; readonly contentId: string }
  | { readonly type: "progress"; readonly snapshot: JobSnapshot }
  | {
      readonly type: "published";
      /** The job when its last byte had come. */
      readonly snapshot: JobSnapshot;
      /** From the order, or the start of this process, to the file in its place. */
      readonly elapsedMs: number;
      /** User and system time of the process meanwhile. */
      readonly cpuMs: number;
      readonly maxRssBytes: number;
    }
  | { readonly type: "failed"; readonly error: ErrorInfo | { readonly message: string } }
  | Extract<Notice, { readonly type: `peer${string}` }>;

const PROGRESS_INTERVAL_MS = 200;

// A terminal's Ctrl-C reaches every process of its group; whoever started this one decides.
process.on("SIGINT", () => {});
let stop = (): void => process.exit(0);
process.on("disconnect", () => stop());
await run(JSON.parse(process.argv[2] ?? "{}") as AgentOptions).catch(reportFailure);

async function run(options: AgentOptions): Promise<void> {
  const agent = await startAgent(options);
  // libp2p keeps a process alive for a while after it has stopped.
  stop = () => void agent.close().finally(() => process.exit(0));
  if (!process.connected) return stop();
  agent.onNotice((notice) => {
    if (isPeerNotice(notice)) report(notice);
  });
  for (const peerId of agent.connectedPeers) report({ type: "peerConnected", peerId });
  process.on("message", (message) => {
    obey(message as AgentOrder).catch(reportFailure);
  });
  const obey = async (order: AgentOrder): Promise<void> => {
    if (order.type === "meet") for (const address of order.addresses) agent.addPeer(address);
    if (order.type === "download") {
      // The agent would try again by itself; who watches wants to know now.
      await complete(await agent.jobs.createJob({ ...order.job, failOnTransient: true }));
    }
    if (order.type === "share") {
      report({ type: "shared", contentId: await agent.share(order.path) });
    }
  };
  report({ type: "ready", peerId: agent.peerId, addresses: agent.addresses });
  for (const { jobId, state } of await agent.jobs.list()) {
    if (isFinalState(state)) continue;
    const job = await agent.jobs.get(jobId, { failOnTransient: true });
    if (job !== undefined) complete(job).catch(reportFailure);
  }
}

async function complete(job: Job): Promise<void> {
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  for await (const snapshot of job.progress({ intervalMs: PROGRESS_INTERVAL_MS })) {
    report({ type: "progress", snapshot });
  }
  const snapshot = await job.transferred;
  await job.acknowledge();
  const { user, system } = process.cpuUsage(cpuBefore);
  report({
    type: "published",
    snapshot,
    elapsedMs: performance.now() - startedAt,
    cpuMs: (user + system) / 1_000,
    maxRssBytes: process.resourceUsage().maxRSS * 1024,
  });
}

function isPeerNotice(
  notice: Notice,
): notice is Extract<Notice, { readonly type: `peer${string}` }> {
  return notice.type.startsWith("peer");
}

function report(message: AgentReport): void {
  // Without a channel there is nobody left to tell.
  if (process.connected) process.send?.(message);
}

function reportFailure(error: unknown): void {
  const { message } = error instanceof Error ? error : new Error(String(error));
  const code = error instanceof ShoalError ? { code: error.code } : {};
  report({ type: "failed", error: { ...code, message } });
}
