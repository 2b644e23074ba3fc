/**
 * One life of an agent that downloads and is struck down again and again: jobs with and without a
 * manifest, of ranges, of several files, several at a time. After each stroke the state is read as an
 * outsider would (`kill-claims.ts`), and the destinations are looked at; in the end everything must
 * have arrived. Returns what was wrong, in sentences.
 *
 * Knows the plan of a life, which its seed decides. How the agent dies is the caller's to say.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { CreateJobOptions } from "@shoal/agent";
import { KiB, MiB, Random, resolveSettings, SIDECAR_SUFFIX } from "@shoal/core";
import type { JobSnapshot, Settings } from "@shoal/core";
import type { AgentOrder, AgentReport } from "../../examples/main-job/agent-process.ts";
import { Child } from "../../examples/main-job/child.ts";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import type { FileOrigin } from "../../examples/origin/serve-files.ts";
import { until } from "./harness.ts";
import type { TestContent } from "./harness.ts";
import { readLeftState } from "./kill-claims.ts";

/** How an agent dies, and where. */
export interface Death {
  /** For destinations: exists, and is empty. */
  readonly directory: string;
  /** For the state. May lie on another disk. */
  readonly stateDirectory: string;
  /** Called when everything is prepared, and after each death. */
  readonly prepare: () => Promise<void>;
  /** Ends the process with this id. */
  readonly strike: (pid: number) => Promise<void>;
  /** Makes `directory` readable again, once the process is gone. */
  readonly restore: () => Promise<void>;
}

export interface DownloadOutcome {
  readonly findings: readonly string[];
  readonly strokes: number;
  /** Claims that were compared with the bytes on disk, over all strokes. */
  readonly claims: number;
  readonly lengthBytes: number;
  /** What the origin sent beyond that. */
  readonly refetchedBytes: number;
}

interface PlannedFile {
  readonly name: string;
  readonly content: TestContent;
  readonly destination: string;
  readonly expected: Buffer;
}

interface PlannedJob {
  readonly name: string;
  readonly options: CreateJobOptions;
  readonly files: readonly PlannedFile[];
}

type AskedFile = CreateJobOptions["files"][number];

const STROKES_MAX = 4;
const JOBS_MAX = 3;
const FILES_MAX = 3;
const STARTUP_MS = 1_200;
const ORIGIN_RATE_BYTES_PER_SEC = 24 * MiB;
const ROUND_TIMEOUT_MS = 20_000;
const END_TIMEOUT_MS = 60_000;
/** What sockets of one transfer hold on its way. */
const SOCKET_BYTES_MAX = 8 * MiB;

/** Lives the life of `seed`. */
export async function downloadAndDie(
  seed: number,
  { contents, death }: { readonly contents: readonly TestContent[]; readonly death: Death },
): Promise<DownloadOutcome> {
  const random = new Random(seed);
  const settings = settingsOf(random);
  const plan = await planOf(random, { contents, directory: death.directory });
  const files = plan.flatMap((job) => job.files);
  const rate = { rateBytesPerSec: ORIGIN_RATE_BYTES_PER_SEC };
  await using origin = await serveFiles(pathsOf(files), rate);
  const life = new Life({ plan, origin, settings, death });
  const lengthBytes = files.reduce((sum, { expected }) => sum + expected.length, 0);
  const strokes = 1 + random.below(STROKES_MAX);
  for (let round = 0; round < strokes; round++) {
    await death.prepare();
    const isEarly = round > 0 && random.below(4) === 0;
    // Beyond the end now and then: then the stroke falls while files are published.
    const bytes = (lengthBytes * random.fraction() * 2) / strokes;
    const wait = isEarly ? { ms: random.below(STARTUP_MS) } : { bytes, ms: random.below(60) };
    await life.liveUntil(wait);
    await life.check(round);
  }
  await life.finish();
  const sentBytes = files.reduce((sum, { name }) => sum + origin.sentBytesOf(name), 0);
  const refetchedBytes = sentBytes - lengthBytes;
  const perFile = settings.syncBytesMax + settings.inFlightBytesMax + SOCKET_BYTES_MAX;
  const { findings, claims } = life;
  if (refetchedBytes > strokes * files.length * perFile) {
    findings.push(`${refetchedBytes} bytes were fetched again after ${strokes} strokes`);
  }
  return { findings, strokes, claims, lengthBytes, refetchedBytes };
}

function settingsOf(random: Random): Settings {
  return resolveSettings({
    inFlightBytesMax: (1 + random.below(8)) * MiB,
    originRunBytes: (1 + random.below(4)) * 512 * KiB,
    syncBytesMax: (1 + random.below(8)) * MiB,
    syncDelayMs: random.below(300),
    coldStartMs: 0,
  });
}

