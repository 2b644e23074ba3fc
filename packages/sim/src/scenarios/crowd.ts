/**
 * A crowd: N agents that want the same content from one origin, on one LAN or at several sites,
 * with whatever the options let go wrong. The question is how close it comes to the lower bound and
 * how often the content crosses the origin's link and the WAN.
 *
 * Knows the world and the jobs. Does not print; what is measured is `crowd-report.ts`. Called by
 * the `sim` command, by tests and by examples.
 */
import type { Millis } from "@shoal/core";
import type { SimAgent } from "../sim-agent.ts";
import { makeSimContent } from "../sim-content.ts";
import type { SimContent } from "../sim-content.ts";
import { SimDisk } from "../sim-disk.ts";
import { Site } from "../sim-site.ts";
import { isTransferred, SimWorld } from "../sim-world.ts";
import { completeCrowd, upRates } from "./crowd-options.ts";
import type { CompleteCrowd, CrowdOptions } from "./crowd-options.ts";
import { crowdBoundMs, crowdReport } from "./crowd-report.ts";
import type { CrowdReport } from "./crowd-report.ts";

const URL = "http://origin.example/content.bin";
const BESIDE_URL = "http://origin.example/beside.bin";
/** How often it is looked whether a seed has sent enough. */
const SEED_WATCH_MS = 50;

/** Runs the scenario in virtual time. The same options give the same report. */
export function runCrowd(options: CrowdOptions): CrowdReport {
  const crowd = new Crowd(completeCrowd(options));
  crowd.run();
  return crowd.report();
}

class Crowd {
  readonly #options: CompleteCrowd;
  readonly #world: SimWorld;
  readonly #sites: readonly Site[];
  readonly #content: SimContent;
  readonly #beside: SimContent | undefined;
  readonly #jobIds = new Map<SimAgent, string>();
  readonly #besideIds = new Map<SimAgent, string>();
  readonly #besideRates: number[] = [];
  readonly #arrivedAt = new Map<SimAgent, Millis>();
  readonly #doneAt = new Map<SimAgent, Millis>();
  #departures = 0;

