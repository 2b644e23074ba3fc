/**
 * What the store remembers, by table: jobs, contents of jobs, complete contents that can be
 * served, and part files that must go. All SQL about rows is here; the schema is in
 * `state-database.ts`.
 *
 * Every write is durable when its method returns. Rows that do not pass their check are left where
 * they are and not used (R-DB-05). Used by `DiskStore`, `PartContent` and recovery.
 */
import { dirname } from "node:path";
import { contentIdOf, decodeManifest, errorInfo, LIMITS, parseJobRecord } from "@shoal/core";
import type { ContentId, JobId, JobRecord, Manifest } from "@shoal/core";
import { layoutColumns, parseContentRow } from "./content-record.ts";
import type { ContentKey, ContentRecord } from "./content-record.ts";
import { isPartName } from "./part-file.ts";
import type { Row, StateDatabase } from "./state-database.ts";

/** A manifest and the bytes it was decoded from. */
export interface StoredManifest {
  readonly contentId: ContentId;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
}

/** A complete file whose manifest we have. */
export interface SharedRecord {
  readonly contentId: ContentId;
  readonly path: string;
  readonly length: number;
  /** The file's stamp when its bytes were last known to match; absent: hash them first. */
  readonly stamp?: string;
}

/** A part file that no content owns (any more). */
export interface Leftover {
  readonly directory: string;
  readonly directoryIdentity: string;
  readonly name: string;
}

export class StateTables {
  readonly #database: StateDatabase;

  constructor(database: StateDatabase) {
    this.#database = database;
  }

  transaction(work: () => void): void {
    this.#database.transaction(work);
  }

