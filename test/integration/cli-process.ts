/**
 * The `shoal` command as a user runs it: a process with a home of its own, whose files can be looked
 * at before, during and after.
 */
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { chmod, chown, mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { AGENT_NODE_FLAGS } from "@shoal/agent";
import { root, until } from "./harness.ts";

const NODE_FLAGS = [...AGENT_NODE_FLAGS, "--conditions=shoal-source"];

const MAIN = join(root, "packages", "agent", "src", "main.ts");
const TIMEOUT_MS = 30_000;

export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface CliPlace {
  readonly home: string;
  readonly cwd: string;
  /** The user to run as. Default: whoever runs the tests. */
  readonly uid?: number;
}

/** Who may write nowhere but where it is allowed to; a superuser may write everywhere. */
const NOBODY = 65_534;
const isSuperuser = process.getuid?.() === 0;

/** Whether a process without privileges can be had, and read this repository. */
export const canBeNobody = process.getuid !== undefined && (!isSuperuser || isOpenToAll(MAIN));

function isOpenToAll(path: string): boolean {
  for (let at = dirname(path); at !== dirname(at); at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
  }
  return true;
}

/** One run of the command. Killed when it is disposed of. */
export class CliProcess implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<unknown>;

  constructor(args: readonly string[], { home, cwd, uid }: CliPlace) {
    const {
      XDG_STATE_HOME: _,
      XDG_RUNTIME_DIR: _runtime,
      SHOAL_SOCKET: _socket,
      ...env
    } = process.env;
    this.#child = spawn(process.execPath, [...NODE_FLAGS, MAIN, ...args], {
      cwd,
      env: { ...env, HOME: home },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.#ended = once(this.#child, "close");
    this.#child.stdout.on("data", (bytes: Buffer) => (this.stdout += bytes.toString()));
    this.#child.stderr.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
  }

  /** What it has written to stdout, as JSON lines. */
  get objects(): readonly Record<string, unknown>[] {
    const lines = this.stdout.split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Closes the reader of its stdout, as `| head` does. */
  stopReading(): void {
    this.#child.stdout.destroy();
  }

  async ended(): Promise<CliResult> {
    await this.#ended;
    const { exitCode } = this.#child;
    return { exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

const STANDARD = new Set([".local", join(".local", "state")]);

/** A user's home and working directory, both empty at first. */
export class CliUser {
  readonly home: string;
  readonly cwd: string;

  private constructor(directory: string) {
    this.home = join(directory, "home");
    this.cwd = join(directory, "downloads");
  }

  static async create(directory: string): Promise<CliUser> {
    const user = new CliUser(directory);
    await mkdir(user.home);
    await mkdir(user.cwd);
    return user;
  }

  /** Starts the command without discovery, which would leave the machine. */
  start(...args: string[]): CliProcess {
    const [command = "", ...rest] = args;
    const local = command === "get" || command === "agent";
    const network = local ? ["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"] : [];
    return new CliProcess([command, ...network, ...rest].filter(Boolean), this);
  }

  /** Starts the command with these arguments alone. */
  startPlain(...args: string[]): CliProcess {
    return new CliProcess(args, this);
  }

  async runPlain(...args: string[]): Promise<CliResult> {
    await using process = this.startPlain(...args);
    return await process.ended();
  }

  async run(...args: string[]): Promise<CliResult> {
    await using process = this.start(...args);
    return await process.ended();
  }

  /** Runs the command as somebody who may write to `home` and not to `cwd`. */
  async runAsNobody(...args: string[]): Promise<CliResult> {
    await chmod(dirname(this.home), 0o755);
    await chmod(this.cwd, 0o555);
    if (isSuperuser) await chown(this.home, NOBODY, NOBODY);
    const place = { home: this.home, cwd: this.cwd, ...(isSuperuser ? { uid: NOBODY } : {}) };
    await using process = new CliProcess(args, place);
    return await process.ended();
  }

  /**
   * Every file and directory below home and the working directory. `butStandard`: apart from the
   * directories that every program shares, which a later run does not take for its own.
   */
  async leftovers({ butStandard = false } = {}): Promise<readonly string[]> {
    const [home, cwd] = await Promise.all([
      readdir(this.home, { recursive: true }),
      readdir(this.cwd, { recursive: true }),
    ]);
    // Compiled code is no download's, and stays.
    const made = home.filter((name) => name !== ".cache" && !name.startsWith(".cache/shoal"));
    const own = butStandard ? made.filter((name) => !STANDARD.has(name)) : made;
    return [...own.map((name) => `home/${name}`), ...cwd];
  }
}

/** Starts `shoal agent` and waits until it runs. */
export async function startCliAgent(
  user: CliUser,
  ...args: string[]
): Promise<{ process: CliProcess; addresses: readonly string[] }> {
  const process = user.start("agent", "--json", ...args);
  await until(() => process.stdout.includes("\n"), "shoal agent runs", TIMEOUT_MS);
  return { process, addresses: process.objects[0]?.["addresses"] as string[] };
}
