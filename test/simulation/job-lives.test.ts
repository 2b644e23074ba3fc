/**
 * What happens to jobs when the network goes, the wall clock is set, or a month passes, in virtual
 * time. A failure names its seed; the same seed gives the same run.
 */
import { MiB, SETTINGS, USUAL_NETWORK } from "@shoal/core";
import { fileKey } from "@shoal/sim";
import { describe, expect, it } from "vitest";
import { scale } from "../long.ts";
import { Workload } from "./workload.ts";
import type { WatchedJob } from "./workload.ts";

const LENGTH = 48 * MiB;
const ORIGIN_RATE = 10 * MiB;
const OFFLINE = { ...USUAL_NETWORK, isOnline: false };
const DAY_MS = 24 * 3_600_000;
const TEN_YEARS_MS = 3_652 * DAY_MS;

const statesOf = (jobs: readonly WatchedJob[]): string[] => jobs.map((job) => job.snapshot.state);

describe("when the link of an agent goes", () => {
  it("holds all jobs with ERR_NETWORK_DOWN, finishes them on return, and refetches what was in flight at most", () => {
    for (let seed = 1; seed <= scale(10, 200); seed++) {
      const settings = { activeJobsMax: 2 };
      const load = new Workload({ seed, originRateBytesPerSec: ORIGIN_RATE, settings });
      const { random, server } = load.world;
      const agent = load.startAgent();
      const jobs = [0, 1, 2].map(() => load.download(agent, load.addFile(LENGTH)));
      load.pass(200 + 8_000 * random.fraction());
      agent.setLink(false);
      // The operating system notices at once, or when connections have long failed.
      if (random.fraction() < 0.5) load.pass(3_000 * random.fraction());
      const storedBefore = jobs.map((job) => job.snapshot.transferredBytes);
      agent.setNetwork(OFFLINE);
      for (const [index, { snapshot }] of jobs.entries()) {
        expect(snapshot.state, `seed ${seed}, job ${index}`).toBe("transientError");
        expect(snapshot.error?.code, `seed ${seed}, job ${index}`).toBe("ERR_NETWORK_DOWN");
      }
      const sentBefore = server.sentBytes;
      load.pass(3_600_000 * random.fraction());
      expect(server.sentBytes, `seed ${seed}: nothing is asked for`).toBe(sentBefore);
      const storedAfter = jobs.map((job) => job.snapshot.transferredBytes);
      expect(
        storedAfter.every((bytes, index) => bytes >= (storedBefore[index] ?? 0)),
        `seed ${seed}: nothing that was stored is lost`,
      ).toBe(true);
      agent.setLink(true);
      agent.setNetwork(USUAL_NETWORK);
      expect(statesOf(jobs), `seed ${seed}`).toEqual(["connecting", "connecting", "queued"]);
      load.untilDone(jobs);
      // Two jobs of four requests, each in the middle of a piece; manifests are less than one more.
      const inFlight = settings.activeJobsMax * SETTINGS.originConnectionsMax.default * MiB;
      const refetched = server.sentBytes - jobs.length * LENGTH;
      expect(refetched, `seed ${seed}`).toBeLessThanOrEqual(inFlight + MiB);
    }
  });

  it("finishes among peers although links come and go", () => {
    for (let seed = 1; seed <= scale(5, 100); seed++) {
      const load = new Workload({ seed, originRateBytesPerSec: ORIGIN_RATE });
      const { random } = load.world;
      const agents = [0, 1, 2, 3].map(() => load.startAgent());
      const file = load.addFile(LENGTH);
      const jobs = agents.map((agent) => load.download(agent, file));
      for (let losses = 0; losses < 6; losses++) {
        load.pass(1_000 * random.fraction());
        const agent = agents[random.below(agents.length)];
        agent?.setLink(false);
        agent?.setNetwork(OFFLINE);
        load.pass(1_000 * random.fraction());
        load.world.checkInvariants();
        agent?.setLink(true);
        agent?.setNetwork(USUAL_NETWORK);
      }
      load.untilDone(jobs);
      for (const { snapshot } of jobs) expect(snapshot.error, `seed ${seed}`).toBeUndefined();
    }
  });
});

