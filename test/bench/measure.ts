/**
 * Timing of short operations: runs of many at a time, the median over runs, so that a pause of the
 * machine spoils one run and not the figure. Knows nothing of what it measures.
 */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: "us" | "ms" | "s" | "MiB/s" | "s/GiB" | "KiB" | "MiB" | "ratio" | "events/s";
  /** What the figure should not exceed, or for rates not fall below. */
  readonly target?: number;
}

/** One of several things that are measured in turns. */
export interface Subject {
  readonly name: string;
  readonly target?: number;
  readonly runs: number;
  /** Operations of one call of `run`. */
  readonly count: number;
  readonly run: (turn: number) => void;
  /** What becomes of the median time of one operation. */
  readonly figure: (us: number) => Pick<Figure, "value" | "unit">;
}

/** Figures in microseconds, milliseconds and, for operations on a MiB each, MiB/s. */
export const inUs = (us: number) => ({ value: us, unit: "us" as const });
export const inMs = (us: number) => ({ value: us / 1_000, unit: "ms" as const });
export const inMibPerSec = (us: number) => ({ value: 1e6 / us, unit: "MiB/s" as const });

/**
 * The medians of subjects that are run in turns (A B A B), after one turn that does not count: what
 * slows the machine down for a while slows all of them.
 */
export function measureInTurns(subjects: readonly Subject[]): Figure[] {
  const times = subjects.map((): number[] => []);
  const turns = Math.max(...subjects.map(({ runs }) => runs));
  for (let turn = 0; turn < turns; turn++) {
    for (const [index, { run, runs, count }] of subjects.entries()) {
      if (turn >= runs) continue;
      const begunAt = performance.now();
      run(turn);
      times[index]?.push(((performance.now() - begunAt) * 1_000) / count);
    }
  }
  return subjects.map(({ name, target, figure }, index) => {
    const [, ...counted] = times[index] ?? [];
    return { name, ...figure(median(counted)), ...(target === undefined ? {} : { target }) };
  });
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
