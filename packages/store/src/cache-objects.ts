/**
 * The cache's own files: copies of published contents, which stay what they are when the user
 * changes or deletes the file (R-CACHE-01).
 *
 *   cache/<first 2 digits>/<SHA-256 of the manifest, 64 hex digits>          a complete copy
 *   cache/<first 2 digits>/<64 hex digits>.part                              one being made
 *
 * A name is given when the bytes are durable. Which copies count is the database's to say: others
 * are removed at start, and names of another form are left alone (R-CACHE-05). What a copy holds is
 * verified at every reading, as always. Knows files; used by `ContentCache`.
 */
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { digestOfContentId, hex, ShoalError } from "@shoal/core";
import type { ContentId } from "@shoal/core";
import { closeQuietly, lstatIfExists } from "./disk.ts";
import type { Disk } from "./disk.ts";
import { isOurs, stampOf } from "./file-identity.ts";
import { statComplete } from "./shared-content.ts";

const { O_NOFOLLOW, O_RDONLY, O_RDWR } = fs.constants;
const FAN_OUT = /^[0-9a-f]{2}$/;
const OBJECT = /^[0-9a-f]{64}(\.part)?$/;
/** With these a file system says that it never shares blocks, or not with the cache's. */
const UNSHARED = new Set(["ENOTSUP", "EOPNOTSUPP", "EXDEV", "ENOTTY", "ENOSYS"]);

export interface CopySource {
  readonly contentId: ContentId;
  readonly path: string;
  readonly length: number;
}

export class CacheObjects {
  readonly #disk: Disk;
  readonly #directory: string;
  /** The device of files that lately could not share blocks with copies: nobody asks it again. */
  #unsharedDevice: bigint | undefined;

  /** `directory` exists and belongs to the store. */
  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  get directory(): string {
    return this.#directory;
  }

  pathOf(contentId: ContentId): string {
    const name = hex(digestOfContentId(contentId));
    return join(this.#directory, name.slice(0, 2), name);
  }

  /**
   * Copies a file; with `mustShare` only where both share their blocks on the disk, which costs
   * neither time nor room. Returns the copy's stamp. Throws what the disk throws, and leaves nothing.
   */
  async copy({ contentId, path, length }: CopySource, mustShare: boolean): Promise<string> {
    const target = this.pathOf(contentId);
    const temporary = `${target}.part`;
    const disk = this.#disk;
    const source = statComplete(disk, path, length);
    if (source === undefined) throw new ShoalError("ERR_FILE_UNREADABLE", path);
    if (mustShare && source.dev === this.#unsharedDevice) {
      throw new ShoalError("ERR_DISK_IO", `${path} cannot share its blocks`);
    }
    fs.mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    // Names that lead elsewhere are not followed (R-CACHE-05).
    if (!disk.lstat(dirname(target)).isDirectory()) {
      throw new ShoalError("ERR_DISK_IO", `${dirname(target)} is no directory`);
    }
    this.#remove(temporary);
    try {
      await disk.copy(path, temporary, mustShare);
      await this.#finish(temporary, length);
      disk.rename(temporary, target);
      await this.#syncDirectory(dirname(target));
      const stats = statComplete(disk, target, length);
      if (stats === undefined) throw new ShoalError("ERR_DISK_IO", target);
      return stampOf(stats);
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      if (mustShare && UNSHARED.has(String(code))) this.#unsharedDevice = source.dev;
      this.#remove(temporary);
      throw error;
    }
  }

  /** Removes the copy, if there is one. Whoever reads it at this moment goes on. */
  remove(contentId: ContentId): void {
    this.#remove(this.pathOf(contentId));
  }

  /** Removes copies that are not among `paths`: what a crash left. */
  sweep(paths: ReadonlySet<string>): void {
    for (const entry of fs.readdirSync(this.#directory, { withFileTypes: true })) {
      if (!entry.isDirectory() || !FAN_OUT.test(entry.name)) continue;
      const directory = join(this.#directory, entry.name);
      for (const name of fs.readdirSync(directory)) {
        const path = join(directory, name);
        if (OBJECT.test(basename(name)) && !paths.has(path)) this.#remove(path);
      }
    }
  }

  async #finish(path: string, length: number): Promise<void> {
    const disk = this.#disk;
    const fd = disk.open(path, O_RDWR | O_NOFOLLOW, 0);
    try {
      const stats = disk.stat(fd);
      if (!stats.isFile() || stats.size !== BigInt(length)) {
        throw new ShoalError("ERR_FILE_UNREADABLE", `${path} changed while it was copied`);
      }
      disk.chmod(fd, 0o600);
      await disk.sync(fd);
    } finally {
      closeQuietly(disk, fd);
    }
  }

  async #syncDirectory(path: string): Promise<void> {
    const fd = this.#disk.open(path, O_RDONLY, 0);
    try {
      await this.#disk.sync(fd);
    } finally {
      closeQuietly(this.#disk, fd);
    }
  }

  #remove(path: string): void {
    try {
      const stats = lstatIfExists(this.#disk, path);
      if (stats?.isFile() === true && isOurs(stats)) this.#disk.unlink(path);
    } catch {
      // The next start tries again.
    }
  }
}
