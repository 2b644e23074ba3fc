/**
 * Contents that stay on offer after their job (threat model section 11): all of them, until they
 * expire or must make room. A content is read where its job published it, or from a copy of the
 * cache's own where the settings have one made.
 *
 * Who goes, in this order:
 *
 *   expired              by age, or by the time given by hand; pinned ones only then
 *   over the quota,      copies that are not pinned, the least recently used first; a file that
 *   or too little free   lies where its job published it takes no room that the cache could give
 *
 * Knows times, lengths and free space. Rows are `CacheRows`', files `CacheObjects`'. Called by
 * `DiskStore`, on its thread.
 */
import { constants } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { ShoalError, unreachable } from "@shoal/core";
import type { ContentId, PieceIndex, Settings, UnixMillis } from "@shoal/core";
import { CacheObjects } from "./cache-objects.ts";
import type { CacheEntry } from "./cache-rows.ts";
import { closeQuietly } from "./disk.ts";
import { readVerifiedPiece } from "./read-piece.ts";
import { statComplete } from "./shared-content.ts";
import { cacheDirectoryOf } from "./state-directory.ts";
import type { StoreContext } from "./store-context.ts";

/** How often what has expired is looked for. */
const SWEEP_INTERVAL_MS = 60_000;
/** How long closing waits for a copy; half-made, it is removed at the next start (R-PROC-03). */
const COPY_WAIT_MS = 2_000;
/** Expiry can be set this far ahead, as in Delivery Optimization. */
const EXPIRY_MS_MAX = 365 * 24 * 3_600_000;

export type CacheSettings = Pick<
  Settings,
  | "cacheAgeMs"
  | "cacheBytesMax"
  | "cacheCopies"
  | "cacheFreeBytesMin"
  | "cacheFreePercentMin"
  | "cachePercentMax"
>;

/** What can be asked of the cache from outside. */
export type CacheRequest =
  | { readonly verb: "list" }
  /** Keeps a content until a time, whatever the quota; at most a year, which is the default. */
  | { readonly verb: "pin"; readonly contentId: ContentId; readonly until?: UnixMillis }
  /** The content is under the usual rules again. */
  | { readonly verb: "unpin"; readonly contentId: ContentId }
  /** Moves the expiry of one content, or of all; at once where no time is given. */
  | { readonly verb: "expire"; readonly contentId?: ContentId; readonly at?: UnixMillis }
  /** Takes everything off offer; pinned contents only if that is said. */
  | { readonly verb: "clear"; readonly includePinned: boolean }
  /** Changes age, quota and the rest from now on, until the store is closed. */
  | { readonly verb: "limit"; readonly settings: CacheSettings };

/** An open content as the cache sees it. */
export interface Publication {
  readonly record: { readonly contentId?: ContentId };
  readonly isPublished: boolean;
  /** Set to where it is read in the place of `destination`. */
  servedPath: string | undefined;
}

