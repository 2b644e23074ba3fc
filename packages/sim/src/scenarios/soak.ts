/**
 * A soak: a few agents over hours of virtual time, in which contents appear and are fetched, agents
 * crash, stop, lose their link or their disk and come back, disks write wrong bytes, connections
 * break, and the origin has trouble. After every event the agents' invariants are checked, and when
 * all is well again every job has to be done.
 *
 * Knows the world and what should be true of it. Throws with the seed and the instant when something
 * is not. Called by the `sim` command and by tests.
 */
import { KiB, MiB } from "@shoal/core";
import type { Millis, Random } from "@shoal/core";
import type { SimAgent } from "../sim-agent.ts";
import { makeSimContent } from "../sim-content.ts";
import { SimDisk } from "../sim-disk.ts";
import type { OriginTrouble } from "../sim-origin-server.ts";
import { isTransferred, SimWorld } from "../sim-world.ts";

export interface SoakOptions {
  readonly seed: number;
  /** How long things go wrong; then they have to come right. */
  readonly minutes: number;
  /** Default 8. */
  readonly peers?: number;
}

export interface SoakReport {
  readonly scenario: "soak";
  readonly seed: number;
  readonly minutes: number;
  readonly jobs: number;
  readonly completed: number;
  readonly cancelled: number;
  /** Jobs that went with the disk they were on. */
  readonly lost: number;
  readonly departures: number;
  readonly troubles: number;
  readonly events: number;
  readonly traceHash: string;
}

/** Between two things that happen, on average. */
const CALM_MS = 4_000;
/** Jobs that failed for a while are tried again every ten minutes. */
const RECOVERY_MS = 2 * 3_600_000;
const MINUTE_MS = 60_000;
const CONNECTION_LIFE_MS = 120_000;
/** Contents in the world; further ones are not made, so that a machine can hold all of them. */
const CONTENTS_MAX = 200;

interface SoakJob {
  readonly agent: SimAgent;
  readonly jobId: string;
  end: "completed" | "cancelled" | "lost" | undefined;
}

/** Runs a soak; the same options give the same report. Throws when something is not as it should. */
export function runSoak(options: SoakOptions): SoakReport {
  const soak = new Soak(options);
  try {
    soak.run();
  } catch (error) {
    throw new Error(`soak, seed ${options.seed}, ${soak.place}: ${String(error)}`, {
      cause: error,
    });
  }
  return soak.report();
}