  constructor(options: CompleteCrowd) {
    this.#options = options;
    const { seed, settings, lengthBytes, pieceLengthBytes, connectionLifeMs } = options;
    const origin = { rateBytesPerSec: options.originRateBytesPerSec };
    this.#world = new SimWorld({ seed, origin, settings, network: { connectionLifeMs } });
    const { wanRateBytesPerSec } = options;
    const wan = { upRateBytesPerSec: wanRateBytesPerSec, downRateBytesPerSec: wanRateBytesPerSec };
    const { wanLatencyMs: latencyMs, wanLossShare: lossShare, hasNat } = options;
    this.#sites = Array.from({ length: options.sites }, (_, index) => {
      return new Site(`site-${index}`, { ...wan, latencyMs, lossShare, hasNat });
    });
    const old = makeSimContent({ lengthBytes, pieceLengthBytes, seed: seed + 1 });
    const basedOn = { content: old, sharedShare: options.sharedShare };
    this.#content = makeSimContent({ lengthBytes, pieceLengthBytes, seed, basedOn });
    this.#publish(URL, this.#content);
    if (options.besideBytes > 0) {
      const length = { lengthBytes: options.besideBytes, pieceLengthBytes };
      this.#beside = makeSimContent({ ...length, seed: seed + 2 });
      this.#publish(BESIDE_URL, this.#beside);
    }
    for (const rate of upRates(options)) this.#addAgent(rate, old);
    for (const { what, from, until } of options.troubles)
      this.#world.server.plan(what, from, until);
  }

  get #isOver(): boolean {
    const { peers, seeds } = this.#options;
    return this.#doneAt.size >= peers - seeds;
  }

  run(): void {
    const { clock, agents, random } = this.#world;
    const { arrivalMs, headStartMs, seeds } = this.#options;
    const { limitMs = headStartMs + arrivalMs + 10 * crowdBoundMs(this.#options) + 60_000 } =
      this.#options;
    for (const agent of agents) {
      const isFirst = agent.index === 0 && headStartMs > 0;
      const at = isFirst ? 0 : headStartMs + arrivalMs * random.fraction();
      clock.schedule(agent.index < seeds ? 0 : at, () => this.#arrive(agent));
    }
    this.#planDepartures();
    clock.runUntil(() => this.#isOver, limitMs);
    this.#world.checkInvariants();
  }

  report(): CrowdReport {
    const { agents, server, network, trace, clock } = this.#world;
    const { fromArrival } = this.#options;
    const sum = (count: (agent: SimAgent) => number): number =>
      agents.reduce((total, agent) => total + count(agent), 0);
    const { lostBytes } = network;
    const fromOrigin = sum(originBytesOf);
    const fromPeers = sum((agent) => agent.totalCount("shoal_peer_received_bytes_total"));
    const besideTotal = this.#besideRates.reduce((total, rate) => total + rate, 0);
    return crowdReport(this.#options, {
      completed: this.#doneAt.size,
      timesMs: [...this.#doneAt]
        .filter(([agent]) => !this.#isHarmful(agent))
        .map(([agent, at]) => at - (fromArrival ? (this.#arrivedAt.get(agent) ?? 0) : 0)),
      originBytes: server.sentBytes,
      honestBytes: sum((agent) => (this.#isHarmful(agent) ? 0 : originBytesOf(agent))),
      originRequests: server.requests,
      receivedBytes: fromOrigin + fromPeers + lostBytes,
      wastedBytes: sum((agent) => agent.totalCount("shoal_wasted_bytes_total")) + lostBytes,
      sentBytes: agents.map((agent) => agent.sentBytes),
      wanBytes: this.#sites.map((site) => site.receivedBytes),
      reusedBytes: sum((agent) => agent.totalCount("shoal_reused_bytes_total")),
      counts: {
        corruptPieces: sum((agent) => agent.totalCount("shoal_corrupt_pieces_total")),
        bans: sum((agent) => agent.totalCount("shoal_peer_bans_total")),
        connections: sum((agent) => agent.connectionCount) / 2,
        departures: this.#departures,
        besideBytesPerSec: besideTotal / Math.max(1, this.#besideRates.length),
        events: trace.count,
        wakeUps: clock.handled,
        traceHash: trace.hash,
        unfinished: agents.filter((agent) => !this.#isDone(agent)).map((agent) => this.#why(agent)),
      },
    });
  }

  #publish(url: string, { layout, manifestBytes }: SimContent): void {
    const validator = { etag: `"${this.#options.seed}"` };
    const file = { length: layout.contentLength, validator, manifest: manifestBytes };
    this.#world.server.setFile(url, file);
  }

  #addAgent(upRateBytesPerSec: number, old: SimContent): void {
    const { behaviours, downRateBytesPerSec, seeds, sharedShare } = this.#options;
    const index = this.#world.agents.length;
    const site = this.#sites[index % Math.max(1, this.#sites.length)];
    const place = site === undefined ? {} : { site, host: hostOf(index, this.#sites.length) };
    const behaviour = behaviours[index] ?? {};
    const rates = { upRateBytesPerSec, downRateBytesPerSec };
    const agent = this.#world.addAgent({ ...rates, behaviour, ...place });
    if (index < seeds) share(agent, this.#content, "/srv/seed.bin");
    else if (sharedShare > 0) share(agent, old, "/srv/old.bin");
    this.#watch(agent);
  }

  #isHarmful({ index }: SimAgent): boolean {
    return Object.hasOwn(this.#options.behaviours, index);
  }

  #isDone(agent: SimAgent): boolean {
    return agent.index < this.#options.seeds || this.#doneAt.has(agent);
  }

  #arrive(agent: SimAgent): void {
    const { seeds, seedCopiesMax } = this.#options;
    this.#arrivedAt.set(agent, this.#world.clock.now());
    this.#start(agent);
    if (agent.index < seeds && seedCopiesMax !== Infinity) this.#watchSeed(agent);
  }

  /** Starts an agent, for the first time or again; others hear of it and it of them. */
  #start(agent: SimAgent): void {
    const { network } = this.#world;
    const { degree, peers, remoteContacts } = this.#options;
    const localCount = this.#sites.length === 0 ? peers : peers / this.#sites.length;
    agent.start();
    // A connection counts for both ends, so half of them are one's own dials; discovery finds only
    // those that have come before, which for the average agent is half of all.
    const count = degree >= localCount - 1 ? peers : Math.ceil(degree / 2);
    const withinMs = 100;
    if (this.#sites.length === 0) return network.introduce(agent.peerId, { count, withinMs });
    network.introduce(agent.peerId, {
      count,
      withinMs,
      among: (other, self) => other.site === self.site,
    });
    network.introduce(agent.peerId, {
      count: remoteContacts,
      withinMs: 1_000,
      among: (other, self) => other.site !== self.site,
    });
  }

  #watch(agent: SimAgent): void {
    agent.onNotice((notice) => {
      if (notice.type === "ready") this.#begin(agent);
      if (notice.type !== "jobChanged" || this.#isDone(agent)) return;
      if (notice.jobId !== this.#jobIds.get(agent)) return;
      if (isTransferred(agent.jobBrief(notice.jobId))) this.#done(agent);
    });
  }

  #done(agent: SimAgent): void {
    const now = this.#world.clock.now();
    this.#doneAt.set(agent, now);
    const besideId = this.#besideIds.get(agent);
    if (besideId === undefined) return;
    const { transferredBytes = 0 } = agent.jobSnapshot(besideId) ?? {};
    const tookMs = now - (this.#arrivedAt.get(agent) ?? 0);
    this.#besideRates.push((transferredBytes * 1_000) / Math.max(1, tookMs));
  }

  /** The engine is in the middle of its turn; a user's call comes between two of them. */
  #begin(agent: SimAgent): void {
    if (agent.index < this.#options.seeds || this.#jobIds.has(agent)) return;
    const { clock } = this.#world;
    const beside = this.#beside;
    clock.schedule(clock.now(), () => {
      if (!agent.isRunning || this.#jobIds.has(agent)) return;
      const priority = beside === undefined ? "normal" : "foreground";
      const what = { content: this.#content, url: URL, priority } as const;
      this.#jobIds.set(agent, this.#world.download(agent, what));
      if (beside === undefined) return;
      const other = { content: beside, url: BESIDE_URL, priority: "low" } as const;
      this.#besideIds.set(agent, this.#world.download(agent, other));
    });
  }

  /** Some agents leave once, at instants spread over the least time that the crowd needs. */
  #planDepartures(): void {
    const { clock, agents, random } = this.#world;
    const { churnShare, headStartMs, arrivalMs, seeds } = this.#options;
    const staying = agents.slice(seeds);
    const leavers = Math.round(churnShare * staying.length);
    for (let i = 0; i < leavers; i++) {
      const chosen = i + random.below(staying.length - i);
      const agent = staying[chosen]!;
      staying[chosen] = staying[i]!;
      const at = headStartMs + arrivalMs + crowdBoundMs(this.#options) * random.fraction();
      clock.schedule(at, () => this.#leave(agent, i));
    }
  }

  /** Every other one crashes; of those every other one comes back with an empty disk. */
  #leave(agent: SimAgent, turn: number): void {
    const { clock, random } = this.#world;
    this.#departures++;
    void (turn % 2 === 0 ? agent.crash() : agent.stop());
    const backAt = clock.now() + this.#options.awayMs * (0.5 + random.fraction());
    const losesDisk = turn % 4 === 0;
    clock.schedule(backAt, () => {
      if (losesDisk) {
        agent.replaceDisk(new SimDisk({ clock }));
        if (!this.#doneAt.has(agent)) this.#jobIds.delete(agent);
      }
      this.#start(agent);
    });
  }

  #watchSeed(agent: SimAgent): void {
    const { clock } = this.#world;
    const { seedCopiesMax, lengthBytes } = this.#options;
    clock.schedule(clock.now() + SEED_WATCH_MS, () => {
      if (agent.sentBytes < seedCopiesMax * lengthBytes) return this.#watchSeed(agent);
      this.#departures++;
      void agent.stop();
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

function originBytesOf(agent: SimAgent): number {
  return agent.totalCount("shoal_origin_received_bytes_total");
}

function share(agent: SimAgent, { layout, contentId, manifestBytes }: SimContent, path: string) {
  agent.disk.addFile(path, layout, { contentId, bytes: manifestBytes });
}

/** A private address: the site is the subnet. */
function hostOf(index: number, sites: number): string {
  const place = Math.floor(index / sites);
  return `10.${index % sites}.${place >> 8}.${place & 255}`;
}
