/**
 * Agents that start again find their swarm in seconds: by mDNS, and without it by the peers that
 * delivered in the run before. Each agent is in a network namespace of its own; the test skips, with
 * the reason, where the kernel refuses them.
 */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentReport } from "../../examples/main-job/agent-process.ts";
import { sha256Of, TestSite, until } from "./harness.ts";
import type { AgentProcess } from "./harness.ts";
import type { LabHost } from "./namespaces.ts";
import { NetworkLab } from "./namespaces.ts";

const LENGTH = 16 * MiB;
/** The holders' links let the file pass in about 8 s: peers are stored before the middle. */
const RATE_BITS_PER_SEC = 8e6;
/** Once peers are found, there is nothing left to wait for. */
const RATE_BITS_PER_SEC_REST = 1e9;
const HOLDER_COUNT = 2;
const FOUND_MS_MAX = 5_000;

let site: TestSite;
beforeEach(async () => void (site = await TestSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

test.for([
  { how: "mDNS alone", mdns: true, remembers: false },
  { how: "what it remembers alone", mdns: false, remembers: true },
])(
  "an agent that was killed receives from peers again within 5 s, by $how",
  async ({ how, mdns, remembers }, context) => {
    const lab = await NetworkLab.create();
    if (typeof lab === "string") return context.skip(lab);
    site.use(lab);
    const lan = await lab.addSwitch();
    const content = await site.publish("file.bin", LENGTH);
    const hosts: LabHost[] = [];
    for (let i = 0; i < HOLDER_COUNT; i++) {
      const host = await lab.addHost(lan);
      hosts.push(host);
      await host.shape({ rateBitsPerSec: RATE_BITS_PER_SEC });
      const holder = start(`holder${i}`, host);
      await holder.next("ready");
      holder.send({ type: "share", path: content.path });
      await holder.next("shared");
    }
    const host = await lab.addHost(lan);
    const destination = join(site.directory, "fetched.bin");
    const first = new Watch();
    const killed = start("agent", host, { onReport: (report) => first.take(report) });
    await killed.next("ready");
    const { contentId } = content;
    killed.send({ type: "download", job: { files: [{ contentId, destination }] } });
    await until(() => first.grewBytes > LENGTH / 2, "half has come", 30_000);
    await killed.kill();
    if (!remembers) forgetPeers();
    const second = new Watch();
    const again = start("agent", host, { mdns, onReport: (report) => second.take(report) });
    await again.next("ready");
    const startedAt = performance.now();
    await until(() => second.grewAt !== undefined, "peers deliver again", 30_000);
    const foundMs = (second.grewAt ?? Infinity) - startedAt;
    console.log(`restart: received from a peer ${(foundMs / 1_000).toFixed(2)} s later, by ${how}`);
    for (const holder of hosts) await holder.shape({ rateBitsPerSec: RATE_BITS_PER_SEC_REST });
    await again.next("published", 60_000);
    expect(await sha256Of(destination)).toBe(content.sha256);
    expect(foundMs).toBeLessThan(FOUND_MS_MAX);
  },
);

function forgetPeers(): void {
  const database = new DatabaseSync(join(site.directory, "state-agent", "state.db"));
  database.exec("DELETE FROM peers");
  database.close();
}

function start(
  name: string,
  { within }: LabHost,
  options: { mdns?: boolean; onReport?: (report: AgentReport) => void } = {},
): AgentProcess {
  const settings = { manifestTimeoutMs: 30_000 };
  const place = { listen: ["/ip4/0.0.0.0/tcp/0"], allowLoopbackPeers: false, within, settings };
  return site.startAgent(name, { ...place, mdns: true, ...options });
}

/** What one run has received from peers, seen from its first report on. */
class Watch {
  grewBytes = 0;
  grewAt: number | undefined;
  #first: number | undefined;

  take(report: AgentReport): void {
    if (report.type !== "progress") return;
    const { peerBytes } = report.snapshot;
    this.#first ??= peerBytes;
    this.grewBytes = peerBytes - this.#first;
    if (this.grewBytes > 0) this.grewAt ??= performance.now();
  }
}
