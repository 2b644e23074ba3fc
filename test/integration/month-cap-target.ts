/**
 * The uploader in the test of the monthly cap: it shares a file, or what it shared before it was
 * restarted, until it has refused a request, and tells then what it has sent to whom. Its first
 * argument is `CappedOptions` as JSON.
 *
 * It ends when the channel to the process that started it does.
 */
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions } from "@shoal/agent";
import { until } from "./harness.ts";

export interface CappedOptions extends AgentOptions {
  /** What to share. Otherwise it waits until it serves what it did before. */
  readonly path?: string;
  /** A refusal counts once so much has been sent. */
  readonly sentBytesMin: number;
}

export type CappedReport =
  | { readonly type: "serving"; readonly addresses: readonly string[] }
  | { readonly type: "refused"; readonly internetBytes: number; readonly lanBytes: number }
  | { readonly type: "failed"; readonly error: { readonly message: string } };

const REFUSAL_TIMEOUT_MS = 20_000;

let stop = (): void => process.exit(0);
process.on("disconnect", () => stop());
const { path, sentBytesMin, ...options } = JSON.parse(process.argv[2] ?? "{}") as CappedOptions;
await run().catch((error: unknown) => {
  report({ type: "failed", error: { message: String(error) } });
});

async function run(): Promise<void> {
  const agent = await startAgent(options);
  // libp2p keeps a process alive for a while after it has stopped.
  stop = () => void agent.close().finally(() => process.exit(0));
  if (path !== undefined) await agent.share(path);
  await until(() => agent.servedContents.length > 0, "the file is served");
  report({ type: "serving", addresses: agent.addresses });
  await refusal(agent);
  const counters = agent.counters();
  report({
    type: "refused",
    internetBytes: counters.shoal_internet_sent_bytes_total,
    lanBytes: counters.shoal_lan_sent_bytes_total,
  });
}

/** Waits for a request that is refused after the least bytes were sent. */
async function refusal(agent: Agent): Promise<void> {
  const isSent = (): boolean => agent.counters().shoal_internet_sent_bytes_total >= sentBytesMin;
  await until(isSent, `${sentBytesMin} bytes are sent to the Internet`, REFUSAL_TIMEOUT_MS);
  const isRefused = (): boolean => agent.counters().shoal_uploads_refused_total > 0;
  await until(isRefused, "a request is refused", REFUSAL_TIMEOUT_MS);
}

function report(message: CappedReport): void {
  if (process.connected) process.send?.(message);
}
