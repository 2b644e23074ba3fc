/**
 * Loaded into an agent's process before anything else: sets its wall clock, at each SIGUSR2, to the
 * next of some times far from the real one. The monotonic clock goes on as it is. Used by
 * `faults-process.test.ts`.
 */
import { isMainThread } from "node:worker_threads";

const DAY_MS = 86_400_000;
/** What the clock is off by after each signal. */
const OFFSETS_MS = [DAY_MS, -DAY_MS, 40 * DAY_MS, -3_650 * DAY_MS];

const realNow = Date.now.bind(Date);
let jumps = 0;

if (isMainThread) {
  Date.now = () =>
    realNow() + (jumps === 0 ? 0 : (OFFSETS_MS[(jumps - 1) % OFFSETS_MS.length] ?? 0));
  process.on("SIGUSR2", () => void jumps++);
}
