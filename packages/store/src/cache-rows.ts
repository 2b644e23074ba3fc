/**
 * What the database says about contents that stay on offer after their job: the table `cache`, a
 * row for each content that a job has published. A content that was shared by hand has none: it
 * stays until its user takes it back.
 *
 *   offered ──withdraw──▶ not offered      the record of the file stays, so that a new version of
 *      ▲                       │           it need not be fetched whole
 *      └──published again──────┘
 *
 * Knows rows; decides nothing. Every write is durable when its method returns. Used by
 * `ContentCache` and, at publication, by `publishPart`.
 */
import type { ContentId, UnixMillis } from "@shoal/core";
import type { Row, StateDatabase } from "./state-database.ts";

/** A content on offer. */
export interface CacheEntry {
  readonly contentId: ContentId;
  /** Where it is read: the copy, or else the file that the job published. */
  readonly path: string;
  /** In bytes. */
  readonly length: number;
  /** There is a copy that belongs to the cache. */
  readonly isCopy: boolean;
  readonly isPinned: boolean;
  readonly completedAt: UnixMillis;
  /**
   * When a peer was last given a piece; at first `completedAt`. Not before the last use of another
   * content, whatever the clock did meanwhile (R-TIME-02).
   */
  readonly usedAt: UnixMillis;
  /** Set by hand; absent: by the setting `cacheAgeMs`. */
  readonly expiresAt?: UnixMillis;
}

/** What pins and expiry change. */
export interface CacheTerms {
  readonly isPinned: boolean;
  readonly expiresAt: UnixMillis | undefined;
}

const OFFERED = `SELECT cache.*, shared.path, shared.length
  FROM cache JOIN shared USING (content_id) WHERE is_offered = 1`;

/** The time given, or a moment after the last use of all. */
const AFTER_ALL = "max(?, (SELECT coalesce(max(used_at), 0) + 1 FROM cache))";

export class CacheRows {
  readonly #database: StateDatabase;
  /** Uses that are not recorded yet, in their order. */
  readonly #used = new Map<ContentId, UnixMillis>();

  constructor(database: StateDatabase) {
    this.#database = database;
  }

