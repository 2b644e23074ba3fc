/**
 * What a process has used, as the kernel counts it: the same figures for every contender, whatever
 * it is written in. Only where there is /proc. Knows nothing of what the process does.
 */
import { readFile } from "node:fs/promises";
import { KiB } from "@shoal/core";

export interface Usage {
  /** User and system time of all its threads. */
  readonly cpuMs: number;
  readonly peakRssBytes: number;
}

/** What Linux counts processor time in, for programs. */
const TICKS_PER_SEC = 100;
/** Of /proc/PID/stat, behind the name: user and system time. */
const [USER_FIELD, SYSTEM_FIELD] = [11, 12];

/** What the process has used since it began; `undefined` when it is gone. */
export async function readUsage(pid: number): Promise<Usage | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[USER_FIELD]) + Number(fields[SYSTEM_FIELD]);
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
    // One that has ended and is not yet waited for has no memory left to speak of.
    if (peak === undefined) return undefined;
    return { cpuMs: (ticks * 1_000) / TICKS_PER_SEC, peakRssBytes: Number(peak) * KiB };
  } catch {
    return undefined;
  }
}

/** What a process uses from the making of this on. */
export class ProcessMeter {
  readonly #pid: number;
  readonly #before: Usage;

  private constructor(pid: number, before: Usage) {
    this.#pid = pid;
    this.#before = before;
  }

  static async start(pid: number | undefined): Promise<ProcessMeter> {
    const before = pid === undefined ? undefined : await readUsage(pid);
    if (pid === undefined || before === undefined) throw new Error("the process is gone");
    return new ProcessMeter(pid, before);
  }

  async read(): Promise<Usage> {
    const now = await readUsage(this.#pid);
    if (now === undefined) throw new Error("the process is gone");
    return { cpuMs: now.cpuMs - this.#before.cpuMs, peakRssBytes: now.peakRssBytes };
  }
}
