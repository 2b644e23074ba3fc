/**
 * What the store remembers, by table: jobs, contents of jobs, complete contents that can be
 * served, and part files that must go. All SQL about rows is here; the schema is in
 * `state-database.ts`.
 *
 * Every write is durable when its method returns. Rows that do not pass their check are left where
 * they are and not used (R-DB-05). Used by `DiskStore`, `PartContent` and recovery.
 */
import { dirname, join } from "node:path";
import { LIMITS, PieceSet } from "@shoal/core";
import type { ContentId, JobId, JobRecord } from "@shoal/core";
import { layoutColumns, parseContentRow } from "./content-record.ts";
import type { ContentKey, ContentRecord } from "./content-record.ts";
import { isPartName } from "./part-file.ts";
import { ownerOf, privateOwner } from "./private-content.ts";
import type { ReuseSource } from "./piece-reuse.ts";
import type { Row, StateDatabase } from "./state-database.ts";
import { parseContent, parseJobRow, parseManifest, parseSharedRow } from "./state-rows.ts";
import type { SharedRecord, StoredContentRecord, StoredManifest } from "./state-rows.ts";

/** A part file that no content owns (any more). */
export interface Leftover {
  readonly directory: string;
  readonly directoryIdentity: string;
  readonly name: string;
}

export class StateTables {
  readonly #database: StateDatabase;
  /** Manifests that were searched last, decoded: jobs open many contents one after the other. */
  #searched = new Map<ContentId, StoredManifest>();
  /** The job that was read last: each of its files asks for it, and it may have many. */
  #readJob: JobSave | undefined;

  constructor(database: StateDatabase) {
    this.#database = database;
  }

  transaction(work: () => void): void {
    this.#database.transaction(work);
  }

  /** What `work` writes shares a commit with others' (`StateDatabase.grouped`). */
  grouped(work: (tables: StateTables) => void): Promise<void> {
    return this.#database.grouped(() => work(this));
  }

  /** Saves jobs, all of them or none. */
  saveJobs(saves: readonly JobSave[]): void {
    this.transaction(() => {
      for (const save of saves) this.#writeJob(save);
    });
  }

  /**
   * All jobs by `sequence`; one whose record is damaged comes first, as a job in `error`
   * (`ERR_STATE_INVALID`).
   */
  loadJobs(): JobRecord[] {
    const jobs: JobRecord[] = [];
    for (const row of this.#database.rows("SELECT * FROM jobs LIMIT ?", LIMITS.jobsMax)) {
      const job = parseJobRow(row);
      if (job !== undefined) jobs.push(job);
    }
    return jobs.toSorted((a, b) => a.sequence - b.sequence);
  }

  /** One job; `undefined` when it is not recorded. */
  job(jobId: JobId): JobRecord | undefined {
    const [latest] = this.#database.all("SELECT revision FROM jobs WHERE job_id = ?", jobId);
    if (latest === undefined) return undefined;
    const revision = Number(latest["revision"]);
    const read = this.#readJob;
    if (read?.revision === revision && revision > 0 && read.job.jobId === jobId) return read.job;
    const [row] = this.#database.all("SELECT * FROM jobs WHERE job_id = ?", jobId);
    const job = row && parseJobRow(row);
    if (job !== undefined) this.#readJob = { job, revision };
    return job;
  }

  /** Saves a job that is over and forgets its contents; returns the part files left over. */
  endJob(job: JobRecord): readonly Leftover[] {
    return this.#forgetContents(job.jobId, () => this.#writeJob({ job, revision: 0 }));
  }

