/**
 * When the origin may be asked for a piece, and why: the rules behind `ORIGIN_REASONS`.
 *
 * In a swarm the origin is for pieces nobody has yet, and there only for this agent's share; what
 * peers have is theirs to deliver unless they are silent or much slower than the origin, since no
 * job may be slower than plain HTTP (threat model R-SCH-03). Knows rates and silences, decides
 * nothing about runs or connections. Called by `OriginRuns`.
 */
import type { Random } from "../random.ts";
import type { Settings } from "../registry/settings.ts";
import type { Millis, PieceIndex } from "../units.ts";
import { BackgroundQos } from "./background-qos.ts";
import { OWNERSHIP } from "./content-swarm.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import type { Urgency } from "./demand.ts";
import type { FileSource } from "./file-sources.ts";
import type { OriginReason } from "./notice.ts";
import { RateMeter } from "./pace.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { PieceLedger } from "./piece-ledger.ts";

/** Peers are not called slow when they will be done this soon anyway. */
const NEARLY_DONE_MS = 5_000;
/** R-SCH-03: what claims and ownership hold back is for others to fetch no longer than this. */
const PATIENCE_MS = 10_000;
/** A server behind a balancer may be behind the others; a place that always is has another file. */
const CHANGED_ANSWERS_MAX = 3;
/** The origin must be this much faster than all peers together to take what they have. */
const ORIGIN_ADVANTAGE = 2;

export interface OriginPolicyParts {
  readonly ledger: PieceLedger;
  readonly swarm: ContentSwarm;
  readonly peers: PeerRequests | undefined;
  readonly urgency: Urgency;
}

export class OriginPolicy {
  readonly #random: Random;
  readonly #settings: Settings;
  readonly #parts: OriginPolicyParts;
  /** How often each place's bytes for a piece were wrong. */
  readonly #corrupt = new Map<PieceIndex, Map<FileSource, number>>();
  /** Answers in a row that were of a file of another length. */
  readonly #changedAnswers = new Map<FileSource, number>();
  readonly #peerRate: RateMeter;
  readonly #qos: BackgroundQos;
  #peerPieceAt: Millis;
  /** Since when nothing is asked of the origin, though pieces are missing. */
  #waitingSince: Millis | undefined;
  /** That lasted for the patience, and peers gave nothing meanwhile: they only say they would. */
  #othersGiveNothing = false;
  #originRateBytesPerSec: number | undefined;
  #runCount = 0;
  /** Since when this agent has had nothing under way, and how long it then waits before stealing. */
  #idleSince: Millis | undefined;
  #stealAfterMs = 0;
  /** Since when peers have had something to give without a break. */
  #offerSince: Millis | undefined;

  constructor(deps: { random: Random; settings: Settings }, parts: OriginPolicyParts, now: Millis) {
    this.#random = deps.random;
    this.#settings = deps.settings;
    this.#parts = parts;
    this.#peerRate = new RateMeter(now);
    this.#peerPieceAt = now;
    const { ledger, urgency } = parts;
    this.#qos = new BackgroundQos({ ...deps, urgency }, ledger.storedBytes, now);
  }

  peerPieceStored(bytes: number, now: Millis): void {
    this.#peerRate.add(bytes, now);
    this.#peerPieceAt = now;
    this.#othersGiveNothing = false;
  }

  /** A run has begun: from its end on waits are counted anew. */
  runBegun(): void {
    this.#idleSince = undefined;
    this.#waitingSince = undefined;
  }

  /** The rate of all runs together, judged by one that has just finished. */
  measured(rateBytesPerSec: number): void {
    const before = this.#originRateBytesPerSec ?? rateBytesPerSec;
    this.#originRateBytesPerSec = (before + rateBytesPerSec) / 2;
  }

  /** Returns how often the place has now sent wrong bytes for the piece. */
  pieceCorrupt(piece: PieceIndex, source: FileSource): number {
    const senders = this.#corrupt.get(piece) ?? new Map<FileSource, number>();
    const tries = (senders.get(source) ?? 0) + 1;
    this.#corrupt.set(piece, senders.set(source, tries));
    return tries;
  }

