/**
 * The limits of the process: how many files it may open, and how much memory it should take. What
 * is too little is said; above the memory that was set nothing is uploaded until it falls again
 * (threat model, section 19).
 *
 * Knows the process; not what takes the memory. Called by `runDaemon`.
 */
import { readFile } from "node:fs/promises";
import type { Millis } from "@shoal/core";
import type { Logger } from "../logger.ts";

/** 64 peers, 64 origin connections, 64 of the API, 128 files and a reserve of 64. */
const DESCRIPTORS_WANTED = 384;

/** Warns when the process may open fewer files than an agent needs (R-FS-12). */
export async function checkDescriptors(logger: Logger, path = "/proc/self/limits"): Promise<void> {
  const text = await readFile(path, "utf8").catch(() => "");
  const most = Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? Infinity);
  if (most >= DESCRIPTORS_WANTED) return;
  logger.warn({ limit: most, wanted: DESCRIPTORS_WANTED }, "few files can be opened (ulimit -n)");
}

export interface MemoryWatchDeps {
  readonly logger: Logger;
  /** Bytes that the process takes. */
  readonly residentBytes: () => number;
  /** Whether uploads are to wait. */
  readonly setShort: (isShort: boolean) => void;
}

const LOOK_INTERVAL_MS: Millis = 10_000;
/** Uploads go on when it takes less than this part of what it may. */
const RELIEF = 0.9;

export class MemoryWatch implements Disposable {
  /** 0: none. */
  limitBytes: number;
  readonly #deps: MemoryWatchDeps;
  readonly #timer: NodeJS.Timeout;
  #isShort = false;

  constructor(deps: MemoryWatchDeps, { limitBytes }: { readonly limitBytes: number }) {
    this.#deps = deps;
    this.limitBytes = limitBytes;
    this.#timer = setInterval(() => this.look(), LOOK_INTERVAL_MS).unref();
  }

  /** Compares once. */
  look(): void {
    const { logger, residentBytes, setShort } = this.#deps;
    const bytes = residentBytes();
    const limit = this.limitBytes === 0 ? Infinity : this.limitBytes;
    const isShort = bytes > (this.#isShort ? limit * RELIEF : limit);
    if (isShort === this.#isShort) return;
    this.#isShort = isShort;
    setShort(isShort);
    if (isShort) logger.warn({ bytes, limit }, "too much memory is in use; uploads wait");
    else logger.info({ bytes }, "memory is in bounds again; uploads go on");
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