describe("when the wall clock is set", () => {
  /**
   * Four agents download one file, through an outage after which all jobs wait in
   * `transientError`, with the clock set by so much at these instants.
   */
  function run(seed: number, jumps: ReadonlyMap<number, number>): Workload {
    const load = new Workload({ seed, originRateBytesPerSec: ORIGIN_RATE });
    const agents = [0, 1, 2, 3].map(() => load.startAgent());
    const file = load.addFile(LENGTH);
    const jobs = agents.map((agent) => load.download(agent, file));
    for (const [at, byMs] of jumps) {
      load.world.clock.schedule(at, () => load.world.clock.jumpWall(byMs));
    }
    load.world.server.plan({ kind: "down" }, 2_000, 120_000);
    load.world.clock.run(119_000);
    expect(statesOf(jobs), `seed ${seed}`).toEqual(Array(4).fill("transientError"));
    load.untilDone(jobs, 3_600_000);
    load.pass(3 * 3_600_000);
    expect(statesOf(jobs), `seed ${seed}`).toEqual(Array(4).fill("transferred"));
    return load;
  }

  it("does the same, event by event, when it jumps ten years either way (R-TIME-02)", () => {
    for (let seed = 1; seed <= scale(4, 50); seed++) {
      // While pieces come, while requests are retried, and while the jobs wait.
      const runWith = (...[first, second, third]: [number, number, number]): Workload =>
        run(
          seed,
          new Map([
            [1_000, first],
            [10_000, second],
            [118_000, third],
          ]),
        );
      const plain = runWith(0, 0, 0);
      const ahead = runWith(TEN_YEARS_MS, TEN_YEARS_MS, TEN_YEARS_MS);
      const swung = runWith(TEN_YEARS_MS, -2 * TEN_YEARS_MS, TEN_YEARS_MS);
      const back = runWith(-TEN_YEARS_MS, 0, -TEN_YEARS_MS);
      for (const { world } of [ahead, swung, back]) {
        expect(world.trace.count, `seed ${seed}`).toBe(plain.world.trace.count);
        expect(world.trace.hash, `seed ${seed}`).toBe(plain.world.trace.hash);
        expect(world.server.sentBytes, `seed ${seed}`).toBe(plain.world.server.sentBytes);
      }
      expect(ahead.world.clock.wallNow()).toBeGreaterThan(plain.world.clock.wallNow());
    }
  });
});

describe("when a month has passed", () => {
  /** A suspended job and one whose origin is gone, and a day later another suspended one. */
  function beginJobs() {
    const load = new Workload({ seed: 1, originRateBytesPerSec: ORIGIN_RATE });
    const agent = load.startAgent();
    const createdAt = load.world.clock.now();
    const lost = load.addFile(LENGTH);
    const old = [load.download(agent, load.addFile(LENGTH)), load.download(agent, lost)];
    load.pass(2_000);
    const [suspended] = old;
    if (suspended !== undefined) agent.applyVerb(suspended.jobId, "suspend");
    const trouble = { kind: "status", status: 503 } as const;
    const file = { length: LENGTH, validator: { etag: '"0"' } };
    load.world.server.setFile(lost.url, { ...file, trouble });
    load.world.clock.run(createdAt + DAY_MS);
    const young = load.download(agent, load.addFile(LENGTH));
    load.pass(2_000);
    agent.applyVerb(young.jobId, "suspend");
    load.pass(1_000);
    for (const job of [...old, young]) {
      expect(agent.disk.files.get(fileKey(job.jobId, 0))?.committed.size).toBeGreaterThan(0);
    }
    return { load, agent, createdAt, old, young };
  }

  function expectOldGone({ load, agent, old, young }: ReturnType<typeof beginJobs>): void {
    for (const { jobId, snapshot } of old) {
      expect(snapshot.state).toBe("cancelled");
      expect(snapshot.error?.code).toBe("ERR_JOB_TOO_OLD");
      expect(agent.disk.files.has(fileKey(jobId, 0))).toBe(false);
    }
    expect(young.snapshot.state).toBe("suspended");
    const keptBytes = (agent.disk.files.get(fileKey(young.jobId, 0))?.committed.size ?? 0) * MiB;
    expect(keptBytes).toBeGreaterThan(0);
    expect(agent.disk.usedBytes).toBe(keptBytes);
    const { server } = load.world;
    const sentBefore = server.sentBytes;
    agent.applyVerb(young.jobId, "resume");
    load.untilDone([young]);
    // What was kept is not fetched again; the manifest may be.
    expect(server.sentBytes - sentBefore).toBeLessThan(LENGTH - keptBytes + MiB);
  }

  it("has removed a job of 30 days and 1 s with its part file, and kept one of 29 days", () => {
    const begun = beginJobs();
    begun.load.world.clock.run(begun.createdAt + 30 * DAY_MS);
    expect(statesOf(begun.old)).toEqual(["suspended", "error"]);
    begun.load.pass(1_000);
    expectOldGone(begun);
  });

  it("removes it, and keeps the other, also when the agent was off until then (R-TIME-03)", async () => {
    const begun = beginJobs();
    const { load, agent, createdAt, old } = begun;
    await agent.stop();
    load.world.clock.run(createdAt + 30 * DAY_MS + 1_000);
    load.start(agent);
    expect(statesOf(old)[0]).toBe("suspended");
    load.pass(SETTINGS.expiryGraceMs.default + 1_000);
    expectOldGone(begun);
  });
});
