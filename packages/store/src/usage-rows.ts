/**
 * What the database says about the month's traffic: the table `usage`, a row for each month, of
 * which the last counts. All but what the cap of uploads rests on is JSON in one column.
 *
 * Knows rows; core checks what they say (R-DB-05). Used by `DiskStore`.
 */
import { parseMonthUsage } from "@shoal/core";
import type { MonthUsage } from "@shoal/core";
import type { StateDatabase } from "./state-database.ts";

/** Months that are kept, for whoever looks into the database. */
const MONTHS_MAX = 24;

export class UsageRows {
  readonly #database: StateDatabase;
  readonly #doubt: () => void;

  /** `doubt` is told of what could not be saved. */
  constructor(database: StateDatabase, doubt: () => void) {
    this.#database = database;
    this.#doubt = doubt;
  }

  /** The last month's; `undefined` where there is none, or it is damaged. */
  latest(): MonthUsage | undefined {
    const sql = "SELECT * FROM usage ORDER BY month DESC LIMIT 1";
    const [row] = this.#database.all(sql);
    const { month, internet_sent_bytes: internetSentBytes, totals } = row ?? {};
    const usage = { month, internetSentBytes };
    // Where only the totals are damaged, the cap still holds.
    return parseMonthUsage({ ...usage, totals: parseJson(totals) }) ?? parseMonthUsage(usage);
  }

  /** Durable when it returns, unless the disk has no room: a count is not worth the agent. */
  save({ month, internetSentBytes, totals }: MonthUsage): void {
    const insert = `INSERT OR REPLACE INTO usage (month, internet_sent_bytes, totals)
      VALUES (?, ?, ?)`;
    const json = totals === undefined ? null : JSON.stringify(totals);
    const prune = `DELETE FROM usage WHERE month NOT IN
      (SELECT month FROM usage ORDER BY month DESC LIMIT ?)`;
    try {
      this.#database.transaction(() => {
        this.#database.run(insert, month, internetSentBytes, json);
        this.#database.run(prune, MONTHS_MAX);
      });
    } catch {
      this.#doubt();
    }
  }
}

function parseJson(text: unknown): unknown {
  try {
    return typeof text === "string" ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
