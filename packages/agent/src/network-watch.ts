/**
 * Notices that this machine has lost its last network address, and that it has one again. A machine
 * that never had one is not taken to be offline: it may be a container, or a test, that talks to
 * itself.
 *
 *   an address, then none ─▶ offline ─▶ an address again ─▶ online
 *
 * Knows addresses; not what can be reached, nor what that means for jobs. Called by `startAgent`.
 */
import { networkInterfaces } from "node:os";
import type { Millis } from "@shoal/core";

/** What the watch asks of its surroundings. */
export interface NetworkWatchDeps {
  /** The machine's addresses by interface, as `os.networkInterfaces` gives them; may throw. */
  readInterfaces(): Readonly<Record<string, ReadonlyArray<{ readonly internal: boolean }>>>;
  /** Calls `look` every `intervalMs` until the returned function is called. */
  repeat(look: () => void, intervalMs: Millis): () => void;
}

/** Short beside any no-progress timeout, long beside the 0.1 ms that a look takes. */
const LOOK_INTERVAL_MS = 2_000;

const SYSTEM: NetworkWatchDeps = {
  readInterfaces: networkInterfaces as NetworkWatchDeps["readInterfaces"],
  repeat(look, intervalMs) {
    const timer = setInterval(look, intervalMs);
    // Whoever waits for jobs keeps the process alive; looking does not.
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** Calls `report` at every transition, never at once, until the returned function is called. */
export function watchNetwork(
  report: (isOnline: boolean) => void,
  deps: NetworkWatchDeps = SYSTEM,
): () => void {
  let hasAddress = canSeeAddress(deps);
  let isOffline = false;
  return deps.repeat(() => {
    const before = hasAddress;
    hasAddress = canSeeAddress(deps) ?? before;
    const isNowOffline = hasAddress === false && (isOffline || before === true);
    if (isNowOffline === isOffline) return;
    isOffline = isNowOffline;
    report(!isOffline);
  }, LOOK_INTERVAL_MS);
}

/** `undefined` when the system does not say, which some refuse to unprivileged processes. */
function canSeeAddress(deps: NetworkWatchDeps): boolean | undefined {
  try {
    return Object.values(deps.readInterfaces())
      .flat()
      .some(({ internal }) => !internal);
  } catch {
    return undefined;
  }
}
