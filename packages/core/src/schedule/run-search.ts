/**
 * Finds the next run of pieces to ask of the origin: where it begins, how long it is, and why.
 *
 *   at first       small runs here and there, while others may be beginning too
 *   alone          from the cursor on, long runs
 *   in a swarm     extents by weight, the strongest of this agent first, an extent at a time
 *   no digests     from the first missing piece on, as far as bytes may be put together
 *
 * Knows pieces and reasons (`OriginPolicy`); begins nothing. Called by `OriginRuns`.
 */
import { LIMITS } from "../registry/limits.ts";
import type { OriginReason } from "../registry/reasons.ts";
import type { Settings } from "../registry/settings.ts";
import { MiB } from "../units.ts";
import type { Millis, PieceIndex } from "../units.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import { isFree } from "./origin-policy.ts";
import type { OriginPolicy, OriginPolicyParts } from "./origin-policy.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { PeerTable } from "./peer-table.ts";
import type { PieceLedger } from "./piece-ledger.ts";

/** Length of a run as long as others may be beginning too. */
const FIRST_RUN_BYTES = MiB;

export interface NextRun {
  readonly first: PieceIndex;
  readonly count: number;
  readonly reason: OriginReason;
}

export interface SearchSituation {
  readonly mode: "range" | "stream";
  /** Whether bytes of several requests may be put together (R-HTTP-13). */
  readonly isCombinable: boolean;
  readonly runCount: number;
}

export class RunSearch {
  readonly #settings: Settings;
  readonly #known: PeerTable;
  readonly #ledger: PieceLedger;
  readonly #swarm: ContentSwarm;
  readonly #peers: PeerRequests | undefined;
  readonly #policy: OriginPolicy;
  readonly #verified: boolean;
  readonly #startedAt: Millis;
  #cursor: PieceIndex;
  /** Runs sought while others may have been beginning. */
  #begun = 0;
  /** Came corrupt, and is sought first: a place with another file is soon found out. */
  #suspect: PieceIndex | undefined;

  constructor(
    deps: { settings: Settings; peers: PeerTable },
    parts: OriginPolicyParts & { policy: OriginPolicy },
    verified: boolean,
    now: Millis,
  ) {
    this.#settings = deps.settings;
    this.#known = deps.peers;
    this.#ledger = parts.ledger;
    this.#swarm = parts.swarm;
    this.#peers = parts.peers;
    this.#policy = parts.policy;
    this.#verified = verified;
    this.#startedAt = now;
    // Agents that do not know each other yet begin apart, each with its strongest extent.
    this.#cursor = parts.peers === undefined ? 0 : (parts.swarm.byWeight[0]?.first ?? 0);
  }

  /** The run has been asked for: alone, the next one follows it. */
  started(first: PieceIndex, count: number): void {
    this.#cursor = (first + count) % this.#ledger.layout.pieceCount;
  }

  pieceCorrupt(piece: PieceIndex): void {
    this.#suspect ??= piece;
  }

