import { statSync, watch } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MiB, Random, resolveSettings } from "@shoal/core";
import { expect, test } from "vitest";
import type { AgentReport } from "../../examples/main-job/agent-process.ts";
import { scale } from "../long.ts";
import { sha256Of, TestSite, until } from "./harness.ts";

const SEED = 20_261_123;
const KILLS = 10;
const LENGTH = scale(128 * MiB, 256 * MiB);
const ORIGIN_RATE_BYTES_PER_SEC = 32 * MiB;
/** R-DB-03: what may be verified and not yet committed. */
const UNCOMMITTED_BYTES_MAX = 64 * MiB;
/** What may be asked for or wait for the disk, and what sockets hold on its way. */
const IN_FLIGHT_BYTES_MAX = resolveSettings().inFlightBytesMax + 8 * MiB;

test(`resumes after each of ${KILLS} kills, re-fetching at most what was not committed (R-DB-03)`, async () => {
  await using site = await TestSite.create();
  const content = await site.publish("file.bin", LENGTH);
  const origin = await site.serve(content, { rateBytesPerSec: ORIGIN_RATE_BYTES_PER_SEC });
  const destination = join(await site.makeDirectory("downloads"), "file.bin");
  using sentry = new Sentry(destination);
  const random = new Random(SEED);
  const marks: Mark[] = [];
  for (let run = 0; run <= KILLS; run++) {
    const progress = new Progress();
    const agent = site.startAgent("downloader", { onReport: (report) => progress.take(report) });
    await agent.next("ready");
    const sentBytes = origin.sentBytes;
    // Later runs find the job in the state directory.
    if (run === 0) {
      const file = { url: origin.url, contentId: content.contentId, destination };
      agent.send({ type: "download", job: { files: [file] } });
    }
    await until(() => progress.resumedBytes !== undefined, `run ${run} fetches, seed ${SEED}`);
    marks.push({ sentBytes, resumedBytes: progress.resumedBytes ?? 0, sightings: sentry.count });
    if (run === KILLS) await agent.next("published", 30_000);
    const { resumedBytes = 0 } = progress;
    const point = LENGTH * (0.4 + 0.2 * random.fraction());
    const next = Math.min(resumedBytes + LENGTH * 0.05 * random.fraction(), LENGTH);
    const isThere = (): boolean => progress.transferredBytes >= Math.max(point, next);
    await until(isThere, `run ${run} gets on, seed ${SEED}`, 30_000);
    await agent.kill();
  }
  const wastes = wastesBetween(marks);
  const totalWaste = origin.sentBytes - LENGTH;
  console.log(
    `kill: ${KILLS} kills cost ${mib(totalWaste)} of ${mib(LENGTH)} again, ` +
      `each ${wastes.map(mib).join(", ")}`,
  );
  expect(Math.max(...wastes)).toBeLessThanOrEqual(UNCOMMITTED_BYTES_MAX + IN_FLIGHT_BYTES_MAX);
  expect(totalWaste).toBeLessThanOrEqual(KILLS * (UNCOMMITTED_BYTES_MAX + IN_FLIGHT_BYTES_MAX));
  expect(marks.slice(1).every(({ resumedBytes }) => resumedBytes > 0)).toBe(true);
  expect(marks.every(({ sightings }) => sightings === 0)).toBe(true);
  expect(sentry.lengths).toEqual(new Set([LENGTH]));
  expect(await sha256Of(destination)).toBe(content.sha256);
  expect(await readdir(dirname(destination))).toEqual(["file.bin"]);
}, 60_000);

test("a kill while it publishes leaves the whole file or none, and the next run finishes", async () => {
  await using site = await TestSite.create();
  const content = await site.publish("file.bin", 8 * MiB);
  const { url } = await site.serve(content);
  for (const delayMs of [0, 4, 8, 16]) {
    const name = `killed-after-${delayMs}`;
    const destination = join(await site.makeDirectory(name), "file.bin");
    using sentry = new Sentry(destination);
    const onReport = (report: AgentReport): void => {
      if (report.type !== "progress" || report.snapshot.state !== "transferred") return;
      setTimeout(() => void agent.kill(), delayMs);
    };
    const agent = site.startAgent(name, { onReport });
    await agent.next("ready");
    const { contentId } = content;
    agent.send({ type: "download", job: { files: [{ url, contentId, destination }] } });
    await agent.ended;
    const next = site.startAgent(name);
    await next.next("ready");
    await until(() => sentry.count > 0, `the file is published after ${delayMs} ms`);
    await next.close();
    expect(sentry.lengths).toEqual(new Set([content.length]));
    expect(await sha256Of(destination)).toBe(content.sha256);
    expect(await readdir(dirname(destination))).toEqual(["file.bin"]);
  }
});

/** How things stood when a run began to fetch. */
interface Mark {
  /** What the origin had sent when the run began. */
  readonly sentBytes: number;
  /** What the run found of the runs before it. */
  readonly resumedBytes: number;
  /** How often the destination had been seen. */
  readonly sightings: number;
}

/** Per kill, what the origin sent in the run before and the next run did not find. */
function wastesBetween(marks: readonly Mark[]): readonly number[] {
  return marks.slice(1).map(({ sentBytes, resumedBytes }, index) => {
    const before = marks[index] ?? { sentBytes: 0, resumedBytes: 0 };
    return sentBytes - before.sentBytes - (resumedBytes - before.resumedBytes);
  });
}

/** What an agent has said about its one job. */
class Progress {
  transferredBytes = 0;
  /** What the job had when it began, or went on, to fetch. */
  resumedBytes: number | undefined;

  take(report: AgentReport): void {
    if (report.type !== "progress") return;
    const { files, transferredBytes } = report.snapshot;
    const phase = files[0]?.phase;
    if (phase === "waiting" || phase === "resolving" || phase === "opening") return;
    this.resumedBytes ??= transferredBytes;
    this.transferredBytes = transferredBytes;
  }
}

/** Watches a path: how often something was there, and of what length. */
class Sentry implements Disposable {
  readonly lengths = new Set<number>();
  count = 0;
  readonly #stop: () => void;

  constructor(path: string) {
    const look = (): void => {
      const length = statSync(path, { throwIfNoEntry: false })?.size;
      if (length === undefined) return;
      this.count++;
      this.lengths.add(length);
    };
    const watcher = watch(dirname(path), (_, name) => {
      if (name === basename(path)) look();
    });
    const timer = setInterval(look, 5);
    this.#stop = () => {
      watcher.close();
      clearInterval(timer);
    };
  }

  [Symbol.dispose](): void {
    this.#stop();
  }
}

function mib(bytes: number): string {
  return `${(bytes / MiB).toFixed(1)} MiB`;
}
