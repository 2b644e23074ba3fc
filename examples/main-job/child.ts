/**
 * A child process that takes orders and gives reports over its channel. Knows nothing of what they
 * mean, but that a report of type `failed` ends every wait.
 *
 * Every wait has a deadline, and ends when the child does. A closed child is gone: it is asked to
 * end by closing its channel, and killed when it does not.
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { AGENT_NODE_FLAGS } from "@shoal/agent";

export interface ChildOptions<Report> {
  /** What to call it in messages. */
  readonly name: string;
  /** The script's first argument, which it gets as JSON. */
  readonly argument: unknown;
  /** Sees every report, in order. */
  readonly onReport?: (report: Report) => void;
  /** Ends every wait. */
  readonly signal?: AbortSignal;
  /** A command that runs the one that follows it in its own place. Default: none. */
  readonly within?: readonly string[];
}

interface Wait<Report> {
  readonly type: string;
  readonly resolve: (report: Report) => void;
  readonly reject: (reason: unknown) => void;
}

/** A child said that it cannot go on. `code` is one of Shoal's error codes, where it has one. */
export class ChildFailure extends Error {
  override readonly name = "ChildFailure";
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

const WAIT_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 5_000;
/** What is kept of what a child writes on its way out, for the message about its end. */
const LAST_WORDS_LENGTH_MAX = 4_096;
const LAST_WORDS_TIMEOUT_MS = 500;

export class Child<
  Order extends object,
  Report extends { readonly type: string },
> implements AsyncDisposable {
  readonly name: string;
  /** Settles when the process has ended. */
  readonly ended: Promise<void>;
  readonly #process: ChildProcess;
  readonly #signal: AbortSignal | undefined;
  readonly #onReport: ((report: Report) => void) | undefined;
  /** Reports nobody has waited for yet; progress is not kept. */
  readonly #reports: Report[] = [];
  readonly #waits = new Set<Wait<Report>>();
  #failure: Error | undefined;
  #lastWords = "";

  /** Starts the script at once. */
  constructor(script: URL, options: ChildOptions<Report>) {
    const { name, argument, onReport, signal, within = [] } = options;
    const [execPath, ...before] = [...within, process.execPath];
    this.name = name;
    this.#onReport = onReport;
    this.#signal = signal;
    this.#process = fork(fileURLToPath(script), [JSON.stringify(argument)], {
      execPath,
      execArgv: [...before, "--conditions=shoal-source", ...AGENT_NODE_FLAGS],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#process.on("message", (message) => this.#take(message as unknown as Report));
    this.#process.stderr?.on("data", (bytes: Buffer) => {
      this.#lastWords = (this.#lastWords + bytes.toString()).slice(-LAST_WORDS_LENGTH_MAX);
    });
    this.#process.on("error", (error) => this.#fail(error));
    // Not `close`, which does not come when the channel is closed while reports are under way.
    this.#process.on("exit", (code, by) => {
      void this.#readLastWords().then((lastWords) => {
        const words = `${name} ended unexpectedly (${by ?? code}). ${lastWords}`;
        this.#fail(new ChildFailure(words.trim()));
        resolve();
      });
    });
  }

  /** `undefined` when it could not be started. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  send(order: Order): void {
    // A child that is gone fails the wait that follows.
    if (this.#process.connected) this.#process.send(order, () => {});
  }

  /**
   * The next report of a type, be it one that has come already. Rejects with `ChildFailure` when
   * the child fails or ends first, or when `timeoutMs` (default 30,000) have passed.
   */
  async next<Type extends Report["type"]>(
    type: Type,
    timeoutMs = WAIT_TIMEOUT_MS,
  ): Promise<Extract<Report, { readonly type: Type }>> {
    type Wanted = Extract<Report, { readonly type: Type }>;
    this.#signal?.throwIfAborted();
    const index = this.#reports.findIndex((report) => report.type === type);
    if (index >= 0) return this.#reports.splice(index, 1)[0] as Wanted;
    if (this.#failure !== undefined) throw this.#failure;
    const { promise, resolve, reject } = Promise.withResolvers<Report>();
    const wait = { type, resolve, reject };
    const timer = setTimeout(() => {
      reject(new ChildFailure(`${this.name} did not come to "${type}" in ${timeoutMs} ms`));
    }, timeoutMs);
    const abort = (): void => reject(this.#signal?.reason);
    this.#signal?.addEventListener("abort", abort);
    this.#waits.add(wait);
    try {
      return (await promise) as Wanted;
    } finally {
      clearTimeout(timer);
      this.#signal?.removeEventListener("abort", abort);
      this.#waits.delete(wait);
    }
  }

  /** Ends the child as a crash would, with SIGKILL. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.ended;
  }

  /** Ends the child in order, within 5 s. Idempotent. */
  async close(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), CLOSE_TIMEOUT_MS);
    await this.ended;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What the child wrote to stderr, to its end where that comes soon. */
  async #readLastWords(): Promise<string> {
    const { stderr } = this.#process;
    const signal = AbortSignal.timeout(LAST_WORDS_TIMEOUT_MS);
    if (stderr?.closed === false) await once(stderr, "close", { signal }).catch(() => {});
    return this.#lastWords;
  }

  #take(report: Report): void {
    this.#onReport?.(report);
    if (report.type === "failed") {
      const { error } = report as unknown as { error: { message: string; code?: string } };
      return this.#fail(new ChildFailure(`${this.name}: ${error.message}`, error.code));
    }
    if (report.type === "progress") return;
    for (const wait of this.#waits) {
      if (wait.type !== report.type) continue;
      this.#waits.delete(wait);
      return wait.resolve(report);
    }
    this.#reports.push(report);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waits) reject(this.#failure);
  }
}
