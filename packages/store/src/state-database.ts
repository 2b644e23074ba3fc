/**
 * The SQLite file: opened, checked, brought up from an older version, moved aside when it is
 * damaged (R-DB-01, R-DB-04), and written in durable transactions.
 *
 * Knows the schema's text and SQLite. Does not interpret rows; `state-tables.ts` does. Only one
 * connection exists, in the store's worker, under the directory's lock.
 */
import fs from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SQLInputValue, StatementSync } from "node:sqlite";
import { ShoalError } from "@shoal/core";
import { isDatabaseFull, sqliteCodeOf } from "./disk-errors.ts";
import { copyAside, upgradeRows } from "./migrate-state.ts";
import { Ballast, createPrivateFile } from "./state-directory.ts";

export const SCHEMA_VERSION = 7;
/** R-DB-04: damaged databases that are kept. */
const ASIDE_COUNT_MAX = 3;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** In the order in which rows can be inserted: a manifest before the contents that refer to it. */
const TABLES = {
  jobs: `
    job_id TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    record TEXT NOT NULL`,
  manifests: `
    content_id TEXT PRIMARY KEY,
    bytes BLOB NOT NULL`,
  contents: `
    job_id TEXT NOT NULL,
    file_index INTEGER NOT NULL,
    destination TEXT NOT NULL,
    directory_identity TEXT NOT NULL,
    part_name TEXT NOT NULL,
    part_identity TEXT NOT NULL,
    length INTEGER NOT NULL,
    piece_length INTEGER,
    piece_lengths BLOB,
    content_id TEXT REFERENCES manifests (content_id),
    validator_key TEXT,
    have BLOB NOT NULL,
    state TEXT NOT NULL,
    stamp TEXT,
    must_recheck INTEGER NOT NULL,
    must_read_back INTEGER NOT NULL,
    PRIMARY KEY (job_id, file_index)`,
  shared: `
    content_id TEXT PRIMARY KEY REFERENCES manifests (content_id),
    path TEXT NOT NULL,
    length INTEGER NOT NULL,
    stamp TEXT`,
  cache: `
    content_id TEXT PRIMARY KEY,
    destination TEXT NOT NULL,
    completed_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER,
    is_offered INTEGER NOT NULL,
    is_pinned INTEGER NOT NULL,
    has_copy INTEGER NOT NULL,
    private_to TEXT`,
  accepted: `
    key_id TEXT NOT NULL,
    has_signed INTEGER NOT NULL,
    product TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    content_id TEXT NOT NULL,
    PRIMARY KEY (key_id, product)`,
  announcements: `
    tag TEXT PRIMARY KEY,
    bytes BLOB NOT NULL`,
  conduct: `
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (kind, subject)`,
  peers: `
    record TEXT NOT NULL`,
  usage: `
    month TEXT PRIMARY KEY,
    internet_sent_bytes INTEGER NOT NULL,
    totals TEXT`,
  leftovers: `
    directory TEXT NOT NULL,
    directory_identity TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (directory, name)`,
} as const;

/** A manifest's contents are looked for before it may go. */
const INDEXES = "CREATE INDEX IF NOT EXISTS contents_by_manifest ON contents (content_id)";

export type Row = Readonly<Record<string, SQLInputValue | undefined>>;

export interface OpenedDatabase {
  readonly database: StateDatabase;
  /** Where a damaged database was moved; what could be read from it is in the new one. */
  readonly damagedPath?: string;
}

interface Grouped {
  readonly work: () => void;
  readonly settle: () => void;
  readonly reject: (error: unknown) => void;
}

export class StateDatabase {
  readonly #database: DatabaseSync;
  readonly #ballast: Ballast;
  readonly #statements = new Map<string, StatementSync>();
  /** Bounded by `LIMITS.storeCommandsMax`. */
  #group: Grouped[] = [];
  #groupTimer: NodeJS.Immediate | undefined;

  private constructor(database: DatabaseSync, ballast: Ballast) {
    this.#database = database;
    this.#ballast = ballast;
  }

