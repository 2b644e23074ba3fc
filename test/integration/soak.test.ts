/**
 * Eight agents under new jobs and random kills: ten minutes in a long run, a sample of them
 * otherwise. Every published file is right, no job gets stuck, and the agents that are never killed
 * hold neither more memory nor more descriptors at the end.
 *
 * `SHOAL_SOAK_SEED=n` replays a run, as far as processes can be replayed; `SHOAL_SOAK_SECONDS=n`
 * sets how long it is.
 */
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { MiB } from "@shoal/core";
import { expect, test } from "vitest";
import { isLong, scale } from "../long.ts";
import { TestSite, until } from "./harness.ts";
import { slopePerMinute, SoakAgents } from "./soak-agents.ts";
import type { Sample } from "./soak-agents.ts";

const SEED = Number(process.env["SHOAL_SOAK_SEED"] ?? 20_261_123);
const SOAK_MS = Number(process.env["SHOAL_SOAK_SECONDS"] ?? scale(12, 600)) * 1_000;
const CONTENT_INTERVAL_MS = 1_500;
const KILL_INTERVAL_MS = 2_500;
const SAMPLE_INTERVAL_MS = 1_000;
/** From an order, or from the last start of its agent, to its file. */
const ORDER_TIMEOUT_MS = 60_000;
/** Caches fill and code is compiled: a third of the time says nothing of leaks. */
const WARM_UP_SHARE = 1 / 3;
/** Ten times the noise of what the garbage collector leaves to a regression over minutes. */
const RSS_SLOPE_BYTES_PER_MIN_MAX = 2 * MiB;
const RSS_BYTES_MAX = 400 * MiB;
const DESCRIPTOR_SLOPE_PER_MIN_MAX = 1;
const DESCRIPTORS_MAX = 250;

test(
  `eight agents under kills publish every file whole and leak nothing, seed ${SEED} (I-1)`,
  { timeout: SOAK_MS + 3 * ORDER_TIMEOUT_MS },
  async (context) => {
    if (!existsSync("/proc/self/status")) context.skip("the kernel tells nothing of processes");
    await using site = await TestSite.create();
    const options = { seed: SEED, agentCount: 8, survivorCount: 3 };
    const agents = await SoakAgents.start(site, options);
    await soak(agents);
    await until(
      async () => {
        await agents.checkFiles(ORDER_TIMEOUT_MS);
        return agents.orderCount === 0;
      },
      "the last orders are done",
      2 * ORDER_TIMEOUT_MS,
    );
    const figures = agents.survivors.map(({ samples }) => figuresOf(samples));
    console.log(summaryOf(agents, figures));
    expect(agents.findings.join("\n")).toBe("");
    expect(agents.fileCount).toBeGreaterThan(0);
    for (const { rssBytesMax, descriptorsMax, rssSlope, descriptorSlope } of figures) {
      expect(rssBytesMax).toBeLessThan(RSS_BYTES_MAX);
      expect(descriptorsMax).toBeLessThan(DESCRIPTORS_MAX);
      // In seconds there is nothing but warming up.
      if (!isLong) continue;
      expect(rssSlope).toBeLessThan(RSS_SLOPE_BYTES_PER_MIN_MAX);
      expect(descriptorSlope).toBeLessThan(DESCRIPTOR_SLOPE_PER_MIN_MAX);
    }
  },
);

/** New contents, kills, checks and samples, each at its own interval, one after the other. */
async function soak(agents: SoakAgents): Promise<void> {
  const beganAt = performance.now();
  const elapsedMs = (): number => performance.now() - beganAt;
  const routines = [
    { everyMs: CONTENT_INTERVAL_MS, run: () => agents.orderNew() },
    { everyMs: KILL_INTERVAL_MS, run: () => agents.killOne() },
    { everyMs: SAMPLE_INTERVAL_MS, run: () => agents.sample(elapsedMs()) },
    { everyMs: 0, run: () => agents.checkFiles(ORDER_TIMEOUT_MS) },
  ].map((routine) => ({ ...routine, dueAtMs: 0 }));
  while (elapsedMs() < SOAK_MS) {
    for (const routine of routines) {
      if (elapsedMs() < routine.dueAtMs) continue;
      routine.dueAtMs = elapsedMs() + routine.everyMs;
      await routine.run();
    }
    await delay(100);
  }
}

interface Figures {
  /** Bytes per minute. */
  readonly rssSlope: number;
  readonly rssBytesMax: number;
  readonly rssBytesLast: number;
  /** Descriptors per minute. */
  readonly descriptorSlope: number;
  readonly descriptorsMax: number;
}

function figuresOf(samples: readonly Sample[]): Figures {
  const warm = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
  const slopeOf = (valueOf: (sample: Sample) => number): number =>
    slopePerMinute(warm.map((sample) => ({ atMs: sample.atMs, value: valueOf(sample) })));
  return {
    rssSlope: slopeOf(({ rssBytes }) => rssBytes),
    rssBytesMax: Math.max(...samples.map(({ rssBytes }) => rssBytes)),
    rssBytesLast: samples.at(-1)?.rssBytes ?? 0,
    descriptorSlope: slopeOf(({ descriptorCount }) => descriptorCount),
    descriptorsMax: Math.max(...samples.map(({ descriptorCount }) => descriptorCount)),
  };
}

function summaryOf(agents: SoakAgents, figures: readonly Figures[]): string {
  const { killCount, fileCount, bytesDelivered, sentBytes, publishedBytes, waitMsMax } = agents;
  const mib = (bytes: number): string => (bytes / MiB).toFixed(1);
  const each = figures.map(
    ({ rssSlope, rssBytesLast, rssBytesMax, descriptorSlope, descriptorsMax }) =>
      `RSS ${mib(rssBytesLast)} MiB (peak ${mib(rssBytesMax)}, ${mib(rssSlope)} MiB/min), ` +
      `at most ${descriptorsMax} descriptors (${descriptorSlope.toFixed(2)}/min)`,
  );
  return (
    `soak of ${SOAK_MS / 1_000} s: ${killCount} kills, ${fileCount} files, ` +
    `${mib(bytesDelivered)} MiB delivered, the origin sent ${mib(sentBytes)} MiB for ` +
    `${mib(publishedBytes)} MiB published, longest wait ${(waitMsMax / 1_000).toFixed(1)} s; ` +
    each.join("; ")
  );
}
