/**
 * Turns "something changed", which may come thousands of times a second, into snapshots at a rate
 * a reader can take. The last snapshot is never lost: it comes although the interval is not over.
 */
import type { JobSnapshot, JobState, Millis } from "@shoal/core";
import type { JobWatcher } from "./job-watch.ts";

export interface ProgressSource {
  snapshot(): Promise<JobSnapshot>;
  subscribe(watcher: JobWatcher): () => void;
  /** Nothing more comes after a snapshot with this state. */
  isOver(state: JobState): boolean;
}

export interface WatchOptions {
  readonly intervalMs: Millis;
  readonly signal: AbortSignal | undefined;
}

/** Ends after the first snapshot that is over. Throws what `closed` brings, or the signal's reason. */
export async function* watchProgress(
  source: ProgressSource,
  options: WatchOptions,
): AsyncGenerator<JobSnapshot, undefined, undefined> {
  while (true) {
    options.signal?.throwIfAborted();
    // Begins before the snapshot is taken, so that no change falls between the two.
    const round = beginRound(source, options);
    try {
      const snapshot = await source.snapshot();
      yield snapshot;
      if (source.isOver(snapshot.state)) return undefined;
      await round.due;
    } finally {
      round.end();
    }
  }
}

interface Round {
  /** Resolves when the next snapshot should be shown. */
  readonly due: Promise<void>;
  end(): void;
}

function beginRound(source: ProgressSource, { intervalMs, signal }: WatchOptions): Round {
  const { promise: due, resolve, reject } = Promise.withResolvers<void>();
  due.catch(() => {}); // The reader may be busy, or never come back.
  let hasChanged = false;
  let hasWaited = false;
  const timer = setTimeout(() => {
    hasWaited = true;
    if (hasChanged) resolve();
  }, intervalMs);
  const unsubscribe = source.subscribe({
    changed: (state) => {
      hasChanged = true;
      if (hasWaited || source.isOver(state)) resolve();
    },
    closed: reject,
  });
  const onAbort = (): void => reject(signal?.reason as Error);
  signal?.addEventListener("abort", onAbort);
  return {
    due,
    end: () => {
      clearTimeout(timer);
      unsubscribe();
      signal?.removeEventListener("abort", onAbort);
    },
  };
}