async function planOf(
  random: Random,
  { contents, directory }: { contents: readonly TestContent[]; directory: string },
): Promise<readonly PlannedJob[]> {
  const jobs: PlannedJob[] = [];
  for (let number = 1 + random.below(JOBS_MAX); number > 0; number--) {
    const name = `job-${number}`;
    await mkdir(join(directory, name));
    const files: PlannedFile[] = [];
    const asked: AskedFile[] = [];
    for (let fileNumber = 1 + random.below(FILES_MAX); fileNumber > 0; fileNumber--) {
      const content = contents[random.below(contents.length)];
      if (content === undefined) break;
      const file = `${name}-file-${fileNumber}`;
      const destination = join(directory, name, file);
      const bytes = await readFile(content.path);
      const kind = (["described", "plain", "ranges"] as const)[random.below(3)];
      const ranges = kind === "ranges" ? rangesOf(random, content.length) : undefined;
      const parts = ranges?.map(({ start, end }) => bytes.subarray(start, end));
      files.push({ name: file, content, destination, expected: Buffer.concat(parts ?? [bytes]) });
      if (ranges !== undefined) asked.push({ destination, ranges });
      else if (kind === "plain") asked.push({ destination });
      else asked.push({ destination, contentId: content.contentId });
    }
    jobs.push({ name, files, options: { displayName: name, files: asked } });
  }
  return jobs;
}

/** Up to four, apart from each other, and not in order. */
function rangesOf(random: Random, contentLength: number): NonNullable<AskedFile["ranges"]> {
  const count = 1 + random.below(4);
  const share = Math.floor(contentLength / count);
  const ranges = Array.from({ length: count }, (_, index) => {
    const start = index * share + random.below(Math.floor(share / 4));
    return { start, end: start + 1 + random.below(Math.floor(share / 2)) };
  });
  return ranges.toReversed();
}

function pathsOf(files: readonly PlannedFile[]): Record<string, string> {
  const paths = files.flatMap(({ name, content }) => [
    [name, content.path],
    [name + SIDECAR_SUFFIX, content.path + SIDECAR_SUFFIX],
  ]);
  return Object.fromEntries(paths) as Record<string, string>;
}

interface LifeParts {
  readonly plan: readonly PlannedJob[];
  readonly origin: FileOrigin;
  readonly settings: Settings;
  readonly death: Death;
}

class Life {
  readonly findings: string[] = [];
  claims = 0;
  readonly #parts: LifeParts;
  /** Ids of jobs the agent has spoken of, which it must not lose. */
  readonly #seen = new Map<string, string>();
  /** Names of jobs whose publication was reported or recorded, which must be there from then on. */
  readonly #published = new Set<string>();

  #isStruck = false;
  /** As last reported, for messages. */
  readonly #snapshots = new Map<string, JobSnapshot>();

  constructor(parts: LifeParts) {
    this.#parts = parts;
  }

  /** Runs the agent until so many further bytes were sent or all is done, and a while longer. */
  async liveUntil({ bytes, ms }: { bytes?: number; ms: number }): Promise<void> {
    const { death } = this.#parts;
    const agent = this.#start();
    const sentBytes = this.#sentBytes;
    if (bytes !== undefined) {
      await agent.next("ready");
      this.#order(agent);
      const isThere = (): boolean =>
        !agent.isRunning ||
        this.#isDone ||
        this.findings.length > 0 ||
        this.#sentBytes - sentBytes >= bytes;
      await until(isThere, "the agent gets on", ROUND_TIMEOUT_MS).catch((error: unknown) => {
        this.findings.push(`${String(error)}: ${this.#lastSnapshots()}`);
      });
    }
    await delay(ms);
    this.#isStruck = agent.isRunning;
    if (agent.isRunning) await death.strike(agent.pid ?? 0);
    else this.findings.push("an agent ended by itself");
    await agent.ended;
    await death.restore();
  }

