/**
 * Which runs under way are left to other members: all of those that have brought no piece yet, where
 * this agent is not of the crew (any more), and single ones that another member is fetching too or
 * has fetched long ago. It is what keeps a cold start of many at one copy.
 *
 * Of two that fetch the same, the one that owns less of it yields. Only once for each member, and only
 * so often in all, since identities are free: nobody stops our runs again and again (R-SCH-03).
 * Called by `OriginRuns`, which is told by each whether runs were left.
 */
import type { Millis, PeerId, PieceIndex } from "../units.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import { CREW_SIZE } from "./origin-crew.ts";
import type { Claim, OriginRun, RunTable } from "./run-table.ts";

/** Twice the crew: what is begun later is a few runs that others fetch too, at the worst. */
const YIELDS_MAX = 2 * CREW_SIZE;

export class RunYield {
  readonly #runs: RunTable;
  readonly #swarm: ContentSwarm;
  /** Members to which runs were left. */
  readonly #yieldedTo = new Set<PeerId>();
  /** How often runs were left. */
  #count = 0;

  constructor(runs: RunTable, swarm: ContentSwarm) {
    this.#runs = runs;
    this.#swarm = swarm;
  }

  /** The crew may have changed. */
  toCrew(now: Millis): boolean {
    if (this.#swarm.isInCrew(now)) return false;
    return this.#leave([...this.#runs.all()].filter(isFresh));
  }

  /** A member is about to fetch a run, or fetching it. */
  toClaimer(peerId: PeerId, claim: Claim): boolean {
    if (this.#yieldedTo.has(peerId)) return false;
    const end = claim.first + claim.count;
    const isItsOwn = (run: OriginRun): boolean =>
      run.first >= claim.first &&
      run.first + run.count <= end &&
      this.#swarm.outranks(peerId, run.first);
    return this.#leave(
      [...this.#runs.all()].filter((run) => isFresh(run) && isItsOwn(run)),
      peerId,
    );
  }

  /** A member says what it holds: it can give what was begun when nobody could. */
  toHolder(peerId: PeerId, holds: (piece: PieceIndex) => boolean): boolean {
    if (this.#yieldedTo.has(peerId)) return false;
    const isHeld = ({ reason, owed }: OriginRun): boolean =>
      reason === "noPeers" && [...owed].every(holds);
    return this.#leave([...this.#runs.all()].filter(isHeld), peerId);
  }

  #leave(runs: readonly OriginRun[], peerId?: PeerId): boolean {
    if (runs.length === 0 || this.#count >= YIELDS_MAX) return false;
    this.#count++;
    if (peerId !== undefined) this.#yieldedTo.add(peerId);
    for (const run of runs) this.#runs.cancel(run);
    return true;
  }
}

/** Begun because nobody else was known to fetch it, and of no use yet. */
function isFresh({ reason, owed, count }: OriginRun): boolean {
  return (reason === "noPeers" || reason === "owned") && owed.size === count;
}
