/**
 * One life of an agent that is killed: processes on one state directory, one after the other, each
 * killed at a moment that the seed gives, and a last one that brings all jobs to their end. Returns
 * what was found to be wrong, in sentences.
 *
 * Knows processes, files and the database. What must be there is `JobModel`'s to know.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { AGENT_NODE_FLAGS } from "@shoal/agent";
import { PART_FILE_PREFIX, Random } from "@shoal/core";
import { sha256Of } from "./harness.ts";
import { JobModel, partPrefixOf } from "./job-kill-model.ts";
import { readLeftState } from "./kill-claims.ts";
import { MoodyOrigin } from "./job-kill-origin.ts";
import type { TargetContent, TargetOrder, TargetReport } from "./job-kill-target.ts";

/** What the origin of a life serves. */
export interface KillContents {
  readonly bytes: ReadonlyMap<string, Buffer>;
  readonly list: readonly TargetContent[];
}

/** How a process dies, where SIGKILL is not enough. */
export interface KillDeath {
  /** Called before a process starts that will be killed. */
  readonly prepare: () => Promise<void>;
  /** Ends the process with this id. */
  readonly strike: (pid: number) => Promise<void>;
  /** Called when it is gone. */
  readonly restore: () => Promise<void>;
}

const SIGKILL: KillDeath = {
  prepare: () => Promise.resolve(),
  strike: (pid) => Promise.resolve(void process.kill(pid, "SIGKILL")),
  restore: () => Promise.resolve(),
};

export interface LifeOptions {
  readonly directory: string;
  readonly contents: KillContents;
  /** Default: by SIGKILL. */
  readonly death?: KillDeath;
}

/** How a life went. */
export interface KillOutcome {
  readonly findings: readonly string[];
  readonly kills: number;
  /** Calls that were answered. */
  readonly calls: number;
  readonly jobs: number;
  /** Calls that a kill left without an answer, and those of them that had happened. */
  readonly unanswered: number;
  readonly happened: number;
}

const KILLS_MAX = 3;
/** A process that makes no further calls is killed then. */
const LIFE_TIMEOUT_MS = 3_000;
const SETTLE_TIMEOUT_MS = 40_000;
/** A call takes about half as long. */
const KILL_WAIT_MS_MAX = 5;
/** A start takes about as long. */
const STARTUP_MS = 1_000;

/** Lives the life of `seed` below `directory`, which must exist. */
export async function liveAndDie(
  seed: number,
  { directory, contents, death = SIGKILL }: LifeOptions,
): Promise<KillOutcome> {
  const random = new Random(seed);
  const model = new JobModel();
  await using origin = await MoodyOrigin.start(contents.bytes);
  const downloads = join(directory, "downloads");
  const stateDirectory = join(directory, "state");
  await mkdir(downloads);
  const kills = 1 + random.below(KILLS_MAX);
  const order = (round: number): TargetOrder => ({
    mode: round < kills ? "exercise" : "settle",
    seed: seed * (KILLS_MAX + 1) + round,
    stateDirectory,
    downloads,
    baseUrl: origin.baseUrl,
    contents: contents.list,
    unanswered: model.unansweredCreations(),
  });
  for (let round = 0; round < kills; round++) {
    const isEarly = round > 0 && random.below(4) === 0;
    const afterMs = isEarly ? random.below(STARTUP_MS) : LIFE_TIMEOUT_MS;
    await death.prepare();
    const target = new Target(order(round), death);
    await target.live(model, { afterMs, afterCalls: 1 + random.below(60), random });
    await death.restore();
    model.findings.push(...(await readLeftState(stateDirectory)).findings);
    await checkFiles(model, { downloads, origin, isLast: false });
  }
  origin.isHealed = true;
  const target = new Target(order(kills), SIGKILL);
  await target.live(model, { afterMs: SETTLE_TIMEOUT_MS, afterCalls: Infinity, random });
  if (target.exitCode !== 0) model.findings.push(`the last run ended badly: ${target.lastWords}`);
  await checkFiles(model, { downloads, origin, isLast: true });
  const spooled = await readdir(join(stateDirectory, "spool")).catch(() => []);
  if (spooled.length > 0) model.findings.push(`the spool has ${spooled.join(", ")}`);
  checkDatabase(model, stateDirectory);
  return {
    findings: model.findings,
    kills,
    calls: model.callCount,
    jobs: model.jobs.size,
    unanswered: model.unansweredCount,
    happened: model.happenedCount,
  };
}

class Target {
  lastWords = "";
  readonly #process;
  readonly #death: KillDeath;
  #isStruck = false;

