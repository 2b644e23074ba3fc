/**
 * What the database says about signed manifests that were accepted: the table `accepted`, a row for
 * each key and product, the one written last being the newest (R-MAN-06).
 *
 * Knows rows; decides nothing. Used by `DiskStore`.
 */
import { LIMITS } from "@shoal/core";
import type { AcceptedManifest } from "@shoal/core";
import type { Row, StateDatabase } from "./state-database.ts";

export class AcceptedRows {
  readonly #database: StateDatabase;
  readonly #doubt: () => void;

  /** `doubt` hears when rows could not be written: what they say then holds for this run only. */
  constructor(database: StateDatabase, doubt: () => void) {
    this.#database = database;
    this.#doubt = doubt;
  }

  /** The earliest first. Rows that are not as written by this version are left out (R-DB-05). */
  all(): AcceptedManifest[] {
    const rows = this.#database.all("SELECT * FROM accepted ORDER BY rowid");
    return rows.flatMap((row) => parseRow(row) ?? []);
  }

  /** Writes durably, in one transaction; of too many rows the oldest go. */
  save(accepted: readonly AcceptedManifest[]): void {
    try {
      this.#write(accepted);
    } catch {
      this.#doubt();
    }
  }

  #write(accepted: readonly AcceptedManifest[]): void {
    this.#database.transaction(() => {
      for (const { keyId, hasSigned, product, sequence, issuedAt, contentId } of accepted) {
        this.#database.run(
          `INSERT OR REPLACE INTO accepted
             (key_id, has_signed, product, sequence, issued_at, content_id)
           VALUES (?, ?, ?, ?, ?, ?)`,
          keyId,
          Number(hasSigned),
          product,
          sequence,
          issuedAt,
          contentId,
        );
      }
      this.#database.run(
        `DELETE FROM accepted WHERE rowid NOT IN
           (SELECT rowid FROM accepted ORDER BY rowid DESC LIMIT ?)`,
        LIMITS.acceptedManifestsMax,
      );
    });
  }
}

function parseRow(row: Row): AcceptedManifest | undefined {
  const { key_id: keyId, product, sequence, issued_at: issuedAt, content_id: contentId } = row;
  if (typeof keyId !== "string" || typeof product !== "string") return undefined;
  if (typeof sequence !== "number" || sequence < 0) return undefined;
  if (typeof issuedAt !== "number" || typeof contentId !== "string") return undefined;
  const hasSigned = row["has_signed"] === 1;
  return { keyId, hasSigned, product, sequence, issuedAt, contentId };
}
