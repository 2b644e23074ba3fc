/**
 * An agent in a process of its own that says how long a job took to its first and to its last
 * verified piece, and until its files were in their places. Its first argument is the agent's
 * options as JSON. It ends when the channel to the process that started it does.
 */
import { startAgent } from "@shoal/agent";
import type { AgentOptions, CreateJobOptions } from "@shoal/agent";

export type LatencyOrder =
  /** Resolves at once; with `wait`, when somebody is connected. */
  | { readonly type: "meet"; readonly addresses: readonly string[]; readonly wait: boolean }
  | { readonly type: "share"; readonly path: string }
  | { readonly type: "download"; readonly job: CreateJobOptions };

export type LatencyReport =
  | { readonly type: "ready" | "met" | "shared"; readonly addresses: readonly string[] }
  | {
      readonly type: "done";
      readonly firstByteMs: number;
      readonly lastByteMs: number;
      readonly inPlaceMs: number;
    }
  | { readonly type: "failed"; readonly error: { readonly message: string } };

const agent = await startAgent(JSON.parse(process.argv[2] ?? "{}") as AgentOptions);
// libp2p keeps a process alive for a while after it has stopped.
process.on("disconnect", () => void agent.close().finally(() => process.exit(0)));
process.on("message", (message) => {
  obey(message as LatencyOrder).catch((error: unknown) => {
    report({ type: "failed", error: { message: String(error) } });
  });
});
report({ type: "ready", addresses: agent.addresses });

async function obey(order: LatencyOrder): Promise<void> {
  const { addresses } = agent;
  if (order.type === "meet") {
    const met = order.wait ? someoneConnected() : Promise.resolve();
    for (const address of order.addresses) agent.addPeer(address);
    await met;
    return report({ type: "met", addresses });
  }
  if (order.type === "share") {
    await agent.share(order.path);
    return report({ type: "shared", addresses });
  }
  const pieces: number[] = [];
  const startedAt = performance.now();
  const unsubscribe = agent.onNotice((notice) => {
    if (notice.type === "pieceStored") pieces.push(performance.now() - startedAt);
  });
  const job = await agent.jobs.createJob(order.job);
  await job.transferred;
  await job.acknowledge();
  const inPlaceMs = performance.now() - startedAt;
  unsubscribe();
  report({
    type: "done",
    firstByteMs: pieces[0] ?? NaN,
    lastByteMs: pieces.at(-1) ?? NaN,
    inPlaceMs,
  });
}

function someoneConnected(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  agent.onNotice((notice) => {
    if (notice.type === "peerConnected") resolve();
  });
  return promise;
}

function report(message: LatencyReport): void {
  if (process.connected) process.send?.(message);
}
