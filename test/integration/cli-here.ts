/**
 * The `shoal` command in the process of the test, which costs a tenth of a process of its own. What
 * belongs to the process is tested in processes (`cli-process.ts`): signals, pipes, the exit itself.
 * Called by tests of what commands say and do.
 */
import { join } from "node:path";
import { Writable } from "node:stream";
import { connectAgent } from "@shoal/agent";
import { createTerminal, Interruption, runCommand } from "@shoal/agent/command";
import type { Output } from "@shoal/agent/command";
import { CliUser } from "./cli-process.ts";
import type { CliResult } from "./cli-process.ts";

const TIMEOUT_MS = 30_000;

/** One run of a command, as `CliProcess` is. Interrupted when it is disposed of. */
export class CliRun implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly #aborter = new AbortController();
  readonly #exitCode: Promise<number>;

  constructor(args: readonly string[], home: string) {
    const stdout = outputTo((text) => (this.stdout += text));
    const stderr = outputTo((text) => (this.stderr += text));
    const timer = setTimeout(() => this.#aborter.abort(new Interruption()), TIMEOUT_MS);
    this.#exitCode = runCommand(args, {
      terminal: createTerminal(stdout, stderr),
      env: {
        HOME: home,
        XDG_STATE_HOME: join(home, ".local", "state"),
        XDG_CONFIG_HOME: join(home, ".config"),
      },
      signal: this.#aborter.signal,
      connect: connectAgent,
    }).finally(() => clearTimeout(timer));
  }

  /** What it has written to stdout, as JSON lines. */
  get objects(): readonly Record<string, unknown>[] {
    const lines = this.stdout.split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** As the first SIGINT does. */
  interrupt(): void {
    this.#aborter.abort(new Interruption());
  }

  async ended(): Promise<CliResult> {
    const exitCode = await this.#exitCode;
    return { exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.interrupt();
    await this.#exitCode;
  }
}

/** A user whose commands run here, in the working directory of the test's process. */
export class CliUserHere {
  readonly home: string;
  readonly cwd: string;

  private constructor({ home, cwd }: CliUser) {
    this.home = home;
    this.cwd = cwd;
  }

  /** The test's process is in the user's working directory from now on. */
  static async create(directory: string): Promise<CliUserHere> {
    return CliUserHere.of(await CliUser.create(directory));
  }

  /** As `create`, for a user whose other commands are processes. */
  static of(user: CliUser): CliUserHere {
    process.chdir(user.cwd);
    return new CliUserHere(user);
  }

  /** Starts the command with these arguments alone. */
  startPlain(...args: string[]): CliRun {
    return new CliRun(args, this.home);
  }

  async runPlain(...args: string[]): Promise<CliResult> {
    return await this.startPlain(...args).ended();
  }
}

function outputTo(take: (text: string) => void): Output {
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      take(chunk.toString());
      done();
    },
  });
  return Object.assign(stream, { isTTY: false, columns: 80, rows: 24 }) as unknown as Output;
}
