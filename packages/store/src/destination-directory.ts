/**
 * A directory that holds part files and destinations, by an open descriptor. On Linux every name
 * in it is reached through the descriptor (`/proc/self/fd/N/name`), so swapping the directory for
 * a symbolic link between a check and its use has no effect (R-FS-04).
 *
 * Knows names inside one directory. Does not know what the files mean.
 */
import fs from "node:fs";
import type { BigIntStats } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { ShoalError } from "@shoal/core";
import { closeQuietly, errnoOf, lstatIfExists } from "./disk.ts";
import type { Disk } from "./disk.ts";
import { hasIdentity, identityOf, isSameFile } from "./file-identity.ts";

const { O_DIRECTORY, O_RDONLY } = fs.constants;

interface DirectorySyncs {
  readonly running: Promise<void>;
  /** Begins when `running` has ended. */
  next?: Promise<void>;
}

/** Of each directory, by its identity, while there are any. */
const SYNCS = new WeakMap<Disk, Map<string, DirectorySyncs>>();

function syncsOf(disk: Disk): Map<string, DirectorySyncs> {
  const syncs = SYNCS.get(disk) ?? new Map<string, DirectorySyncs>();
  SYNCS.set(disk, syncs);
  return syncs;
}

export class DestinationDirectory {
  readonly path: string;
  /** As stored; compare with `hasIdentity`. */
  readonly identity: string;
  readonly #disk: Disk;
  readonly #fd: number;
  readonly #stats: BigIntStats;

  private constructor(disk: Disk, path: string, fd: number) {
    this.#disk = disk;
    this.path = path;
    this.#fd = fd;
    this.#stats = disk.stat(fd);
    this.identity = identityOf(this.#stats);
  }

  /**
   * Opens the directory at `path`. With `recordedIdentity` it must still be that directory, else
   * `ERR_DESTINATION_MOVED`. Throws `ERR_DIRECTORY_MISSING` or what the disk throws.
   */
  static open(disk: Disk, path: string, recordedIdentity?: string): DestinationDirectory {
    let fd: number;
    try {
      fd = disk.open(path, O_RDONLY | O_DIRECTORY, 0);
    } catch (cause) {
      if (errnoOf(cause) !== "ENOTDIR") throw cause;
      throw new ShoalError("ERR_DIRECTORY_MISSING", `${path} is not a directory`, { cause });
    }
    try {
      const directory = new DestinationDirectory(disk, path, fd);
      if (recordedIdentity !== undefined && !hasIdentity(directory.#stats, recordedIdentity)) {
        throw new ShoalError("ERR_DESTINATION_MOVED", path);
      }
      return directory;
    } catch (error) {
      closeQuietly(disk, fd);
      throw error;
    }
  }

  /** The directory that a file's path names. */
  static openParent(disk: Disk, path: string, recordedIdentity?: string): DestinationDirectory {
    return DestinationDirectory.open(disk, dirname(path), recordedIdentity);
  }

  /** A path to `name` inside this very directory, whatever has happened to the directory's path. */
  child(name: string): string {
    return process.platform === "linux"
      ? `/proc/self/fd/${this.#fd}/${name}`
      : join(this.path, name);
  }

  /** `lstat` of a name in it; `undefined` when there is none. */
  stat(name: string): BigIntStats | undefined {
    return lstatIfExists(this.#disk, this.child(name));
  }

  /** Throws `ERR_DESTINATION_MOVED` unless the path still leads to this directory. */
  checkInPlace(): void {
    const check = DestinationDirectory.open(this.#disk, this.path);
    const isInPlace = isSameFile(check.#stats, this.#stats);
    check.close();
    if (!isInPlace) throw new ShoalError("ERR_DESTINATION_MOVED", this.path);
  }

  /**
   * What is at the destination, which must be a regular file or nothing: `ERR_DESTINATION_TYPE`
   * otherwise (R-FS-06).
   */
  statDestination(destination: string): BigIntStats | undefined {
    const stats = this.stat(basename(destination));
    if (stats !== undefined && !stats.isFile()) {
      throw new ShoalError("ERR_DESTINATION_TYPE", destination);
    }
    return stats;
  }

  /** Whether it is the directory at `path`, a real path, or lies in it. */
  isWithin(path: string): boolean {
    const own = this.#disk.realPath(this.child(""));
    return own === path || own.startsWith(path + sep);
  }

  /** Throws what the disk throws when no file can be created in it. */
  checkWritable(): void {
    this.#disk.checkWritable(this.child(""));
  }

  /**
   * Makes names in it durable. Files that ask while a sync runs share the next one: a sync covers
   * what was done before it began, and nothing else.
   */
  async sync(): Promise<void> {
    const syncs = syncsOf(this.#disk);
    const before = syncs.get(this.identity);
    if (before?.next !== undefined) return before.next;
    const sync = async (): Promise<void> => {
      // How the one before ended is for those to hear who asked for it.
      if (before !== undefined) await before.running.catch(() => {});
      const running = this.#disk.sync(this.#fd);
      const own: DirectorySyncs = { running };
      syncs.set(this.identity, own);
      try {
        await running;
      } finally {
        if (syncs.get(this.identity) === own && own.next === undefined) {
          syncs.delete(this.identity);
        }
      }
    };
    if (before === undefined) return sync();
    before.next = sync();
    return before.next;
  }

  close(): void {
    closeQuietly(this.#disk, this.#fd);
  }
}
