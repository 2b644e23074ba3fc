/**
 * When the origin may be asked for a piece, and why: the rules behind `ORIGIN_REASONS`.
 *
 * In a swarm the origin is for pieces nobody has yet, and there only for this agent's share; what
 * peers have is theirs to deliver unless they are silent or much slower than the origin, since no
 * job may be slower than plain HTTP (threat model R-SCH-03). Knows rates and silences, decides
 * nothing about runs or connections. Called by `OriginRuns`.
 */
import type { Random } from "../random.ts";
import type { OriginReason } from "../registry/reasons.ts";
import type { Settings } from "../registry/settings.ts";
import { MiB } from "../units.ts";
import type { Millis, PieceIndex } from "../units.ts";
import { BackgroundQos } from "./background-qos.ts";
import { OWNERSHIP } from "./content-swarm.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import type { Urgency } from "./demand.ts";
import type { FileSource } from "./file-sources.ts";
import { RateMeter } from "./pace.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { PieceLedger } from "./piece-ledger.ts";

/** Peers are not called slow when they will have given what they have this soon anyway. */
const NEARLY_DONE_MS = 10_000;
/** What peers have that is missing here is counted no more often. */
const OFFER_INTERVAL_MS = 500;
/** R-SCH-03: what claims and ownership hold back is for others to fetch no longer than this. */
const PATIENCE_MS = 10_000;
/** A server behind a balancer may be behind the others; a place that always is has another file. */
const CHANGED_ANSWERS_MAX = 3;
/** Pieces are large and come in bursts. */
const RATE_WINDOW_MS = 8_000;
/** Whom others fetch for measures the origin itself only when peers are slower than this. */
const RATE_MODEST_BYTES_PER_SEC = 4 * MiB;
/** The origin must be this much faster than all peers together to take what they have. */
const ORIGIN_ADVANTAGE = 2;

export interface OriginPolicyParts {
  readonly ledger: PieceLedger;
  readonly swarm: ContentSwarm;
  readonly peers: PeerRequests | undefined;
  readonly urgency: Urgency;
}

/** How peers do beside the origin. */
export interface PeerMeasures {
  readonly peersBytesPerSec: number;
  /** Absent: it was not asked yet. */
  readonly originBytesPerSec: number | undefined;
  /** How long they have had something to give and have given nothing. */
  readonly silentMs: Millis | undefined;
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
  /** Since when peers have been slow without a break. */
  #slowSince: Millis | undefined;
  #offered = 0;
  #offerCountedAt: Millis = -Infinity;
  /** Since when peers have had something to give without a break. */
  #offerSince: Millis | undefined;

