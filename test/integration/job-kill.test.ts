/**
 * Kills an agent at random moments while its jobs are created, changed, resumed, suspended,
 * acknowledged and cancelled, and compares what the next run finds with what was answered
 * (R-DB-02). One seed is one life of an agent, with one to three kills, at the end of which all jobs
 * come to rest and are ended.
 *
 * `SHOAL_JOB_KILL_SEED=n` replays one life: the same calls, and the same moment of the kill as far
 * as the machine lets it be the same. `SHOAL_JOB_KILL_LIVES=n` sets how many are lived.
 */
import { rm } from "node:fs/promises";
import { expect, test } from "vitest";
import { scale } from "../long.ts";
import { TestSite } from "./harness.ts";
import { makeKillContents } from "./job-kill-contents.ts";
import { liveAndDie } from "./job-kill-life.ts";
import type { KillOutcome } from "./job-kill-life.ts";

const FIRST_SEED = 20_261_124;
const REPLAYED_SEED = process.env["SHOAL_JOB_KILL_SEED"];
const LIVES = Number(process.env["SHOAL_JOB_KILL_LIVES"] ?? scale(5, 200));
const LIVES_AT_A_TIME = 2;
const LIFE_TIMEOUT_MS = 60_000;

test(
  "keeps what it has answered, and loses, doubles and strands nothing, however it is killed (R-DB-02)",
  async () => {
    await using site = await TestSite.create();
    const contents = await makeKillContents(site);
    const seeds =
      REPLAYED_SEED === undefined
        ? Array.from({ length: LIVES }, (_, index) => FIRST_SEED + index)
        : [Number(REPLAYED_SEED)];
    const failed: string[] = [];
    const outcomes: KillOutcome[] = [];
    const queue = seeds.values();
    const work = async (): Promise<void> => {
      for (const seed of queue) {
        const directory = await site.makeDirectory(`life-${seed}`);
        const outcome = await liveAndDie(seed, { directory, contents });
        outcomes.push(outcome);
        if (outcome.findings.length > 0)
          failed.push([replay(seed), ...outcome.findings].join("\n  "));
        await rm(directory, { recursive: true });
      }
    };
    await Promise.all(Array.from({ length: LIVES_AT_A_TIME }, work));
    const sum = (name: Exclude<keyof KillOutcome, "findings">): number =>
      outcomes.reduce((total, outcome) => total + outcome[name], 0);
    console.log(
      `job kill: ${outcomes.length} lives, ${sum("kills")} kills, ` +
        `${sum("jobs")} jobs, ${sum("calls")} answered calls; ` +
        `${sum("happened")} of ${sum("unanswered")} others had happened`,
    );
    expect(failed.join("\n")).toBe("");
    expect(sum("calls")).toBeGreaterThan(seeds.length);
  },
  Math.ceil(LIVES / LIVES_AT_A_TIME) * LIFE_TIMEOUT_MS,
);

function replay(seed: number): string {
  const project = "vitest run --project system test/integration/job-kill.test.ts";
  return `seed ${seed}; replay: SHOAL_JOB_KILL_SEED=${seed} ${project}`;
}
