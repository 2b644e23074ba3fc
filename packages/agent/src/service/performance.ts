/**
 * The agent's snapshots of performance, now and of the month, with the fields of Delivery
 * Optimization's `PerfSnap` cmdlets. Called by `LocalAgentService`.
 */
import { statfs } from "node:fs/promises";
import { RECEIVED_COUNTERS, SENT_COUNTERS } from "@shoal/core";
import type {
  AgentTotals,
  ByPeerClass,
  CounterName,
  Counters,
  Millis,
  MonthCount,
  PaceSettings,
} from "@shoal/core";
import type { CacheEntry } from "@shoal/store";
import type { MonthSnapshot, PerformanceSnapshot } from "./agent-service.ts";

/** Room where the state and copies of contents lie; fields are absent where nobody can say. */
export interface DiskFacts {
  readonly totalDiskBytes?: number;
  readonly availableDiskBytes?: number;
}

export type DiskProbe = () => Promise<DiskFacts>;

export function diskProbe(directory: string): DiskProbe {
  return async () => {
    try {
      const { blocks, bavail, bsize } = await statfs(directory);
      if (blocks === 0) return {};
      return { totalDiskBytes: blocks * bsize, availableDiskBytes: bavail * bsize };
    } catch {
      return {};
    }
  };
}

export interface PerformanceParts {
  readonly counters: Counters;
  readonly totals: AgentTotals;
  readonly paceSettings: PaceSettings;
  readonly downloadMode: number;
  readonly entries: readonly CacheEntry[];
  readonly disk: DiskFacts;
}

export function performanceSnapshot(parts: PerformanceParts): PerformanceSnapshot {
  const { counters, totals, paceSettings, downloadMode, entries, disk } = parts;
  const count = (name: CounterName): number => counters.get(name);
  const originBytes = count("shoal_origin_received_bytes_total");
  const cacheServerBytes = count("shoal_cache_server_received_bytes_total");
  const uploadedBytes = count("shoal_peer_sent_bytes_total");
  const downloadedBytes = originBytes + cacheServerBytes + count("shoal_peer_received_bytes_total");
  const filesDownloaded = count("shoal_files_downloaded_total");
  const filesUploaded = count("shoal_contents_sent_total");
  const { peersByState, offeredCount } = totals;
  return {
    filesDownloaded,
    filesUploaded,
    files: Math.max(offeredCount, entries.length),
    downloadedBytes,
    uploadedBytes,
    averageDownloadBytes: mean(downloadedBytes, filesDownloaded),
    averageUploadBytes: mean(uploadedBytes, filesUploaded),
    downloadMode,
    // What lies where its job published it takes no room of the cache.
    cacheBytes: entries.reduce((sum, { isCopy, length }) => sum + (isCopy ? length : 0), 0),
    ...disk,
    processorPercent: processorPercent(),
    memoryBytes: process.memoryUsage.rss(),
    peerCount: Object.values(peersByState).reduce((sum, peers) => sum + peers, 0),
    originConnections: totals.originConnections,
    cacheServerConnections: totals.cacheServerConnections,
    peerConnections: totals.peerConnections,
    downloadBytesPerSec: totals.downloadBytesPerSec,
    uploadBytesPerSec: totals.uploadBytesPerSec,
    ...limitsInForce(paceSettings),
    uploadCount: offeredCount,
    foregroundDownloads: totals.foregroundDownloads,
    foregroundDownloadsPending: totals.foregroundDownloadsPending,
    backgroundDownloads: totals.backgroundDownloads,
    backgroundDownloadsPending: totals.backgroundDownloadsPending,
    originBytes,
    cacheServerBytes,
    receivedBytes: byClass(counters, RECEIVED_COUNTERS),
    sentBytes: byClass(counters, SENT_COUNTERS),
  };
}

export function monthSnapshot(month: MonthCount): MonthSnapshot {
  const { foregroundBytes, foregroundMs, backgroundBytes, backgroundMs, ...rest } = month;
  return {
    ...rest,
    averageForegroundBytesPerSec: rate(foregroundBytes, foregroundMs),
    averageBackgroundBytesPerSec: rate(backgroundBytes, backgroundMs),
  };
}

/** Share of one processor that the process has used since its start. */
export function processorPercent(): number {
  const { user, system } = process.cpuUsage();
  const percent = (user + system) / (process.uptime() * 1e4);
  return Math.round(percent * 10) / 10;
}

/** Of limits that hold together, the lowest; 0 is none. */
function limitsInForce(
  settings: PaceSettings,
): Pick<
  PerformanceSnapshot,
  "foregroundRateBytesPerSec" | "backgroundRateBytesPerSec" | "uploadRateBytesPerSec"
> {
  const lowest = (...rates: readonly number[]): number =>
    Math.min(...rates.map((limit) => (limit === 0 ? Infinity : limit)));
  const orNone = (limit: number): number => (limit === Infinity ? 0 : limit);
  const { downloadRateBytesPerSec: all, uploadRateBytesPerSec } = settings;
  return {
    foregroundRateBytesPerSec: orNone(lowest(all, settings.foregroundRateBytesPerSec)),
    backgroundRateBytesPerSec: orNone(lowest(all, settings.backgroundRateBytesPerSec)),
    uploadRateBytesPerSec,
  };
}

function byClass(
  counters: Counters,
  names: typeof RECEIVED_COUNTERS | typeof SENT_COUNTERS,
): ByPeerClass {
  return {
    linkLocal: counters.get(names.linkLocal),
    lan: counters.get(names.lan),
    group: counters.get(names.group),
    internet: counters.get(names.internet),
  };
}

function mean(bytes: number, count: number): number {
  return count === 0 ? 0 : Math.round(bytes / count);
}

function rate(bytes: number, ms: Millis): number {
  return ms === 0 ? 0 : Math.round((bytes * 1_000) / ms);
}