  /** An answer is of another file than the manifest's; whether the place has said so too often. */
  hasAnotherFile(source: FileSource): boolean {
    const answers = (this.#changedAnswers.get(source) ?? 0) + 1;
    this.#changedAnswers.set(source, answers);
    return answers >= Math.min(CHANGED_ANSWERS_MAX, this.#settings.originFailuresMax);
  }

  /** The place has the manifest's file after all. */
  delivered(source: FileSource): void {
    this.#changedAnswers.delete(source);
  }

  wasCorrupt(piece: PieceIndex): boolean {
    return this.#corrupt.has(piece);
  }

  /** Looks at the present once, before `reasonFor` is asked about many pieces. */
  note(now: Millis, runCount: number): void {
    const { peers, swarm } = this.#parts;
    this.#runCount = runCount;
    this.#qos.note(this.#parts.ledger.storedBytes, now);
    if (peers?.hasOffer() === true) this.#offerSince ??= now;
    else this.#offerSince = undefined;
    if (runCount > 0 || (peers !== undefined && peers.size > 0)) this.#idleSince = undefined;
    else if (this.#idleSince === undefined) {
      this.#idleSince = now;
      // Idle members wait differently long, so that they do not all take the same run.
      const spread = 1 + this.#random.fraction() * swarm.memberCount;
      this.#stealAfterMs = this.#settings.stealDelayMs * spread;
    }
    if (runCount > 0) this.#waitingSince = undefined;
    else {
      this.#waitingSince ??= now;
      const since = Math.max(this.#waitingSince, this.#peerPieceAt);
      if (now - since > PATIENCE_MS) this.#othersGiveNothing = true;
    }
  }

  /** Why the origin should be asked for a piece now; `undefined` when it should not. */
  reasonFor(piece: PieceIndex, now: Millis): OriginReason | undefined {
    const { ledger, swarm, peers } = this.#parts;
    if (!isFree(ledger.picker, piece)) return undefined;
    if (peers === undefined || swarm.memberCount === 0) return "noPeers";
    if (ledger.picker.availability(piece) > 0) {
      if (this.#qos.isMissed(this.#offerSince, now)) return "belowQos";
      if (this.#corrupt.has(piece)) return "corruptRetry";
      if (this.#peersAreSilent(now)) return "peersSilent";
      return this.#peersAreSlow(now) ? "peersSlow" : undefined;
    }
    if (this.#othersGiveNothing) return "peersSilent";
    if (swarm.isClaimed(piece, now)) return undefined;
    switch (swarm.ownership(piece, now)) {
      case OWNERSHIP.own:
        return "owned";
      case OWNERSHIP.inherited:
        return "ownerSilent";
      default:
        return this.#maySteal(now) ? "idleSteal" : undefined;
    }
  }

  #peersAreSilent(now: Millis): boolean {
    if (this.#offerSince === undefined) return false;
    const since = Math.max(this.#offerSince, this.#peerPieceAt);
    return now - since > this.#settings.peerSilenceMs;
  }

  /** Compares rates once both are known; a single run measures an origin never asked before. */
  #peersAreSlow(now: Millis): boolean {
    const { ledger } = this.#parts;
    const { stallTimeoutMs } = this.#settings;
    if (this.#offerSince === undefined || now - this.#offerSince < stallTimeoutMs) return false;
    const rate = this.#peerRate.rateBytesPerSec(now);
    const remaining = ledger.layout.contentLength - ledger.storedBytes;
    if (remaining * 1_000 <= rate * NEARLY_DONE_MS) return false;
    if (this.#originRateBytesPerSec === undefined) return this.#runCount === 0;
    return this.#originRateBytesPerSec > ORIGIN_ADVANTAGE * rate;
  }

  #maySteal(now: Millis): boolean {
    return this.#idleSince !== undefined && now - this.#idleSince >= this.#stealAfterMs;
  }
}

/** Neither here nor on its way. */
export function isFree(picker: PieceLedger["picker"], piece: PieceIndex): boolean {
  return !picker.isHeld(piece) && picker.requestedCount(piece) === 0;
}
