/**
 * Eight cold agents behind one shaped origin link, each in a network namespace of its own, found by
 * mDNS: started at once, they fetch about one copy from the origin and are done hardly later than
 * one agent alone would be, as far as there are processors for eight. Prints one line with what was
 * measured.
 *
 *   vitest run --project measured test/integration/cold-start.test.ts
 *
 * `SHOAL_COLD_TRACE=1` also prints who asked the origin for what, and when. Skips, with the reason,
 * where the kernel refuses namespaces.
 */
import { cpus } from "node:os";
import { join } from "node:path";
import { MiB, SIDECAR_SUFFIX } from "@shoal/core";
import { expect, test } from "vitest";
import { Child } from "../../examples/main-job/child.ts";
import type { OriginOrder, OriginReport } from "../../examples/main-job/origin-process.ts";
import { scale } from "../long.ts";
import type { ColdOptions, ColdOrder, ColdReport } from "./cold-agent.ts";
import { sha256Of, TestSite } from "./harness.ts";
import type { TestContent } from "./harness.ts";
import { LabHost, NetworkLab } from "./namespaces.ts";

const AGENT_COUNT = 8;
const LENGTH = scale(64 * MiB, 256 * MiB);
/** A running agent keeps more of them; over these it hears of all others. */
const NEIGHBOURS_MET = 2;
const ORIGIN_RATE_BITS_PER_SEC = 100e6;
const COPIES_MAX = 1.1;
/** Where eight processes start on two processors at once, some have begun long before they meet. */
const COPIES_MAX_STARTING = 1.3;
/** Frames, acknowledgements and what is sent again come on top of the file's bytes. */
const WIRE_OVERHEAD = 1.06;
const LAST_TO_ALONE_MAX = 1.25;
/** With less than this of the processors idle, they and not the swarm set the pace. */
const IDLE_SHARE_MIN = 0.05;
const TIMEOUT_MS = 120_000;
const IS_TRACED = process.env["SHOAL_COLD_TRACE"] === "1";

/** Eight processes that start on two processors are slow by that alone: with `pnpm test:long`. */
const STARTED_TOGETHER = { agents: "agents started with their job", isRunning: false };

test.for([
  ...scale([], [STARTED_TOGETHER]),
  { agents: "running agents given a job", isRunning: true },
])(
  "eight cold $agents at once fetch about one copy, hardly later than one alone (R-SCH-03)",
  { timeout: 2 * TIMEOUT_MS },
  async ({ agents, isRunning }, context) => {
    await using site = await TestSite.create();
    const lab = await NetworkLab.create();
    if (typeof lab === "string") return context.skip(lab);
    site.use(lab);
    const lan = await lab.addSwitch();
    const originHost = await lab.addHost(lan);
    await originHost.shape({ rateBitsPerSec: ORIGIN_RATE_BITS_PER_SEC });
    const hosts: LabHost[] = [];
    while (hosts.length < AGENT_COUNT) hosts.push(await lab.addHost(lan));
    const content = await site.publish("file.bin", LENGTH);
    const origin = await startOrigin(site, originHost, content);
    const place = { site, content, origin, isRunning };
    const alone = await deliver(place, "alone", hosts.slice(0, 1));
    const together = await deliver(place, "together", hosts);
    console.log(`cold start of ${agents}: ${summaryOf(alone, together)}`);
    if (IS_TRACED) console.log(traceOf(together));
    for (const { sha256 } of together.agents) expect(sha256).toBe(content.sha256);
    const copiesMax = isRunning ? COPIES_MAX : COPIES_MAX_STARTING;
    expect(together.sentBytes / LENGTH).toBeLessThanOrEqual(copiesMax);
    expect(together.wireBytes / LENGTH).toBeLessThanOrEqual(copiesMax * WIRE_OVERHEAD);
    expect(lastOf(together)).toBeLessThanOrEqual(LAST_TO_ALONE_MAX * usualMs(alone, together));
  },
);

interface Origin {
  readonly url: string;
  /** Bytes of the file sent so far, by its own count. */
  sentBytes(): Promise<number>;
  /** Bytes that have left its link. */
  wireBytes(): Promise<number>;
}

interface Place {
  readonly site: TestSite;
  readonly content: TestContent;
  readonly origin: Origin;
  /** Whether the agents run before they get their job. */
  readonly isRunning: boolean;
}

type Published = Extract<ColdReport, { readonly type: "published" }>;

interface Delivery {
  /** When the order was given; on the clock of `Published.atMs`. */
  readonly beganAtMs: number;
  readonly sentBytes: number;
  readonly wireBytes: number;
  /** Of the machine's processors, while the agents worked; next to none: they were the limit. */
  readonly idleShare: number;
  readonly agents: readonly (Published & { readonly sha256: string })[];
}

async function startOrigin(
  site: TestSite,
  host: LabHost,
  { name, path }: TestContent,
): Promise<Origin> {
  const script = new URL("../../examples/main-job/origin-process.ts", import.meta.url);
  const files = { [name]: path, [name + SIDECAR_SUFFIX]: path + SIDECAR_SUFFIX };
  const child = site.use(
    new Child<OriginOrder, OriginReport>(script, {
      name: "origin",
      argument: { files, host: host.address },
      within: host.within,
    }),
  );
  const { urls } = await child.next("ready");
  return {
    url: urls[name] ?? "",
    sentBytes: async () => {
      child.send({ type: "count", name });
      return (await child.next("counted")).sentBytes;
    },
    wireBytes: () => host.sentBytes(),
  };
}

