/**
 * Kills agents at random moments of whole downloads. One seed is one life, with one to four kills.
 *
 * `SHOAL_KILL_SEED=n` replays one life, as far as the machine lets the moments be the same;
 * `SHOAL_KILL_LIVES=n` sets how many are lived.
 */
import { join } from "node:path";
import { MiB } from "@shoal/core";
import { expect, test } from "vitest";
import { scale } from "../long.ts";
import { TestSite } from "./harness.ts";
import { downloadAndDie } from "./kill-download-life.ts";
import type { DownloadOutcome } from "./kill-download-life.ts";

const FIRST_SEED = 20_261_200;
const REPLAYED_SEED = process.env["SHOAL_KILL_SEED"];
const LIVES = Number(process.env["SHOAL_KILL_LIVES"] ?? scale(4, 160));
const LIFE_TIMEOUT_MS = 60_000;

test(
  "a kill at any moment leaves no false claim, no part of a file, and little to fetch again (I-1, I-2, R-DB-03)",
  async () => {
    await using site = await TestSite.create();
    const lengths = [300_000, 5 * MiB, 12 * MiB];
    const contents = await Promise.all(
      lengths.map((length) => site.publish(`content-${length}`, length)),
    );
    const seeds =
      REPLAYED_SEED === undefined
        ? Array.from({ length: LIVES }, (_, index) => FIRST_SEED + index)
        : [Number(REPLAYED_SEED)];
    const outcomes: DownloadOutcome[] = [];
    const failed: string[] = [];
    for (const seed of seeds) {
      const directory = await site.makeDirectory(`life-${seed}`);
      const death = {
        directory,
        stateDirectory: join(directory, "state"),
        prepare: () => Promise.resolve(),
        strike: async (pid: number) => void process.kill(pid, "SIGKILL"),
        restore: () => Promise.resolve(),
      };
      const outcome = await downloadAndDie(seed, { contents, death });
      outcomes.push(outcome);
      if (outcome.findings.length > 0)
        failed.push([`seed ${seed}`, ...outcome.findings].join("\n  "));
    }
    const sum = (name: Exclude<keyof DownloadOutcome, "findings">): number =>
      outcomes.reduce((total, outcome) => total + outcome[name], 0);
    console.log(
      `kill: ${sum("strokes")} kills of ${seeds.length} lives, ${sum("claims")} claims held, ` +
        `${mib(sum("refetchedBytes"))} of ${mib(sum("lengthBytes"))} MiB were fetched again`,
    );
    expect(failed.join("\n")).toBe("");
  },
  Math.max(1, LIVES) * LIFE_TIMEOUT_MS,
);

function mib(bytes: number): string {
  return (bytes / MiB).toFixed(1);
}
