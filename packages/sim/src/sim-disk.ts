/**
 * The simulated disk of one machine: what survives when its agent stops or crashes, how long
 * operations take, and what can be wrong with it.
 *
 *   reads and writes   one after the other: latency, then bytes at a rate
 *   syncs              one after the other, beside reads and writes
 *
 * Knows stored jobs and files. Does not know transfers; those end with the agent. Called by
 * `SimStore`, and by scenarios that fill, shrink or damage the disk.
 */
import type {
  AcceptedManifest,
  ConductRecord,
  MonthUsage,
  ContentId,
  JobId,
  JobRecord,
  Millis,
  OpenContent,
  PieceIndex,
  PieceLayout,
  RememberedPeer,
  ResumableContent,
  StoredAnnouncement,
  StoredContent,
  StoreCommand,
  UnixMillis,
} from "@shoal/core";
import { PieceSet } from "@shoal/core";
import type { VirtualClock } from "./virtual-clock.ts";

export interface SimDiskOptions {
  /** Default 1 GiB/s. */
  readonly writeRateBytesPerSec?: number;
  /** Default 2 GiB/s: most reads come from memory. */
  readonly readRateBytesPerSec?: number;
  /** Of each read and write. Default 0.1. */
  readonly latencyMs?: Millis;
  /** Of each sync and durable commit. Default 5. */
  readonly syncLatencyMs?: Millis;
  /** Bytes of pieces that fit. Default no limit. */
  readonly capacityBytes?: number;
}

/** One file on the disk: a part file, or a complete file under its destination. */
export interface DiskFile {
  readonly jobId: JobId | undefined;
  readonly fileIndex: number;
  readonly layout: PieceLayout;
  readonly manifest: { readonly contentId: ContentId; readonly bytes: Uint8Array } | undefined;
  readonly validatorKey: string | undefined;
  readonly hasContentDigest: boolean;
  readonly path: string;
  /** It has no destination: it is read, and never published. */
  readonly isSpooled: boolean;
  isPublished: boolean;
  /** Of a published file; `undefined` for the time of its last write. */
  modifiedAt: UnixMillis | undefined;
  /** Pieces whose claim survives a crash. */
  readonly committed: PieceSet;
  /** Pieces whose bytes on the disk are not those of the content. */
  readonly damaged: Set<PieceIndex>;
}

export class SimDisk {
  readonly jobs = new Map<JobId, JobRecord>();
  /** By kind and subject; the one saved last comes last. */
  readonly conduct = new Map<string, ConductRecord>();
  /** The one seen last comes last. */
  peers: readonly RememberedPeer[] = [];
  /** The latest of each key and product, in the order of their saving. */
  accepted: readonly AcceptedManifest[] = [];
  /** The bytes kept for each tag, in the order of their saving. */
  readonly announcements = new Map<string, Uint8Array>();
  /** What was sent to the Internet in the last month of all. */
  usage: MonthUsage | undefined;
  /** Part files and published files of jobs, by `fileKey`. */
  readonly files = new Map<string, DiskFile>();
  /** What lies at destinations. */
  readonly published = new Map<string, DiskFile>();
  /** Whether the last agent left without a crash; claims are checked again otherwise. */
  wasClosed = true;
  readonly #clock: VirtualClock;
  readonly #options: Required<SimDiskOptions>;
  #capacityBytes: number;
  #usedBytes = 0;
  #freeAt: Millis = 0;
  #syncedAt: Millis = 0;
  #writesToDamage = 0;

