/**
 * Limits of bandwidth as numbers with tolerances, in virtual time: every limit is held within 5 per
 * cent over ten seconds, and what it leaves is used.
 */
import { KiB, MiB } from "@shoal/core";
import type { PaceSettings } from "@shoal/core";
import type { SimAgent } from "@shoal/sim";
import { describe, expect, it } from "vitest";
import { Workload } from "./workload.ts";
import type { WatchedJob } from "./workload.ts";

const LENGTH = 1024 * MiB;
/** Small, so that counting whole pieces is exact enough. */
const PIECE_LENGTH = 128 * KiB;
const ORIGIN_RATE = 80 * MiB;
/** Must be shown. */
const TOLERANCE = 0.05;
const SPAN_MS = 10_000;
const HOUR_MS = 3_600_000;

function createLoad(settings: Partial<PaceSettings> = {}): Workload {
  return new Workload({ seed: 7, originRateBytesPerSec: ORIGIN_RATE, settings });
}

/** Bytes per second of each job over a span, by what has been received. */
function ratesOver(load: Workload, jobs: readonly WatchedJob[], spanMs = SPAN_MS): number[] {
  const receivedBy = ({ snapshot }: WatchedJob): number =>
    snapshot.originBytes + snapshot.peerBytes;
  const before = jobs.map(receivedBy);
  load.pass(spanMs);
  return jobs.map((job, index) => ((receivedBy(job) - (before[index] ?? 0)) * 1_000) / spanMs);
}

/** How far a rate is from the one expected, as a share of that. */
function offBy(actual: number | undefined, expected: number): number {
  return Math.abs((actual ?? 0) / expected - 1);
}

function setRate(agent: SimAgent, job: WatchedJob, rateBytesPerSec: number | null): void {
  const values = { rateBytesPerSec };
  expect(agent.changeJob(job.jobId, { type: "setJob", values }).ok).toBe(true);
}

describe("a limit in force", () => {
  it.each([
    ["downloadRateBytesPerSec", "foreground"],
    ["foregroundRateBytesPerSec", "foreground"],
    ["backgroundRateBytesPerSec", "normal"],
    ["originHostRateBytesPerSec", "normal"],
  ] as const)("is held within 5 per cent over 10 s: %s", (name, priority) => {
    const load = createLoad({ [name]: 8 * MiB });
    const agent = load.startAgent();
    const job = load.download(agent, load.addFile(LENGTH, PIECE_LENGTH), priority);
    load.pass(2_000);
    expect(offBy(ratesOver(load, [job])[0], 8 * MiB)).toBeLessThan(TOLERANCE);
  });

  it("is shared fairly by the jobs that it binds, and is the sum of what they get", () => {
    const load = createLoad({ backgroundRateBytesPerSec: 9 * MiB });
    const agent = load.startAgent();
    const jobs = [1, 2, 3].map(() => load.download(agent, load.addFile(LENGTH, PIECE_LENGTH)));
    load.pass(2_000);
    const rates = ratesOver(load, jobs);
    for (const rate of rates) expect(offBy(rate, 3 * MiB)).toBeLessThan(TOLERANCE);
  });

  it("gives to others what a job with a limit of its own leaves", () => {
    const load = createLoad({ downloadRateBytesPerSec: 10 * MiB });
    const agent = load.startAgent();
    const [slow, fast] = [0, 1].map(() => load.download(agent, load.addFile(LENGTH, PIECE_LENGTH)));
    if (slow === undefined || fast === undefined) throw new Error("both were made");
    setRate(agent, slow, 2 * MiB);
    load.pass(3_000);
    const rates = ratesOver(load, [slow, fast]);
    expect(offBy(rates[0], 2 * MiB), "limited").toBeLessThan(TOLERANCE);
    expect(offBy(rates[1], 8 * MiB), "other").toBeLessThan(TOLERANCE);
  });

  it("gives to others what a job whose origin is slow leaves", () => {
    const load = createLoad({ downloadRateBytesPerSec: 10 * MiB });
    const agent = load.startAgent();
    const fast = load.download(agent, load.addFile(LENGTH, PIECE_LENGTH));
    const stuckFile = load.addFile(LENGTH, PIECE_LENGTH);
    const file = { length: LENGTH, validator: { etag: '"1"' } };
    load.world.server.setFile(stuckFile.url, { ...file, trouble: { kind: "silent" } });
    load.download(agent, stuckFile);
    load.pass(6_000);
    expect(offBy(ratesOver(load, [fast])[0], 10 * MiB)).toBeLessThan(TOLERANCE);
  });

  it("holds for peers and origin together, and for what a seed sends", () => {
    const load = createLoad();
    const seed = load.startAgent();
    const file = load.addFile(256 * MiB, PIECE_LENGTH);
    load.untilDone([load.download(seed, file, "foreground")]);
    const taker = load.startAgent({ settings: { downloadRateBytesPerSec: 8 * MiB } });
    const job = load.download(taker, file);
    load.pass(2_000);
    expect(offBy(ratesOver(load, [job])[0], 8 * MiB)).toBeLessThan(TOLERANCE);
    expect(job.snapshot.peerBytes).toBeGreaterThan(job.snapshot.originBytes);
    taker.setLimits({ downloadRateBytesPerSec: 0 });
    seed.setLimits({ uploadRateBytesPerSec: 4 * MiB });
    const before = seed.sentBytes;
    load.pass(SPAN_MS / 2);
    expect(seed.sentBytes - before).toBeLessThan(1.05 * 4 * MiB * 5 + 2 * MiB);
  });

  it("does not end a body that is slow because of it (R-HTTP-08)", () => {
    const load = createLoad({ downloadRateBytesPerSec: 3 * KiB });
    const agent = load.startAgent();
    const job = load.download(agent, load.addFile(MiB), "foreground");
    load.pass(300_000);
    expect(agent.counter("shoal_origin_failures_total")).toBe(0);
    expect(job.snapshot.state).not.toBe("transientError");
    load.untilDone([job], 200_000);
  });
});