  saveJob(job: JobRecord, revision: number): void {
    this.#database.run(
      "INSERT OR REPLACE INTO jobs (job_id, revision, record) VALUES (?, ?, ?)",
      job.jobId,
      revision,
      JSON.stringify(job),
    );
  }

  /** All jobs; one whose record is damaged comes as a job in `error` (`ERR_STATE_INVALID`). */
  loadJobs(): JobRecord[] {
    const rows = this.#database.all("SELECT job_id, record FROM jobs LIMIT ?", LIMITS.jobsMax);
    return rows.map(parseJobRow).filter((job) => job !== undefined);
  }

  /** Forgets the job and its contents' records; returns the part files that are now leftovers. */
  deleteJob(jobId: JobId): readonly Leftover[] {
    const records = this.contentsOf(jobId);
    const leftovers: Leftover[] = [];
    this.transaction(() => {
      leftovers.length = 0;
      for (const record of records) leftovers.push(this.forgetContent(record));
      this.#database.run("DELETE FROM contents WHERE job_id = ?", jobId);
      this.#database.run("DELETE FROM jobs WHERE job_id = ?", jobId);
      this.#dropUnusedManifests();
    });
    return leftovers;
  }

  /** The manifest of this id; `undefined` when there is none or it is damaged. */
  manifest(contentId: ContentId): StoredManifest | undefined {
    const [row] = this.#database.all("SELECT bytes FROM manifests WHERE content_id = ?", contentId);
    const bytes = row?.["bytes"];
    if (!(bytes instanceof Uint8Array) || contentIdOf(bytes) !== contentId) return undefined;
    const result = decodeManifest(bytes);
    return result.ok ? { contentId, bytes, manifest: result.manifest } : undefined;
  }

  content({ jobId, fileIndex }: ContentKey): ContentRecord | undefined {
    const sql = "SELECT * FROM contents WHERE job_id = ? AND file_index = ?";
    return this.#parseContents(this.#database.all(sql, jobId, fileIndex))[0];
  }

  contentsOf(jobId: JobId): ContentRecord[] {
    return this.#parseContents(
      this.#database.all("SELECT * FROM contents WHERE job_id = ?", jobId),
    );
  }

  allContents(): ContentRecord[] {
    return this.#parseContents(this.#database.all("SELECT * FROM contents"));
  }

  /** Records a new content; its part file stops being a leftover. */
  insertContent(record: ContentRecord, manifestBytes: Uint8Array | undefined): void {
    const { pieceLength, pieceLengths } = layoutColumns(record.layout);
    const { contentId } = record;
    this.transaction(() => {
      if (contentId !== undefined && manifestBytes !== undefined) {
        this.#insertManifest(contentId, manifestBytes);
      }
      this.#database.run(
        `INSERT OR REPLACE INTO contents (job_id, file_index, destination, directory_identity,
           part_name, part_identity, length, piece_length, piece_lengths, content_id,
           validator_key, have, state, stamp, must_recheck, must_read_back)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        record.jobId,
        record.fileIndex,
        record.destination,
        record.directoryIdentity,
        record.partName,
        record.partIdentity,
        record.layout.contentLength,
        pieceLength,
        pieceLengths,
        contentId ?? null,
        record.validatorKey ?? null,
        record.have,
        record.state,
        record.stamp ?? null,
        Number(record.mustRecheck),
        Number(record.mustReadBack),
      );
      this.#database.run("DELETE FROM leftovers WHERE name = ?", record.partName);
    });
  }

  /** Changes what is given of a content's record. */
  updateContent(key: ContentKey, change: ContentChange): void {
    this.#database.run(
      `UPDATE contents SET have = coalesce(?, have), state = coalesce(?, state),
         stamp = coalesce(?, stamp), must_recheck = coalesce(?, must_recheck),
         must_read_back = coalesce(?, must_read_back)
       WHERE job_id = ? AND file_index = ?`,
      change.have ?? null,
      change.state ?? null,
      change.stamp ?? null,
      change.mustRecheck === undefined ? null : Number(change.mustRecheck),
      change.mustReadBack === undefined ? null : Number(change.mustReadBack),
      key.jobId,
      key.fileIndex,
    );
  }

  /** After an unclean stop nothing is believed before it has been hashed again. */
  distrustContents(): void {
    this.#database.run("UPDATE contents SET must_recheck = 1, must_read_back = 1");
  }

  /** Forgets a content's record; an unpublished part file becomes a leftover. */
  forgetContent(record: ContentRecord): Leftover {
    const leftover = {
      directory: dirname(record.destination),
      directoryIdentity: record.directoryIdentity,
      name: record.partName,
    };
    this.transaction(() => {
      this.#database.run(
        "DELETE FROM contents WHERE job_id = ? AND file_index = ?",
        record.jobId,
        record.fileIndex,
      );
      if (record.state !== "published") this.addLeftover(leftover);
    });
    return leftover;
  }

  /** A file of this name, in this directory, may exist from now on and is to be removed unless a content owns it. */
  addLeftover({ directory, directoryIdentity, name }: Leftover): void {
    this.#database.run(
      "INSERT OR REPLACE INTO leftovers (directory, directory_identity, name) VALUES (?, ?, ?)",
      directory,
      directoryIdentity,
      name,
    );
    this.#database.run(
      "DELETE FROM leftovers WHERE rowid <= (SELECT max(rowid) FROM leftovers) - ?",
      LIMITS.storedContentsMax,
    );
  }

  removeLeftover(name: string): void {
    this.#database.run("DELETE FROM leftovers WHERE name = ?", name);
  }

  leftovers(): Leftover[] {
    return this.#database.all("SELECT * FROM leftovers").flatMap((row) => {
      const { directory, directory_identity: directoryIdentity, name } = row;
      if (typeof directory !== "string" || typeof directoryIdentity !== "string") return [];
      if (typeof name !== "string" || !isPartName(name)) return [];
      return [{ directory, directoryIdentity, name }];
    });
  }

  /** Newest first, and the manifest with each. */
  *shared(): Generator<SharedRecord & StoredManifest> {
    const sql = "SELECT * FROM shared ORDER BY rowid DESC LIMIT ?";
    for (const row of this.#database.all(sql, LIMITS.storedContentsMax)) {
      const record = parseSharedRow(row);
      const manifest = record === undefined ? undefined : this.manifest(record.contentId);
      if (record !== undefined && manifest !== undefined) yield { ...record, ...manifest };
    }
  }

  sharedContent(contentId: ContentId): SharedRecord | undefined {
    const [row] = this.#database.all("SELECT * FROM shared WHERE content_id = ?", contentId);
    return row === undefined ? undefined : parseSharedRow(row);
  }

  /** Records a complete file, in the place of an older one of the same content. */
  share(record: SharedRecord, manifestBytes: Uint8Array): void {
    const { contentId, path, length, stamp } = record;
    this.transaction(() => {
      this.#insertManifest(contentId, manifestBytes);
      this.#database.run(
        "INSERT OR REPLACE INTO shared (content_id, path, length, stamp) VALUES (?, ?, ?, ?)",
        contentId,
        path,
        length,
        stamp ?? null,
      );
      this.#database.run(
        "DELETE FROM shared WHERE rowid <= (SELECT max(rowid) FROM shared) - ?",
        LIMITS.storedContentsMax,
      );
    });
  }

  /** The file's bytes no longer match, or match again at this stamp. */
  stampShared(contentId: ContentId, stamp: string | undefined): void {
    const sql = "UPDATE shared SET stamp = ? WHERE content_id = ?";
    this.#database.run(sql, stamp ?? null, contentId);
  }

  #insertManifest(contentId: ContentId, bytes: Uint8Array): void {
    this.#database.run(
      `INSERT INTO manifests (content_id, bytes) VALUES (?, ?)
       ON CONFLICT DO UPDATE SET bytes = excluded.bytes`,
      contentId,
      bytes,
    );
  }

  #dropUnusedManifests(): void {
    this.#database.run(
      `DELETE FROM manifests WHERE content_id NOT IN (
         SELECT content_id FROM contents WHERE content_id IS NOT NULL
         UNION SELECT content_id FROM shared)`,
    );
  }

  #parseContents(rows: readonly Row[]): ContentRecord[] {
    return rows.flatMap((row) => {
      const contentId = row["content_id"];
      const manifest = typeof contentId === "string" ? this.manifest(contentId) : undefined;
      if (typeof contentId === "string" && manifest === undefined) return [];
      const record = parseContentRow(row, manifest?.manifest.layout);
      return record === undefined ? [] : [record];
    });
  }
}

/** What may change in a content's record. */
export type ContentChange = Partial<
  Pick<ContentRecord, "have" | "state" | "stamp" | "mustRecheck" | "mustReadBack">
>;

function parseJobRow(row: Row): JobRecord | undefined {
  const { job_id: jobId, record } = row;
  if (typeof jobId !== "string" || typeof record !== "string") return undefined;
  const job = parseJobRecord(parseJson(record));
  if (job !== undefined && job.jobId === jobId) return job;
  return parseJobRecord({
    jobId,
    displayName: jobId,
    priority: "normal",
    overwrite: false,
    state: "error",
    files: [],
    transferred: [],
    published: [],
    error: errorInfo("ERR_STATE_INVALID", jobId),
  });
}

function parseSharedRow(row: Row): SharedRecord | undefined {
  const { content_id: contentId, path, length, stamp } = row;
  if (typeof contentId !== "string" || typeof path !== "string") return undefined;
  if (!path.startsWith("/") && !/^[A-Za-z]:[\\/]/.test(path)) return undefined;
  if (typeof length !== "number") return undefined;
  return { contentId, path, length, ...(typeof stamp === "string" ? { stamp } : {}) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
