/**
 * Flash crowd: N agents with empty disks start the same download at the same time; the only copy is
 * at an origin behind a slow link. The question is how close the swarm comes to the lower bound and
 * how often the origin has to send the content.
 *
 * Knows the scenario and what is measured. Does not print. Called by the `sim` command, by tests
 * and by examples.
 */
import { MiB } from "@shoal/core";
import type { Millis, Settings } from "@shoal/core";
import { gini, lowerBoundMs, quantile } from "../lower-bound.ts";
import { makeSimContent } from "../sim-content.ts";
import { isTransferred, SimWorld } from "../sim-world.ts";
import type { SimAgent } from "../sim-agent.ts";
import type { PeerBehaviour } from "../sim-swarm.ts";
import type { OriginTrouble } from "../sim-origin-server.ts";

export interface FlashCrowdOptions {
  readonly peers: number;
  readonly seed: number;
  /** Bytes of the content. Default 1 GiB. */
  readonly lengthBytes?: number;
  /** Default 4 MiB. */
  readonly pieceLengthBytes?: number;
  /** Default 10 MiB/s. */
  readonly originRateBytesPerSec?: number;
  /** Default 100 MiB/s each. */
  readonly upRateBytesPerSec?: number;
  readonly downRateBytesPerSec?: number;
  /** Connections that each agent gets on average, at most `connectionsMax`. Default 64. */
  readonly degree?: number;
  /** The agents start within this time. Default 1,000. */
  readonly arrivalMs?: Millis;
  /** How long before all others the first agent starts. Default 0: it comes with them. */
  readonly headStartMs?: Millis;
  /** Virtual time after which the run is given up. Default ten times the lower bound and 60 s. */
  readonly limitMs?: Millis;
  readonly settings?: Partial<Settings>;
  /** Agents that treat others badly, by position. */
  readonly behaviours?: Readonly<Record<number, PeerBehaviour>>;
  /** What is wrong with the origin, and when. */
  readonly trouble?: {
    readonly what: OriginTrouble;
    readonly from: Millis;
    readonly until: Millis;
  };
}

export interface FlashCrowdReport {
  readonly scenario: "flash-crowd";
  readonly peers: number;
  readonly seed: number;
  /** Jobs that are complete. The run succeeded when it equals `peers`. */
  readonly completed: number;
  readonly lowerBoundMs: Millis;
  /** Times from the beginning of the crowd to a job's end. */
  readonly p50Ms: Millis;
  readonly p99Ms: Millis;
  readonly maxMs: Millis;
  /** The same over the lower bound. */
  readonly p50Ratio: number;
  readonly p99Ratio: number;
  readonly maxRatio: number;
  /** Bytes that left the origin over the content's length. */
  readonly originCopies: number;
  readonly originRequests: number;
  /** Share of received piece bytes that were thrown away, or arrived after they were given up. */
  readonly wasteShare: number;
  readonly uploadGini: number;
  readonly corruptPieces: number;
  readonly bans: number;
  readonly connections: number;
  /** Events that engines handled, and wake-ups of the clock. */
  readonly events: number;
  readonly wakeUps: number;
  readonly traceHash: string;
  /** Jobs that are not complete, and why. */
  readonly unfinished: readonly string[];
}

type Complete = Required<Omit<FlashCrowdOptions, "trouble" | "limitMs">> &
  Pick<FlashCrowdOptions, "trouble" | "limitMs">;

const URL = "http://origin.example/content.bin";

/** Runs the scenario in virtual time. The same options give the same report. */
export function runFlashCrowd(options: FlashCrowdOptions): FlashCrowdReport {
  const complete = withDefaults(options);
  const crowd = new Crowd(complete);
  crowd.run();
  return crowd.report();
}

function withDefaults(options: FlashCrowdOptions): Complete {
  return {
    ...options,
    lengthBytes: options.lengthBytes ?? 1024 * MiB,
    pieceLengthBytes: options.pieceLengthBytes ?? 4 * MiB,
    originRateBytesPerSec: options.originRateBytesPerSec ?? 10 * MiB,
    upRateBytesPerSec: options.upRateBytesPerSec ?? 100 * MiB,
    downRateBytesPerSec: options.downRateBytesPerSec ?? 100 * MiB,
    degree: options.degree ?? 64,
    arrivalMs: options.arrivalMs ?? 1_000,
    headStartMs: options.headStartMs ?? 0,
    settings: options.settings ?? {},
    behaviours: options.behaviours ?? {},
  };
}

class Crowd {
  readonly #options: Complete;
  readonly #world: SimWorld;
  readonly #content;
  readonly #jobIds = new Map<SimAgent, string>();
  readonly #doneAt = new Map<SimAgent, Millis>();

