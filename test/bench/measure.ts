/**
 * Timing of short operations: runs of many at a time, the median over runs, so that a pause of the
 * machine spoils one run and not the figure. Knows nothing of what it measures.
 */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: "us" | "ms" | "MiB/s" | "s/GiB" | "KiB" | "MiB" | "ratio";
  /** What the figure should not exceed, or for rates not fall below. */
  readonly target?: number;
}

/** The median time in microseconds of one of `count` operations that a call of `run` makes. */
export function medianUs(
  { runs, count }: { readonly runs: number; readonly count: number },
  run: (turn: number) => void,
): number {
  const timesUs: number[] = [];
  for (let turn = 0; turn < runs; turn++) {
    const begunAt = performance.now();
    run(turn);
    timesUs.push(((performance.now() - begunAt) * 1_000) / count);
  }
  return median(timesUs);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >>> 1] ?? 0;
}