  constructor(deps: { random: Random; settings: Settings }, parts: OriginPolicyParts, now: Millis) {
    this.#random = deps.random;
    this.#settings = deps.settings;
    this.#parts = parts;
    this.#peerRate = new RateMeter(now, RATE_WINDOW_MS);
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

  /** What `reasonFor` goes by, for those who explain it. */
  measures(now: Millis): PeerMeasures {
    const since = this.#offerSince && Math.max(this.#offerSince, this.#peerPieceAt);
    return {
      peersBytesPerSec: this.#peerRate.rateBytesPerSec(now),
      originBytesPerSec: this.#originRateBytesPerSec,
      silentMs: since === undefined ? undefined : now - since,
    };
  }

  /** Looks at the present once, before `reasonFor` is asked about many pieces. */
  note(now: Millis, runCount: number): void {
    const { peers, swarm } = this.#parts;
    this.#runCount = runCount;
    this.#qos.note(this.#parts.ledger.storedBytes, now);
    if (peers?.hasOffer() === true) this.#offerSince ??= now;
    else this.#offerSince = undefined;
    this.#slowSince = this.#peersAreSlow(now) ? (this.#slowSince ?? now) : undefined;
    if (runCount > 0 || (peers !== undefined && peers.size > 0)) this.#idleSince = undefined;
    else if (this.#idleSince === undefined) {
      this.#idleSince = now;
      // Idle members wait differently long, so that they do not all take the same run.
      const spread = 1 + this.#random.fraction() * swarm.fetchingMemberCount(now);
      this.#stealAfterMs = this.#settings.stealDelayMs * spread;
    }
    if (runCount > 0) this.#waitingSince = undefined;
    else {
      this.#waitingSince ??= now;
      const since = Math.max(this.#waitingSince, this.#peerPieceAt);
      if (now - since > PATIENCE_MS && !this.#othersGiveNothing) {
        this.#othersGiveNothing = true;
        swarm.distrust(now);
      }
    }
  }

  /**
   * Whether there may be a piece that the origin should be asked for: what others fetch for this
   * agent is looked through only when peers or pieces have failed. After `note`.
   */
  mayFind(now: Millis): boolean {
    const { swarm } = this.#parts;
    if (swarm.isInCrew(now) || this.#othersGiveNothing || this.#corrupt.size > 0) return true;
    return this.#peersAreSilent(now) || this.#peersAreSlow(now);
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
      if (this.#slowSince === undefined) return undefined;
      // Many find peers slow at the same time, and divide what they take; for a while at most.
      const isLeft = now - this.#slowSince < PATIENCE_MS && swarm.isClaimed(piece, now);
      return isLeft ? undefined : "peersSlow";
    }
    if (this.#othersGiveNothing) return "peersSilent";
    if (swarm.isClaimed(piece, now)) return undefined;
    switch (swarm.ownership(piece, now)) {
      case OWNERSHIP.own:
        return "owned";
      case OWNERSHIP.inherited:
        return "ownerSilent";
      default:
        return swarm.isInCrew(now) && this.#maySteal(now) ? "idleSteal" : undefined;
    }
  }

  #peersAreSilent(now: Millis): boolean {
    if (this.#offerSince === undefined) return false;
    const since = Math.max(this.#offerSince, this.#peerPieceAt);
    return now - since > this.#settings.peerSilenceMs;
  }

  /** Compares rates once both are known; a single run measures an origin never asked before. */
  #peersAreSlow(now: Millis): boolean {
    const { stallTimeoutMs, peerSilenceMs } = this.#settings;
    // Whom others fetch for looks longer: each of them would measure the same origin.
    const isInCrew = this.#parts.swarm.isInCrew(now);
    const longMs = isInCrew ? stallTimeoutMs : peerSilenceMs;
    if (this.#offerSince === undefined || now - this.#offerSince < longMs) return false;
    const rate = this.#peerRate.rateBytesPerSec(now);
    const offered = this.#parts.peers?.gateway.offeredBytes(now) ?? this.#offeredBytes(now);
    if (offered * 1_000 <= rate * NEARLY_DONE_MS) return false;
    if (this.#originRateBytesPerSec === undefined) {
      return this.#runCount === 0 && (isInCrew || rate < RATE_MODEST_BYTES_PER_SEC);
    }
    return this.#originRateBytesPerSec > ORIGIN_ADVANTAGE * rate;
  }

  /**
   * What peers have that is missing here. Where it is little, peers keep up with what there is to
   * give, however slow that may be: the origin is no faster for us than for those who fetch there.
   */
  #offeredBytes(now: Millis): number {
    if (now < this.#offerCountedAt + OFFER_INTERVAL_MS) return this.#offered;
    this.#offerCountedAt = now;
    this.#offered = 0;
    const { picker, layout } = this.#parts.ledger;
    for (let piece = 0; piece < layout.pieceCount; piece++) {
      if (!picker.isHeld(piece) && picker.availability(piece) > 0) {
        this.#offered += layout.length(piece);
      }
    }
    return this.#offered;
  }

  #maySteal(now: Millis): boolean {
    return this.#idleSince !== undefined && now - this.#idleSince >= this.#stealAfterMs;
  }
}

/** Not here, and at most one source owes it. */
export function isWanted(picker: PieceLedger["picker"], piece: PieceIndex): boolean {
  return !picker.isHeld(piece) && picker.requestedCount(piece) < 2;
}

/** Neither here nor on its way. */
export function isFree(picker: PieceLedger["picker"], piece: PieceIndex): boolean {
  return !picker.isHeld(piece) && picker.requestedCount(piece) === 0;
}
