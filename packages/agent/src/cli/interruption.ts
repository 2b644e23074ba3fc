/**
 * Signals as an abort: the first asks the command to stop in order, within 10 s; the second ends the
 * process at once (R-PROC-03). What is then not written down is found as after a crash.
 */
import type { Millis } from "@shoal/core";
import { EXIT_CODES, Interruption } from "./failure.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** R-PROC-03 */
const STOP_TIMEOUT_MS = 10_000;

/** The part of `process` that is used. */
export interface SignalSource {
  on(signal: (typeof SIGNALS)[number], listener: () => void): unknown;
  exit(code: number): void;
}

/** Aborted, with an `Interruption`, by the first signal. */
export function watchSignals(
  source: SignalSource,
  { stopTimeoutMs = STOP_TIMEOUT_MS }: { stopTimeoutMs?: Millis } = {},
): AbortSignal {
  const aborter = new AbortController();
  const exit = (): void => source.exit(EXIT_CODES.interrupted);
  const onSignal = (): void => {
    if (aborter.signal.aborted) return exit();
    setTimeout(exit, stopTimeoutMs).unref();
    aborter.abort(new Interruption());
  };
  for (const signal of SIGNALS) source.on(signal, onSignal);
  return aborter.signal;
}
