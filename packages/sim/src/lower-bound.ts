/**
 * Lower bounds on distribution times (the fluid model of Kumar and Ross): what no
 * scheduler can beat, and what reports divide by. Pure.
 */
import type { Millis } from "@shoal/core";

export interface SwarmRates {
  readonly lengthBytes: number;
  /** What the origin and all seeds can send together, in bytes per second. */
  readonly seedRateBytesPerSec: number;
  /** Per downloader. */
  readonly upRatesBytesPerSec: readonly number[];
  readonly downRatesBytesPerSec: readonly number[];
}

/**
 * The least time until the last of N downloaders is done:
 * max(F/u_s, F/d_min, N·F/(u_s + Σu_i)).
 */
export function lowerBoundMs(rates: SwarmRates): Millis {
  const { lengthBytes, seedRateBytesPerSec, upRatesBytesPerSec, downRatesBytesPerSec } = rates;
  const downMin = Math.min(...downRatesBytesPerSec);
  const upTotal = upRatesBytesPerSec.reduce((total, rate) => total + rate, seedRateBytesPerSec);
  const seconds = Math.max(
    lengthBytes / seedRateBytesPerSec,
    lengthBytes / downMin,
    (downRatesBytesPerSec.length * lengthBytes) / upTotal,
  );
  return seconds * 1_000;
}

/** The `share`-quantile (0 to 1) of values in any order, by the nearest rank. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** Gini coefficient: 0 when all have the same, near 1 when one has all. */
export function gini(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const total = sorted.reduce((sum, value) => sum + value, 0);
  if (total === 0) return 0;
  let weighted = 0;
  for (const [i, value] of sorted.entries()) weighted += (i + 1) * value;
  return (2 * weighted) / (sorted.length * total) - (sorted.length + 1) / sorted.length;
}
