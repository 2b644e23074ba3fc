/**
 * Signals as an abort: the first asks the command to stop in order, the second ends the process at
 * once (R-PROC-03).
 */
import { EXIT_CODES, Interruption } from "./failure.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface SignalSource {
  on(signal: (typeof SIGNALS)[number], listener: () => void): unknown;
  exit(code: number): void;
}

/** Aborted, with an `Interruption`, by the first signal. */
export function watchSignals(source: SignalSource): AbortSignal {
  const aborter = new AbortController();
  const onSignal = (): void => {
    if (aborter.signal.aborted) source.exit(EXIT_CODES.interrupted);
    else aborter.abort(new Interruption());
  };
  for (const signal of SIGNALS) source.on(signal, onSignal);
  return aborter.signal;
}
