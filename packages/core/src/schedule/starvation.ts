/**
 * When a transfer has failed for want of sources: nothing is under way and nobody is there to ask,
 * for the stall timeout; longer while peers are being dialled, which are worth waiting for, or while
 * members fetch what is missing. Who was here may come back.
 *
 * Knows the parts of a fetcher and time. Called by `Fetcher`.
 */
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Settings } from "../registry/settings.ts";
import type { Millis } from "../units.ts";
import type { FetchParts } from "./fetcher-options.ts";
import type { PeerTable } from "./peer-table.ts";

export interface StarvationDeps {
  readonly settings: Settings;
  readonly peers: PeerTable;
}

export class Starvation {
  readonly #deps: StarvationDeps;
  readonly #parts: FetchParts;
  #since: Millis | undefined;
  #until: Millis = Infinity;

  constructor(deps: StarvationDeps, parts: FetchParts) {
    this.#deps = deps;
    this.#parts = parts;
  }

  /** When `check` may find what it does not find now. */
  pollDeadline(): Millis {
    return this.#until;
  }

  /** Why the transfer has failed, if it has. */
  check(now: Millis): { readonly error: ErrorInfo; readonly transient: boolean } | undefined {
    const { origin, peers, ledger, swarm } = this.#parts;
    const isBusy = origin.size > 0 || (peers?.size ?? 0) > 0 || ledger.storingCount > 0;
    const mayComeFromOrigin = origin.isUsable && !origin.isExhausted;
    const isWaiting = !isBusy && ledger.picker.missingCount > 0;
    if (!isWaiting || mayComeFromOrigin || peers?.hasOffer() === true) {
      this.#since = undefined;
      this.#until = Infinity;
      return undefined;
    }
    const { settings, peers: known } = this.#deps;
    const briefMs = known.dialler.hopeful ? settings.manifestTimeoutMs : settings.stallTimeoutMs;
    const waitMs = swarm.hasClaims(now) ? LIMITS.pieceTimeoutMsMax : briefMs;
    this.#since ??= now;
    this.#until = this.#since + (peers === undefined ? 0 : waitMs);
    if (now < this.#until) return undefined;
    const { failure } = origin;
    const error = failure?.error ?? errorInfo("ERR_NO_SOURCE");
    return { error, transient: failure === undefined || !failure.fatal };
  }
}