describe("a change of limits", () => {
  it("is in force within a second, in either direction, for an agent and for a job", () => {
    const load = createLoad({ downloadRateBytesPerSec: 20 * MiB });
    const agent = load.startAgent();
    const job = load.download(agent, load.addFile(LENGTH, PIECE_LENGTH));
    load.pass(3_000);
    agent.setLimits({ downloadRateBytesPerSec: 4 * MiB });
    load.pass(1_000);
    expect(offBy(ratesOver(load, [job], 5_000)[0], 4 * MiB), "less").toBeLessThan(TOLERANCE);
    agent.setLimits({ downloadRateBytesPerSec: 16 * MiB });
    load.pass(1_000);
    expect(offBy(ratesOver(load, [job], 5_000)[0], 16 * MiB), "more").toBeLessThan(TOLERANCE);
    setRate(agent, job, 2 * MiB);
    load.pass(1_000);
    expect(offBy(ratesOver(load, [job], 5_000)[0], 2 * MiB), "job").toBeLessThan(TOLERANCE);
    setRate(agent, job, null);
    agent.setLimits({ downloadRateBytesPerSec: 0 });
    load.pass(1_000);
    expect(ratesOver(load, [job], 4_000)[0]).toBeGreaterThan(0.9 * ORIGIN_RATE);
  });

  it("refuses settings that only a start can change, and values out of range", () => {
    const agent = createLoad().startAgent();
    const other = { jobsMax: 3 } as Partial<PaceSettings>;
    expect(() => agent.setLimits(other)).toThrow("cannot change while the agent runs");
    expect(() => agent.setLimits({ backgroundPercent: 101 })).toThrow("backgroundPercent");
  });
});

describe("a window of hours", () => {
  it("begins and ends with its hour, past midnight too", () => {
    const load = createLoad({
      backgroundWindowFromHour: 23,
      backgroundWindowToHour: 1,
      backgroundWindowInsideRateBytesPerSec: 2 * MiB,
      backgroundWindowOutsideRateBytesPerSec: 4 * MiB,
    });
    const { clock } = load.world;
    // A run begins at midnight.
    const agent = load.startAgent();
    const job = load.download(agent, load.addFile(16 * LENGTH));
    load.pass(1_000);
    expect(offBy(ratesOver(load, [job])[0], 2 * MiB), "at midnight").toBeLessThan(TOLERANCE);
    load.pass(HOUR_MS - clock.now());
    load.pass(1_000);
    expect(offBy(ratesOver(load, [job])[0], 4 * MiB), "at one").toBeLessThan(TOLERANCE);
  });

  it("follows the clock on the wall when it is set, and the local time", () => {
    const load = createLoad({
      backgroundWindowFromHour: 8,
      backgroundWindowToHour: 17,
      backgroundWindowInsideRateBytesPerSec: 2 * MiB,
    });
    load.world.clock.utcOffset = 9 * HOUR_MS;
    const agent = load.startAgent();
    const job = load.download(agent, load.addFile(LENGTH, PIECE_LENGTH));
    load.pass(1_000);
    expect(offBy(ratesOver(load, [job], 4_000)[0], 2 * MiB), "at nine").toBeLessThan(TOLERANCE);
    load.world.clock.jumpWall(9 * HOUR_MS);
    load.pass(1_000);
    expect(ratesOver(load, [job], 4_000)[0]).toBeGreaterThan(0.9 * ORIGIN_RATE);
  });
});

