/**
 * A program for the test of the monthly cap: an agent that shares a file with a peer at a public
 * address, until the cap, and again after a restart. It is run in a network namespace of its own,
 * whose loopback interface has that address. Arguments: directory, file, address, cap in bytes.
 */
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent } from "@shoal/agent";
import { until } from "./harness.ts";

/** What the program prints. */
export interface MonthCapReport {
  /** Sent to the Internet before the restart, and after it. */
  readonly sentBytes: number;
  readonly sentAgainBytes: number;
  readonly lanBytes: number;
}

const [directory = "", file = "", address = "", cap = "0"] = process.argv.slice(2);

function start(name: string, settings: object, listen: readonly string[]): Promise<Agent> {
  const stateDirectory = join(directory, name);
  const options = { listen, mdns: false, watchNetwork: false, policies: { DODownloadMode: 3 } };
  return startAgent({ stateDirectory, ...options, settings });
}

const listen = [`/ip4/${address}/tcp/0`];
const settings = { internetUploadMonthBytesMax: Number(cap), uploadsMax: 1 };
const peer = await start("peer", { retryDelayMsMin: 50, dialBackoffMsMin: 10 }, []);
const refused = (agent: Agent): Promise<void> =>
  until(() => agent.counters().shoal_uploads_refused_total > 0, "a refusal", 20_000);

const seed = await start("seed", settings, listen);
const contentId = await seed.share(file);
peer.addPeer(seed.addresses[0] ?? "");
const destination = join(directory, "got.bin");
await peer.jobs.createJob({ files: [{ contentId, destination }] });
await until(
  () => seed.counters().shoal_internet_sent_bytes_total >= Number(cap),
  "the cap",
  20_000,
);
await refused(seed);
const before = seed.counters();
await seed.close();
const again = await start("seed", settings, listen);
await until(() => again.servedContents.length > 0, "the offer after the restart");
peer.addPeer(again.addresses[0] ?? "");
await refused(again);
const after = again.counters();
const report: MonthCapReport = {
  sentBytes: before.shoal_internet_sent_bytes_total,
  sentAgainBytes: after.shoal_internet_sent_bytes_total,
  lanBytes: before.shoal_lan_sent_bytes_total + after.shoal_lan_sent_bytes_total,
};
console.log(JSON.stringify(report));
await Promise.all([again.close(), peer.close()]);
process.exit(0);
