/**
 * Agents that crash, connections that break and disks that fill, in virtual time and over many
 * seeds. A failure names its seed; running the same seed again gives the same run.
 */
import { MiB, SETTINGS } from "@shoal/core";
import { isTransferred, makeSimContent, SimWorld } from "@shoal/sim";
import type { AddAgentOptions, SimAgent, SimNetworkOptions } from "@shoal/sim";
import { describe, expect, it } from "vitest";
import { scale } from "../long.ts";

const URL = "http://origin.example/content.bin";
const LENGTH = 128 * MiB;
const RATES = { upRateBytesPerSec: 50 * MiB, downRateBytesPerSec: 50 * MiB } as const;

/** Agents that have been told to download one content and are driven by the test. */
class Fleet {
  readonly world: SimWorld;
  readonly content;
  readonly #jobIds = new Map<SimAgent, string>();

  constructor(seed: number, count: number, network: SimNetworkOptions = {}) {
    const origin = { rateBytesPerSec: 10 * MiB };
    this.world = new SimWorld({ seed, origin, network });
    this.content = makeSimContent({ lengthBytes: LENGTH, pieceLengthBytes: MiB, seed });
    this.world.server.setFile(URL, {
      length: LENGTH,
      validator: { etag: '"one"' },
      manifest: this.content.manifestBytes,
    });
    for (let i = 0; i < count; i++) this.add({});
  }

  add(options: Partial<AddAgentOptions>): SimAgent {
    const agent = this.world.addAgent({ ...RATES, ...options });
    agent.onNotice((notice) => {
      if (notice.type !== "ready" || this.#jobIds.has(agent)) return;
      this.world.clock.schedule(this.world.clock.now(), () => {
        if (agent.isRunning && !this.#jobIds.has(agent)) {
          this.#jobIds.set(agent, this.world.download(agent, { content: this.content, url: URL }));
        }
      });
    });
    return agent;
  }

  start(agent: SimAgent): void {
    agent.start();
    const { network, agents } = this.world;
    network.introduce(agent.peerId, { count: agents.length, withinMs: 100 });
  }

  stateOf(agent: SimAgent): string {
    return this.#snapshot(agent)?.state ?? "no job";
  }

  transferredBytes(agent: SimAgent): number {
    return this.#snapshot(agent)?.transferredBytes ?? 0;
  }

  isDone(agent: SimAgent): boolean {
    return isTransferred(this.#snapshot(agent));
  }

  /** Runs until all are done; returns their states, for the failure message. */
  finish(limitMs: number): string[] {
    const { agents, clock } = this.world;
    clock.runUntil(() => agents.every((agent) => this.isDone(agent)), clock.now() + limitMs);
    this.world.checkInvariants();
    return agents.map((agent) => this.stateOf(agent));
  }

  #snapshot(agent: SimAgent) {
    const jobId = this.#jobIds.get(agent);
    return jobId === undefined ? undefined : agent.jobSnapshot(jobId);
  }
}

/** Piece bytes that an agent has received in the run that is under way. */
function receivedBytes(agent: SimAgent): number {
  return (
    agent.counter("shoal_origin_received_bytes_total") +
    agent.counter("shoal_peer_received_bytes_total")
  );
}

describe("in virtual time", () => {
  it("resumes after every crash and fetches at most 64 MiB and what was in flight again", async () => {
    for (let seed = 1; seed <= scale(5, 100); seed++) {
      const fleet = new Fleet(seed, 3);
      const { clock, random, agents } = fleet.world;
      const [victim] = agents;
      if (victim === undefined) throw new Error("no agents");
      for (const agent of agents) fleet.start(agent);
      let fetchedBytes = 0;
      let crashes = 0;
      for (; crashes < 10 && !fleet.isDone(victim); crashes++) {
        clock.run(clock.now() + 200 + 2_000 * random.fraction());
        fetchedBytes += receivedBytes(victim);
        await victim.crash();
        clock.run(clock.now() + 500 * random.fraction());
        fleet.start(victim);
      }
      expect(fleet.finish(600_000), `seed ${seed}`).toEqual(Array(3).fill("transferred"));
      fetchedBytes += receivedBytes(victim);
      const perCrashMax = 64 * MiB + SETTINGS.inFlightBytesMax.default;
      expect(fetchedBytes, `seed ${seed}`).toBeLessThanOrEqual(LENGTH + crashes * perCrashMax);
      expect(crashes, `seed ${seed}`).toBeGreaterThan(3);
    }
  });

  it("gives back every payload when it stops, in whatever it is", async () => {
    for (let seed = 1; seed <= scale(10, 200); seed++) {
      const fleet = new Fleet(seed, 4);
      const { clock, random, agents } = fleet.world;
      for (const agent of agents) fleet.start(agent);
      clock.run(10_000 * random.fraction());
      for (const agent of agents) {
        const { payloads } = agent;
        await (seed % 2 === 0 ? agent.stop() : agent.crash());
        expect(payloads?.borrowed, `seed ${seed}`).toBe(0);
      }
    }
  });

  it("completes while connections break all the time", () => {
    for (let seed = 1; seed <= scale(5, 100); seed++) {
      const fleet = new Fleet(seed, 6, { connectionLifeMs: 3_000 });
      for (const agent of fleet.world.agents) fleet.start(agent);
      expect(fleet.finish(600_000), `seed ${seed}`).toEqual(Array(6).fill("transferred"));
    }
  });

  it("waits while the disk is full and completes when there is space again (R-FS-11)", () => {
    const fleet = new Fleet(1, 2);
    const small = fleet.add({ disk: { capacityBytes: 40 * MiB } });
    const { clock, agents } = fleet.world;
    for (const agent of agents) fleet.start(agent);
    clock.run(60_000);
    expect(fleet.stateOf(small)).toBe("transientError");
    expect(fleet.transferredBytes(small)).toBeLessThanOrEqual(40 * MiB);
    small.disk.setCapacity(Infinity);
    expect(fleet.finish(2 * SETTINGS.jobRetryDelayMs.default)).toEqual(
      Array(3).fill("transferred"),
    );
  });

  it("does not serve what the disk has damaged, and fetches it again where it was lost", () => {
    const fleet = new Fleet(1, 3);
    const { agents } = fleet.world;
    agents[0]?.disk.damageNextWrites(3);
    for (const agent of agents) fleet.start(agent);
    expect(fleet.finish(600_000)).toEqual(Array(3).fill("transferred"));
    for (const agent of agents) {
      expect(agent.counter("shoal_corrupt_pieces_total")).toBe(0);
    }
  });
});
