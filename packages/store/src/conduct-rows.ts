/**
 * What the database says about peers and addresses that misbehaved: the table `conduct`, a record
 * in JSON for each, the one saved last with the highest rowid (R-BAN-03).
 *
 * Knows rows. What a record means is core's business, and core checks it on the way in (R-DB-05).
 * Used by `DiskStore`.
 */
import { LIMITS, parseConductRecord } from "@shoal/core";
import type { ConductRecord, StoreCommand } from "@shoal/core";
import type { StateDatabase } from "./state-database.ts";

export class ConductRows {
  readonly #database: StateDatabase;
  readonly #doubt: () => void;

  /** `doubt` is told of what could not be saved. */
  constructor(database: StateDatabase, doubt: () => void) {
    this.#database = database;
    this.#doubt = doubt;
  }

  /** The one saved last comes last. Rows that are damaged are left out. */
  all(): ConductRecord[] {
    const sql = "SELECT * FROM conduct ORDER BY rowid DESC LIMIT ?";
    const rows = this.#database.all(sql, LIMITS.bansMax).toReversed();
    return rows.flatMap(({ kind, subject, record: text }) => {
      const record = parseConductRecord(parseJson(text));
      if (record === undefined || record.kind !== kind || record.subject !== subject) return [];
      return [record];
    });
  }

  /** Durable when it returns, unless the disk has no room: a ban is not worth the agent. */
  save({ records, forgotten }: Extract<StoreCommand, { type: "saveConduct" }>): void {
    const remove = "DELETE FROM conduct WHERE kind = ? AND subject = ?";
    const insert = "INSERT INTO conduct (kind, subject, record) VALUES (?, ?, ?)";
    try {
      this.#database.transaction(() => {
        for (const { kind, subject } of [...forgotten, ...records]) {
          this.#database.run(remove, kind, subject);
        }
        for (const record of records) {
          this.#database.run(insert, record.kind, record.subject, JSON.stringify(record));
        }
        const oldest = "rowid <= (SELECT max(rowid) FROM conduct) - ?";
        this.#database.run(`DELETE FROM conduct WHERE ${oldest}`, LIMITS.bansMax);
      });
    } catch {
      this.#doubt();
    }
  }
}

/** `undefined` for what is no JSON. */
export function parseJson(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}
