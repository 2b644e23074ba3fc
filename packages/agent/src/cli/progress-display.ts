/**
 * Shows a job's snapshots while it runs, in the way the surroundings can take: a live line on a
 * terminal, a plain line every few seconds in a pipe, JSON lines on stdout.
 */
import type { JobSnapshot, Millis } from "@shoal/core";
import { createLogUpdate } from "log-update";
import { peerCountOf, renderProgress, renderProgressLine, SlidingRate } from "./progress-line.ts";
import type { ProgressView } from "./progress-line.ts";
import type { Terminal } from "./terminal.ts";

export interface ProgressDisplay extends Disposable {
  show(snapshot: JobSnapshot): void;
}

export interface DisplayOptions {
  readonly name: string;
  readonly json: boolean;
}

/** The line is drawn again this often though nothing has come, so that the rate falls. */
const REDRAW_INTERVAL_MS = 500;
const LINE_INTERVAL_MS = 5_000;
const JSON_INTERVAL_MS = 500;

export function createDisplay(terminal: Terminal, options: DisplayOptions): ProgressDisplay {
  const rate = new SlidingRate();
  const viewOf = (snapshot: JobSnapshot): ProgressView => ({
    name: options.name,
    snapshot,
    rateBytesPerSec: rate.bytesPerSec(performance.now()),
  });
  if (options.json) {
    return createPacedDisplay(rate, { intervalMs: JSON_INTERVAL_MS, waits: false }, (snapshot) => {
      const receivedBytesPerSec = Math.round(viewOf(snapshot).rateBytesPerSec);
      const connectedPeers = peerCountOf(snapshot);
      terminal.json({ type: "progress", receivedBytesPerSec, connectedPeers, ...snapshot });
    });
  }
  if (terminal.isLive) return createLiveDisplay(terminal, rate, viewOf);
  return createPacedDisplay(rate, { intervalMs: LINE_INTERVAL_MS, waits: true }, (snapshot) => {
    terminal.say(`${renderProgressLine(viewOf(snapshot))}\n`);
  });
}

function createLiveDisplay(
  terminal: Terminal,
  rate: SlidingRate,
  viewOf: (snapshot: JobSnapshot) => ProgressView,
): ProgressDisplay {
  const update = createLogUpdate(terminal.stderr as NodeJS.WriteStream);
  let latest: JobSnapshot | undefined;
  const draw = (): void => {
    if (latest === undefined) return;
    update(renderProgress(viewOf(latest), (terminal.stderr.columns ?? 80) - 1));
  };
  const timer = setInterval(draw, REDRAW_INTERVAL_MS);
  return {
    show(snapshot) {
      latest = snapshot;
      rate.add(receivedBytes(snapshot), performance.now());
      draw();
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      update.clear();
      update.done();
    },
  };
}

/**
 * Shows a snapshot at most every `intervalMs`. `waits`: the first one waits as long as any other,
 * because what is over sooner needs no line.
 */
function createPacedDisplay(
  rate: SlidingRate,
  { intervalMs, waits }: { intervalMs: Millis; waits: boolean },
  write: (snapshot: JobSnapshot) => void,
): ProgressDisplay {
  let shownAt = waits ? performance.now() : -Infinity;
  return {
    show(snapshot) {
      const now = performance.now();
      rate.add(receivedBytes(snapshot), now);
      // A failure is told by the command, once.
      const hasFailed = snapshot.error !== undefined;
      if (hasFailed || now - shownAt < intervalMs) return;
      shownAt = now;
      write(snapshot);
    },
    [Symbol.dispose]() {},
  };
}

/** What came in this run; bytes of earlier runs appear at once and are no speed. */
function receivedBytes({ originBytes, cacheServerBytes, peerBytes }: JobSnapshot): number {
  return originBytes + cacheServerBytes + peerBytes;
}
