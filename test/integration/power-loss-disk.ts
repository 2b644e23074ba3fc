/**
 * A disk whose power can be cut: an ext4 image of its own on a loop device. The cut is the file
 * system's own shutdown call, without a last flush of its journal: what was not synced is gone, and
 * the next mount replays the journal as after a real loss of power. Delays that would hide a missing
 * sync are off: the journal is committed when it is asked to be, and a rename flushes nothing.
 *
 * Knows images, mounts and one system call. Needs Linux, root and Python; who asked says so and goes
 * on where there is none. Used by tests of power loss and of file systems that fail.
 */
import { execFile, spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import { MiB } from "@shoal/core";
import { until } from "./harness.ts";

const run = promisify(execFile);

/**
 * `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, and the end of the process that is using
 * the disk. The process is stopped just before: its system calls are cut off wherever they are, and
 * it sees no failure that a machine without power would not show it.
 */
const CUTTER = `
import fcntl, os, signal, struct, sys
disks = [os.open(path, os.O_RDONLY) for path in sys.argv[1:]]
print("armed", flush=True)
pid = int(sys.stdin.readline())
if pid > 0:
    os.kill(pid, signal.SIGSTOP)
for disk in disks:
    fcntl.ioctl(disk, 0x8004587d, struct.pack("I", 2))
if pid > 0:
    os.kill(pid, signal.SIGKILL)
`;

type Cutter = ChildProcessByStdio<Writable, Readable, null>;

export interface PowerLossDiskOptions {
  readonly lengthMiB?: number;
  /** Further options of `mkfs.ext4`. */
  readonly format?: readonly string[];
  /** Further options of `mount`. */
  readonly mount?: readonly string[];
}

export class PowerLossDisk implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  readonly #image: string;
  readonly #options: string;
  #cutter: Cutter | undefined;

  private constructor(directory: string, options: string) {
    this.path = join(directory, "disk");
    this.#image = join(directory, "disk.ext4");
    this.#options = options;
  }

  /** Makes and mounts one below `directory`, which must exist; or says why it cannot. */
  static async create(
    directory: string,
    { lengthMiB = 256, format = [], mount = [] }: PowerLossDiskOptions = {},
  ): Promise<PowerLossDisk | string> {
    const options = ["loop", "commit=300", "noauto_da_alloc", ...mount].join(",");
    const disk = new PowerLossDisk(directory, options);
    try {
      await mkdir(disk.path);
      await writeFile(disk.#image, "");
      await truncate(disk.#image, lengthMiB * MiB);
      await run("mkfs.ext4", ["-q", "-F", ...format, disk.#image]);
      await disk.#mount();
      return disk;
    } catch (error) {
      return `no disk of its own can be had here: ${String(error).split("\n")[0]}`;
    }
  }

  /**
   * Makes everything durable, and makes the next cut one that takes microseconds. `others` lose
   * their power with it, a moment later.
   */
  async arm(...others: readonly PowerLossDisk[]): Promise<void> {
    const paths = [this.path, ...others.map(({ path }) => path)];
    await run("sync", ["-f", ...paths]);
    if (this.#cutter !== undefined) return;
    const stdio = ["pipe", "pipe", "inherit"] as const;
    this.#cutter = spawn("python3", ["-c", CUTTER, ...paths], { stdio: [...stdio] }) as Cutter;
    await once(this.#cutter.stdout, "data");
  }

  /**
   * Cuts the power of an armed disk; the process goes with it. Without one, whoever uses the disk
   * lives on, and every call fails with EIO.
   */
  async cut(pid = 0): Promise<void> {
    const cutter = this.#cutter;
    if (cutter === undefined) throw new Error("the disk is not armed");
    this.#cutter = undefined;
    const gone = once(cutter, "exit");
    cutter.stdin.end(`${pid}\n`);
    const [exitCode] = (await gone) as [number | null];
    if (exitCode !== 0) throw new Error("the disk could not be shut down");
  }

  /** Mounts it again, which replays the journal. `isRepaired`: after its own check and repair. */
  async restore({ isRepaired = false } = {}): Promise<void> {
    await this.#disarm();
    await this.#unmount();
    // Exit code 1 says that something was repaired.
    if (isRepaired) await run("e2fsck", ["-f", "-y", this.#image]).catch(() => {});
    await this.#mount();
  }

  /** Mounts it differently while it stays mounted, as an administrator does: `ro`, `rw`. */
  async remount(options: string): Promise<void> {
    await run("mount", ["-o", `remount,${options}`, this.path]);
  }

  /** Lets the kernel find an error in it: mounted with `errors=remount-ro`, nothing can be written. */
  async failReadOnly(): Promise<void> {
    const mounts = await readFile("/proc/self/mounts", "utf8");
    const [device = ""] =
      mounts
        .split("\n")
        .find((line) => line.includes(this.path))
        ?.split(" ") ?? [];
    await writeFile(`/sys/fs/ext4/${basename(device)}/trigger_fs_error`, "1");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#disarm();
    await run("umount", ["-l", this.path]).catch(() => {});
  }

  /** An armed cutter holds the disk. */
  async #disarm(): Promise<void> {
    const cutter = this.#cutter;
    if (cutter === undefined) return;
    this.#cutter = undefined;
    const gone = once(cutter, "exit");
    cutter.kill("SIGKILL");
    await gone;
  }

  async #mount(): Promise<void> {
    await run("mount", ["-t", "ext4", "-o", this.#options, this.#image, this.path]);
  }

  /** The last process that used it may take a moment to be gone. */
  async #unmount(): Promise<void> {
    const isUnmounted = (): Promise<boolean> =>
      run("umount", [this.path]).then(
        () => true,
        () => false,
      );
    await until(isUnmounted, `${this.path} can be unmounted`);
  }
}
