/**
 * The doctor's checks of the machine and the process: clock, Node, file descriptors, event loop and
 * memory. They look at the process they run in, and at what origins said of the time.
 */
import { readFile } from "node:fs/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as wait } from "node:timers/promises";
import { MiB } from "@shoal/core";
import type { Millis, UnixMillis } from "@shoal/core";
import { formatBytes, formatDuration } from "../cli/format-values.ts";
import { fail, notApplicable, pass, warn } from "./check.ts";
import type { Check, DoctorContext, Outcome } from "./check.ts";
import { ORIGIN_CHECK_TIMEOUT_MS } from "./origin-looks.ts";

/** What R-TIME-03 calls a jump. */
const SKEW_MAX_MS: Millis = 300_000;
const SKEW_NOTED_MS: Millis = 60_000;
/** A clock far behind or ahead breaks TLS and expires everything. */
const CLOCK_YEARS = { min: 2025, max: 2099 };
/** `engines` of the package. */
const NODE_MIN = [24, 15] as const;
/** Threat model, section 19. */
const DESCRIPTORS_WANTED = 4_096;
const DESCRIPTORS_MIN = 512;
const MEMORY_TARGET_BYTES = 512 * MiB;
const MEMORY_SOFT_LIMIT_BYTES = 768 * MiB;
const LOOP_SAMPLE_MS: Millis = 1_000;
/** R-PROC-05 */
const LOOP_TURN_MAX_MS: Millis = 50;
const LOOP_DELAY_MAX_MS: Millis = 200;

const SET_CLOCK = "Set the clock, and let a time service keep it: timedatectl set-ntp true.";

export const MACHINE_CHECKS: readonly Check[] = [
  { id: "machine.clock", title: "Clock", timeoutMs: ORIGIN_CHECK_TIMEOUT_MS, run: checkClock },
  { id: "machine.node", title: "Node.js", run: () => checkNode(process.versions.node) },
  { id: "machine.descriptors", title: "File descriptors", run: checkDescriptors },
  { id: "machine.eventLoop", title: "Event loop", run: checkEventLoop },
  { id: "machine.memory", title: "Memory", run: checkMemory },
];

async function checkClock(context: DoctorContext): Promise<Outcome> {
  const now = context.now();
  const year = new Date(now).getUTCFullYear();
  if (year < CLOCK_YEARS.min || year > CLOCK_YEARS.max) {
    return fail(`This machine's clock says that it is the year ${year}.`, SET_CLOCK);
  }
  const jumpMs = now - (performance.timeOrigin + performance.now());
  if (context.isAgent && Math.abs(jumpMs) > SKEW_MAX_MS) {
    const words = `The clock was moved by ${shown(jumpMs)} since the agent started.`;
    return warn(words, SET_CLOCK, { jumpMs: Math.round(jumpMs) });
  }
  const skews = (await context.origins()).flatMap(({ place, look }) => {
    const skewMs = skewOf(look.serverTimeAt, look.receivedAt, now - Date.now());
    return skewMs === undefined ? [] : [{ place, skewMs }];
  });
  const [middle] = skews
    .toSorted((a, b) => a.skewMs - b.skewMs)
    .slice(Math.floor(skews.length / 2));
  if (middle === undefined) {
    return pass("The clock has a sane year, and no origin was there to compare it with.");
  }
  const { place, skewMs } = middle;
  const facts = { skewMs, place };
  const side = skewMs > 0 ? "ahead of" : "behind";
  const words = `This machine's clock is ${shown(skewMs)} ${side} that of ${place}.`;
  const remedy = `${SET_CLOCK} If it is right, the server's clock is wrong.`;
  if (Math.abs(skewMs) > SKEW_MAX_MS) return fail(words, remedy, facts);
  if (Math.abs(skewMs) > SKEW_NOTED_MS) return warn(words, remedy, facts);
  return pass(`The clock agrees with that of ${place}.`, facts);
}

/** What our clock is ahead; `Date` has whole seconds. */
function skewOf(
  serverTimeAt: UnixMillis | undefined,
  receivedAt: UnixMillis | undefined,
  shiftMs: number,
): Millis | undefined {
  if (serverTimeAt === undefined || receivedAt === undefined) return undefined;
  return Math.round(receivedAt + shiftMs - serverTimeAt);
}

function shown(ms: number): string {
  return formatDuration(Math.abs(ms));
}

export function checkNode(version: string): Outcome {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [majorMin, minorMin] = NODE_MIN;
  const isEnough = major > majorMin || (major === majorMin && minor >= minorMin);
  if (isEnough) return pass(`Node.js ${version}.`);
  const words = `Node.js ${version} is too old: ${NODE_MIN.join(".")} is the oldest that works.`;
  return fail(words, "Run Shoal with the Node.js that its package brings along.");
}

async function checkDescriptors(): Promise<Outcome> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => undefined);
  const text = limits === undefined ? undefined : /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  if (text === undefined) {
    return notApplicable("This system does not say how many files may be open.", "Nothing to do.");
  }
  if (text === "unlimited") return pass("Any number of files may be open.");
  const count = Number(text);
  const words = `At most ${count} files may be open at a time.`;
  const remedy = `Raise the limit to ${DESCRIPTORS_WANTED}: LimitNOFILE= of the service, ulimit -n.`;
  const facts = { descriptorsMax: count };
  if (count < DESCRIPTORS_MIN) return fail(words, remedy, facts);
  return count < DESCRIPTORS_WANTED ? warn(words, remedy, facts) : pass(words, facts);
}

async function checkEventLoop({ isAgent }: DoctorContext, signal: AbortSignal): Promise<Outcome> {
  if (!isAgent) return notApplicable("The command's own loop says nothing.", "Start an agent.");
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  await wait(LOOP_SAMPLE_MS, undefined, { signal });
  delay.disable();
  // The histogram counts its own resolution in.
  const p99Ms = Math.max(0, Math.round(delay.percentile(99) / 1e6) - 10);
  const words = `Of its turns in a second, 99 % waited ${p99Ms} ms or less.`;
  const remedy = "Give the machine less to do, or look at shoal stats for what keeps it busy.";
  if (p99Ms > LOOP_DELAY_MAX_MS) return fail(words, remedy, { p99Ms });
  return p99Ms > LOOP_TURN_MAX_MS ? warn(words, remedy, { p99Ms }) : pass(words, { p99Ms });
}

function checkMemory({ isAgent }: DoctorContext): Outcome {
  if (!isAgent) return notApplicable("The command's own memory says nothing.", "Start an agent.");
  const residentBytes = process.memoryUsage.rss();
  const words = `The agent holds ${formatBytes(residentBytes)}.`;
  const remedy = "Lower connectionsMax and uploadsMax; if it keeps growing, report it.";
  const facts = { residentBytes };
  if (residentBytes > MEMORY_SOFT_LIMIT_BYTES) return fail(words, remedy, facts);
  return residentBytes > MEMORY_TARGET_BYTES ? warn(words, remedy, facts) : pass(words, facts);
}