  constructor(options: Complete) {
    this.#options = options;
    const { seed, settings, lengthBytes, pieceLengthBytes } = options;
    const origin = { rateBytesPerSec: options.originRateBytesPerSec };
    this.#world = new SimWorld({ seed, origin, settings });
    this.#content = makeSimContent({ lengthBytes, pieceLengthBytes, seed });
    this.#world.server.setFile(URL, {
      length: lengthBytes,
      validator: { etag: `"${seed}"` },
      manifest: this.#content.manifestBytes,
    });
    for (let index = 0; index < options.peers; index++) {
      const behaviour = options.behaviours[index] ?? {};
      const { upRateBytesPerSec, downRateBytesPerSec } = options;
      const agent = this.#world.addAgent({ upRateBytesPerSec, downRateBytesPerSec, behaviour });
      this.#watch(agent);
    }
    const { trouble } = options;
    if (trouble !== undefined) this.#world.server.plan(trouble.what, trouble.from, trouble.until);
  }

  get #lowerBoundMs(): Millis {
    const { peers, lengthBytes, originRateBytesPerSec } = this.#options;
    const { upRateBytesPerSec, downRateBytesPerSec } = this.#options;
    return lowerBoundMs({
      lengthBytes,
      seedRateBytesPerSec: originRateBytesPerSec,
      upRatesBytesPerSec: Array<number>(peers).fill(upRateBytesPerSec),
      downRatesBytesPerSec: Array<number>(peers).fill(downRateBytesPerSec),
    });
  }

  run(): void {
    const { clock, agents, random } = this.#world;
    const { arrivalMs, headStartMs } = this.#options;
    const { limitMs = headStartMs + 10 * this.#lowerBoundMs + 60_000 } = this.#options;
    for (const agent of agents) {
      const isFirst = agent.index === 0 && headStartMs > 0;
      const at = isFirst ? 0 : headStartMs + arrivalMs * random.fraction();
      clock.schedule(at, () => this.#arrive(agent));
    }
    clock.runUntil(() => this.#doneAt.size === agents.length, limitMs);
    this.#world.checkInvariants();
  }

  report(): FlashCrowdReport {
    const { agents, server, network, trace, clock } = this.#world;
    const { peers, seed, lengthBytes } = this.#options;
    const times = [...this.#doneAt.values()];
    const bound = this.#lowerBoundMs;
    const sum = (count: (agent: SimAgent) => number): number =>
      agents.reduce((total, agent) => total + count(agent), 0);
    const received = sum(
      (agent) =>
        agent.counter("shoal_origin_received_bytes_total") +
        agent.counter("shoal_peer_received_bytes_total"),
    );
    const wasted = sum((agent) => agent.counter("shoal_wasted_bytes_total")) + network.lostBytes;
    return {
      scenario: "flash-crowd",
      peers,
      seed,
      completed: times.length,
      lowerBoundMs: round(bound),
      p50Ms: round(quantile(times, 0.5)),
      p99Ms: round(quantile(times, 0.99)),
      maxMs: round(quantile(times, 1)),
      p50Ratio: round(quantile(times, 0.5) / bound),
      p99Ratio: round(quantile(times, 0.99) / bound),
      maxRatio: round(quantile(times, 1) / bound),
      originCopies: round(server.sentBytes / lengthBytes),
      originRequests: server.requests,
      wasteShare: round(received === 0 ? 0 : wasted / (received + network.lostBytes)),
      uploadGini: round(gini(agents.map((agent) => agent.sentBytes))),
      corruptPieces: sum((agent) => agent.counter("shoal_corrupt_pieces_total")),
      bans: sum((agent) => agent.counter("shoal_peer_bans_total")),
      connections: sum((agent) => agent.connectionCount) / 2,
      events: trace.count,
      wakeUps: clock.handled,
      traceHash: trace.hash,
      unfinished: agents
        .filter((agent) => !this.#doneAt.has(agent))
        .map((agent) => this.#why(agent)),
    };
  }

  #arrive(agent: SimAgent): void {
    const { network } = this.#world;
    const { degree, peers } = this.#options;
    agent.start();
    // A connection counts for both ends, so half of them are one's own dials; discovery finds only
    // those that have come before, which for the average agent is half of all.
    const count = degree >= peers - 1 ? peers : Math.ceil(degree / 2);
    network.introduce(agent.peerId, { count, withinMs: 100 });
  }

  #watch(agent: SimAgent): void {
    agent.onNotice((notice) => {
      if (notice.type === "ready") this.#begin(agent);
      if (notice.type !== "jobChanged" || this.#doneAt.has(agent)) return;
      if (!isTransferred(agent.jobSnapshot(notice.jobId))) return;
      this.#doneAt.set(agent, this.#world.clock.now());
    });
  }

  /** The engine is in the middle of its turn; a user's call comes between two of them. */
  #begin(agent: SimAgent): void {
    const { clock } = this.#world;
    clock.schedule(clock.now(), () => {
      this.#jobIds.set(agent, this.#world.download(agent, { content: this.#content, url: URL }));
    });
  }

  #why(agent: SimAgent): string {
    const jobId = this.#jobIds.get(agent);
    const snapshot = jobId === undefined ? undefined : agent.jobSnapshot(jobId);
    if (snapshot === undefined) return `${agent.peerId}: no job`;
    const { state, error, transferredBytes } = snapshot;
    return `${agent.peerId}: ${state}, ${transferredBytes} bytes ${error?.message ?? ""}`.trim();
  }
}

/** Three decimals are what a reader can use, and hide no difference that matters. */
function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
