/**
 * What foreground and background downloads may take at a given hour, from the settings: the
 * stricter of the limits that hold always and those of the time-of-day window. Pure; called by the
 * pacer.
 */
import type { PaceSettings } from "../registry/pace-settings.ts";

/** The limits of one class. `Infinity` is no limit. */
export interface ClassLimit {
  readonly rateBytesPerSec: number;
  /** Of the measured capacity, of what comes from origins; from 0 to 1. */
  readonly capacityShare: number;
}

export interface ClassLimits {
  readonly foreground: ClassLimit;
  readonly background: ClassLimit;
}

/** `hour` is the local hour of the day, 0 to 23. */
export function classLimitsAt(settings: PaceSettings, hour: number): ClassLimits {
  const isInForeground = isInWindow(
    settings.foregroundWindowFromHour,
    settings.foregroundWindowToHour,
    hour,
  );
  const isInBackground = isInWindow(
    settings.backgroundWindowFromHour,
    settings.backgroundWindowToHour,
    hour,
  );
  return {
    foreground: classLimit(
      [settings.foregroundRateBytesPerSec, settings.foregroundPercent],
      isInForeground,
      [settings.foregroundWindowInsideRateBytesPerSec, settings.foregroundWindowInsidePercent],
      [settings.foregroundWindowOutsideRateBytesPerSec, settings.foregroundWindowOutsidePercent],
    ),
    background: classLimit(
      [settings.backgroundRateBytesPerSec, settings.backgroundPercent],
      isInBackground,
      [settings.backgroundWindowInsideRateBytesPerSec, settings.backgroundWindowInsidePercent],
      [settings.backgroundWindowOutsideRateBytesPerSec, settings.backgroundWindowOutsidePercent],
    ),
  };
}

/** Whether `hour` is in [from, to), past midnight where `to` is the smaller; `undefined`: no window. */
export function isInWindow(from: number, to: number, hour: number): boolean | undefined {
  const [first, end] = [from % 24, to % 24];
  if (from === to) return undefined;
  // From 0 to 24 is all day.
  if (first === end) return true;
  return first < end ? hour >= first && hour < end : hour >= first || hour < end;
}

/** A rate and a percentage, 0 for none. */
type Pair = readonly [rateBytesPerSec: number, percent: number];

function classLimit(
  always: Pair,
  isInside: boolean | undefined,
  inside: Pair,
  outside: Pair,
): ClassLimit {
  const none: Pair = [0, 0];
  const window = isInside === undefined ? none : isInside ? inside : outside;
  const percent = Math.min(orNone(always[1]), orNone(window[1]));
  return {
    rateBytesPerSec: Math.min(orNone(always[0]), orNone(window[0])),
    capacityShare: percent >= 100 ? Infinity : percent / 100,
  };
}

/** 0 is no limit. */
export function orNone(limit: number): number {
  return limit === 0 ? Infinity : limit;
}
