/**
 * A part file: where a content's pieces lie until it is published (R-FS-05).
 *
 *   .shoal-<first 8 of the job id>-<32 random hex digits>.part   in the destination's directory
 *
 * It has the content's full length from its creation on, and is mode 0600. The file remembers the
 * modification time its own writes left behind: another one means that somebody else wrote to it.
 *
 * Knows bytes and offsets, not pieces. Used by `PartContent`.
 */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import type { BigIntStats } from "node:fs";
import { assert, PART_FILE_PREFIX, ShoalError } from "@shoal/core";
import type { JobId, UnixMillis } from "@shoal/core";
import type { DestinationDirectory } from "./destination-directory.ts";
import { closeQuietly, errnoOf, readFully, writeFully } from "./disk.ts";
import type { Disk } from "./disk.ts";
import { hasIdentity, identityOf, isOurs, isSameFile, stampOf } from "./file-identity.ts";
import { Holes } from "./holes.ts";

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = fs.constants;

/** R-FS-05: names tried before giving up. */
export const PART_NAME_TRIES_MAX = 20;

/** An unpredictable name for a new part file. */
export function newPartName(jobId: JobId): string {
  return `${PART_FILE_PREFIX}${jobId.slice(0, 8)}-${randomBytes(16).toString("hex")}.part`;
}

/** Whether `name` is one that `newPartName` makes. */
export function isPartName(name: string): boolean {
  return /^\.shoal-[0-9a-f]{8}-[0-9a-f]{32}\.part$/.test(name);
}

/** What a part file must still be when it is opened again. */
export interface RecordedPart {
  readonly name: string;
  readonly identity: string;
  readonly length: number;
  /** Whether it may have grown without its record: what lies beyond `length` is cut off then. */
  readonly mayBeLonger: boolean;
}

export class PartFile {
  readonly directory: DestinationDirectory;
  readonly name: string;
  readonly #disk: Disk;
  readonly #fd: number;
  #length: number;
  #modifiedAtNs: bigint;
  #isTouched = false;
  /** Only of a file that this run created: what lies in another's gaps is not known. */
  #holes: Holes | undefined;
  #isClosed = false;

  private constructor(
    disk: Disk,
    directory: DestinationDirectory,
    file: { name: string; fd: number; length: number },
  ) {
    this.#disk = disk;
    this.directory = directory;
    this.name = file.name;
    this.#fd = file.fd;
    this.#length = file.length;
    this.#modifiedAtNs = disk.stat(file.fd).mtimeNs;
  }