export class ContentCache {
  readonly #context: StoreContext;
  #settings: CacheSettings;
  readonly #objects: CacheObjects;
  readonly #timer: NodeJS.Timeout;
  #copying: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(context: StoreContext, settings: CacheSettings) {
    this.#context = context;
    this.#settings = settings;
    this.#objects = new CacheObjects(context.disk, cacheDirectoryOf(context.stateDirectory));
    this.#timer = setInterval(() => this.#cautiously(() => this.sweep()), SWEEP_INTERVAL_MS);
    this.#timer.unref();
  }

  /** At start: settles what a crash left, and removes what has expired meanwhile. */
  recover(): void {
    this.#cautiously(() => this.#settle());
  }

  #settle(): void {
    const { cacheRows, disk } = this.#context;
    cacheRows.prune();
    const paths = new Set<string>();
    for (const { contentId, path, length, isCopy } of cacheRows.offered()) {
      if (!isCopy) continue;
      if (statComplete(disk, path, length) === undefined) cacheRows.copyLost(contentId);
      else paths.add(path);
    }
    this.#objects.sweep(paths);
    this.sweep();
  }

  /**
   * A job has tried to publish the content: if it has, a copy is made where one is wanted. Resolves
   * when that has been tried. One copy is made at a time.
   */
  published(content: Publication): Promise<void> {
    this.#copying = this.#copying.then(() => this.#copy(content)).catch(() => {});
    return this.#copying;
  }

  /** A piece was given to somebody. */
  wasRead({ record: { contentId } }: Publication): void {
    if (contentId !== undefined) this.#context.cacheRows.used(contentId, this.#context.now());
  }

  /**
   * A piece of a published content could not be read: a copy that is to blame is removed
   * (R-CACHE-02), and the next piece is read where there is hope. `bytes` are overwritten.
   */
  wasLost(content: Publication, piece: PieceIndex, bytes: Uint8Array): void {
    const { contentId } = content.record;
    if (contentId === undefined || !content.isPublished) return;
    const { cacheRows, disk, tables } = this.#context;
    this.#cautiously(() => {
      const entry = cacheRows.get(contentId);
      // What cannot be opened at all, for want of descriptors perhaps, is not wrong (R-FS-12).
      closeQuietly(disk, disk.open(this.#objects.directory, constants.O_RDONLY, 0));
      const manifest = tables.manifest(contentId)?.manifest;
      const question = { manifest, piece, bytes };
      if (entry?.isCopy === true && !readVerifiedPiece(disk, entry.path, question)) {
        cacheRows.copyLost(contentId);
        this.#objects.remove(contentId);
      }
      content.servedPath = cacheRows.get(contentId)?.path;
    });
  }

  /** The user shares the content by hand: the cache has no more to do with it. */
  forget(contentId: ContentId): void {
    this.#context.cacheRows.forget(contentId);
    this.#objects.remove(contentId);
  }

  /** Withdraws what has expired, and copies while they are too many or the disk too full. */
  sweep(): void {
    const { cacheRows } = this.#context;
    cacheRows.recordUses();
    const now = this.#context.now();
    const entries = cacheRows.offered();
    this.#evict(entries.filter((entry) => this.#expiresAt(entry) <= now));
    const copies = entries.filter(
      (entry) => this.#expiresAt(entry) > now && entry.isCopy && !entry.isPinned,
    );
    let bytes = copies.reduce((sum, { length }) => sum + length, 0);
    for (const entry of copies) {
      if (bytes <= this.#quotaBytes() && this.#hasFreeSpace()) return;
      this.#evict([entry]);
      bytes -= entry.length;
    }
  }

  /** As `StoreContext.makeRoom`; the least recently used go first. */
  makeRoom(directory: string, missingBytes: number): boolean {
    const { cacheRows, disk } = this.#context;
    if (disk.lstat(this.#objects.directory).dev !== disk.lstat(directory).dev) return false;
    const copies = cacheRows.offered().filter(({ isCopy, isPinned }) => isCopy && !isPinned);
    let bytes = 0;
    const enough = copies.findIndex(({ length }) => (bytes += length) >= missingBytes);
    if (enough < 0) return false;
    this.#evict(copies.slice(0, enough + 1));
    return true;
  }

  /**
   * Does what was asked and returns what is on offer then. Throws `ERR_CONTENT_NOT_CACHED` or
   * `ERR_USAGE`.
   */
  perform(request: CacheRequest): CacheEntry[] {
    const { cacheRows } = this.#context;
    switch (request.verb) {
      case "list":
        cacheRows.recordUses();
        break;
      case "pin": {
        const entry = this.#find(request.contentId);
        const expiresAt = this.#checkTime(request.until ?? this.#context.now() + EXPIRY_MS_MAX);
        cacheRows.setTerms(entry.contentId, { isPinned: true, expiresAt });
        break;
      }
      case "unpin": {
        const { contentId } = this.#find(request.contentId);
        cacheRows.setTerms(contentId, { isPinned: false, expiresAt: undefined });
        break;
      }
      case "expire": {
        const { contentId } = request;
        const expiresAt = this.#checkTime(request.at ?? this.#context.now());
        const entries = contentId === undefined ? cacheRows.offered() : [this.#find(contentId)];
        cacheRows.expire(entries, expiresAt);
        break;
      }
      case "clear":
        this.#evict(
          cacheRows.offered().filter(({ isPinned }) => request.includePinned || !isPinned),
        );
        break;
      case "limit":
        this.#settings = request.settings;
        break;
      default:
        unreachable(request);
    }
    this.sweep();
    return cacheRows.offered();
  }

  /** Waits a moment for a copy that is being made; then nothing is done any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    const stop = new AbortController();
    const patience = wait(COPY_WAIT_MS, undefined, { signal: stop.signal }).catch(() => {});
    await Promise.race([this.#copying, patience]);
    stop.abort();
    this.#cautiously(() => this.#context.cacheRows.recordUses());
  }

  async #copy(content: Publication): Promise<void> {
    const { cacheRows } = this.#context;
    const { cacheCopies } = this.#settings;
    const { contentId } = content.record;
    if (contentId === undefined || !content.isPublished) return;
    const entry = cacheRows.get(contentId);
    if (this.#isClosed || cacheCopies === 0 || entry === undefined) return;
    if (entry.isCopy) {
      content.servedPath = entry.path;
      return;
    }
    // What would have to go at once is not copied.
    if (entry.length > this.#quotaBytes() || !this.#hasFreeSpace(entry.length)) return;
    const stamp = await this.#objects.copy(entry, cacheCopies === 1);
    // It may have been taken off offer meanwhile.
    if (cacheRows.get(contentId)?.path !== entry.path) return this.#objects.remove(contentId);
    const path = this.#objects.pathOf(contentId);
    cacheRows.copied(contentId, path, stamp);
    content.servedPath = path;
    this.sweep();
  }

  #evict(entries: readonly CacheEntry[]): void {
    if (entries.length > 0) this.#context.cacheRows.withdraw(entries);
    for (const { contentId, isCopy } of entries) {
      if (isCopy) this.#objects.remove(contentId);
      this.#context.emit({ type: "contentEvicted", contentId });
    }
  }

  #find(contentId: ContentId): CacheEntry {
    const entry = this.#context.cacheRows.get(contentId);
    if (entry === undefined) throw new ShoalError("ERR_CONTENT_NOT_CACHED", contentId);
    return entry;
  }

  #checkTime(at: UnixMillis): UnixMillis {
    if (Number.isSafeInteger(at) && at <= this.#context.now() + EXPIRY_MS_MAX) return at;
    throw new ShoalError("ERR_USAGE", "a content expires at most a year from now");
  }

  #expiresAt({ completedAt, expiresAt }: CacheEntry): UnixMillis {
    const { cacheAgeMs } = this.#settings;
    return expiresAt ?? (cacheAgeMs === 0 ? Infinity : completedAt + cacheAgeMs);
  }

  #quotaBytes(): number {
    const { cacheBytesMax, cachePercentMax } = this.#settings;
    const { totalBytes } = this.#context.disk.space(this.#objects.directory);
    if (totalBytes === 0) return cacheBytesMax;
    return Math.min(cacheBytesMax, (totalBytes / 100) * cachePercentMax);
  }

  #hasFreeSpace(needsBytes = 0): boolean {
    const { cacheFreeBytesMin, cacheFreePercentMin, cacheCopies } = this.#settings;
    const { freeBytes, totalBytes } = this.#context.disk.space(this.#objects.directory);
    if (totalBytes === 0) return true;
    // A copy that shares its blocks takes none.
    const needed = cacheCopies === 1 ? 0 : needsBytes;
    const floor = Math.max(cacheFreeBytesMin, (totalBytes / 100) * cacheFreePercentMin);
    return freeBytes - needed >= floor;
  }

  /** For work that nobody waits for: the next sweep tries again. */
  #cautiously(work: () => void): void {
    try {
      work();
    } catch {
      this.#context.doubt();
    }
  }
}
