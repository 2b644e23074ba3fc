/** Settings of the contents that stay on offer after their job. A part of the table in `settings.ts`. */
import { MiB } from "../units.ts";
import type { SettingRow } from "./settings.ts";

const HOUR_MS = 3_600_000;

export const CONTENT_CACHE_SETTINGS = {
  cacheCopies: {
    default: 1,
    min: 0,
    max: 2,
    unit: "count",
    help: "Whether the cache keeps a copy of its own of what jobs publish: 0 never, 1 where it shares its blocks with the file, 2 always.",
  },
  cacheAgeMs: {
    default: 3 * 24 * HOUR_MS,
    min: 0,
    max: 365 * 24 * HOUR_MS,
    unit: "ms",
    help: "Time after its completion for which a content stays on offer to peers; 0 is no limit.",
    doPolicy: "DOMaxCacheAge",
  },
  cacheBytesMax: {
    default: 20 * 1024 * MiB,
    min: 0,
    max: 1024 * 1024 * 1024 * MiB,
    unit: "bytes",
    help: "Bytes of copies in the cache, without pinned ones (R-CACHE-04).",
    doPolicy: "DOAbsoluteMaxCacheSize",
  },
  cachePercentMax: {
    default: 10,
    min: 0,
    max: 100,
    unit: "percent",
    help: "Share of the file system for copies in the cache, without pinned ones (R-CACHE-04).",
    doPolicy: "DOMaxCacheSize",
  },
  cacheFreeBytesMin: {
    default: 1024 * MiB,
    min: 0,
    max: 1024 * 1024 * 1024 * MiB,
    unit: "bytes",
    help: "Free space below which copies in the cache are given up (R-CACHE-04).",
  },
  cacheFreePercentMin: {
    default: 5,
    min: 0,
    max: 100,
    unit: "percent",
    help: "Share of the file system that must be free, or copies in the cache are given up (R-CACHE-04).",
  },
} as const satisfies Record<string, SettingRow>;
