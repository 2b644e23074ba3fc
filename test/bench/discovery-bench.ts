/**
 * How fast an agent that knows one bootstrap peer only hears of somebody who holds a content, and
 * what that costs: real swarms on loopback, each connected with the bootstrap peer alone, a quarter
 * of them holding. A holder publishes again when somebody says that it fetches. The figures and
 * those of the alternative are in docs/discovery.md.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { contentIdFromDigest, KiB, PieceBufferPool } from "@shoal/core";
import type { SchedulerEvent } from "@shoal/core";
import { createSwarm } from "@shoal/swarm";
import type { Swarm } from "@shoal/swarm";
import { median } from "./measure.ts";
import type { Figure } from "./measure.ts";

const CONTENT = contentIdFromDigest(new Uint8Array(32).fill(1));
const SETTLE_MS = 3_000;
const NEWCOMERS = 5;
const PUBLISH_AGAIN_MS = 2_000;
const PUBLISHED_MAX = 10;
/** A fifth of a minute. */
const IDLE_MS = 12_000;

export async function benchDiscovery(counts: readonly number[]): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const count of counts) figures.push(...(await benchGroup(count)));
  return figures;
}

async function benchGroup(count: number): Promise<Figure[]> {
  using sent = new SentBytes();
  const bootstrap = await startAgent();
  const agents = [bootstrap];
  while (agents.length < count) agents.push(await startAgent(bootstrap.swarm));
  await delay(SETTLE_MS);
  const joinKiB = sent.total / KiB / count;
  const holders = agents.slice(1, 1 + Math.max(1, count >> 2));
  const beforeHolders = sent.total;
  for (const holder of holders) {
    holder.publish("holding");
    holder.onFetching = () => holder.publish("holding");
  }
  await delay(1_000);
  const publishKiB = (sent.total - beforeHolders) / KiB / holders.length;
  const timesMs: number[] = [];
  const findKiB: number[] = [];
  for (let i = 0; i < NEWCOMERS; i++) {
    const before = sent.total;
    const begunAt = performance.now();
    const newcomer = await startAgent(bootstrap.swarm);
    await untilHeard(newcomer);
    timesMs.push(performance.now() - begunAt);
    await delay(500);
    findKiB.push((sent.total - before) / KiB);
    await newcomer.swarm.close();
  }
  const beforeIdle = sent.total;
  await delay(IDLE_MS);
  const idleKiB = ((sent.total - beforeIdle) / KiB / count) * (60_000 / IDLE_MS);
  await Promise.all(agents.map(({ swarm }) => swarm.close()));
  const kibibytes = (name: string, value: number): Figure => ({ name, value, unit: "KiB" });
  return [
    { name: `${count} agents: newcomer hears a holder`, value: median(timesMs), unit: "ms" },
    {
      name: `${count} agents: the slowest of ${NEWCOMERS}`,
      value: Math.max(...timesMs),
      unit: "ms",
    },
    kibibytes(`${count} agents: joining, per agent`, joinKiB),
    kibibytes(`${count} agents: publishing, all, per holder`, publishKiB),
    kibibytes(`${count} agents: all that a newcomer causes`, median(findKiB)),
    kibibytes(`${count} agents: idle, per agent and minute`, idleKiB),
  ];
}

interface BenchAgent {
  readonly swarm: Swarm;
  /** Resolves when somebody is heard to hold the content. */
  readonly heard: Promise<void>;
  onFetching: () => void;
  publish(role: "fetching" | "holding"): void;
}

/** Publishes again as core does: what comes before all streams are open may be lost. */
async function untilHeard(newcomer: BenchAgent): Promise<void> {
  for (let i = 0; i < PUBLISHED_MAX; i++) {
    newcomer.publish("fetching");
    const late = delay(PUBLISH_AGAIN_MS, "late" as const);
    if ((await Promise.race([newcomer.heard, late])) !== "late") return;
  }
  throw new Error("the newcomer heard nobody");
}

async function startAgent(bootstrap?: Swarm): Promise<BenchAgent> {
  const { promise: heard, resolve } = Promise.withResolvers<void>();
  const sink = (event: SchedulerEvent): void => {
    if (event.type !== "presenceHeard") return;
    if (event.role === "holding") resolve();
    else agent.onFetching();
  };
  const swarm = await createSwarm(
    { pool: new PieceBufferPool(), sink },
    {
      listen: ["/ip4/127.0.0.1/tcp/0"],
      connectionsPerHostMax: 1_000,
      inboundPerHostPerSecMax: 1_000,
    },
  );
  const agent: BenchAgent = {
    swarm,
    heard,
    onFetching: () => {},
    publish: (role) => swarm.execute({ type: "publishPresence", contentId: CONTENT, role }),
  };
  if (bootstrap === undefined) return agent;
  const { peerId, addresses } = bootstrap;
  swarm.execute({ type: "dialPeer", peerId, addresses });
  return agent;
}

/** Bytes that all sockets of this process have sent. */
class SentBytes implements Disposable {
  readonly #sockets = new Set<Socket>();
  readonly #add = (message: unknown): void => {
    this.#sockets.add((message as { socket: Socket }).socket);
  };

  constructor() {
    for (const name of CHANNELS) subscribe(name, this.#add);
  }

  get total(): number {
    let bytes = 0;
    for (const { bytesWritten } of this.#sockets) bytes += bytesWritten;
    return bytes;
  }

  [Symbol.dispose](): void {
    for (const name of CHANNELS) unsubscribe(name, this.#add);
  }
}

const CHANNELS = ["net.client.socket", "net.server.socket"];