describe("a percentage of capacity", () => {
  it.each([
    ["foregroundPercent", "foreground", 90],
    ["backgroundPercent", "normal", 45],
  ] as const)("is held after a short probe, and stays: %s", (name, priority, percent) => {
    const load = createLoad({ [name]: percent });
    const agent = load.startAgent();
    const job = load.download(agent, load.addFile(64 * LENGTH), priority);
    load.pass(5_000);
    const expected = (ORIGIN_RATE * percent) / 100;
    expect(offBy(ratesOver(load, [job])[0], expected), "at first").toBeLessThan(TOLERANCE);
    load.pass(290_000 - load.world.clock.now());
    load.pass(30_000);
    expect(offBy(ratesOver(load, [job])[0], expected), "after the next probe").toBeLessThan(
      TOLERANCE,
    );
  });

  it("does not throttle peers", () => {
    const load = createLoad();
    const file = load.addFile(512 * MiB);
    const seed = load.startAgent();
    load.untilDone([load.download(seed, file, "foreground")]);
    const agent = load.startAgent({ settings: { backgroundPercent: 1 } });
    const job = load.download(agent, file);
    load.untilDone([job], 15_000);
    expect(job.snapshot.peerBytes).toBeGreaterThan(0.9 * 512 * MiB);
  });
});

describe("a background job on a link that others want", () => {
  it("falls back while they do, lets them have most of it, and recovers", () => {
    const load = createLoad();
    const [agent, other] = [load.startAgent(), load.startAgent()];
    const job = load.download(agent, load.addFile(64 * LENGTH));
    load.pass(5_000);
    expect(ratesOver(load, [job])[0], "alone").toBeGreaterThan(0.95 * ORIGIN_RATE);
    const wanted = load.download(other, load.addFile(64 * LENGTH), "foreground");
    load.pass(10_000);
    const [background = 0, foreground = 0] = ratesOver(load, [job, wanted], 60_000);
    const share = background / (background + foreground);
    const figures = `${(100 * share).toFixed(1)} % next to others`;
    expect(share, `${figures}: at most 40 %`).toBeLessThan(0.4);
    expect(share, `${figures}: it goes on`).toBeGreaterThan(0.02);
    expect(background + foreground, "nothing is left").toBeGreaterThan(0.9 * ORIGIN_RATE);
    other.applyVerb(wanted.jobId, "suspend");
    load.pass(30_000);
    expect(ratesOver(load, [job])[0], "alone again").toBeGreaterThan(0.9 * ORIGIN_RATE);
  });
});

describe("a background job whose origin has trouble", () => {
  it("is at its old rate soon afterwards, because nobody else wanted the link", () => {
    const load = createLoad();
    const agent = load.startAgent();
    const job = load.download(agent, load.addFile(64 * LENGTH));
    load.pass(5_000);
    const { clock, server } = load.world;
    server.plan({ kind: "silent" }, clock.now() + 1, clock.now() + 6_000);
    load.pass(8_000);
    expect(ratesOver(load, [job], 5_000)[0]).toBeGreaterThan(0.9 * ORIGIN_RATE);
  });
});

describe("background next to foreground", () => {
  it("takes no more than its share of what comes, and everything afterwards", () => {
    const load = createLoad({ backgroundSharePercent: 20 });
    const agent = load.startAgent();
    const jobs = [
      load.download(agent, load.addFile(LENGTH, PIECE_LENGTH), "foreground"),
      ...[1, 2, 3].map(() => load.download(agent, load.addFile(LENGTH, PIECE_LENGTH), "normal")),
    ];
    load.pass(2_000);
    const [foreground = 0, ...background] = ratesOver(load, jobs, 8_000);
    const sum = background.reduce((all, rate) => all + rate, 0);
    expect(sum / (foreground + sum)).toBeLessThanOrEqual(0.21);
    expect(sum / (foreground + sum)).toBeGreaterThan(0.01);
    expect(foreground + sum).toBeGreaterThan(0.9 * ORIGIN_RATE);
  });
});
