/**
 * Starts the store on the calling thread, in the order that recovery needs (threat model section
 * 9): lock, version, marker, check, then what the last run left half-done.
 *
 * Called by the worker and by tests, which bring a disk that fails.
 */
import { realpathSync } from "node:fs";
import { errorInfo, resolveSettings, ShoalError } from "@shoal/core";
import type { UnixMillis } from "@shoal/core";
import { AcceptedRows } from "./accepted-rows.ts";
import { AnnouncementRows } from "./announcement-rows.ts";
import { CacheRows } from "./cache-rows.ts";
import { ConductRows } from "./conduct-rows.ts";
import { PeerRows } from "./peer-rows.ts";
import { UsageRows } from "./usage-rows.ts";
import { ContentCache } from "./content-cache.ts";
import type { CacheSettings } from "./content-cache.ts";
import { diskErrorInfo, isDatabaseFull } from "./disk-errors.ts";
import { realDisk } from "./disk.ts";
import type { Disk } from "./disk.ts";
import { DiskStore } from "./disk-store.ts";
import { removeLeftovers, sweepSpool } from "./leftovers.ts";
import { settleFinalizing } from "./publish-part.ts";
import { checkStateVersion, StateDatabase } from "./state-database.ts";
import {
  Ballast,
  isMarkedClean,
  lockStateDirectory,
  prepareCacheDirectory,
  prepareSpoolDirectory,
  prepareStateDirectory,
  readDefaultMode,
  removeCleanMarker,
  writeCleanMarker,
} from "./state-directory.ts";
import { StateTables } from "./state-tables.ts";
import type { EmitEvent, StoreContext } from "./store-context.ts";

export interface DiskStoreOptions {
  readonly stateDirectory: string;
  readonly emit: EmitEvent;
  readonly disk?: Disk;
  /** Default: those of the settings table. */
  readonly cache?: CacheSettings;
  /** Default: the system's. */
  readonly now?: () => UnixMillis;
}

/** What starting found. */
export interface StartReport {
  /** The last run ended in order and its database is unchanged; false at the very first start. */
  readonly wasClean: boolean;
  /** A damaged database was moved here; what could be read from it is in the new one (R-DB-04). */
  readonly damagedDatabasePath?: string;
}

export interface OpenedDiskStore {
  readonly store: DiskStore;
  readonly cache: ContentCache;
  readonly report: StartReport;
  /** Closes everything, marks the state clean and gives up the lock. */
  readonly close: () => Promise<void>;
}

/** Rejects with `ERR_STATE_LOCKED`, `ERR_STATE_NEWER`, `ERR_STATE_UNUSABLE` or `ERR_DISK_FULL`. */
export async function openDiskStore(options: DiskStoreOptions): Promise<OpenedDiskStore> {
  const { stateDirectory } = options;
  prepareStateDirectory(stateDirectory);
  const lock = lockStateDirectory(stateDirectory);
  try {
    return await start(options, () => lock.release());
  } catch (cause) {
    lock.release();
    if (cause instanceof ShoalError) throw cause;
    if (isDatabaseFull(cause)) throw new ShoalError("ERR_DISK_FULL", stateDirectory, { cause });
    const { message } = diskErrorInfo(cause, stateDirectory);
    throw ShoalError.from(errorInfo("ERR_STATE_UNUSABLE", message));
  }
}

async function start(
  { stateDirectory, emit, disk = realDisk, cache, now = Date.now }: DiskStoreOptions,
  releaseLock: () => void,
): Promise<OpenedDiskStore> {
  checkStateVersion(stateDirectory);
  const isMarked = isMarkedClean(stateDirectory);
  removeCleanMarker(stateDirectory);
  const publishedMode = readDefaultMode(stateDirectory);
  const realPath = realpathSync.native(stateDirectory);
  prepareSpoolDirectory(realPath);
  prepareCacheDirectory(realPath);
  const opened = StateDatabase.open(stateDirectory, { isClean: isMarked });
  const { database, damagedPath } = opened;
  const wasClean = isMarked && damagedPath === undefined;
  let isDoubtful = false;
  const tables = new StateTables(database);
  const doubt = (): void => {
    isDoubtful = true;
  };
  const context: StoreContext = {
    disk,
    tables,
    cacheRows: new CacheRows(database),
    acceptedRows: new AcceptedRows(database, doubt),
    announcementRows: new AnnouncementRows(database, doubt),
    conductRows: new ConductRows(database, doubt),
    peerRows: new PeerRows(database, doubt),
    usageRows: new UsageRows(database, doubt),
    now,
    stateDirectory: realPath,
    publishedMode,
    emit,
    makeRoom: (directory, missingBytes) => contentCache.makeRoom(directory, missingBytes),
    doubt,
  };
  try {
    if (!wasClean) tables.distrustContents();
    new Ballast(stateDirectory).fill();
    await recover(context);
  } catch (error) {
    database.close();
    throw error;
  }
  const contentCache = new ContentCache(context, cache ?? resolveSettings());
  const store = new DiskStore(context, contentCache);
  const close = async (): Promise<void> => {
    try {
      await store.close();
      database.close();
      if (!isDoubtful) markClean(stateDirectory);
    } finally {
      releaseLock();
    }
  };
  const report = damagedPath === undefined ? {} : { damagedDatabasePath: damagedPath };
  return { store, cache: contentCache, report: { wasClean, ...report }, close };
}

/** Finishes publications that were cut short and removes files that nobody owns. */
async function recover(context: StoreContext): Promise<void> {
  for (const record of context.tables.finalizingContents()) {
    try {
      await settleFinalizing(context, record);
    } catch {
      // Its directory cannot be looked at now; opening the content tries again and reports.
    }
  }
  removeLeftovers(context, context.tables.leftovers());
  sweepSpool(context);
}

function markClean(stateDirectory: string): void {
  try {
    writeCleanMarker(stateDirectory);
  } catch {
    removeCleanMarker(stateDirectory);
  }
}
