/**
 * A Debian root to install packages in: what this machine has, under an overlay that goes away with
 * the test, in a mount and a network namespace of its own. Nothing outside of it changes.
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { until } from "./harness.ts";

const COMMAND_TIMEOUT_MS = 120_000;

export interface CommandResult {
  readonly exitCode: number | null;
  readonly output: string;
}

/** Why there can be none here; `undefined`: there can. */
export function whyNoDebRoot(): string | undefined {
  if (!existsSync("/etc/debian_version")) return "this is no Debian";
  if (process.getuid?.() !== 0) return "only root can mount";
  for (const tool of ["dpkg-deb", "unshare", "nsenter", "systemd-notify", "perl"]) {
    if (spawnSync("which", [tool]).status !== 0) return `there is no ${tool}`;
  }
  const { status } = spawnSync("unshare", ["-mn", "sh", "-c", "mount -t tmpfs none /mnt"]);
  return status === 0 ? undefined : "the kernel does not let us mount";
}

export class DebRoot implements AsyncDisposable {
  readonly #holder: ChildProcessWithoutNullStreams;
  readonly #root: string;

  private constructor(holder: ChildProcessWithoutNullStreams, root: string) {
    this.#holder = holder;
    this.#root = root;
  }

  /** `directory` is where it is mounted; what is under it is seen inside as `/site`. */
  static async create(directory: string): Promise<DebRoot> {
    const over = join(directory, "over");
    mkdirSync(over);
    const script = `
      set -e
      mount -t tmpfs tmpfs "$1/over"
      mkdir "$1/over/up" "$1/over/work" "$1/over/root"
      mount -t overlay overlay "$1/over/root" \
        -o "lowerdir=/,upperdir=$1/over/up,workdir=$1/over/work"
      root="$1/over/root"
      mount --rbind /proc "$root/proc"
      mount --rbind /dev "$root/dev"
      mount -t tmpfs tmpfs "$root/run"
      mkdir -p "$root/site"
      mount --bind "$1" "$root/site"
      echo mounted
      exec sleep 600`;
    const holder = spawn("unshare", ["-mn", "sh", "-c", script, "sh", directory]);
    let text = "";
    for (const stream of [holder.stdout, holder.stderr]) {
      stream.on("data", (bytes: Buffer) => (text += bytes.toString()));
    }
    await until(() => text.includes("\n"), "the Debian root");
    if (!text.includes("mounted")) throw new Error(text);
    return new DebRoot(holder, join(over, "root"));
  }

  #inside(command: readonly string[]): readonly string[] {
    const pid = String(this.#holder.pid);
    return ["-t", pid, "-m", "-n", "chroot", this.#root, ...command];
  }

  /** Runs a command in it as its root. */
  run(...command: string[]): CommandResult {
    const { status, stdout, stderr } = spawnSync("nsenter", this.#inside(command), {
      encoding: "utf8",
      timeout: COMMAND_TIMEOUT_MS,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND: "noninteractive" },
    });
    return { exitCode: status, output: stdout + stderr };
  }

  /** Starts a command that goes on. */
  start(env: Readonly<Record<string, string>>, ...command: string[]): Supervised {
    const child = spawn("nsenter", this.#inside(command), {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...env },
    });
    return new Supervised(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#holder, "exit");
    this.#holder.kill("SIGKILL");
    await ended;
  }
}

/** A command under `supervise.pl`. */
export class Supervised implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly #child: ChildProcessWithoutNullStreams;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    // It may be gone when it is told something.
    child.stdin.on("error", () => {});
    child.stdout.on("data", (bytes: Buffer) => (this.stdout += bytes.toString()));
    child.stderr.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
  }

  signal(name: string): void {
    this.#child.stdin.write(`${name}\n`);
  }

  /** How often the command has said something to its supervisor. */
  countSaid(words: string): number {
    return this.stdout.split("\n").filter((line) => line.includes(`said ${words}`)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.signal("KILL");
    await ended;
  }
}
