import { existsSync, statSync, watch } from "node:fs";
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

test(`resumes after each of ${KILLS} kills, re-fetching at most what was not committed`, async () => {
  await using site = await TestSite.create();
  const content = await site.publish("file.bin", LENGTH);
  const origin = await site.serve(content, { rateBytesPerSec: ORIGIN_RATE_BYTES_PER_SEC });
  const destination = join(await site.makeDirectory("downloads"), "file.bin");
  using sentry = new Sentry(destination, LENGTH);
  const random = new Random(SEED);
  const { contentId } = content;
  let isCreated = false;
  const wastes: number[] = [];
  let lostFrom: { sentBytes: number; resumedBytes: number } | undefined;
  for (let run = 0; run <= KILLS; run++) {
    const watched = new Progress();
    const agent = site.startAgent("downloader", { onReport: (report) => watched.take(report) });
    await agent.next("ready");
    const sentAtStart = origin.sentBytes;
    if (!isCreated) {
      agent.send({
        type: "download",
        job: { files: [{ url: origin.url, contentId, destination }] },
      });
      isCreated = true;
    }
    await until(() => watched.resumedBytes !== undefined, `run ${run} resumes (seed ${SEED})`);
    const resumedBytes = watched.resumedBytes ?? 0;
    if (lostFrom !== undefined) {
      const gained = resumedBytes - lostFrom.resumedBytes;
      const waste = sentAtStart - lostFrom.sentBytes - gained;
      wastes.push(waste);
      expect(waste, `kill ${run}, seed ${SEED}`).toBeLessThanOrEqual(
        UNCOMMITTED_BYTES_MAX + IN_FLIGHT_BYTES_MAX,
      );
    }
    lostFrom = { sentBytes: sentAtStart, resumedBytes };
    if (run === KILLS) {
      await agent.next("published", 50_000);
    } else {
      const point = LENGTH * (0.4 + 0.2 * random.fraction());
      await until(() => watched.transferredBytes >= point, `run ${run} gets on`, 30_000);
      await agent.kill();
      expect(sentry.sightings, "before it is complete").toEqual([]);
    }
  }
  const totalWaste = origin.sentBytes - LENGTH;
  console.log(
    `kill: ${KILLS} kills cost ${mib(totalWaste)} of ${mib(LENGTH)} again, ` +
      `each ${wastes.map(mib).join(", ")}`,
  );
  expect(totalWaste).toBeLessThanOrEqual(KILLS * (UNCOMMITTED_BYTES_MAX + IN_FLIGHT_BYTES_MAX));
  expect(await sha256Of(destination)).toBe(content.sha256);
  expect(new Set(sentry.sightings)).toEqual(new Set([LENGTH]));
  expect(await readdir(dirname(destination))).toEqual(["file.bin"]);
}, 60_000);

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

/** Watches a path and notes each length it is seen with. */
class Sentry implements Disposable {
  readonly sightings: number[] = [];
  readonly #stop: () => void;

  constructor(path: string, length: number) {
    const look = (): void => {
      const seen = existsSync(path) ? statSync(path, { throwIfNoEntry: false })?.size : undefined;
      if (seen !== undefined && (seen !== length || this.sightings.length === 0)) {
        this.sightings.push(seen);
      }
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
