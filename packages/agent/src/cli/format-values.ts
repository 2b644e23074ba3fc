/** Amounts in words for people: bytes in binary units, times in the two largest units. */
import { KiB, MiB } from "@shoal/core";
import type { Millis, UnixMillis } from "@shoal/core";

const GiB = 1024 * MiB;
const TiB = 1024 * GiB;

/** `17 B`, `1.5 MiB`, `2.00 GiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < KiB) return `${Math.round(bytes)} B`;
  if (bytes < MiB) return `${(bytes / KiB).toFixed(1)} KiB`;
  if (bytes < GiB) return `${(bytes / MiB).toFixed(1)} MiB`;
  if (bytes < TiB) return `${(bytes / GiB).toFixed(2)} GiB`;
  return `${(bytes / TiB).toFixed(2)} TiB`;
}

export function formatRate(bytesPerSec: number): string {
  return `${formatBytes(bytesPerSec)}/s`;
}

/** `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function formatDuration(durationMs: Millis): string {
  if (durationMs < 9_950) return `${(durationMs / 1_000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${twoDigits(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${twoDigits(minutes % 60)} min`;
}

/** `2026-01-31 17:05:09`, in local time. */
export function formatTime(at: UnixMillis): string {
  const date = new Date(at);
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join("-");
  return `${day} ${formatClock(at)}`;
}

/** `17:05:09`, in local time. */
export function formatClock(at: UnixMillis): string {
  const date = new Date(at);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
}

/** `in 3 h 05 min`, `12 s ago`, `in 12 d`. */
export function formatDistance(at: UnixMillis, now: UnixMillis): string {
  const text = formatAge(Math.abs(at - now));
  return at >= now ? `in ${text}` : `${text} ago`;
}

/** As `formatDuration`; from two days on in days. */
export function formatAge(durationMs: Millis): string {
  const days = Math.floor(durationMs / 86_400_000);
  return days < 2 ? formatDuration(durationMs) : `${days} d`;
}

/** Never 100 before everything is there. */
export function formatPercent(part: number, whole: number): string {
  if (whole === 0 || part >= whole) return "100 %";
  return `${Math.floor((100 * part) / whole)} %`;
}

/** `1 peer`, `3 peers`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