  constructor(order: TargetOrder, death: KillDeath) {
    this.#death = death;
    const script = fileURLToPath(new URL("job-kill-target.ts", import.meta.url));
    const flags = ["--conditions=shoal-source", ...AGENT_NODE_FLAGS];
    this.#process = spawn(process.execPath, [...flags, script, JSON.stringify(order)], {
      stdio: ["pipe", "ignore", "pipe", "pipe"],
    });
    this.#process.stderr?.on("data", (bytes: Buffer) => (this.lastWords += bytes.toString()));
  }

  get exitCode(): number | null {
    return this.#process.exitCode;
  }

  /** Lets `model` hear its reports until it ends, or is killed at whatever comes first. */
  async live(
    model: JobModel,
    { afterMs, afterCalls, random }: { afterMs: number; afterCalls: number; random: Random },
  ): Promise<void> {
    const timer = setTimeout(() => void this.#strike(), afterMs);
    const closed = once(this.#process, "close");
    const waitMs = random.below(KILL_WAIT_MS_MAX);
    let calls = 0;
    for await (const line of createInterface({ input: this.#process.stdio[3] as Readable })) {
      const report = JSON.parse(line) as TargetReport;
      model.take(report);
      if (report.type !== "will" || ++calls !== afterCalls) continue;
      // As often as not while the call is under way.
      if (waitMs > 0) await delay(waitMs);
      await this.#strike();
    }
    await closed;
    clearTimeout(timer);
    if (this.#process.signalCode === null && this.#process.exitCode !== 0) {
      model.findings.push(`a process ended by itself: ${this.lastWords}`);
    }
  }

  async #strike(): Promise<void> {
    if (this.#isStruck) return;
    this.#isStruck = true;
    await this.#death.strike(this.#process.pid ?? 0);
  }
}

interface CheckOptions {
  readonly downloads: string;
  readonly origin: MoodyOrigin;
  /** All jobs are over. */
  readonly isLast: boolean;
}

/** What lies in the downloads is what jobs have published, whole; nothing is left of what is over. */
async function checkFiles(
  model: JobModel,
  { downloads, origin, isLast }: CheckOptions,
): Promise<void> {
  const paths = await readdir(downloads, { recursive: true, withFileTypes: true });
  const files = paths.filter((entry) => entry.isFile());
  const present = new Set(files.map(({ parentPath, name }) => join(parentPath, name)));
  for (const job of [...model.jobs.values(), ...model.dropped]) {
    const isOver = job.states.isSubsetOf(new Set(["acknowledged", "cancelled"]));
    const prefix = partPrefixOf(job.jobId);
    const part = isOver ? files.find(({ name }) => name.startsWith(prefix)) : undefined;
    if (part !== undefined) model.findings.push(`${job.jobId} is over and left ${part.name}`);
    for (const { url = "", destination, ranges } of job.files) {
      if (destination === undefined) continue;
      if (!present.delete(destination)) {
        if (job.isWhole) model.findings.push(`${destination} was acknowledged and is not there`);
        continue;
      }
      const isExpected = job.wasAcknowledged || model.isPending(job.jobId);
      if (!isExpected) model.findings.push(`${destination} was published without being asked`);
      if ((await sha256Of(destination)) !== origin.sha256Of(url, ranges)) {
        model.findings.push(`${destination} has other bytes than ${url}`);
      }
    }
  }
  for (const path of present) {
    const isPart = path.includes(`/${PART_FILE_PREFIX}`);
    if (isLast || !isPart) model.findings.push(`nobody owns ${path}`);
  }
}

/** Sequence numbers are unique and in order, and no content outlives its job but published ones. */
function checkDatabase(model: JobModel, stateDirectory: string): void {
  const path = join(stateDirectory, "state.db");
  if (!existsSync(path)) return;
  using database = new DatabaseSync(path, { readOnly: true });
  const records = database.prepare("SELECT record FROM jobs ORDER BY rowid").all();
  const jobs = records.map(({ record }) => JSON.parse(String(record)) as { sequence: number });
  const sequences = jobs.map(({ sequence }) => sequence);
  if (new Set(sequences).size < jobs.length)
    model.findings.push("two jobs have one sequence number");
  for (const sql of [
    "SELECT part_name AS name FROM contents WHERE state <> 'published'",
    "SELECT name FROM leftovers",
  ]) {
    for (const { name } of database.prepare(sql).all()) {
      model.findings.push(`${String(name)} is still on record: ${sql}`);
    }
  }
}
