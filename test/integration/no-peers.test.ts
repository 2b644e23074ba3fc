/**
 * What it costs a job to look for peers where there are none, beside HTTP alone: pairs of runs in
 * turns, on a machine that does nothing else (vitest.config.ts).
 */
import { MiB } from "@shoal/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { scale } from "../long.ts";
import { TestSite } from "./harness.ts";
import type { TestContent } from "./harness.ts";
import { Siege } from "./siege.ts";
import type { SiegeOptions } from "./siege.ts";

const ORIGIN_BYTES_PER_SEC = 16 * MiB;
const PAIRS = scale(3, 11);
const LONG_MS = scale(60_000, 300_000);
/** Nobody listens there. */
const GHOST = "/ip4/127.0.0.1/tcp/1024/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

let site: TestSite;
let content: TestContent;
let siege: Siege;

beforeAll(async () => {
  site = await TestSite.create();
  content = await site.publish("file.bin", scale(16, 32) * MiB);
  siege = site.use(new Siege(site));
});
afterAll(() => site[Symbol.asyncDispose]());

test("a job without peers takes no longer than HTTP alone", { timeout: LONG_MS }, async () => {
  // The first run of all compiles, and does not count.
  await downloadMs({ listen: [] });
  const [without, withSwarm]: [number[], number[]] = [[], []];
  for (let pair = 0; pair < PAIRS; pair++) {
    without.push(await downloadMs({ listen: [] }));
    withSwarm.push(await downloadMs({ honest: [GHOST] }));
  }
  const ratio = median(withSwarm) / median(without);
  console.log(`no peers: ${ratio.toFixed(3)} × HTTP alone, ${PAIRS} pairs`);
  // The bound is 1.02; a loaded machine adds noise of its own to so short a job.
  expect(ratio).toBeLessThan(1.02 + scale(0.1, 0.02));
});

/** One download by a new agent; without peers and a place to listen it has no way to find any. */
async function downloadMs(options: SiegeOptions): Promise<number> {
  await siege.start(options);
  const origin = await site.serve(content, { rateBytesPerSec: ORIGIN_BYTES_PER_SEC });
  const outcome = await siege.download(content, origin);
  await siege.stop();
  expect(outcome.isRight).toBe(true);
  return outcome.elapsedMs;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;
}