  /**
   * Opens `state.db`, creating it where there is none. `isClean` chooses the quick check over the
   * full one. Throws `ERR_STATE_NEWER`, or what SQLite throws except about damage.
   */
  static open(stateDirectory: string, { isClean }: { isClean: boolean }): OpenedDatabase {
    const path = join(stateDirectory, "state.db");
    const ballast = new Ballast(stateDirectory);
    try {
      if (isHeadless(path)) throw new DamageError("the log has lost its database");
      return { database: new StateDatabase(connect(path, isClean), ballast) };
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    const damagedPath = moveAside(path);
    const database = new StateDatabase(connect(path, true), ballast);
    database.#salvage(damagedPath);
    return { database, damagedPath };
  }

  /** Reads rows one by one; nothing may be written meanwhile. */
  rows(sql: string, ...values: SQLInputValue[]): Iterable<Row> {
    return this.#prepare(sql).iterate(...values) as Iterable<Row>;
  }

  /** Reads rows. */
  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /** Writes durably, or inside the transaction that runs. */
  run(sql: string, ...values: SQLInputValue[]): void {
    this.transaction(() => void this.#prepare(sql).run(...values));
  }

  /**
   * All of `work` or nothing, durable when it returns. Inside another transaction it is part of
   * that one. When the disk is full the ballast is given up, once, and `work` runs again.
   */
  transaction(work: () => void): void {
    if (this.#database.isTransaction) {
      work();
      return;
    }
    this.#commitGroup();
    this.#commit(work);
  }

  /**
   * Like `transaction`, together with whatever else is to be written by the end of this turn, so
   * that all share one commit; resolves when that is durable. `work` may run again, alone, where
   * the others' fails; it must write and do nothing else.
   */
  grouped(work: () => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#group.push({ work, settle: resolve, reject });
    this.#groupTimer ??= setImmediate(() => this.#commitGroup());
    return promise;
  }

  /** Closes; afterwards `state.db` is complete without its log. */
  close(): void {
    this.#commitGroup();
    this.#statements.clear();
    this.#database.close();
  }

  #commitGroup(): void {
    clearImmediate(this.#groupTimer);
    this.#groupTimer = undefined;
    const group = this.#group;
    if (group.length === 0) return;
    this.#group = [];
    try {
      this.#commit(() => {
        for (const { work } of group) work();
      });
    } catch {
      for (const each of group) this.#commitAlone(each);
      return;
    }
    for (const { settle } of group) settle();
  }

  #commitAlone({ work, settle, reject }: Grouped): void {
    try {
      this.#commit(work);
    } catch (error) {
      reject(error);
      return;
    }
    settle();
  }

  #commit(work: () => void): void {
    try {
      this.#attempt(work);
    } catch (error) {
      if (!isDatabaseFull(error) || !this.#ballast.release()) throw error;
      this.#attempt(work);
    }
  }

  #attempt(work: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Copies what can still be read, row by row; what is read back later is validated as always. */
  #salvage(damagedPath: string): void {
    // To an empty database SQLite adds no log, but deletes it.
    if (lengthOf(damagedPath) === 0) return;
    let damaged: DatabaseSync;
    try {
      damaged = new DatabaseSync(damagedPath);
    } catch {
      return;
    }
    this.transaction(() => {
      for (const table of Object.keys(TABLES)) this.#salvageTable(damaged, table);
      upgradeRows(this.#database);
    });
    closeDamaged(damaged);
  }

  #salvageTable(damaged: DatabaseSync, table: string): void {
    try {
      for (const row of damaged.prepare(`SELECT * FROM ${table}`).iterate()) {
        this.#insert(table, row as Row);
      }
    } catch {
      // The rest of this table cannot be read.
    }
  }

  #insert(table: string, row: Row): void {
    const names = Object.keys(row);
    const marks = names.map(() => "?").join(", ");
    try {
      const sql = `INSERT OR IGNORE INTO ${table} (${names.join(", ")}) VALUES (${marks})`;
      this.run(sql, ...names.map((name) => row[name] ?? null));
    } catch {
      // A row that breaks the schema's rules is part of the damage.
    }
  }
}

