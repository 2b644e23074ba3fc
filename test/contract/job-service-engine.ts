/**
 * An engine with a real store and a real origin, and nobody to share with: what job services are
 * tested on, in the test's own process and in one of its own.
 */
import { PieceBufferPool, Random, resolveSettings, Scheduler, ShoalError } from "@shoal/core";
import type { EventSink, PieceBytes, Settings } from "@shoal/core";
import { Engine, monotonicClock } from "@shoal/engine";
import type { JobCaller, JobHost } from "@shoal/jobs";
import { createOrigin } from "@shoal/origin";
import { openStore } from "@shoal/store";

export const CALLERS = {
  alice: { name: "alice", isAdministrator: false },
  bob: { name: "bob", isAdministrator: false },
  administrator: { name: "root", isAdministrator: true },
} as const satisfies Record<string, JobCaller>;
export type CallerName = keyof typeof CALLERS;

export interface JobEngine extends AsyncDisposable {
  readonly host: JobHost;
  /** Piece buffers that are out. */
  borrowed(): number;
}

export async function startJobEngine(
  stateDirectory: string,
  settings: Partial<Settings> = {},
): Promise<JobEngine> {
  const pool = new PieceBufferPool();
  const scheduler = new Scheduler({
    random: new Random(1),
    settings: resolveSettings(settings),
    selfId: "self",
  });
  const payloads = {
    byteLength: ({ bytes }: PieceBytes) => bytes.length,
    release: (payload: PieceBytes) => payload.release(),
  };
  const engine = new Engine({ scheduler, clock: monotonicClock(), payloads });
  const sink: EventSink<PieceBytes> = (event, payload) => engine.sink(event, payload);
  const store = await openStore({ pool, sink }, { stateDirectory });
  const origin = createOrigin({ pool, sink });
  const swarm = { execute: () => {}, close: () => Promise.resolve() };
  const ready = Promise.withResolvers<void>();
  const unsubscribe = engine.onNotice((notice) => {
    if (notice.type === "ready") ready.resolve();
    if (notice.type === "unusable") ready.reject(ShoalError.from(notice.error));
  });
  engine.start({ store, origin, swarm });
  await ready.promise;
  unsubscribe();
  return {
    host: engine,
    borrowed: () => pool.borrowed,
    [Symbol.asyncDispose]: () => engine.close(),
  };
}
