/**
 * Agents and files that a test drives job by job, in virtual time. Called by the tests of this
 * folder that are about jobs rather than crowds.
 */
import { MiB } from "@shoal/core";
import type { JobPriority, JobSnapshot, Millis, Settings } from "@shoal/core";
import { isTransferred, makeSimContent, SimWorld } from "@shoal/sim";
import type { AddAgentOptions, SimAgent, SimContent } from "@shoal/sim";

/** A content and where it lies. */
export interface SimFile {
  readonly content: SimContent;
  readonly url: string;
}

export interface WorkloadOptions {
  readonly seed: number;
  readonly originRateBytesPerSec: number;
  readonly settings?: Partial<Settings>;
}

/** A job and the agent it runs on. */
export class WatchedJob {
  readonly agent: SimAgent;
  readonly jobId: string;

  constructor(agent: SimAgent, jobId: string) {
    this.agent = agent;
    this.jobId = jobId;
  }

  get snapshot(): JobSnapshot {
    const snapshot = this.agent.jobSnapshot(this.jobId);
    if (snapshot === undefined) throw new Error(`there is no job ${this.jobId}`);
    return snapshot;
  }

  get isDone(): boolean {
    return isTransferred(this.agent.jobSnapshot(this.jobId));
  }
}

export class Workload {
  readonly world: SimWorld;
  readonly #seed: number;
  #files = 0;

  constructor({ seed, originRateBytesPerSec, settings }: WorkloadOptions) {
    this.#seed = seed;
    const origin = { rateBytesPerSec: originRateBytesPerSec };
    this.world = new SimWorld({ seed, origin, ...(settings && { settings }) });
  }

  /** Puts a file and its manifest on the origin. Its pieces have 1 MiB where nothing else is said. */
  addFile(lengthBytes: number, pieceLengthBytes: number = MiB): SimFile {
    const number = this.#files++;
    const seed = this.#seed * 1_000 + number;
    const content = makeSimContent({ lengthBytes, pieceLengthBytes, seed });
    const url = `http://origin.example/${number}.bin`;
    this.world.server.setFile(url, {
      length: lengthBytes,
      validator: { etag: `"${number}"` },
      manifest: content.manifestBytes,
    });
    return { content, url };
  }

  /** Adds an agent with fast links and starts it; it is ready and knows all others. */
  startAgent(options: Partial<AddAgentOptions> = {}): SimAgent {
    const rates = { upRateBytesPerSec: 100 * MiB, downRateBytesPerSec: 100 * MiB };
    const agent = this.world.addAgent({ ...rates, ...options });
    this.start(agent);
    return agent;
  }

  /** Starts an agent, the first time or again; its stored jobs are loaded. */
  start(agent: SimAgent): void {
    const { clock, network, agents } = this.world;
    let isReady = false;
    agent.onNotice(({ type }) => {
      if (type === "ready") isReady = true;
    });
    agent.start();
    network.introduce(agent.peerId, { count: agents.length, withinMs: 10 });
    if (clock.runUntil(() => isReady, clock.now() + 1_000)) return;
    throw new Error("the agent has not come up");
  }

  download(agent: SimAgent, file: SimFile, priority: JobPriority = "normal"): WatchedJob {
    return new WatchedJob(agent, this.world.download(agent, { ...file, priority }));
  }

  /** Lets time pass. */
  pass(ms: Millis): void {
    this.world.clock.run(this.world.clock.now() + ms);
  }

  /** Runs until `isSo`, for at most `limitMs`; throws with the jobs' states when it never is. */
  until(isSo: () => boolean, jobs: readonly WatchedJob[], limitMs: Millis = 600_000): void {
    const { clock } = this.world;
    const isInTime = clock.runUntil(isSo, clock.now() + limitMs);
    this.world.checkInvariants();
    if (isInTime) return;
    const states = jobs.map(({ snapshot: { state, error, transferredBytes } }) => {
      return `${state}, ${transferredBytes} bytes ${error?.code ?? ""}`;
    });
    throw new Error(`seed ${this.#seed}: not within ${limitMs} ms: ${states.join("; ")}`);
  }

  untilDone(jobs: readonly WatchedJob[], limitMs?: Millis): void {
    this.until(() => jobs.every((job) => job.isDone), jobs, limitMs);
  }
}