  pieceStored(piece: PieceIndex): void {
    if (piece === this.#suspect) this.#suspect = undefined;
  }

  /** Peers are in sight and have not spoken yet: begin, but with little. */
  isColdStart(now: Millis): boolean {
    if (this.#peers === undefined || this.#swarm.memberCount > 0) return false;
    const isYoung = now - this.#startedAt < this.#settings.coldStartMs;
    return isYoung && (this.#known.links.size > 0 || this.#known.dialler.hopeful);
  }

  /** Others may begin at the same time that are not in sight yet, or have not spoken. */
  isBeginning(now: Millis): boolean {
    if (this.isColdStart(now)) return true;
    if (this.#peers === undefined || !this.#known.dialler.isBlind(now)) return false;
    return now - this.#startedAt < this.#settings.coldStartMs / 2;
  }

  /**
   * Members that do not know each other yet take small runs here and there, each in an order of its
   * own, so that few of them take the same.
   */
  #moveApart(): void {
    const { byWeight } = this.#swarm;
    const inSight = this.#known.dialler.inSight();
    const turn = this.#begun++;
    const extent = turn === 0 ? this.#swarm.firstExtent(inSight) : byWeight[turn % byWeight.length];
    if (extent === undefined) return;
    const { first, end, weight } = extent;
    const runs = Math.ceil((end - first) / this.#firstRunPieces(first));
    this.#cursor = first + (weight % runs) * this.#firstRunPieces(first);
  }

  #firstRunPieces(first: PieceIndex): number {
    return this.#ledger.layout.piecesWithin(first, FIRST_RUN_BYTES);
  }

  /** The next run to ask for; `undefined` when there is no reason to ask for any. */
  find(now: Millis, situation: SearchSituation): NextRun | undefined {
    const { layout, picker } = this.#ledger;
    if (picker.missingCount === 0) return undefined;
    if (situation.mode === "stream" || !this.#verified) return this.#findWholeRun(situation);
    this.#policy.note(now, situation.runCount);
    const again = this.#suspect === undefined ? undefined : this.#runFrom(this.#suspect, now);
    if (again !== undefined) return again;
    if (this.#swarm.memberCount === 0) {
      if (this.isBeginning(now)) this.#moveApart();
      for (let step = 0; step < layout.pieceCount; step++) {
        const run = this.#runFrom((this.#cursor + step) % layout.pieceCount, now);
        if (run !== undefined) return run;
      }
      return undefined;
    }
    const { runCount } = situation;
    if (!this.#policy.mayFind(now)) return runCount > 0 ? undefined : this.#findEndgameRun(now);
    for (const { first, end } of this.#swarm.byWeight) {
      for (let piece = first; piece < end; piece++) {
        const run = this.#runFrom(piece, now);
        if (run !== undefined) return run;
      }
    }
    return runCount > 0 ? undefined : this.#findEndgameRun(now);
  }

  /** The run that begins with the piece, if there is a reason to ask for it. */
  #runFrom(first: PieceIndex, now: Millis): NextRun | undefined {
    const reason = this.#policy.reasonFor(first, now);
    if (reason === undefined) return undefined;
    const { originRunBytes, originExtentBytes } = this.#settings;
    const isFirst = reason === "noPeers" && this.isBeginning(now);
    const isAlone = reason === "peersSlow" || reason === "noPeers";
    const runBytes = isFirst ? FIRST_RUN_BYTES : isAlone ? originRunBytes : originExtentBytes;
    const within = this.#ledger.layout.piecesWithin(first, runBytes);
    let count = 1;
    while (count < within && this.#policy.reasonFor(first + count, now) === reason) count++;
    return { first, count, reason };
  }

  /** Without ranges or without digests: one request for everything from the first missing piece. */
  #findWholeRun({ mode, isCombinable }: SearchSituation): NextRun | undefined {
    const { layout, picker } = this.#ledger;
    let first = 0;
    while (first < layout.pieceCount && !isFree(picker, first)) first++;
    if (first === layout.pieceCount) return undefined;
    const reason = this.#verified ? "noPeers" : "noManifest";
    if (mode === "stream") {
      let end = layout.pieceCount;
      while (picker.isHeld(end - 1)) end--;
      return { first, count: end - first, reason };
    }
    const within = isCombinable
      ? layout.piecesWithin(first, this.#settings.originRunBytes)
      : layout.pieceCount - first;
    let count = 1;
    while (count < within && isFree(picker, first + count)) count++;
    return { first, count, reason };
  }

  /**
   * A peer owes a piece and is late: one of the last pieces after the stall timeout, any other after
   * half the time it has (R-SCH-05).
   */
  #findEndgameRun(now: Millis): NextRun | undefined {
    const { picker } = this.#ledger;
    if (picker.freeCount > 0) return undefined;
    const isNearEnd = picker.missingCount <= LIMITS.endgamePiecesMax;
    const lateMs = isNearEnd ? this.#settings.stallTimeoutMs : Infinity;
    const first = this.#peers?.latePiece(now, lateMs);
    return first === undefined ? undefined : { first, count: 1, reason: "peersSilent" };
  }
}