function lengthOf(path: string): number {
  return fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Whether the database is gone and its log is not, which SQLite would take for a new database. */
function isHeadless(path: string): boolean {
  return lengthOf(path) === 0 && lengthOf(`${path}-wal`) > 0;
}

function connect(path: string, isClean: boolean): DatabaseSync {
  createPrivateFile(path);
  const database = new DatabaseSync(path, { timeout: 5_000 });
  try {
    // The log may hold a version that the file's first bytes do not show yet.
    const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
    refuseNewer(version);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    database.exec("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");
    const check = isClean ? "quick_check" : "integrity_check";
    const found = database.prepare(`PRAGMA ${check}(1)`).get()?.[check];
    if (found !== "ok") throw new DamageError(typeof found === "string" ? found : check);
    if (version > 0 && version < SCHEMA_VERSION) copyAside(database, path, version);
    if (version < SCHEMA_VERSION) createSchema(database, version);
    return database;
  } catch (error) {
    closeDamaged(database);
    throw error;
  }
}

/** Makes what is missing and upgrades what is there, all or nothing. */
function createSchema(database: DatabaseSync, from: number): void {
  database.exec("BEGIN IMMEDIATE");
  for (const [table, columns] of Object.entries(TABLES)) {
    database.exec(`CREATE TABLE IF NOT EXISTS ${table} (${columns}) STRICT`);
  }
  database.exec(INDEXES);
  if (from === 3) database.exec("ALTER TABLE cache ADD COLUMN private_to TEXT");
  if (from === 6) database.exec("ALTER TABLE usage ADD COLUMN totals TEXT");
  upgradeRows(database);
  database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
}

/** Where SQLite's file format keeps `user_version`, as a big-endian number. */
const USER_VERSION_OFFSET = 60;

/**
 * Throws `ERR_STATE_NEWER` for a database of a newer version, by its first bytes: opening it with
 * SQLite, even for reading, would leave files behind. What is no database passes; opening decides.
 */
export function checkStateVersion(stateDirectory: string): void {
  const path = join(stateDirectory, "state.db");
  if (!fs.existsSync(path)) return;
  const header = new DataView(new ArrayBuffer(USER_VERSION_OFFSET + 4));
  const fd = fs.openSync(path, "r");
  const count = fs.readSync(fd, header);
  fs.closeSync(fd);
  if (count < header.byteLength || header.getUint32(0) !== SQLITE_MAGIC) return;
  refuseNewer(header.getUint32(USER_VERSION_OFFSET));
}

/** "SQLi", with which every database begins. */
const SQLITE_MAGIC = 0x53514c69;

function refuseNewer(version: number): void {
  if (version <= SCHEMA_VERSION) return;
  throw new ShoalError("ERR_STATE_NEWER", `version ${version}, this is ${SCHEMA_VERSION}`);
}

class DamageError extends Error {
  override readonly name = "DamageError";
}

function isDamage(error: unknown): boolean {
  const code = sqliteCodeOf(error);
  return error instanceof DamageError || code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}

/** Moves a database and its log to a name with the time, and removes all but the newest such. */
function moveAside(path: string): string {
  const time = new Date().toISOString().replaceAll(/[:.]/g, "-");
  const directory = dirname(path);
  const asidePath = join(directory, `damaged-${time}.db`);
  for (const suffix of ["", "-wal", "-shm"]) {
    if (fs.existsSync(path + suffix)) fs.renameSync(path + suffix, asidePath + suffix);
  }
  const names = fs.readdirSync(directory).filter((name) => /^damaged-.*\.db$/.test(name));
  for (const name of names.toSorted().slice(0, -ASIDE_COUNT_MAX)) {
    for (const suffix of ["", "-wal", "-shm"]) {
      fs.rmSync(join(directory, name + suffix), { force: true });
    }
  }
  return asidePath;
}

/** Closing a damaged database may report the damage once more. */
function closeDamaged(database: DatabaseSync): void {
  try {
    database.close();
  } catch {
    // It has been reported.
  }
}
