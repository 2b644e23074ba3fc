/**
 * The memory of `shoal get` as a user runs it: built, in a process of its own, one large file from
 * a web server to the disk. The kernel's own figures are sampled while it runs.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AGENT_NODE_FLAGS } from "@shoal/agent";
import { MiB, SIDECAR_SUFFIX } from "@shoal/core";
import { describeFile } from "@shoal/store";
import { expect, test } from "vitest";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import { scale } from "../long.ts";
import { root, TestSite } from "./harness.ts";
import { startNginx } from "./web-servers.ts";

const LENGTH = scale(1024 * MiB, 10 * 1024 * MiB);
const PEAK_MIB_MAX = 250;
const TIMEOUT_MS = scale(60_000, 600_000);
const SAMPLE_MS = 25;
/** Until then code is being loaded and pools fill. */
const WARM_UP_SHARE = 0.25;
/** A short run is over before all pools are full. */
const GROWTH_MAX = scale(1.35, 1.1);

interface Memory {
  readonly peakMiB: number;
  /** Means of what was resident in the two halves after the warm-up. */
  readonly halvesMiB: readonly [number, number];
  readonly elapsedMs: number;
}

test.each(["without", "with"])(
  `${LENGTH / MiB} MiB %s a manifest take less than ${PEAK_MIB_MAX} MiB of memory, and no more towards the end`,
  async (manifest) => {
    await using site = await TestSite.create();
    const path = join(await site.makeDirectory("origin"), "large.bin");
    await writeFile(path, "");
    await truncate(path, LENGTH);
    const described = manifest === "with" ? await describeFile(path) : undefined;
    if (described !== undefined) await writeFile(path + SIDECAR_SUFFIX, described.bytes);
    const url = await serve(site, path);
    const destination = join(site.directory, "large.bin");
    const pin = described === undefined ? [] : ["--content-id", described.contentId];
    const place = ["--state", join(site.directory, "state"), "--no-mdns"];
    const memory = await measure(["get", url, "-o", destination, ...pin, ...place]);
    const [first, second] = memory.halvesMiB;
    console.log(
      `memory: ${LENGTH / MiB} MiB ${manifest} a manifest in ${(memory.elapsedMs / 1_000).toFixed(1)} s, ` +
        `peak ${memory.peakMiB.toFixed(0)} MiB, mean ${first.toFixed(0)}, then ${second.toFixed(0)} MiB`,
    );
    expect((await stat(destination)).size).toBe(LENGTH);
    await rm(destination);
    expect(memory.peakMiB).toBeLessThan(PEAK_MIB_MAX);
    expect(second).toBeLessThanOrEqual(GROWTH_MAX * first);
  },
  2 * TIMEOUT_MS,
);

async function serve(site: TestSite, path: string): Promise<string> {
  const nginx = await startNginx(join(path, ".."));
  if (nginx !== undefined) return `${site.use(nginx).url}/large.bin`;
  const names = { "large.bin": path, [`large.bin${SIDECAR_SUFFIX}`]: path + SIDECAR_SUFFIX };
  return site.use(await serveFiles(names)).urlOf("large.bin");
}

/** Runs the command to its end. */
async function measure(args: readonly string[]): Promise<Memory> {
  const main = join(root, "packages", "agent", "dist", "main.js");
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...AGENT_NODE_FLAGS, main, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: TIMEOUT_MS,
  });
  let stderr = "";
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  const ended = once(child, "close");
  const samples: number[] = [];
  let peakMiB = 0;
  while (child.exitCode === null && child.signalCode === null) {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    const [peak, now] = ["VmHWM", "VmRSS"].map((name) => mibOf(status, name));
    if (now !== undefined) samples.push(now);
    peakMiB = Math.max(peakMiB, peak ?? 0);
    await delay(SAMPLE_MS);
  }
  await ended;
  expect(stderr + String(child.exitCode)).toMatch(/0$/);
  const steady = samples.slice(Math.ceil(samples.length * WARM_UP_SHARE));
  const middle = Math.floor(steady.length / 2);
  const halvesMiB = [meanOf(steady.slice(0, middle)), meanOf(steady.slice(middle))] as const;
  return { peakMiB, halvesMiB, elapsedMs: performance.now() - startedAt };
}

function mibOf(status: string, name: string): number | undefined {
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
  return kib === undefined ? undefined : Number(kib) / 1024;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
