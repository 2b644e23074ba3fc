/**
 * Which runs under way are left to other members: all of those that have brought no piece yet, where
 * this agent is not of the crew (any more), and single ones that another member is fetching too or
 * has fetched long ago. It is what keeps a cold start of many at one copy.
 *
 * Of two that fetch the same, the one that owns less of it yields. Only once for each member, so that
 * nobody stops our runs again and again (R-SCH-03). Called by `OriginRuns`.
 */
import { LIMITS } from "../registry/limits.ts";
import type { Millis, PeerId, PieceIndex } from "../units.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import type { Claim, OriginRun, RunTable } from "./run-table.ts";

export class RunYield {
  readonly #runs: RunTable;
  readonly #swarm: ContentSwarm;
  /** Members to which runs were left. */
  readonly #yieldedTo = new Set<PeerId>();

  constructor(runs: RunTable, swarm: ContentSwarm) {
    this.#runs = runs;
    this.#swarm = swarm;
  }

  /** The crew may have changed. */
  toCrew(now: Millis): void {
    if (this.#swarm.isInCrew(now)) return;
    for (const run of this.#runs.all()) if (isFresh(run)) this.#runs.cancel(run);
  }

  /** A member is about to fetch a run, or fetching it. */
  toClaimer(peerId: PeerId, claim: Claim): void {
    if (this.#yieldedTo.has(peerId)) return;
    const end = claim.first + claim.count;
    for (const run of this.#runs.all()) {
      if (!isFresh(run) || run.first < claim.first || run.first + run.count > end) continue;
      if (this.#swarm.outranks(peerId, run.first)) this.#leave(run, peerId);
    }
  }

  /** A member says what it holds: it can give what was begun when nobody could. */
  toHolder(peerId: PeerId, holds: (piece: PieceIndex) => boolean): void {
    if (this.#yieldedTo.has(peerId)) return;
    for (const run of this.#runs.all()) {
      if (run.reason === "noPeers" && [...run.owed].every(holds)) this.#leave(run, peerId);
    }
  }

  #leave(run: OriginRun, peerId: PeerId): void {
    if (this.#yieldedTo.size < LIMITS.peersKnownMax) this.#yieldedTo.add(peerId);
    this.#runs.cancel(run);
  }
}

/** Begun because nobody else was known to fetch it, and of no use yet. */
function isFresh({ reason, owed, count }: OriginRun): boolean {
  return (reason === "noPeers" || reason === "owned") && owed.size === count;
}
