/**
 * What the database says about peers that have delivered: the table `peers`, a record in JSON for
 * each, the one seen last with the highest rowid.
 *
 * Knows rows. Core checks records on the way in (R-DB-05). Used by `DiskStore`.
 */
import { LIMITS, parseRememberedPeer } from "@shoal/core";
import type { RememberedPeer } from "@shoal/core";
import { parseJson } from "./conduct-rows.ts";
import type { StateDatabase } from "./state-database.ts";

export class PeerRows {
  readonly #database: StateDatabase;
  readonly #doubt: () => void;

  /** `doubt` is told of what could not be saved. */
  constructor(database: StateDatabase, doubt: () => void) {
    this.#database = database;
    this.#doubt = doubt;
  }

  /** The one seen last comes last. Rows that are damaged are left out. */
  all(): RememberedPeer[] {
    const sql = "SELECT record FROM peers ORDER BY rowid DESC LIMIT ?";
    const rows = this.#database.all(sql, LIMITS.rememberedPeersMax).toReversed();
    return rows.flatMap(({ record }) => parseRememberedPeer(parseJson(record)) ?? []);
  }

  /** In the place of all before. Where the disk has no room, the hints hold for this run only. */
  save(peers: readonly RememberedPeer[]): void {
    try {
      this.#database.transaction(() => {
        this.#database.run("DELETE FROM peers");
        for (const peer of peers) {
          this.#database.run("INSERT INTO peers (record) VALUES (?)", JSON.stringify(peer));
        }
      });
    } catch {
      this.#doubt();
    }
  }
}
