/**
 * What was sent to peers of the Internet this month, as it is stored: plain JSON, validated like
 * network input when it is read back (R-DB-05). Months are those of UTC.
 */
import { isCount, isRecordOf } from "../job/shape.ts";
import type { UnixMillis } from "../units.ts";

export interface MonthUsage {
  /** Such as `2026-01`: they sort as they follow each other. */
  readonly month: string;
  readonly internetSentBytes: number;
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

const isShape = isRecordOf({
  month: (value) => typeof value === "string" && /^\d{4}-(0[1-9]|1[0-2])$/.test(value),
  internetSentBytes: isCount(),
});

/** `undefined` when it is not as written by this version. */
export function parseMonthUsage(value: unknown): MonthUsage | undefined {
  return isShape(value) ? (value as MonthUsage) : undefined;
}
