/**
 * Transfers of one file by several contenders, one after the other in every round (A B C A B C), so
 * that a slow moment of the machine is everybody's. The figures to look at are the ratios.
 *
 * Everybody is a process of its own for each end, reads from and writes to the same file system,
 * and verifies every piece or, with plain HTTP, nothing. Shoal alone syncs what it has written, as
 * it always does, and has its file in place, under its name, when the time is taken.
 *
 * Writing to pages that nobody has used lately can cost many times more than to others: 0.2 to 3.6 s
 * for 1 GiB on the virtual machine where this was found, whose host probably takes free memory back.
 * So a file of the same length is written and removed right before each run, for everybody.
 *
 * Knows figures and turns. Knows no contender: those are in `contenders/`.
 */
import { mkdir, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { MiB } from "@shoal/core";
import { sha256Of } from "../integration/harness.ts";
import type { TestContent, TestSite } from "../integration/harness.ts";
import { median } from "./measure.ts";
import type { Figure } from "./measure.ts";

/** One run of one contender. */
export interface Transfer {
  /** Until the last downloader has the file. */
  readonly ms: number;
  /** Of one downloader: the mean. */
  readonly downloaderCpuMs: number;
  /** The largest. */
  readonly downloaderRssBytes: number;
  /** Not of web servers, which are nobody's contender. */
  readonly uploaderCpuMs?: number;
  readonly uploaderRssBytes?: number;
  /** How many there were. Default 1. */
  readonly downloaders?: number;
}

/** What a contender is given for one run. */
export interface Turn {
  readonly site: TestSite;
  readonly content: TestContent;
  /** Empty directories, one for each downloader, in which the file must end up under its name. */
  readonly directories: readonly string[];
  /**
   * What processes that go on running transfer once before they are measured, into directories of
   * its own that `ready` removes; absent: nothing.
   */
  readonly warmUp?: WarmUp;
  /** Called right before what is measured. */
  readonly ready: () => Promise<void>;
}

export interface WarmUp {
  readonly content: TestContent;
  readonly directories: readonly string[];
}

/** `undefined`: it is not installed. */
export type Contender = (turn: Turn) => Promise<Transfer | undefined>;
export type Contenders = Readonly<Record<string, Contender>>;

export interface Contest {
  readonly site: TestSite;
  readonly content: TestContent;
  readonly warmUp?: TestContent | undefined;
  readonly rounds: number;
  /** Default 1. */
  readonly downloaders?: number;
}

const GIB = 1024 * MiB;
/** How long any one run may take. */
export const RUN_TIMEOUT_MS = 300_000;

/** Runs all contenders in turns, after a round that does not count and whose files are digested. */
export async function transferInTurns(
  contenders: Contenders,
  contest: Contest,
): Promise<ReadonlyMap<string, readonly Transfer[]>> {
  const all = Object.entries(contenders);
  const runs = new Map<string, Transfer[]>(all.map(([name]) => [name, []]));
  for (let round = 0; round <= contest.rounds; round++) {
    // Everyone comes first once: what went before leaves the disk busy.
    for (const [name, contender] of rotated(all, round)) {
      const transfer = await runOnce(contender, contest, round === 0);
      if (transfer !== undefined && round > 0) runs.get(name)?.push(transfer);
    }
  }
  return runs;
}

async function runOnce(
  contender: Contender,
  { site, content, warmUp, downloaders = 1 }: Contest,
  isDigested: boolean,
): Promise<Transfer | undefined> {
  const parent = join(site.directory, "copies");
  const directories = await makeDirectories(parent, "copy", downloaders);
  const warm = warmUp && {
    content: warmUp,
    directories: await makeDirectories(parent, "warm-up", downloaders),
  };
  const ready = async (): Promise<void> => {
    for (const directory of warm?.directories ?? []) await rm(directory, { recursive: true });
    await touchMemory(site, content.length * downloaders);
  };
  try {
    const turn = { site, content, directories, ready, ...(warm && { warmUp: warm }) };
    const transfer = await contender(turn);
    if (transfer === undefined) return undefined;
    for (const directory of directories) {
      const path = join(directory, content.name);
      const { size } = await stat(path);
      const isRight = !isDigested || (await sha256Of(path)) === content.sha256;
      if (size !== content.length || !isRight) throw new Error(`${path} is not the file`);
    }
    return { ...transfer, downloaders };
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}

async function makeDirectories(parent: string, name: string, count: number): Promise<string[]> {
  const directories: string[] = [];
  for (let i = 0; i < count; i++) directories.push(join(parent, `${name}-${i}`));
  for (const directory of directories) await mkdir(directory, { recursive: true });
  return directories;
}

/** Rates, processor time and memory: the medians. */
export function* transferFigures(
  runs: ReadonlyMap<string, readonly Transfer[]>,
  { length }: { readonly length: number },
): Generator<Figure> {
  for (const [name, all] of runs) {
    if (all.length === 0) {
      yield { name: `${name} is not installed`, value: NaN, unit: "MiB/s" };
      continue;
    }
    yield { name, value: rateOf(all, length), unit: "MiB/s" };
    for (const end of ["downloader", "uploader"] as const) {
      const cpuMs = medianOf(all, `${end}CpuMs`);
      const rssBytes = medianOf(all, `${end}RssBytes`);
      if (cpuMs === undefined || rssBytes === undefined) continue;
      const cpuSec = cpuMs / 1_000 / (length / GIB);
      yield { name: `${name}: ${end}'s CPU`, value: cpuSec, unit: "s/GiB" };
      yield { name: `${name}: ${end}'s peak memory`, value: rssBytes / MiB, unit: "MiB" };
    }
  }
}

/** What is compared, and what should come of it. */
export interface Comparison {
  readonly ours: string;
  readonly theirs: string;
  /** Of the rates, at least. */
  readonly rate?: number;
  /** Of processor time at all ends, at most; it is told wherever it is known. */
  readonly cpu?: number;
}

export function* compare(
  runs: ReadonlyMap<string, readonly Transfer[]>,
  comparisons: readonly Comparison[],
): Generator<Figure> {
  for (const { ours, theirs, rate, cpu } of comparisons) {
    const [our, their] = [runs.get(ours) ?? [], runs.get(theirs) ?? []];
    if (our.length === 0 || their.length === 0) continue;
    const value = rateOf(our, 1) / rateOf(their, 1);
    yield { name: `${ours} / ${theirs}: rate`, value, unit: "ratio", ...targetOf(rate) };
    const cpuRatio = allCpuMs(our) / allCpuMs(their);
    const name = `${ours} / ${theirs}: CPU of all ends`;
    if (!Number.isNaN(cpuRatio)) yield { name, value: cpuRatio, unit: "ratio", ...targetOf(cpu) };
  }
}

function targetOf(target: number | undefined): { target?: number } {
  return target === undefined ? {} : { target };
}

function rateOf(all: readonly Transfer[], length: number): number {
  return ((length / MiB) * 1_000) / (medianOf(all, "ms") ?? NaN);
}

function allCpuMs(all: readonly Transfer[]): number {
  const sums = all.map(({ downloaderCpuMs, uploaderCpuMs = 0, downloaders = 1 }) => {
    return downloaders * downloaderCpuMs + uploaderCpuMs;
  });
  return median(sums);
}

function medianOf(all: readonly Transfer[], name: keyof Transfer): number | undefined {
  const values = all.map((transfer) => transfer[name]).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : median(values);
}

async function touchMemory(site: TestSite, length: number): Promise<void> {
  const path = join(site.directory, "touched");
  const file = await open(path, "w");
  const block = Buffer.alloc(MiB, 1);
  for (let at = 0; at < length; at += MiB) await file.write(block);
  await file.close();
  await rm(path);
}

function rotated<Item>(items: readonly Item[], by: number): readonly Item[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