  /**
   * A job has published the content at `path`. A pin stays, and so does a copy; what everybody may
   * have is not made private any more. `privateTo`: see `privateOwner`.
   */
  published(
    contentId: ContentId,
    { path, privateTo, now }: { path: string; privateTo: string | undefined; now: UnixMillis },
  ): void {
    this.recordUses();
    this.#database.run(
      `INSERT INTO cache
         (content_id, destination, completed_at, used_at, is_offered, is_pinned, has_copy,
          private_to)
       VALUES (?, ?, ?, ${AFTER_ALL}, 1, 0, 0, ?)
       ON CONFLICT DO UPDATE SET destination = excluded.destination,
         completed_at = excluded.completed_at, used_at = excluded.used_at, is_offered = 1,
         expires_at = CASE is_pinned WHEN 1 THEN expires_at END,
         private_to = CASE WHEN private_to IS NULL THEN NULL ELSE excluded.private_to END`,
      contentId,
      path,
      now,
      now,
      privateTo ?? null,
    );
  }

  /** Whether there is a row, on offer or not. */
  has(contentId: ContentId): boolean {
    const sql = "SELECT 1 FROM cache WHERE content_id = ?";
    return this.#database.all(sql, contentId).length > 0;
  }

  /** The least recently used first. */
  offered(): CacheEntry[] {
    const rows = this.#database.all(`${OFFERED} ORDER BY used_at, cache.rowid`);
    return rows.flatMap((row) => parseEntry(row) ?? []);
  }

  get(contentId: ContentId): CacheEntry | undefined {
    const [row] = this.#database.all(`${OFFERED} AND content_id = ?`, contentId);
    return row && parseEntry(row);
  }

  /** Contents whose files are known and not on offer. */
  withdrawn(): Set<unknown> {
    const rows = this.#database.all("SELECT content_id FROM cache WHERE is_offered = 0");
    return new Set(rows.map((row) => row["content_id"]));
  }

  /** Contents that are somebody's own (`privateOwner`). */
  privates(): Set<unknown> {
    const rows = this.#database.all("SELECT content_id FROM cache WHERE private_to IS NOT NULL");
    return new Set(rows.map((row) => row["content_id"]));
  }

  setTerms(contentId: ContentId, { isPinned, expiresAt }: CacheTerms): void {
    const sql = "UPDATE cache SET is_pinned = ?, expires_at = ? WHERE content_id = ?";
    this.#database.run(sql, Number(isPinned), expiresAt ?? null, contentId);
  }

  /** A peer was given a piece. Recorded later: not every reading is worth a write. */
  used(contentId: ContentId, at: UnixMillis): void {
    this.#used.delete(contentId);
    this.#used.set(contentId, at);
  }

  recordUses(): void {
    if (this.#used.size === 0) return;
    this.#database.transaction(() => {
      const sql = `UPDATE cache SET used_at = ${AFTER_ALL} WHERE content_id = ?`;
      for (const [contentId, at] of this.#used) this.#database.run(sql, at, contentId);
    });
    this.#used.clear();
  }

  /** The copy at `path` is complete and durable. */
  copied(contentId: ContentId, path: string, stamp: string): void {
    this.#database.transaction(() => {
      this.#database.run("UPDATE cache SET has_copy = 1 WHERE content_id = ?", contentId);
      const sql = "UPDATE shared SET path = ?, stamp = ? WHERE content_id = ?";
      this.#database.run(sql, path, stamp, contentId);
    });
  }

  /** There is no copy any more: what is known of is the published file, unread. */
  copyLost(contentId: ContentId): void {
    this.#database.transaction(() => {
      this.#database.run(
        `UPDATE shared SET stamp = NULL,
           path = (SELECT destination FROM cache WHERE cache.content_id = shared.content_id)
         WHERE content_id IN (SELECT content_id FROM cache WHERE has_copy = 1 AND content_id = ?)`,
        contentId,
      );
      this.#database.run("UPDATE cache SET has_copy = 0 WHERE content_id = ?", contentId);
    });
  }

  /** offered -> not offered, in one transaction. */
  withdraw(entries: readonly CacheEntry[]): void {
    this.#database.transaction(() => {
      for (const { contentId } of entries) {
        this.copyLost(contentId);
        const sql = `UPDATE cache SET is_offered = 0, is_pinned = 0, expires_at = NULL
          WHERE content_id = ?`;
        this.#database.run(sql, contentId);
      }
    });
  }

  /** Moves the expiry of contents, in one transaction. */
  expire(entries: readonly CacheEntry[], expiresAt: UnixMillis): void {
    this.#database.transaction(() => {
      for (const { contentId, isPinned } of entries) {
        this.setTerms(contentId, { isPinned, expiresAt });
      }
    });
  }

  /** Forgets the row: the content is shared by hand from now on, or is forgotten itself. */
  forget(contentId: ContentId): void {
    this.#database.run("DELETE FROM cache WHERE content_id = ?", contentId);
  }

  /** Forgets rows of contents that are not remembered any more. */
  prune(): void {
    this.#database.run("DELETE FROM cache WHERE content_id NOT IN (SELECT content_id FROM shared)");
  }
}

/** `undefined` when the row is not as written by this version (R-DB-05). */
function parseEntry(row: Row): CacheEntry | undefined {
  const { content_id: contentId, path, length, expires_at: expiresAt } = row;
  const { completed_at: completedAt, used_at: usedAt } = row;
  if (typeof contentId !== "string" || typeof path !== "string") return undefined;
  if (typeof length !== "number" || typeof completedAt !== "number") return undefined;
  if (typeof usedAt !== "number") return undefined;
  return {
    contentId,
    path,
    length,
    isCopy: row["has_copy"] === 1,
    isPinned: row["is_pinned"] === 1,
    completedAt,
    usedAt,
    ...(typeof expiresAt === "number" ? { expiresAt } : {}),
  };
}
