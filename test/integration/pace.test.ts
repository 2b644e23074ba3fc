/**
 * Limits of bandwidth on loopback, with a whole agent: what it has received, over some seconds.
 */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, Job, Settings } from "@shoal/agent";
import { KiB, MiB, SIDECAR_SUFFIX } from "@shoal/core";
import type { JobPriority } from "@shoal/core";
import { describeFile } from "@shoal/store";
import { describe, expect, test } from "vitest";
import { scale } from "../long.ts";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import { TestSite, until } from "./harness.ts";

const SPAN_MS = scale(2_500, 10_000);
const RATE = 8 * MiB;
const LENGTH = scale(128 * MiB, 256 * MiB);

interface OnlineFile {
  readonly url: string;
  readonly contentId: string;
}

/**
 * An agent, and files that it can fetch: of small pieces, so that whole pieces tell the rate, of
 * which no two are equal, so that none is found on this machine.
 */
class PaceSite implements AsyncDisposable {
  readonly #site: TestSite;
  readonly #files: OnlineFile[];
  readonly agent: Agent;

  private constructor(site: TestSite, files: OnlineFile[], agent: Agent) {
    this.#site = site;
    this.#files = files;
    this.agent = agent;
  }

  static async open(
    settings: Partial<Settings>,
    { fileCount = 1, serverRateBytesPerSec = Infinity } = {},
  ): Promise<PaceSite> {
    const site = await TestSite.create();
    const paths: Record<string, string> = {};
    for (let i = 0; i < fileCount; i++) {
      const path = join(site.directory, `online-${i}`);
      await writeFile(path, randomParts(LENGTH));
      paths[`file-${i}`] = path;
      paths[`file-${i}${SIDECAR_SUFFIX}`] = path + SIDECAR_SUFFIX;
    }
    const origin = await serveFiles(paths, { rateBytesPerSec: serverRateBytesPerSec });
    site.use(origin);
    const files: OnlineFile[] = [];
    for (const [name, path] of Object.entries(paths)) {
      if (name.endsWith(SIDECAR_SUFFIX)) continue;
      const { bytes, contentId } = await describeFile(path, { pieceLength: 128 * KiB });
      await writeFile(path + SIDECAR_SUFFIX, bytes);
      files.push({ url: origin.urlOf(name), contentId });
    }
    const stateDirectory = join(site.directory, "state");
    const agent = await startAgent({ stateDirectory, listen: [], mdns: false, settings });
    site.use(agent);
    return new PaceSite(site, files, agent);
  }

  /** A job for the next file, that has received something. */
  async begin(priority: JobPriority = "normal", rateBytesPerSec = 0): Promise<Job> {
    const file = this.#files.shift();
    if (file === undefined) throw new Error("there is no further file");
    const destination = join(this.#site.directory, `fetched-${this.#files.length}`);
    const files = [{ ...file, destination }];
    const job = await this.agent.jobs.createJob({ files, priority, rateBytesPerSec });
    await until(async () => (await job.snapshot()).originBytes > 0, "the job begins");
    return job;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { jobId } of await this.agent.jobs.list()) {
      await (await this.agent.jobs.get(jobId))?.cancel();
    }
    await this.#site[Symbol.asyncDispose]();
  }
}

function* randomParts(length: number): Generator<Uint8Array> {
  for (let left = length; left > 0; left -= MiB) yield randomBytes(Math.min(left, MiB));
}

/** Bytes per second that each job receives, over a span. */
async function ratesOver(jobs: readonly Job[], spanMs = SPAN_MS): Promise<number[]> {
  const receivedBy = async (job: Job): Promise<number> => (await job.snapshot()).originBytes;
  const before = await Promise.all(jobs.map(receivedBy));
  const beganAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, spanMs));
  const after = await Promise.all(jobs.map(receivedBy));
  const tookMs = performance.now() - beganAt;
  return after.map((bytes, index) => ((bytes - (before[index] ?? 0)) * 1_000) / tookMs);
}

function expectRate(what: string, actual: number | undefined, expected: number): void {
  const share = (actual ?? 0) / expected;
  const figures = `${what}: ${(100 * share).toFixed(1)} % of ${expected / MiB} MiB/s`;
  console.log(figures);
  expect(share, `${figures}`).toBeGreaterThan(0.95);
  expect(share, `${figures}`).toBeLessThan(1.05);
}

describe("limits of bandwidth on loopback", () => {
  test("hold within 5 per cent, and change within a second", async () => {
    await using site = await PaceSite.open({ downloadRateBytesPerSec: RATE });
    const job = await site.begin();
    const [held] = await ratesOver([job]);
    expectRate("the agent's limit", held, RATE);
    site.agent.setLimits({ downloadRateBytesPerSec: RATE / 4 });
    await ratesOver([job], 1_000);
    const [less] = await ratesOver([job], SPAN_MS / 2);
    expectRate("less, a second later", less, RATE / 4);
    await job.change({ rateBytesPerSec: RATE / 8 });
    await ratesOver([job], 1_000);
    const [own] = await ratesOver([job], SPAN_MS / 2);
    expectRate("the job's own, a second later", own, RATE / 8);
    await job.change({ rateBytesPerSec: 0 });
    site.agent.setLimits({ downloadRateBytesPerSec: 2 * RATE });
    await ratesOver([job], 1_000);
    const [more] = await ratesOver([job], SPAN_MS / 2);
    expectRate("more, a second later", more, 2 * RATE);
    expect(site.agent.counters().shoal_origin_failures_total).toBe(0);
  });

  test("follow the time of day", async () => {
    const hour = new Date().getHours();
    const hours = (from: number, to: number): Partial<Settings> => ({
      backgroundWindowFromHour: (hour + from) % 24,
      backgroundWindowToHour: (hour + to) % 24,
    });
    // An hour to both sides, should the clock strike meanwhile.
    const inside = hours(23, 2);
    const outside = hours(3, 5);
    await using site = await PaceSite.open({
      ...inside,
      backgroundWindowInsideRateBytesPerSec: RATE,
      backgroundWindowOutsideRateBytesPerSec: RATE / 4,
    });
    const job = await site.begin();
    const [held] = await ratesOver([job]);
    expectRate("inside the window", held, RATE);
    site.agent.setLimits(outside);
    await ratesOver([job], 1_000);
    const [other] = await ratesOver([job]);
    expectRate("outside", other, RATE / 4);
    expect(site.agent.counters().shoal_origin_failures_total).toBe(0);
  });

  test("leave the background its share next to the foreground, and no more", async () => {
    const serverRateBytesPerSec = 16 * MiB;
    await using site = await PaceSite.open({}, { fileCount: 2, serverRateBytesPerSec });
    const background = await site.begin("normal");
    const foreground = await site.begin("foreground");
    await ratesOver([foreground], 1_000);
    const [first = 0, second = 0] = await ratesOver([foreground, background]);
    const share = second / (first + second);
    const figures = `the background has ${(100 * share).toFixed(1)} % next to the foreground`;
    console.log(figures);
    expect(share, `${figures}`).toBeLessThanOrEqual(0.315);
    expect(share, `${figures}`).toBeGreaterThan(0.01);
  });
});
