/**
 * One simulated agent: the shipped scheduler and loop over simulated ports. It can crash and start
 * again over the same disk.
 *
 *   stopped ──start──▶ running ──stop or crash──▶ stopped
 *
 * Knows how the parts of an agent go together, as `@shoal/agent` does for real ones. Called by
 * `SimWorld` and by scenarios.
 */
import { assert, COUNTERS, Random, Scheduler } from "@shoal/core";
import type {
  CounterName,
  JobChange,
  JobExplanation,
  JobRequest,
  JobSnapshot,
  Millis,
  NetworkState,
  Notice,
  PaceSettings,
  PeerId,
  PlainVerb,
  Settings,
  VerbResult,
} from "@shoal/core";
import { Engine } from "@shoal/engine";
import type { EventTrace } from "./event-trace.ts";
import { Downlink } from "./fair-link.ts";
import type { SimDisk } from "./sim-disk.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimOriginServer } from "./sim-origin-server.ts";
import { SimOrigin } from "./sim-origin.ts";
import { SimPayloads } from "./sim-payload.ts";
import type { SimPayload } from "./sim-payload.ts";
import { SimStore } from "./sim-store.ts";
import { SimSwarm } from "./sim-swarm.ts";
import type { Site } from "./sim-site.ts";
import type { PeerBehaviour } from "./peer-behaviour.ts";

export interface SimAgentDeps {
  readonly network: SimNetwork;
  readonly server: SimOriginServer;
  readonly disk: SimDisk;
  readonly trace: EventTrace;
}

export interface SimAgentOptions {
  /** Position in its world; names it in the trace. */
  readonly index: number;
  readonly seed: number;
  readonly settings: Settings;
  readonly upRateBytesPerSec: number;
  readonly downRateBytesPerSec: number;
  /** One way, to the middle of the network and to the origin. */
  readonly latencyMs: Millis;
  readonly originLatencyMs: Millis;
  readonly behaviour: PeerBehaviour;
  /** See `SimSwarmOptions`. */
  readonly host?: string | undefined;
  readonly site: Site | undefined;
}

/** What runs between a start and a stop. */
interface Run {
  readonly scheduler: Scheduler;
  readonly engine: Engine<SimPayload>;
  readonly payloads: SimPayloads;
  readonly store: SimStore;
  readonly origin: SimOrigin;
  readonly swarm: SimSwarm;
}

export class SimAgent {
  readonly peerId: PeerId;
  readonly index: number;
  readonly site: Site | undefined;
  #disk: SimDisk;
  readonly #deps: SimAgentDeps;
  readonly #options: SimAgentOptions;
  readonly #listeners = new Set<(notice: Notice) => void>();
  #run: Run | undefined;
  #runs = 0;
  #isLinkUp = true;
  /** Of the runs that are over. */
  readonly #pastCounts = new Map<CounterName, number>();
  #pastSentBytes = 0;
  #eventCount = 0;

  constructor(deps: SimAgentDeps, options: SimAgentOptions) {
    this.#deps = deps;
    this.#options = options;
    this.site = options.site;
    this.#disk = deps.disk;
    this.index = options.index;
    this.peerId = `sim-${String(options.index).padStart(5, "0")}`;
  }

  get disk(): SimDisk {
    return this.#disk;
  }