class Soak {
  readonly #options: SoakOptions;
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #jobs: SoakJob[] = [];
  readonly #files: Array<{
    readonly url: string;
    readonly content: ReturnType<typeof makeSimContent>;
  }> = [];
  /** Wrong bytes that disks were made to write; so many may lie in published files. */
  #damages = 0;
  #departures = 0;
  #troubles = 0;
  /** Of each agent, when it was looked at. */
  readonly #eventCounts: number[] = [];
  #turn = 0;

  constructor(options: SoakOptions) {
    this.#options = options;
    const origin = { rateBytesPerSec: 10 * MiB };
    const network = { connectionLifeMs: CONNECTION_LIFE_MS };
    this.#world = new SimWorld({ seed: options.seed, origin, network });
    this.#random = this.#world.random;
    const rates = { upRateBytesPerSec: 50 * MiB, downRateBytesPerSec: 50 * MiB };
    for (let index = 0; index < (options.peers ?? 8); index++) {
      this.#watch(this.#world.addAgent(rates));
    }
  }

  /** Where the run is, for people. */
  get place(): string {
    const { clock, trace } = this.#world;
    return `at ${clock.now()} ms, after ${trace.count} events`;
  }

  run(): void {
    const { agents, clock } = this.#world;
    for (const agent of agents) this.#start(agent);
    const endsAt = this.#options.minutes * MINUTE_MS;
    this.#disturbUntil(endsAt);
    clock.schedule(endsAt, () => undefined);
    while (clock.now() < endsAt) this.#step();
    for (const agent of agents) {
      agent.setLink(true);
      if (!agent.isRunning) this.#start(agent);
    }
    const givenUpAt = clock.now() + RECOVERY_MS;
    while (clock.now() < givenUpAt && this.#jobs.some((job) => job.end === undefined)) this.#step();
    this.#checkEnd();
  }

  report(): SoakReport {
    const count = (end: SoakJob["end"]): number =>
      this.#jobs.filter((job) => job.end === end).length;
    const { seed, minutes } = this.#options;
    return {
      scenario: "soak",
      seed,
      minutes,
      jobs: this.#jobs.length,
      completed: count("completed"),
      cancelled: count("cancelled"),
      lost: count("lost"),
      departures: this.#departures,
      troubles: this.#troubles,
      events: this.#world.trace.count,
      traceHash: this.#world.trace.hash,
    };
  }

  /** Has something happen every now and then until `endsAt`. */
  #disturbUntil(endsAt: Millis): void {
    const { clock } = this.#world;
    const at = clock.now() + 2 * CALM_MS * this.#random.fraction();
    if (at >= endsAt) return;
    clock.schedule(at, () => {
      this.#disturb();
      this.#disturbUntil(endsAt);
    });
  }

  /** One wake-up, and then a look at all who had events of it, and at one more: it may be a timer. */
  #step(): void {
    const { clock, agents } = this.#world;
    clock.step();
    const turn = this.#turn++ % agents.length;
    for (let index = 0; index < agents.length; index++) {
      const agent = agents[index]!;
      if (agent.eventCount === this.#eventCounts[index] && index !== turn) continue;
      this.#eventCounts[index] = agent.eventCount;
      agent.checkInvariants();
    }
  }

  #disturb(): void {
    const happenings = [
      () => this.#publish(),
      () => this.#publish(),
      () => this.#download(),
      () => this.#download(),
      () => this.#download(),
      () => this.#leave(),
      () => this.#unplug(),
      () => this.#damage(),
      () => this.#troubleOrigin(),
      () => this.#cancel(),
    ];
    happenings[this.#random.below(happenings.length)]?.();
  }

  #publish(): void {
    if (this.#files.length >= CONTENTS_MAX) return;
    const number = this.#files.length;
    const seed = this.#options.seed * 1_000 + number;
    const lengthBytes = MiB + this.#random.below(48 * MiB);
    const pieceLengthBytes = (256 * KiB) << this.#random.below(3);
    const previous = this.#files.at(-1)?.content;
    const isUpdate = previous !== undefined && this.#random.below(4) === 0;
    const basedOn = isUpdate ? { basedOn: { content: previous, sharedShare: 0.9 } } : {};
    const content = makeSimContent({
      lengthBytes: isUpdate ? previous.layout.contentLength : lengthBytes,
      pieceLengthBytes: isUpdate ? previous.layout.pieceLengthMax : pieceLengthBytes,
      seed,
      ...basedOn,
    });
    const url = `http://origin.example/${number}.bin`;
    const { manifestBytes: manifest, layout } = content;
    const validator = { etag: `"${seed}"` };
    this.#world.server.setFile(url, { length: layout.contentLength, validator, manifest });
    this.#files.push({ url, content });
    this.#download();
  }

  /** Some agents, often several at once, want one of the latest contents. */
  #download(): void {
    const latest = this.#files.slice(-4);
    const file = latest[this.#random.below(Math.max(1, latest.length))];
    if (file === undefined) return;
    for (const agent of this.#world.agents) {
      if (!agent.isRunning || this.#random.below(2) === 0) continue;
      const priority = this.#random.below(3) === 0 ? "foreground" : "normal";
      const jobId = this.#world.download(agent, { ...file, priority });
      this.#jobs.push({ agent, jobId, end: undefined });
    }
  }

  #leave(): void {
    const agent = this.#pick();
    if (!agent.isRunning) return;
    this.#departures++;
    const { clock } = this.#world;
    void (this.#random.below(2) === 0 ? agent.crash() : agent.stop());
    const losesDisk = this.#random.below(8) === 0;
    if (losesDisk) {
      for (const job of this.#jobs) {
        if (job.agent === agent && job.end === undefined) job.end = "lost";
      }
    }
    clock.schedule(clock.now() + MINUTE_MS * this.#random.fraction(), () => {
      if (losesDisk) agent.replaceDisk(new SimDisk({ clock }));
      if (!agent.isRunning) this.#start(agent);
    });
  }

  #unplug(): void {
    const agent = this.#pick();
    const { clock } = this.#world;
    agent.setLink(false);
    clock.schedule(clock.now() + (MINUTE_MS / 2) * this.#random.fraction(), () => {
      agent.setLink(true);
    });
  }

  #damage(): void {
    const count = 1 + this.#random.below(3);
    this.#damages += count;
    this.#pick().disk.damageNextWrites(count);
  }

  #troubleOrigin(): void {
    const troubles: readonly OriginTrouble[] = [
      { kind: "down" },
      { kind: "silent" },
      { kind: "slow", rateBytesPerSec: 256 * KiB },
      { kind: "status", status: 503 },
      { kind: "status", status: 429, retryAfterMs: 2_000 },
    ];
    this.#troubles++;
    const now = this.#world.clock.now();
    const what = troubles[this.#random.below(troubles.length)]!;
    this.#world.server.plan(what, now, now + 1_000 + 30_000 * this.#random.fraction());
  }

  #cancel(): void {
    const open = this.#jobs.filter(({ end, agent }) => end === undefined && agent.isRunning);
    const job = open[this.#random.below(Math.max(1, open.length))];
    if (job?.agent.applyVerb(job.jobId, "cancel").ok === true) job.end = "cancelled";
  }

  #pick(): SimAgent {
    const { agents } = this.#world;
    return agents[this.#random.below(agents.length)]!;
  }

  #start(agent: SimAgent): void {
    agent.start();
    const { network, agents } = this.#world;
    network.introduce(agent.peerId, { count: agents.length, withinMs: 1_000 });
  }

  #watch(agent: SimAgent): void {
    const { clock } = this.#world;
    agent.onNotice((notice) => {
      if (notice.type !== "jobChanged") return;
      const job = this.#jobs.find(({ jobId }) => jobId === notice.jobId);
      if (job?.end !== undefined || !isTransferred(agent.jobBrief(notice.jobId))) return;
      if (job !== undefined) job.end = "completed";
      // Those that are over make room for others; the call comes between two turns of the engine.
      clock.schedule(clock.now(), () => {
        if (agent.isRunning) agent.applyVerb(notice.jobId, "acknowledge");
      });
    });
  }

  /** All jobs are done, and what lies at destinations is what was asked for. */
  #checkEnd(): void {
    const open = this.#jobs.filter((job) => job.end === undefined);
    for (const { agent, jobId } of open) {
      const { state, error } = agent.jobSnapshot(jobId) ?? {};
      throw new Error(`${agent.peerId}, job ${jobId}: ${state} ${error?.code ?? ""}`);
    }
    // A published file is read again when peers ask for it; what is then found wrong is given up.
    let wrong = 0;
    for (const { disk } of this.#world.agents) {
      for (const { committed, damaged, layout } of disk.published.values()) {
        wrong += layout.pieceCount - committed.size + damaged.size;
      }
    }
    if (wrong > this.#damages) throw new Error(`${wrong} pieces of published files are wrong`);
  }
}