  constructor(deps: { readonly clock: VirtualClock }, options: SimDiskOptions = {}) {
    this.#clock = deps.clock;
    this.#options = {
      writeRateBytesPerSec: options.writeRateBytesPerSec ?? 2 ** 30,
      readRateBytesPerSec: options.readRateBytesPerSec ?? 2 ** 31,
      latencyMs: options.latencyMs ?? 0.1,
      syncLatencyMs: options.syncLatencyMs ?? 5,
      capacityBytes: options.capacityBytes ?? Infinity,
    };
    this.#capacityBytes = this.#options.capacityBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  saveConduct({ records, forgotten }: Extract<StoreCommand, { type: "saveConduct" }>): void {
    for (const { kind, subject } of [...forgotten, ...records]) {
      this.conduct.delete(`${kind} ${subject}`);
    }
    for (const record of records) this.conduct.set(`${record.kind} ${record.subject}`, record);
  }

  saveAccepted(accepted: readonly AcceptedManifest[]): void {
    const names = new Set(accepted.map(({ keyId, product }) => `${keyId} ${product}`));
    const others = this.accepted.filter((item) => !names.has(`${item.keyId} ${item.product}`));
    this.accepted = [...others, ...accepted];
  }

  saveAnnouncement({ tag, bytes }: StoredAnnouncement): void {
    this.announcements.delete(tag);
    this.announcements.set(tag, bytes);
  }

  setCapacity(bytes: number): void {
    this.#capacityBytes = bytes;
  }

  /** The next `count` pieces written are not what will be read back. */
  damageNextWrites(count: number): void {
    this.#writesToDamage += count;
  }

  /** Whether the piece now being written is one of the damaged. */
  isNextWriteDamaged(): boolean {
    if (this.#writesToDamage === 0) return false;
    this.#writesToDamage--;
    return true;
  }

  /** Puts a complete file on the disk, as if it had been shared by hand. */
  addFile(path: string, layout: PieceLayout, manifest: NonNullable<DiskFile["manifest"]>): void {
    this.published.set(path, {
      jobId: undefined,
      fileIndex: 0,
      layout,
      manifest,
      validatorKey: undefined,
      hasContentDigest: true,
      path,
      isSpooled: false,
      isPublished: true,
      modifiedAt: undefined,
      committed: PieceSet.full(layout.pieceCount),
      damaged: new Set(),
    });
    this.#usedBytes += layout.contentLength;
  }

  /** The file of `spec`, new or with the progress that still belongs to it. */
  openFile(spec: OpenContent): DiskFile {
    const key = fileKey(spec.jobId, spec.fileIndex);
    const old = this.files.get(key);
    const fit = old === undefined ? "other" : fitOf(old, spec);
    if (old !== undefined && fit === "same") return old;
    if (old !== undefined && fit === "other") this.discard(old);
    const file: DiskFile = {
      jobId: spec.jobId,
      fileIndex: spec.fileIndex,
      layout: spec.layout,
      manifest: spec.manifest,
      validatorKey: spec.validatorKey,
      hasContentDigest: spec.contentDigest !== undefined,
      path: pathOf(spec),
      isSpooled: spec.destination === undefined,
      isPublished: false,
      modifiedAt: undefined,
      committed: new PieceSet(spec.layout.pieceCount),
      damaged: new Set(old !== undefined && fit === "grown" ? old.damaged : []),
    };
    if (old !== undefined && fit === "grown") {
      for (const piece of old.committed) file.committed.add(piece);
    }
    this.files.set(key, file);
    return file;
  }

  /** Removes a part file; a published file stays where the user wanted it. */
  discard(file: DiskFile): void {
    if (file.jobId !== undefined) this.files.delete(fileKey(file.jobId, file.fileIndex));
    if (!file.isPublished) this.clear(file);
  }

  /** Forgets all pieces of a file. */
  clear(file: DiskFile): void {
    for (const piece of file.committed) this.#usedBytes -= file.layout.length(piece);
    file.committed.clear();
    file.damaged.clear();
  }

  /** Takes space for a piece; false when the disk is full. */
  reserve(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#capacityBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  free(bytes: number): void {
    this.#usedBytes -= bytes;
  }

  /** Contents of live jobs that are not published yet. */
  resumable(): ResumableContent[] {
    const found: ResumableContent[] = [];
    for (const { jobId, fileIndex, layout, isPublished, ...rest } of this.files.values()) {
      const job = jobId === undefined ? undefined : this.jobs.get(jobId);
      if (jobId === undefined || isPublished || job?.files[fileIndex]?.isPublished !== false) {
        continue;
      }
      const { manifest, validatorKey, committed } = rest;
      found.push({
        jobId,
        fileIndex,
        length: layout.contentLength,
        storedBytes: layout.bytesOf(committed),
        ...(manifest === undefined ? {} : { manifest }),
        ...(validatorKey === undefined ? {} : { validatorKey }),
      });
    }
    return found;
  }

  /** Complete contents that can be served. */
  shared(): StoredContent[] {
    const contents: StoredContent[] = [];
    for (const { manifest, path } of this.published.values()) {
      if (manifest === undefined) continue;
      contents.push({ contentId: manifest.contentId, manifestBytes: manifest.bytes, path });
    }
    return contents;
  }

  /** Occupies the disk with a write; returns when it is done. */
  write(bytes: number): Millis {
    return this.#occupy(bytes, this.#options.writeRateBytesPerSec);
  }

  /** Occupies the disk with a read; returns when it is done. */
  read(bytes: number): Millis {
    return this.#occupy(bytes, this.#options.readRateBytesPerSec);
  }

  /** When everything asked of the disk so far is done. */
  idleAt(): Millis {
    return Math.max(this.#clock.now(), this.#freeAt, this.#syncedAt);
  }

  /** When the writes so far are done. */
  writtenAt(): Millis {
    return Math.max(this.#clock.now(), this.#freeAt);
  }

  /** Begins a sync; returns when it is done. */
  sync(): Millis {
    this.#syncedAt = Math.max(this.#clock.now(), this.#syncedAt) + this.#options.syncLatencyMs;
    return this.#syncedAt;
  }

  #occupy(bytes: number, rateBytesPerSec: number): Millis {
    const { latencyMs } = this.#options;
    this.#freeAt = this.writtenAt() + latencyMs + (bytes * 1_000) / rateBytesPerSec;
    return this.#freeAt;
  }
}

/** Names a job's file: job id and index, as in the real store. */
export function fileKey(jobId: JobId, fileIndex: number): string {
  return `${jobId}/${fileIndex}`;
}

function pathOf({ destination, jobId, fileIndex }: OpenContent): string {
  return destination ?? `/spool/${jobId}-${fileIndex}`;
}

/**
 * Progress belongs to a manifest, or to what the origin said the file was; `grown`: pieces were
 * added behind those that the file has.
 */
function fitOf(file: DiskFile, spec: OpenContent): "same" | "grown" | "other" {
  if (file.isPublished || file.path !== pathOf(spec)) return "other";
  if (file.manifest !== undefined || spec.manifest !== undefined) {
    return file.manifest?.contentId === spec.manifest?.contentId ? "same" : "other";
  }
  if (!spec.validatorKey || file.validatorKey !== spec.validatorKey) return "other";
  const [before, after] = [file.layout.boundaries, spec.layout.boundaries];
  if (before.kind === "fixed" || after.kind === "fixed") {
    const isSameLength = file.layout.contentLength === spec.layout.contentLength;
    return before.kind === after.kind && isSameLength ? "same" : "other";
  }
  if (!before.lengths.every((length, piece) => after.lengths[piece] === length)) return "other";
  return after.lengths.length === before.lengths.length ? "same" : "grown";
}