  /** Forgets a job and its contents; returns the part files left over. */
  forgetJob(jobId: JobId): readonly Leftover[] {
    return this.#forgetContents(jobId, () => {
      this.#database.run("DELETE FROM jobs WHERE job_id = ?", jobId);
    });
  }

  /** Forgets the contents of a job that is saved as over; returns the part files left over. */
  forgetContentsOf(jobId: JobId): readonly Leftover[] {
    return this.#forgetContents(jobId, () => {});
  }

  /** The manifest of this id; `undefined` when there is none or it is damaged. */
  manifest(contentId: ContentId): StoredManifest | undefined {
    const [row] = this.#database.all("SELECT bytes FROM manifests WHERE content_id = ?", contentId);
    return parseManifest(contentId, row?.["bytes"]);
  }

  content({ jobId, fileIndex }: ContentKey): ContentRecord | undefined {
    const sql = `${CONTENTS} WHERE job_id = ? AND file_index = ?`;
    const [row] = this.#database.all(sql, jobId, fileIndex);
    return row === undefined ? undefined : parseContent(row)?.record;
  }

  /** Contents whose move to their destination has begun and is not known to have ended. */
  finalizingContents(): ContentRecord[] {
    return this.#database
      .all(`${CONTENTS} WHERE state = 'finalizing'`)
      .flatMap((row) => parseContent(row)?.record ?? []);
  }

  /** Jobs that have contents. */
  jobsWithContents(): JobId[] {
    const rows = this.#database.all("SELECT DISTINCT job_id FROM contents");
    return rows.flatMap(({ job_id: jobId }) => (typeof jobId === "string" ? [jobId] : []));
  }

  /** The contents of a job and their manifests, read one by one. */
  *contentsOf(jobId: JobId): Generator<StoredContentRecord> {
    for (const row of this.#database.rows(`${CONTENTS} WHERE job_id = ?`, jobId)) {
      const content = parseContent(row);
      if (content !== undefined) yield content;
    }
  }

  /** Names of the part files that contents own. */
  partNames(): Set<unknown> {
    const rows = this.#database.all("SELECT part_name FROM contents WHERE state <> 'published'");
    return new Set(rows.map((row) => row["part_name"]));
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
    const { layout } = change;
    const lengths = layout === undefined ? undefined : layoutColumns(layout).pieceLengths;
    this.#database.run(
      `UPDATE contents SET have = coalesce(?, have), state = coalesce(?, state),
         stamp = coalesce(?, stamp), must_recheck = coalesce(?, must_recheck),
         must_read_back = coalesce(?, must_read_back), length = coalesce(?, length),
         piece_lengths = coalesce(?, piece_lengths), part_identity = coalesce(?, part_identity)
       WHERE job_id = ? AND file_index = ?`,
      change.have ?? null,
      change.state ?? null,
      change.stamp ?? null,
      change.mustRecheck === undefined ? null : Number(change.mustRecheck),
      change.mustReadBack === undefined ? null : Number(change.mustReadBack),
      layout?.contentLength ?? null,
      lengths ?? null,
      change.partIdentity ?? null,
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
      this.#dropUnusedManifest(record.contentId);
    });
    return leftover;
  }

  /** A file of this name may exist there from now on, to be removed unless a content owns it. */
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

  /** Forgets leftovers that are gone. */
  removeLeftovers(names: readonly string[]): void {
    this.transaction(() => {
      for (const name of names) this.#database.run("DELETE FROM leftovers WHERE name = ?", name);
    });
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
    const sql = `SELECT shared.*, manifests.bytes AS manifest_bytes
      FROM shared JOIN manifests USING (content_id) ORDER BY shared.rowid DESC LIMIT ?`;
    for (const row of this.#database.rows(sql, LIMITS.storedContentsMax)) {
      const record = parseSharedRow(row);
      const manifest = record && parseManifest(record.contentId, row["manifest_bytes"]);
      if (record !== undefined && manifest !== undefined) yield { ...record, ...manifest };
    }
  }

  /**
   * Files that hold pieces of contents with manifests, the newest first, except the content's own:
   * complete ones, once for each path, and part files; of those that are private only the ones of
   * the job's owner (R-PRIV-02). Nothing may be written meanwhile.
   */
  *reuseSources(key: ContentKey): Generator<ReuseSource> {
    const known = this.#searched;
    this.#searched = new Map();
    let bytesLeft: number = LIMITS.reuseManifestBytesMax;
    const manifestOf = ({ content_id: contentId }: Row): StoredManifest | undefined => {
      if (typeof contentId !== "string") return undefined;
      const stored = known.get(contentId) ?? this.manifest(contentId);
      bytesLeft -= stored?.bytes.length ?? 0;
      if (stored === undefined || bytesLeft < 0) return undefined;
      this.#searched.set(contentId, stored);
      return stored;
    };
    const jobs = new Map([[key.jobId, this.job(key.jobId)]]);
    const owner = ownerOf(jobs.get(key.jobId), key.jobId);
    const paths = new Set<string>();
    const complete = `SELECT shared.* FROM shared LEFT JOIN cache USING (content_id)
      WHERE private_to IS NULL OR private_to = ? ORDER BY shared.rowid DESC LIMIT ?`;
    for (const row of this.#database.rows(complete, owner, LIMITS.storedContentsMax)) {
      const { path } = parseSharedRow(row) ?? {};
      if (path === undefined || paths.has(path)) continue;
      const stored = manifestOf(row);
      if (bytesLeft < 0) return;
      if (stored !== undefined) yield { path, manifest: stored.manifest };
      paths.add(path);
    }
    const receiving = `SELECT * FROM contents WHERE state = 'receiving' AND content_id IS NOT NULL
      ORDER BY rowid DESC`;
    for (const row of this.#database.rows(receiving)) {
      const stored = manifestOf(row);
      if (bytesLeft < 0) return;
      const record = stored && parseContentRow(row, stored);
      if (stored === undefined || record === undefined) continue;
      const { jobId, fileIndex, destination, partName, layout } = record;
      const have = PieceSet.fromBytes(layout.pieceCount, record.have);
      if (have === undefined || (jobId === key.jobId && fileIndex === key.fileIndex)) continue;
      if (!jobs.has(jobId)) jobs.set(jobId, this.job(jobId));
      if ((privateOwner(jobs.get(jobId), record) ?? owner) !== owner) continue;
      yield { path: join(dirname(destination), partName), manifest: stored.manifest, have };
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
      const oldest = "rowid <= (SELECT max(rowid) FROM shared) - ?";
      const max = LIMITS.storedContentsMax;
      const gone = this.#database.all(`SELECT content_id FROM shared WHERE ${oldest}`, max);
      this.#database.run(`DELETE FROM shared WHERE ${oldest}`, max);
      for (const row of gone) this.#dropUnusedManifest(row["content_id"]);
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

  #writeJob({ job, revision }: JobSave): void {
    this.#database.run(
      `INSERT INTO jobs (job_id, revision, record) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET revision = excluded.revision, record = excluded.record`,
      job.jobId,
      revision,
      JSON.stringify(job),
    );
  }

  /** Forgets the contents of a job, also those whose rows are damaged, after `work`. */
  #forgetContents(jobId: JobId, work: () => void): readonly Leftover[] {
    const rows = this.#database.all(`${CONTENTS} WHERE job_id = ?`, jobId);
    const leftovers: Leftover[] = [];
    this.transaction(() => {
      leftovers.length = 0;
      work();
      for (const row of rows) {
        const record = parseContent(row)?.record;
        if (record === undefined) continue;
        const leftover = this.forgetContent(record);
        if (record.state !== "published") leftovers.push(leftover);
      }
      this.#database.run("DELETE FROM contents WHERE job_id = ?", jobId);
    });
    return leftovers;
  }

  #dropUnusedManifest(contentId: Row[string]): void {
    if (contentId === undefined) return;
    this.#database.run(
      `DELETE FROM manifests WHERE content_id = ?1
         AND NOT EXISTS (SELECT 1 FROM contents WHERE content_id = ?1)
         AND NOT EXISTS (SELECT 1 FROM shared WHERE content_id = ?1)`,
      contentId,
    );
  }
}

/** A job as it is to be saved. */
export interface JobSave {
  readonly job: JobRecord;
  readonly revision: number;
}

/** Contents and the manifests they refer to. */
const CONTENTS = `SELECT contents.*, manifests.bytes AS manifest_bytes
  FROM contents LEFT JOIN manifests USING (content_id)`;

/** What may change in a content's record. */
export type ContentChange = Partial<
  Pick<
    ContentRecord,
    "have" | "layout" | "mustReadBack" | "mustRecheck" | "partIdentity" | "stamp" | "state"
  >
>;