  /** Compares what is left with what was said and with what the files must be. */
  async check(round: number): Promise<void> {
    const { plan, death } = this.#parts;
    const say = (finding: string): void => void this.findings.push(`stroke ${round}: ${finding}`);
    const left = await readLeftState(death.stateDirectory, (jobId, fileIndex) => {
      const name = this.#seen.get(jobId);
      return plan.find((job) => job.name === name)?.files[fileIndex]?.expected;
    });
    this.claims += left.claimCount;
    left.findings.forEach(say);
    for (const [jobId, name] of this.#seen) {
      const job = left.jobs.get(name);
      if (job?.jobId !== jobId) say(`${name} was created and is lost`);
      else if (this.#published.has(name) && job.state !== "acknowledged") {
        say(`${name} was acknowledged and is ${job.state}`);
      }
    }
    // A stroke may fall between the end of a job and the report of it.
    for (const [name, { state }] of left.jobs) {
      if (state === "acknowledged") this.#published.add(name);
    }
    for (const { name, files } of plan) {
      for (const file of files) await this.#checkFile(file, this.#published.has(name), say);
    }
    // Whoever was not answered asks again.
    for (const { jobId } of left.jobs.values()) this.#seen.set(jobId, nameOf(left.jobs, jobId));
  }

  /** A last run without strokes: all arrives, and nothing else is left. */
  async finish(): Promise<void> {
    const { plan, death } = this.#parts;
    const agent = this.#start();
    await agent.next("ready");
    this.#order(agent);
    const isOver = (): boolean => this.#isDone || !agent.isRunning || this.findings.length > 0;
    await until(isOver, "all files arrive", END_TIMEOUT_MS).catch((error: unknown) => {
      this.findings.push(`${String(error)}: ${this.#lastSnapshots()}`);
    });
    await agent.close();
    for (const { files } of plan) {
      const [first] = files;
      if (first === undefined) continue;
      const present = await readdir(dirname(first.destination));
      const wanted = files.map(({ destination }) => basename(destination));
      if (present.toSorted().join() !== wanted.toSorted().join()) {
        this.findings.push(`in the end there are ${present.join(", ")}`);
      }
      for (const file of files) {
        await this.#checkFile(file, true, (finding) => void this.findings.push(finding));
      }
    }
    const { claimCount } = await readLeftState(death.stateDirectory);
    if (claimCount > 0) this.findings.push("contents of jobs that are over are still claimed");
  }

  get #sentBytes(): number {
    const { plan, origin } = this.#parts;
    const names = plan.flatMap(({ files }) => files.map(({ name }) => name));
    return names.reduce((sum, name) => sum + origin.sentBytesOf(name), 0);
  }

  get #isDone(): boolean {
    return this.#published.size === this.#parts.plan.length;
  }

  #lastSnapshots(): string {
    const all = [...this.#snapshots.values()].map(({ displayName, state, files, error }) => {
      const phases = files.map(({ phase, transferredBytes }) => `${phase} ${transferredBytes}`);
      return `${displayName} ${state} ${error?.message ?? ""} (${phases.join(", ")})`;
    });
    return all.join("; ");
  }

  #start(): Child<AgentOrder, AgentReport> {
    this.#isStruck = false;
    const { death, settings } = this.#parts;
    const place = { stateDirectory: death.stateDirectory, listen: [], mdns: false };
    const script = new URL("../../examples/main-job/agent-process.ts", import.meta.url);
    const argument = { ...place, settings };
    const onReport = (report: AgentReport): void => this.#take(report);
    return new Child(script, { name: "downloader", argument, onReport });
  }

  /** Orders the jobs that the agent does not have yet. */
  #order(agent: Child<AgentOrder, AgentReport>): void {
    const { plan, origin } = this.#parts;
    const known = new Set(this.#seen.values());
    for (const { name, options, files } of plan) {
      if (known.has(name)) continue;
      const urls = files.map((file) => ({ url: origin.urlOf(file.name) }));
      const asked = options.files.map((file, index) => ({ ...file, ...urls[index] }));
      agent.send({ type: "download", job: { ...options, files: asked } });
    }
  }

  #take(report: AgentReport): void {
    // What fails while the disks go, one after the other, is theirs to fail.
    if (report.type === "failed" && !this.#isStruck)
      this.findings.push(`failed: ${report.error.message}`);
    if (report.type !== "progress" && report.type !== "published") return;
    const { jobId, displayName } = report.snapshot;
    this.#snapshots.set(displayName, report.snapshot);
    this.#seen.set(jobId, displayName);
    if (report.type === "published") this.#published.add(displayName);
  }

  async #checkFile(
    { destination, expected }: PlannedFile,
    isPublished: boolean,
    say: (finding: string) => void,
  ): Promise<void> {
    const info = await stat(destination).catch(() => undefined);
    if (info === undefined) {
      if (isPublished) say(`${destination} was published and is not there`);
      return;
    }
    const bytes = await readFile(destination);
    if (sha256(bytes) !== sha256(expected)) say(`${destination} is not what was asked for`);
  }
}

function nameOf(jobs: ReadonlyMap<string, { readonly jobId: string }>, jobId: string): string {
  for (const [name, job] of jobs) if (job.jobId === jobId) return name;
  return "";
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