  /**
   * Creates a part file and makes file and name durable. `undefined` when the name is taken.
   * A file whose creation fails half-way is left to the caller, who has recorded the name.
   */
  static async create(
    disk: Disk,
    directory: DestinationDirectory,
    { name, length }: { name: string; length: number },
  ): Promise<PartFile | undefined> {
    const path = directory.child(name);
    let fd: number;
    try {
      fd = disk.open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, 0o600);
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return undefined;
      if (errnoOf(error) !== "ENOENT") throw error;
      // The directory was removed, or is one that takes no files, as /proc.
      directory.checkInPlace();
      throw new ShoalError("ERR_DIRECTORY_UNWRITABLE", directory.path, { cause: error });
    }
    try {
      disk.truncate(fd, length);
      await disk.sync(fd);
      await directory.sync();
      const part = new PartFile(disk, directory, { name, fd, length });
      part.#holes = new Holes(length);
      return part;
    } catch (error) {
      closeQuietly(disk, fd);
      throw error;
    }
  }

  /** Opens a recorded part file; `undefined` when it is not there any more as it was. */
  static resume(
    disk: Disk,
    directory: DestinationDirectory,
    recorded: RecordedPart,
  ): PartFile | undefined {
    const { name, identity, length, mayBeLonger } = recorded;
    let fd: number;
    try {
      fd = disk.open(directory.child(name), O_NOFOLLOW | O_NONBLOCK | O_RDWR, 0);
    } catch (error) {
      const gone = ["ENOENT", "ELOOP", "EISDIR", "ENXIO"];
      if (gone.includes(errnoOf(error) ?? "")) return undefined;
      throw error;
    }
    try {
      const stats = disk.stat(fd);
      const isIntact =
        stats.isFile() &&
        stats.nlink === 1n &&
        isOurs(stats) &&
        hasIdentity(stats, identity) &&
        (mayBeLonger ? stats.size >= BigInt(length) : stats.size === BigInt(length));
      if (isIntact) {
        if (stats.size !== BigInt(length)) disk.truncate(fd, length);
        // Publication may have been cut short after the mode was set.
        if ((stats.mode & 0o777n) !== 0o600n) disk.chmod(fd, 0o600);
        return new PartFile(disk, directory, { name, fd, length });
      }
      closeQuietly(disk, fd);
      return undefined;
    } catch (error) {
      closeQuietly(disk, fd);
      throw error;
    }
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** As stored, to find the file again after a restart. */
  get identity(): string {
    return identityOf(this.stats());
  }

  /** Changes with every change to the file. */
  get stamp(): string {
    return stampOf(this.stats());
  }

  /**
   * Whether only this object has written since it was opened, as far as the file's times tell.
   * Writers that put the times back are not seen; they would need our user's rights.
   */
  isUntouched(): boolean {
    const stats = this.stats();
    const isSame = stats.mtimeNs === this.#modifiedAtNs && stats.size === BigInt(this.#length);
    if (!isSame) this.#isTouched = true;
    return !this.#isTouched;
  }

  /** Accepts the file as it is now, after all its bytes have been read and verified. */
  acceptAsUntouched(before: BigIntStats): void {
    this.#modifiedAtNs = before.mtimeNs;
    this.#isTouched = false;
  }

  /** Accepts whatever is in the file, none of which is claimed, and gives it its length again. */
  beginAnew(): void {
    this.#holes = undefined;
    this.#disk.truncate(this.#fd, this.#length);
    this.acceptAsUntouched(this.stats());
  }

  hasFullLength(): boolean {
    return this.stats().size === BigInt(this.#length);
  }

  stats(): BigIntStats {
    assert(!this.#isClosed, "a closed part file has no stats");
    return this.#disk.stat(this.#fd);
  }

  write(bytes: Uint8Array, position: number): void {
    assert(position + bytes.length <= this.#length, "a piece must lie inside its file");
    this.#change(() => {
      const runs = this.#isTouched ? undefined : this.#holes?.dataRuns(bytes, position);
      for (const run of runs ?? [bytes]) {
        const start = position + (run.byteOffset - bytes.byteOffset);
        writeFully(this.#disk, this.#fd, run, start);
      }
    });
  }

  /** Makes the file longer, durably. After a failure it may be longer than `length` says. */
  async grow(length: number): Promise<void> {
    assert(length > this.#length, "a part file that grows becomes longer");
    this.#holes = undefined;
    this.#change(() => this.#disk.truncate(this.#fd, length));
    await this.#disk.sync(this.#fd);
    this.#length = length;
  }

  /** Fills `bytes`; false at the end of the file or when the disk cannot read. */
  read(bytes: Uint8Array, position: number): boolean {
    if (this.#isClosed) return false;
    return readFully(this.#disk, this.#fd, bytes, position);
  }

  syncData(): Promise<void> {
    return this.#disk.syncData(this.#fd);
  }

  /**
   * Sets the mode and, as far as the file system can hold them, the times that the published file
   * has, and makes everything durable.
   */
  async finish(mode: number, modifiedAt: UnixMillis | undefined): Promise<void> {
    this.#disk.chmod(this.#fd, mode);
    if (modifiedAt !== undefined) this.#setTimes(modifiedAt);
    await this.#disk.sync(this.#fd);
  }

  /**
   * Gives the file its destination's name: by `link` when nothing may be replaced (R-FS-07). Throws
   * `ERR_CONTENT_MISMATCH` when its own name is gone or another file's, or what the disk throws.
   */
  moveTo(name: string, overwrite: boolean): void {
    const { directory } = this;
    const from = directory.child(this.name);
    const found = directory.stat(this.name);
    if (found === undefined || !isSameFile(found, this.stats())) {
      // What can be reached by no name any more is fetched again.
      throw new ShoalError("ERR_CONTENT_MISMATCH", `${this.name} was removed or replaced`);
    }
    if (overwrite) {
      this.#disk.rename(from, directory.child(name));
      return;
    }
    this.#disk.link(from, directory.child(name));
    this.#disk.unlink(from);
  }

  /** Idempotent. Throws what the disk throws: an error may show up here for the first time. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#disk.close(this.#fd);
  }

  #setTimes(modifiedAt: UnixMillis): void {
    this.#change(() => {
      try {
        this.#disk.setTimes(this.#fd, modifiedAt);
      } catch {
        // A file with another time is better than none.
      }
    });
  }

  /** Does what changes the file's modification time, and remembers the new one as its own. */
  #change(work: () => void): void {
    this.isUntouched();
    try {
      work();
    } finally {
      this.#modifiedAtNs = this.stats().mtimeNs;
    }
  }
}
