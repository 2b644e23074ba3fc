/**
 * The state directory: created or checked (R-FS-01), locked (R-PROC-01), and marked clean when a
 * run ends in order (R-DB-09).
 *
 *   lock       an empty SQLite file; whoever runs holds an exclusive transaction on it
 *   state.db   jobs and contents; see `state-tables.ts`
 *   spool/     part files of contents that are read and never published
 *   cache/     copies of published contents
 *   ballast    8 MiB of zeros, given back when the disk is full (R-FS-11)
 *   clean      SHA-256 of state.db as the last run left it; absent while a run lasts
 *
 * The lock is the kernel's, on the file and not on its path: it is gone when the process is, and a
 * symbolic link to the directory is the same directory (R-PROC-02). The marker holds a digest of
 * the database, so any other database beside it, older or damaged, counts as an unclean stop.
 *
 * Knows files by name. Does not know what the database holds. Called by `openDiskStore`.
 */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ShoalError, sha256Hex } from "@shoal/core";
import { isDatabaseFull, sqliteCodeOf } from "./disk-errors.ts";
import { errnoOf } from "./disk.ts";

const SQLITE_BUSY = 5;
const SQLITE_NOTADB = 26;
/** Group and others may not write. */
const FOREIGN_WRITE_MODE = 0o022;

/** Creates the directory, or checks one that exists. Throws `ERR_STATE_UNUSABLE`. */
export function prepareStateDirectory(path: string): void {
  preparePrivateDirectory(path, fs.statSync);
}

/** Where contents without a destination lie; given the state directory's real path. */
export function spoolDirectoryOf(stateDirectory: string): string {
  return join(stateDirectory, "spool");
}

/** The same for the spool, which is never reached through a symbolic link. */
export function prepareSpoolDirectory(stateDirectory: string): void {
  preparePrivateDirectory(spoolDirectoryOf(stateDirectory), fs.lstatSync);
}

/** Where copies of published contents lie; given the state directory's real path. */
export function cacheDirectoryOf(stateDirectory: string): string {
  return join(stateDirectory, "cache");
}

/** The same as for the spool. */
export function prepareCacheDirectory(stateDirectory: string): void {
  preparePrivateDirectory(cacheDirectoryOf(stateDirectory), fs.lstatSync);
}

function preparePrivateDirectory(path: string, stat: (path: string) => fs.Stats): void {
  try {
    fs.mkdirSync(path, { recursive: true, mode: 0o700 });
    const stats = stat(path);
    if (!stats.isDirectory()) throw new ShoalError("ERR_STATE_UNUSABLE", `${path} is no directory`);
    if (process.getuid === undefined) return;
    if (stats.uid !== process.getuid()) {
      throw new ShoalError("ERR_STATE_UNUSABLE", `${path} belongs to another user`);
    }
    if ((stats.mode & FOREIGN_WRITE_MODE) !== 0) {
      throw new ShoalError("ERR_STATE_UNUSABLE", `${path} can be written by other users`);
    }
  } catch (cause) {
    throw unusable(path, cause);
  }
}

/**
 * The mode that new files get here: 0666 without the bits of the process's umask, which a library
 * cannot ask for without changing it for a moment under everybody else.
 */
export function readDefaultMode(path: string): number {
  const probe = join(path, `probe.${randomBytes(8).toString("hex")}`);
  const fd = fs.openSync(probe, "wx", 0o666);
  try {
    return fs.fstatSync(fd).mode & 0o666;
  } finally {
    fs.closeSync(fd);
    fs.unlinkSync(probe);
  }
}

export interface StateLock {
  release(): void;
}

/** Takes the lock. Throws `ERR_STATE_LOCKED` at once when another store has it. */
export function lockStateDirectory(path: string): StateLock {
  const lockPath = join(path, "lock");
  try {
    createPrivateFile(lockPath);
    try {
      return holdLock(lockPath);
    } catch (error) {
      if (sqliteCodeOf(error) !== SQLITE_NOTADB) throw error;
      // Garbage, which nobody can hold a lock on; emptied in place, so that it stays one file.
      fs.truncateSync(lockPath, 0);
      return holdLock(lockPath);
    }
  } catch (cause) {
    if (sqliteCodeOf(cause) === SQLITE_BUSY) {
      throw new ShoalError("ERR_STATE_LOCKED", path, { cause });
    }
    throw unusable(path, cause);
  }
}

function holdLock(lockPath: string): StateLock {
  const database = new DatabaseSync(lockPath, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    throw error;
  }
  return { release: () => database.close() };
}

/**
 * Creates an empty file of mode 0600 unless the name exists. The file gets its name when its
 * descriptor is closed already: closing one would take away a lock that this process holds on it.
 */
export function createPrivateFile(path: string): void {
  if (fs.existsSync(path)) return;
  const temporary = `${path}.${randomBytes(8).toString("hex")}`;
  fs.closeSync(fs.openSync(temporary, "wx", 0o600));
  try {
    fs.linkSync(temporary, path);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  } finally {
    fs.unlinkSync(temporary);
  }
}

/** Whether the last run ended in order and nothing has changed the database since. */
export function isMarkedClean(path: string): boolean {
  try {
    const digest = digestOfDatabase(path);
    return digest !== undefined && digest === fs.readFileSync(join(path, "clean"), "utf8");
  } catch {
    return false; // No marker, or one that cannot be read: an unclean stop.
  }
}

/** The first thing a run does before it writes. */
export function removeCleanMarker(path: string): void {
  fs.rmSync(join(path, "clean"), { force: true, recursive: true });
}

/**
 * The last thing a run does, after the database is closed. Without the marker the next start hashes
 * more than it needs to; that is all.
 */
export function writeCleanMarker(path: string): void {
  const digest = digestOfDatabase(path);
  if (digest === undefined) return;
  const fd = fs.openSync(join(path, "clean"), "wx", 0o600);
  try {
    fs.writeSync(fd, digest);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** `undefined` while the database is not complete without its log, as after a full disk. */
function digestOfDatabase(path: string): string | undefined {
  const log = fs.statSync(join(path, "state.db-wal"), { throwIfNoEntry: false });
  if (log !== undefined && log.size > 0) return undefined;
  return sha256Hex(fs.readFileSync(join(path, "state.db")));
}

const BALLAST_BYTES = 8 * 1024 * 1024;

/** Space that the database gets back when everything else is full (R-FS-11). */
export class Ballast {
  readonly #path: string;

  constructor(stateDirectory: string) {
    this.#path = join(stateDirectory, "ballast");
  }

  /** Sets the space aside, unless the disk is full already. */
  fill(): void {
    try {
      const stats = fs.statSync(this.#path, { throwIfNoEntry: false });
      if (stats?.size === BALLAST_BYTES) return;
      fs.rmSync(this.#path, { force: true, recursive: true });
      fs.writeFileSync(this.#path, new Uint8Array(BALLAST_BYTES), { mode: 0o600, flag: "wx" });
    } catch {
      this.release();
    }
  }

  /** Gives the space back; true when there was some. */
  release(): boolean {
    try {
      fs.unlinkSync(this.#path);
      return true;
    } catch {
      return false;
    }
  }
}

function unusable(path: string, cause: unknown): ShoalError {
  if (cause instanceof ShoalError) return cause;
  if (isDatabaseFull(cause)) return new ShoalError("ERR_DISK_FULL", path, { cause });
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ShoalError("ERR_STATE_UNUSABLE", `${path}: ${reason}`, { cause });
}
