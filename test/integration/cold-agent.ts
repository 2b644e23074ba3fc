/**
 * An agent process that waits, loaded and with nothing done, for the order to start and download,
 * and says afterwards what happened when. Its first argument is the agent's options as JSON. Times
 * are of the machine's monotonic clock, which all processes share.
 *
 * It ends when the channel to the process that started it does.
 */
import type { JobSnapshot, Notice } from "@shoal/core";
import { startAgent } from "@shoal/agent";
import type { AgentOptions, CreateJobOptions } from "@shoal/agent";

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
  | { readonly type: "loaded" }
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

const options = JSON.parse(process.argv[2] ?? "{}") as AgentOptions;
let stop = (): void => process.exit(0);
process.on("disconnect", () => stop());
process.on("message", (message) => {
  download(message as ColdOrder).catch((error: unknown) => {
    report({ type: "failed", error: { message: String(error) } });
  });
});
report({ type: "loaded" });

async function download({ job: request }: ColdOrder): Promise<void> {
  const cpuBefore = process.cpuUsage();
  const agent = await startAgent(options);
  // libp2p keeps a process alive for a while after it has stopped.
  stop = () => void agent.close().finally(() => process.exit(0));
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
