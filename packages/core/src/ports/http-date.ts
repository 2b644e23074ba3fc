/** Dates of HTTP header fields as numbers. Reads no clock. */
import type { UnixMillis } from "../units.ts";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const IMF_FIXDATE = /^[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
const DAY_MS = 86_400_000;
/** Days from 1 March of the year 0 to 1 January 1970, in the calendar of today. */
const DAYS_TO_EPOCH = 719_468;

/** An HTTP date in the form servers send today (IMF-fixdate, RFC 9110 section 5.6.7). */
export function parseHttpDate(text: string): UnixMillis | undefined {
  const match = IMF_FIXDATE.exec(text);
  if (match === null) return undefined;
  const month = MONTHS.indexOf(match[2] ?? "");
  if (month < 0) return undefined;
  const [day = 0, , year = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  if (day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return undefined;
  const seconds = (hour * 60 + minute) * 60 + second;
  return daysSinceEpoch(year, month, day) * DAY_MS + seconds * 1_000;
}

/** Counts years from March, so that the leap day is a year's last; `month` counts from 0. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const marchYear = month < 2 ? year - 1 : year;
  const marchMonth = (month + 10) % 12;
  const leapDays =
    Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  const dayOfYear = Math.floor((153 * marchMonth + 2) / 5) + day - 1;
  return marchYear * 365 + leapDays + dayOfYear - DAYS_TO_EPOCH;
}
