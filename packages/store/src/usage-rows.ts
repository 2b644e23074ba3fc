/**
 * What the database says about the month's uploads: the table `usage`, a row for each month, of
 * which the last counts.
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
    const { month, internet_sent_bytes: internetSentBytes } = row ?? {};
    return parseMonthUsage({ month, internetSentBytes });
  }

  /** Durable when it returns, unless the disk has no room: a count is not worth the agent. */
  save({ month, internetSentBytes }: MonthUsage): void {
    const insert = "INSERT OR REPLACE INTO usage (month, internet_sent_bytes) VALUES (?, ?)";
    const prune = `DELETE FROM usage WHERE month NOT IN
      (SELECT month FROM usage ORDER BY month DESC LIMIT ?)`;
    try {
      this.#database.transaction(() => {
        this.#database.run(insert, month, internetSentBytes);
        this.#database.run(prune, MONTHS_MAX);
      });
    } catch {
      this.#doubt();
    }
  }
}
