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

/** The month at an instant. */
export function monthAt(at: UnixMillis): string {
  return new Date(at).toISOString().slice(0, "2026-01".length);
}

const isShape = isRecordOf({
  month: (value) => typeof value === "string" && /^\d{4}-(0[1-9]|1[0-2])$/.test(value),
  internetSentBytes: isCount(),
});

/** `undefined` when it is not as written by this version. */
export function parseMonthUsage(value: unknown): MonthUsage | undefined {
  return isShape(value) ? (value as MonthUsage) : undefined;
}