  /** The next run begins with another disk; the agent must not be running. */
  replaceDisk(disk: SimDisk): void {
    assert(this.#run === undefined, "a disk is replaced while nobody uses it");
    this.#disk = disk;
  }

  /** Events that its engines have handled, in all runs. */
  get eventCount(): number {
    return this.#eventCount;
  }

  get isRunning(): boolean {
    return this.#run !== undefined;
  }

  /** stopped -> running. Stored jobs go on by themselves; others know the agent by introduction. */
  start(): void {
    assert(this.#run === undefined, "an agent runs once at a time");
    const { network, server, trace } = this.#deps;
    const disk = this.#disk;
    const { index, settings, seed, behaviour } = this.#options;
    const { clock } = network;
    const payloads = new SimPayloads();
    const random = new Random(seed + this.#runs++);
    const scheduler = new Scheduler({ random, settings, selfId: this.peerId });
    const engine = new Engine<SimPayload>({
      scheduler,
      clock,
      payloads,
      onEvent: (event, now) => {
        this.#eventCount++;
        trace.record(now, index, event);
      },
    });
    const { sink } = engine;
    const { site, host } = this.#options;
    const downlink = new Downlink(this.#options.downRateBytesPerSec);
    const store = new SimStore({ clock, disk, payloads, sink });
    const origin = new SimOrigin(
      { clock, server, downlink, site, payloads, sink },
      { latencyMs: this.#options.originLatencyMs },
    );
    const { upRateBytesPerSec, latencyMs } = this.#options;
    const swarm = new SimSwarm(
      { network, downlink, payloads, sink },
      { peerId: this.peerId, upRateBytesPerSec, latencyMs, behaviour, site, ...(host && { host }) },
    );
    this.#run = { scheduler, engine, payloads, store, origin, swarm };
    engine.onNotice((notice) => {
      for (const listener of this.#listeners) listener(notice);
    });
    this.setLink(this.#isLinkUp);
    engine.start({ store, origin, swarm });
  }

  /** running -> stopped, as a user would end it. */
  stop(): Promise<void> {
    const run = this.#run;
    if (run === undefined) return Promise.resolve();
    for (const name of Object.keys(COUNTERS) as CounterName[]) {
      this.#pastCounts.set(name, this.totalCount(name));
    }
    this.#run = undefined;
    const closed = run.engine.close();
    this.#pastSentBytes += run.swarm.uplink.sentBytes;
    // The engine closes the store a moment after the others, and virtual time does not wait for it.
    void run.store.close();
    return closed;
  }

  /** running -> stopped, as SIGKILL would end it: what is not committed is lost. */
  crash(): Promise<void> {
    this.#run?.store.crash();
    return this.stop();
  }

  createJob(request: JobRequest): VerbResult {
    return this.#running().engine.act((scheduler, now) => scheduler.createJob(request, now));
  }

  applyVerb(jobId: string, verb: PlainVerb): VerbResult {
    return this.#running().engine.act((scheduler, now) => scheduler.applyVerb(jobId, verb, now));
  }

  changeJob(jobId: string, change: JobChange): VerbResult {
    return this.#running().engine.act((scheduler, now) => scheduler.changeJob(jobId, change, now));
  }

  /** Changes limits and windows of the run that is under way. */
  setLimits(limits: Partial<PaceSettings>): void {
    this.#running().engine.act((scheduler, now) => scheduler.applySettings(limits, now));
  }

  /** Plugs the agent's link in or out. The agent sees only what breaks; see `setNetwork`. */
  setLink(isUp: boolean): void {
    this.#isLinkUp = isUp;
    this.#run?.origin.setOnline(isUp);
    this.#run?.swarm.setOnline(isUp);
  }

  /** Tells the run that is under way what its network is like, as an operating system would. */
  setNetwork(network: NetworkState): void {
    this.#running().engine.act((scheduler, now) => scheduler.setNetwork(network, now));
  }

  jobSnapshot(jobId: string): JobSnapshot | undefined {
    return this.#run?.scheduler.jobSnapshot(jobId, this.#deps.network.clock.now());
  }

  /** How the job stands; for those who look often. */
  jobBrief(jobId: string): ReturnType<Scheduler["jobBrief"]> {
    return this.#run?.scheduler.jobBrief(jobId);
  }

  explain(jobId: string): JobExplanation | undefined {
    return this.#run?.scheduler.explain(jobId, this.#deps.network.clock.now());
  }

  /** Of the run that is under way; 0 when none is. */
  counter(name: CounterName): number {
    return this.#run?.scheduler.counters.get(name) ?? 0;
  }

  /** Of all its runs. */
  totalCount(name: CounterName): number {
    return (this.#pastCounts.get(name) ?? 0) + this.counter(name);
  }

  /** Bytes of pieces and manifests that have left by the uplink, in all runs. */
  get sentBytes(): number {
    return this.#pastSentBytes + (this.#run?.swarm.uplink.sentBytes ?? 0);
  }

  get connectionCount(): number {
    return this.#run?.swarm.connectionCount ?? 0;
  }

  /** Of the run that is under way. */
  get payloads(): SimPayloads | undefined {
    return this.#run?.payloads;
  }

  /** Calls `listener` with the notices of this and later runs. */
  onNotice(listener: (notice: Notice) => void): void {
    this.#listeners.add(listener);
  }

  checkInvariants(): void {
    this.#run?.scheduler.checkInvariants();
  }

  #running(): Run {
    assert(this.#run !== undefined, `agent ${this.peerId} is not running`);
    return this.#run;
  }
}
