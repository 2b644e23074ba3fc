/**
 * Cuts the power of a disk that holds an agent's state and its destinations, at random moments:
 * whole downloads, as `kill-downloads.test.ts` has them, and calls of the job API, as
 * `job-kill.test.ts` has them. Skips, with the reason, where no disk of its own can be had.
 *
 * `SHOAL_POWER_SEED=n` replays one life; `SHOAL_POWER_LIVES=n` sets how many are lived.
 */
import { join } from "node:path";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { TestContext } from "vitest";
import { scale } from "../long.ts";
import { TestSite } from "./harness.ts";
import { makeKillContents } from "./job-kill-contents.ts";
import { liveAndDie } from "./job-kill-life.ts";
import { downloadAndDie } from "./kill-download-life.ts";
import { PowerLossDisk } from "./power-loss-disk.ts";

const FIRST_SEED = 20_261_300;
const REPLAYED_SEED = process.env["SHOAL_POWER_SEED"];
const LIVES = Number(process.env["SHOAL_POWER_LIVES"] ?? scale(3, 40));
const LIFE_TIMEOUT_MS = 90_000;
const SEEDS =
  REPLAYED_SEED === undefined
    ? Array.from({ length: LIVES }, (_, index) => FIRST_SEED + index)
    : [Number(REPLAYED_SEED)];

let site: TestSite;
beforeEach(async () => {
  site = await TestSite.create();
});
afterEach(() => site[Symbol.asyncDispose]());

/** Half of them may write data to the disk after the names and lengths that refer to it. */
async function makeDisk(name: string, seed: number, context: TestContext): Promise<PowerLossDisk> {
  const mount = [seed % 2 === 0 ? "data=writeback" : "data=ordered"];
  const disk = await PowerLossDisk.create(await site.makeDirectory(name), { mount });
  if (typeof disk === "string") context.skip(disk);
  return disk as PowerLossDisk;
}

test(
  "a loss of power leaves no false claim, no part of a file, and all that was acknowledged (I-1, I-2, R-DB-01)",
  async (context) => {
    const lengths = [300_000, 5 * MiB, 12 * MiB];
    const contents = await Promise.all(
      lengths.map((length) => site.publish(`content-${length}`, length)),
    );
    const failed: string[] = [];
    const total = { strokes: 0, claims: 0, refetchedBytes: 0, lengthBytes: 0 };
    for (const seed of SEEDS) {
      await using disk = await makeDisk(`files-${seed}`, seed, context);
      // On two disks no commit of the one makes anything of the other durable.
      await using states = await makeDisk(`state-${seed}`, seed + 1, context);
      const isApart = seed % 3 !== 0;
      const death = {
        directory: disk.path,
        stateDirectory: join(isApart ? states.path : disk.path, "state"),
        prepare: () => disk.arm(states),
        strike: (pid: number) => disk.cut(pid),
        restore: async () => {
          await disk.restore();
          await states.restore();
        },
      };
      const { findings, ...outcome } = await downloadAndDie(seed, { contents, death });
      if (findings.length > 0) failed.push([`seed ${seed}`, ...findings].join("\n  "));
      total.strokes += outcome.strokes;
      total.claims += outcome.claims;
      total.refetchedBytes += outcome.refetchedBytes;
      total.lengthBytes += outcome.lengthBytes;
    }
    const [again, all] = [total.refetchedBytes, total.lengthBytes].map((n) => (n / MiB).toFixed(1));
    console.log(
      `power loss: ${total.strokes} cuts in ${SEEDS.length} lives, ${total.claims} claims held, ` +
        `${again} of ${all} MiB were fetched again`,
    );
    expect(failed.join("\n")).toBe("");
  },
  Math.max(1, LIVES) * LIFE_TIMEOUT_MS,
);

test(
  "a loss of power loses no call of the job API that was answered (R-DB-02)",
  async (context) => {
    const contents = await makeKillContents(site);
    const failed: string[] = [];
    const total = { kills: 0, calls: 0 };
    for (const seed of SEEDS) {
      await using disk = await makeDisk(`life-${seed}`, seed, context);
      const death = {
        prepare: () => disk.arm(),
        strike: (pid: number) => disk.cut(pid),
        restore: () => disk.restore(),
      };
      const directory = disk.path;
      const { findings, kills, calls } = await liveAndDie(seed, { directory, contents, death });
      if (findings.length > 0) failed.push([`seed ${seed}`, ...findings].join("\n  "));
      total.kills += kills;
      total.calls += calls;
    }
    console.log(`power loss: ${total.kills} cuts, ${total.calls} answered calls`);
    expect(failed.join("\n")).toBe("");
  },
  Math.max(1, LIVES) * LIFE_TIMEOUT_MS,
);
