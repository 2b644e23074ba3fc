/**
 * What came and went in a calendar month, as it is stored: plain JSON, validated like network input
 * when it is read back (R-DB-05). Months are those of UTC.
 */
import { isCount, isRecordOf } from "../job/shape.ts";
import type { Counters } from "../registry/counters.ts";
import { isByPeerClass, PEER_CLASSES, RECEIVED_COUNTERS, SENT_COUNTERS } from "./peer-class.ts";
import type { ByPeerClass, PeerClass } from "./peer-class.ts";
import type { UnixMillis } from "../units.ts";

export interface MonthUsage {
  /** Such as `2026-01`: they sort as they follow each other. */
  readonly month: string;
  readonly internetSentBytes: number;
  /** Absent: only an older agent has counted. */
  readonly totals?: MonthTotals;
}

/** Bytes of the month, whole; and the time in which downloads fetched, of all downloads together. */
export interface MonthTotals {
  readonly originBytes: number;
  readonly cacheServerBytes: number;
  readonly receivedBytes: ByPeerClass;
  readonly sentBytes: ByPeerClass;
  readonly foregroundBytes: number;
  readonly foregroundMs: number;
  readonly backgroundBytes: number;
  readonly backgroundMs: number;
}

/** What the counters say of this run so far. */
export function totalsOf(counters: Counters): MonthTotals {
  const byClass = (names: typeof RECEIVED_COUNTERS | typeof SENT_COUNTERS): ByPeerClass => {
    const entries = PEER_CLASSES.map((name) => [name, counters.get(names[name])]);
    return Object.fromEntries(entries) as Record<PeerClass, number>;
  };
  const seconds = (name: "foreground" | "background"): number =>
    Math.round(1_000 * counters.get(`shoal_${name}_download_seconds_total`));
  return {
    originBytes: counters.get("shoal_origin_received_bytes_total"),
    cacheServerBytes: counters.get("shoal_cache_server_received_bytes_total"),
    receivedBytes: byClass(RECEIVED_COUNTERS),
    sentBytes: byClass(SENT_COUNTERS),
    foregroundBytes: counters.get("shoal_foreground_received_bytes_total"),
    foregroundMs: seconds("foreground"),
    backgroundBytes: counters.get("shoal_background_received_bytes_total"),
    backgroundMs: seconds("background"),
  };
}

/** `totals`, and `sign` times `more`. */
export function addTotals(totals: MonthTotals, more: MonthTotals, sign: 1 | -1): MonthTotals {
  const byClass = (a: ByPeerClass, b: ByPeerClass): ByPeerClass => ({
    linkLocal: a.linkLocal + sign * b.linkLocal,
    lan: a.lan + sign * b.lan,
    group: a.group + sign * b.group,
    internet: a.internet + sign * b.internet,
  });
  return {
    originBytes: totals.originBytes + sign * more.originBytes,
    cacheServerBytes: totals.cacheServerBytes + sign * more.cacheServerBytes,
    receivedBytes: byClass(totals.receivedBytes, more.receivedBytes),
    sentBytes: byClass(totals.sentBytes, more.sentBytes),
    foregroundBytes: totals.foregroundBytes + sign * more.foregroundBytes,
    foregroundMs: totals.foregroundMs + sign * more.foregroundMs,
    backgroundBytes: totals.backgroundBytes + sign * more.backgroundBytes,
    backgroundMs: totals.backgroundMs + sign * more.backgroundMs,
  };
}

const DAY_MS = 86_400_000;
/** Days of the 400 years after which the calendar repeats itself. */
const CYCLE_DAYS = 146_097;
/** From 1 March of the year 0, where counting is easiest, to 1970. */
const EPOCH_DAYS = 719_468;

/** The month at an instant, by the Gregorian calendar. */
export function monthAt(at: UnixMillis): string {
  const days = Math.floor(at / DAY_MS) + EPOCH_DAYS;
  const cycle = Math.floor(days / CYCLE_DAYS);
  const day = days - cycle * CYCLE_DAYS;
  const leapDays = Math.floor(day / 1_460) - Math.floor(day / 36_524) + Math.floor(day / 146_096);
  const year = Math.floor((day - leapDays) / 365);
  const dayOfYear = day - 365 * year - Math.floor(year / 4) + Math.floor(year / 100);
  const sinceMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = ((sinceMarch + 2) % 12) + 1;
  const yearOfMonth = 400 * cycle + year + (month <= 2 ? 1 : 0);
  return `${String(yearOfMonth).padStart(4, "0")}-${String(month).padStart(2, "0")}`;
}

const isTotals = isRecordOf({
  originBytes: isCount(),
  cacheServerBytes: isCount(),
  receivedBytes: isByPeerClass,
  sentBytes: isByPeerClass,
  foregroundBytes: isCount(),
  foregroundMs: isCount(),
  backgroundBytes: isCount(),
  backgroundMs: isCount(),
});

const isShape = isRecordOf(
  {
    month: (value) => typeof value === "string" && /^\d{4}-(0[1-9]|1[0-2])$/.test(value),
    internetSentBytes: isCount(),
  },
  { totals: isTotals },
);

/** `undefined` when it is not as written by this version. */
export function parseMonthUsage(value: unknown): MonthUsage | undefined {
  return isShape(value) ? (value as MonthUsage) : undefined;
}