/** Starts agents with empty state on all hosts at once, and waits until each has the file. */
async function deliver(
  { site, content, origin, isRunning }: Place,
  name: string,
  hosts: readonly LabHost[],
): Promise<Delivery> {
  await using agents = new AsyncDisposableStack();
  const directory = await site.makeDirectory(name);
  const children = hosts.map(({ within, address }) => {
    const stateDirectory = join(directory, `state-${address}`);
    const neighbourCount = Math.min(hosts.length - 1, NEIGHBOURS_MET);
    const argument: ColdOptions = { stateDirectory, isRunning, neighbourCount };
    const script = new URL("cold-agent.ts", import.meta.url);
    return agents.use(
      new Child<ColdOrder, ColdReport>(script, { name: address, argument, within }),
    );
  });
  await Promise.all(children.map((child) => child.next("waiting")));
  const before = { sentBytes: await origin.sentBytes(), wireBytes: await origin.wireBytes() };
  const destinations = children.map(({ name: child }) => join(directory, `${child}.bin`));
  const idleBeforeMs = idleMs();
  const beganAtMs = Number(process.hrtime.bigint()) / 1e6;
  const { contentId } = content;
  for (const [index, child] of children.entries()) {
    const destination = destinations[index] ?? "";
    child.send({ type: "download", job: { files: [{ url: origin.url, contentId, destination }] } });
  }
  const reports = await Promise.all(children.map((child) => child.next("published", TIMEOUT_MS)));
  const spentMs = Number(process.hrtime.bigint()) / 1e6 - beganAtMs;
  const idleShare = (idleMs() - idleBeforeMs) / (spentMs * cpus().length);
  const sentBytes = (await origin.sentBytes()) - before.sentBytes;
  const wireBytes = (await origin.wireBytes()) - before.wireBytes;
  const digests: string[] = [];
  for (const path of destinations) digests.push(await sha256Of(path));
  const done = reports.map((report, index) => ({ ...report, sha256: digests[index] ?? "" }));
  return { beganAtMs, sentBytes, wireBytes, idleShare, agents: done };
}

/** Milliseconds that the machine's processors had nothing to do, all together. */
function idleMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0);
}

/** Milliseconds from the order to the last file in its place. */
function lastOf({ beganAtMs, agents }: Delivery): number {
  return Math.max(...agents.map(({ atMs }) => atMs)) - beganAtMs;
}

/**
 * What the last may be compared with: one agent alone, which hardly needs a processor. Eight agents
 * on few processors need these one after the other as well.
 */
function usualMs(alone: Delivery, together: Delivery): number {
  if (together.idleShare >= IDLE_SHARE_MIN) return lastOf(alone);
  return lastOf(alone) + cpuOf(together) / cpus().length;
}

/** Processor time of all agents, in milliseconds. */
function cpuOf({ agents }: Delivery): number {
  return agents.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
}

function summaryOf(alone: Delivery, together: Delivery): string {
  const { agents, beganAtMs, sentBytes, wireBytes } = together;
  const seconds = (ms: number): string => (ms / 1_000).toFixed(2);
  const times = agents.map(({ atMs }) => seconds(atMs - beganAtMs)).toSorted();
  const pieces = new Map<string, number>();
  for (const { moments } of agents) {
    for (const { notice } of moments) {
      if (notice.type !== "originAsked") continue;
      pieces.set(notice.reason, (pieces.get(notice.reason) ?? 0) + notice.pieceCount);
    }
  }
  const reasons = Array.from(pieces, ([reason, count]) => `${reason} ${count}`).join(", ");
  const wasted = agents.reduce((sum, { snapshot }) => sum + snapshot.wastedBytes, 0);
  return (
    `${LENGTH / MiB} MiB: ` +
    `${(sentBytes / LENGTH).toFixed(3)} copies (${(wireBytes / LENGTH).toFixed(3)} on the wire), ` +
    `last/alone ${(lastOf(together) / lastOf(alone)).toFixed(2)} ` +
    `(alone ${seconds(lastOf(alone))} s; agents ${times.join(" ")} s); ` +
    `pieces asked of the origin: ${reasons}; wasted ${(wasted / MiB).toFixed(1)} MiB; ` +
    `processor time ${seconds(cpuOf(together))} s (alone ${seconds(cpuOf(alone))} s), ` +
    `processors ${(together.idleShare * 100).toFixed(0)} % idle`
  );
}

/** A line for each meeting and each request to the origin, in order, by all agents. */
function traceOf({ agents, beganAtMs }: Delivery): string {
  const names = new Map(agents.map(({ peerId }, index) => [peerId, `agent${index}`]));
  const lines = agents.flatMap(({ peerId, moments }) =>
    moments.flatMap(({ atMs, notice }) => {
      if (notice.type === "pieceStored") return [];
      const told = Object.entries(notice).filter(([key]) => key !== "transferId");
      const text = told.map(([, value]) => names.get(String(value)) ?? String(value)).join(" ");
      return [{ atMs, text: `${names.get(peerId)} ${text}` }];
    }),
  );
  const sorted = lines.toSorted((a, b) => a.atMs - b.atMs);
  return sorted.map(({ atMs, text }) => `${(atMs - beganAtMs).toFixed(0)} ms ${text}`).join("\n");
}
