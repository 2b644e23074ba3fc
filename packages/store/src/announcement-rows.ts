/**
 * What the database keeps of trusted publishers' announcements: the table `announcements`, a row for
 * each URL's tag, the one written last being the newest.
 *
 * Knows rows; what their bytes say is checked by core whenever they are used. Used by `DiskStore`.
 */
import { LIMITS } from "@shoal/core";
import type { StoredAnnouncement } from "@shoal/core";
import type { StateDatabase } from "./state-database.ts";

export class AnnouncementRows {
  readonly #database: StateDatabase;
  readonly #doubt: () => void;

  /** `doubt` hears when a row could not be written: it is then kept for this run only. */
  constructor(database: StateDatabase, doubt: () => void) {
    this.#database = database;
    this.#doubt = doubt;
  }

  /** The earliest first. Rows that are not as written by this version are left out (R-DB-05). */
  all(): StoredAnnouncement[] {
    const rows = this.#database.all("SELECT tag, bytes FROM announcements ORDER BY rowid");
    return rows.flatMap(({ tag, bytes }) => {
      if (typeof tag !== "string" || !(bytes instanceof Uint8Array)) return [];
      return bytes.length > LIMITS.announcementBytesMax ? [] : [{ tag, bytes }];
    });
  }

  /** Writes durably; of too many rows the oldest go. */
  save({ tag, bytes }: StoredAnnouncement): void {
    try {
      this.#database.transaction(() => {
        const sql = "INSERT OR REPLACE INTO announcements (tag, bytes) VALUES (?, ?)";
        this.#database.run(sql, tag, bytes);
        this.#database.run(
          `DELETE FROM announcements WHERE rowid NOT IN
             (SELECT rowid FROM announcements ORDER BY rowid DESC LIMIT ?)`,
          LIMITS.announcementsMax,
        );
      });
    } catch {
      this.#doubt();
    }
  }
}
