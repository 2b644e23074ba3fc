/**
 * A program that is told things and says things, a line each. Every wait has a deadline. Used by
 * the contenders of the benchmarks that are not Node programs of ours.
 */
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

const LAST_WORDS_LENGTH_MAX = 2_000;
const CLOSE_TIMEOUT_MS = 5_000;

export class LineProcess implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #name: string;
  readonly #lines: string[] = [];
  readonly #ended: Promise<void>;
  #wake: () => void = () => {};
  #hasEnded = false;
  #lastWords = "";

  constructor(name: string, args: readonly string[]) {
    this.#name = name;
    this.#process = spawn(name, [...args], { stdio: ["pipe", "pipe", "pipe"] });
    this.#process.stdin.on("error", () => {});
    createInterface({ input: this.#process.stdout }).on("line", (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    this.#process.stderr.on("data", (bytes: Buffer) => {
      this.#lastWords = (this.#lastWords + bytes.toString()).slice(-LAST_WORDS_LENGTH_MAX);
    });
    this.#process.on("error", (error) => (this.#lastWords += error.message));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = promise;
    this.#process.on("close", () => {
      this.#hasEnded = true;
      this.#wake();
      resolve();
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  tell(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** The words of the next line that begins with one of `first`; others are passed over. */
  async hear(first: readonly string[], timeoutMs: number): Promise<readonly string[]> {
    const deadlineAt = performance.now() + timeoutMs;
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        const words = line.split(" ");
        if (first.includes(words[0] ?? "")) return words;
      }
      if (this.#hasEnded) throw new Error(`${this.#name} ended: ${this.#lastWords}`);
      const leftMs = deadlineAt - performance.now();
      if (leftMs <= 0) throw new Error(`${this.#name} did not say ${first.join(" or ")}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(() => resolve(), leftMs);
      await promise;
      clearTimeout(timer);
    }
  }

  /** Resolves when the program has ended by itself; rejects unless that was in order. */
  async end(timeoutMs: number): Promise<void> {
    if (!this.#hasEnded) {
      const signal = AbortSignal.timeout(timeoutMs);
      await once(this.#process, "close", { signal });
    }
    const { exitCode } = this.#process;
    if (exitCode !== 0) throw new Error(`${this.#name}: exit code ${exitCode} ${this.#lastWords}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), CLOSE_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}
