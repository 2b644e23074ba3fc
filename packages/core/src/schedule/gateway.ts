/**
 * What may be asked of peers that are far away while others are near, so that a site behind a thin
 * link gets about one copy over it and passes the pieces on inside (swarm-algorithms digest, section
 * 4). Seen from one peer, members that are nearer to us than it is are our neighbours; a peer for
 * which there are any is remote.
 *
 *   a neighbour has the piece    not asked of remote peers, unless neighbours are much slower
 *   a neighbour claims it        nor this: it is being fetched, and will be passed on
 *   neither                      this agent's to fetch, sooner or later by its rank for the extent
 *
 * The rank is the one by which extents of the origin are owned: the first in rank asks at once, the
 * others one after the other within the stall timeout, so whoever has no way to the piece holds
 * nobody up. What is asked is claimed until all neighbours have been told of the piece. Few fetch at
 * a time: more would only wait for each other on the same link. Without neighbours nothing of this
 * holds, and nothing of it outlasts a time in which nothing comes (R-SCH-03).
 *
 * Knows pieces, links and times; asks nobody. Called by `PeerRequests` and `Fetcher`.
 */
import { PROXIMITY_ALIKE_MAX } from "../policy/proximity.ts";
import type { Proximity } from "../policy/proximity.ts";
import { MiB } from "../units.ts";
import type { Millis, PeerId, PieceIndex } from "../units.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import { isFree } from "./origin-policy.ts";
import { RateMeter } from "./pace.ts";
import type { Link } from "./peer-link.ts";
import type { PieceLedger } from "./piece-ledger.ts";

/** Neighbours that fetch from remote peers at a time: enough to fill a link, and to lose one. */
const GATEWAYS_MAX = 4;
/** Ranks that wait differently long; all others wait for the stall timeout. */
const RANKS = 8;
/** Remote requests of one agent at a time, however slow they are: the next waits for the last. */
const DEPTH_MIN = 2;
/** Beyond that, what remote peers deliver in this time is kept outstanding. */
const PIPELINE_MS = 100;
/** How soon to look again when there was nothing to ask for. */
const RECHECK_MS = 100;
/** Nothing is held back when nothing has come for this long (R-SCH-03). */
const PATIENCE_MS = 10_000;
/** Neighbours are not slow when they will have given what they have this soon anyway. */
const NEARLY_DONE_MS = 5_000;
/** A remote peer must be this much faster than all neighbours to be asked for what they have. */
const REMOTE_ADVANTAGE = 2;
/** Remote peers that nobody has measured are tried only when neighbours are slower than this. */
const RATE_MODEST_BYTES_PER_SEC = 4 * MiB;
/** What neighbours have is counted no more often. */
const OFFER_INTERVAL_MS = 500;
/** Pieces are large and come in bursts. */
const RATE_WINDOW_MS = 8_000;

export interface GatewayParts {
  readonly ledger: PieceLedger;
  readonly swarm: ContentSwarm;
  /** The peers that may be asked. */
  readonly links: ReadonlyMap<PeerId, Link>;
}

/** A piece that is fetched for members nearer than this. */
export interface NeighbourClaim {
  readonly piece: PieceIndex;
  readonly nearerThan: Proximity;
  claimedAt: Millis;
}

export class Gateway {
  readonly #parts: GatewayParts;
  readonly #stallTimeoutMs: Millis;
  /** How many links there are of each proximity. */
  readonly #counts = [0, 0, 0, 0];
  /** By piece: since when remote peers have had it, and no neighbour has claimed it. */
  readonly #since: Float64Array;
  /** Neighbours that fetch from remote peers, by their claims, and until when that stands. */
  readonly #gateways = new Map<PeerId, Millis>();
  /** Of pieces asked of remote peers that not all neighbours have been told of. */
  readonly #claims = new Map<PieceIndex, NeighbourClaim>();
  /** Remote peers that had nothing to be asked for, and when to look again. */
  readonly #searchAgainAt = new Map<Link, Millis>();
  readonly #nearRate = new RateMeter(0, RATE_WINDOW_MS);
  readonly #remoteRate = new RateMeter(0, RATE_WINDOW_MS);
  #remoteOwed = 0;
  /** When something was last asked of a remote peer, or came from one. */
  #remoteAt: Millis = -Infinity;
  /** When a piece last came from a neighbour. */
  #nearAt: Millis = -Infinity;
  /** Since when something is held back, and nothing comes. */
  #heldBackSince: Millis | undefined;
  /** Since when neighbours have had much to give, and have given little of it. */
  #slowSince: Millis | undefined;
  #offered = 0;
  #offerCountedAt: Millis = -Infinity;

  constructor(parts: GatewayParts, stallTimeoutMs: Millis) {
    this.#parts = parts;
    this.#stallTimeoutMs = stallTimeoutMs;
    this.#since = new Float64Array(parts.ledger.layout.pieceCount).fill(Infinity);
  }

  linkAdded({ proximity }: Link): void {
    this.#counts[proximity]!++;
  }

  linkRemoved(link: Link): void {
    this.#counts[link.proximity]!--;
    this.#gateways.delete(link.peerId);
    this.#searchAgainAt.delete(link);
  }

  /** Whether there are neighbours: members nearer than the peer. */
  isRemote({ proximity }: Link): boolean {
    if (proximity <= PROXIMITY_ALIKE_MAX) return false;
    for (let nearer = 0; nearer < proximity; nearer++) if (this.#counts[nearer]! > 0) return true;
    return false;
  }

  /** Whether any link may be remote: most agents have only peers that are alike. O(1). */
  get hasRemote(): boolean {
    return this.#hasLinksBeyond(PROXIMITY_ALIKE_MAX);
  }

  /** A member is about to fetch the piece, or fetching it. */
  claimed(link: Link, piece: PieceIndex, now: Millis): void {
    if (!this.#hasLinksBeyond(link.proximity)) return;
    for (const other of this.#parts.links.values()) {
      if (other.proximity <= link.proximity || !this.#canGive(other, piece)) continue;
      this.#gateways.set(link.peerId, now + this.#stallTimeoutMs);
      return;
    }
  }

  /** A piece has come from a peer. */
  received(link: Link, bytes: number, now: Millis): void {
    this.#heldBackSince = undefined;
    if (this.isRemote(link)) {
      this.#remoteAt = now;
      this.#remoteRate.add(bytes, now);
    } else {
      this.#nearAt = now;
      this.#nearRate.add(bytes, now);
    }
  }

  asked(link: Link, piece: PieceIndex): void {
    this.#remoteOwed++;
    this.#claims.set(piece, { piece, nearerThan: link.proximity, claimedAt: -Infinity });
  }

  /** A request of a remote peer has ended in any way. */
  ended(): void {
    this.#remoteOwed--;
    this.#searchAgainAt.clear();
  }

  /** The next piece to ask a remote peer for; `undefined` when there is none now. */
  pick(link: Link, now: Millis): PieceIndex | undefined {
    if (now < this.searchAgainAt(link)) return undefined;
    if (this.#hasRoom(now)) {
      const piece = this.#find(link, now);
      if (piece !== undefined) return piece;
    } else this.#heldBackSince ??= now;
    this.#searchAgainAt.set(link, now + RECHECK_MS);
    return undefined;
  }

  /** When it is worth looking again for something to ask the peer for. */
  searchAgainAt(link: Link): Millis {
    return this.#searchAgainAt.get(link) ?? 0;
  }

  /** Claims to announce to neighbours, each again and again until they know of the piece. */
  takeClaimsDue(isTold: (piece: PieceIndex) => boolean, now: Millis): readonly NeighbourClaim[] {
    const due: NeighbourClaim[] = [];
    const { picker } = this.#parts.ledger;
    for (const claim of this.#claims.values()) {
      const { piece } = claim;
      if (now < this.#claimDueAt(claim)) continue;
      if (isFree(picker, piece) || (picker.isHeld(piece) && isTold(piece))) {
        this.#claims.delete(piece);
        continue;
      }
      claim.claimedAt = now;
      due.push(claim);
    }
    return due;
  }

  /** When claims are due. */
  pollDeadline(): Millis {
    let deadline = Infinity;
    for (const claim of this.#claims.values()) {
      deadline = Math.min(deadline, this.#claimDueAt(claim));
    }
    return deadline;
  }

  #claimDueAt({ claimedAt }: NeighbourClaim): Millis {
    return Math.max(0, claimedAt + this.#stallTimeoutMs / 4);
  }

  #hasRoom(now: Millis): boolean {
    const { pieceLengthMax } = this.#parts.ledger.layout;
    const rate = this.#remoteRate.rateBytesPerSec(now);
    const room = DEPTH_MIN + Math.floor((rate * PIPELINE_MS) / 1_000 / pieceLengthMax);
    return this.#remoteOwed < room && (this.#isStarved(now) || this.#isGateway(now));
  }

  /**
   * Whether this agent is one of those that fetch from remote peers, or should become one. The crew
   * comes first, which is known to all and connected with each other; others step in for it.
   */
  #isGateway(now: Millis): boolean {
    const { swarm } = this.#parts;
    const others = [...this.#gateways.keys()].filter((id) => this.#gateways.get(id)! > now);
    const silenceMs = 2 * this.#stallTimeoutMs;
    const isOne = this.#remoteOwed > 0 || now - this.#remoteAt < silenceMs;
    if (swarm.isInCrew(now)) return isOne || others.length < GATEWAYS_MAX;
    if (isOne && others.length < GATEWAYS_MAX) return !others.some((id) => swarm.isOfCrew(id, now));
    if (others.length > 0) return false;
    const waitedMs = now - Math.max(this.#heldBackSince ?? now, this.#nearAt);
    // One of them begins, and the others hear of it.
    return waitedMs >= silenceMs && waitedMs >= silenceMs + this.#waitMs(Infinity, 0);
  }

  #isStarved(now: Millis): boolean {
    return this.#heldBackSince !== undefined && now - this.#heldBackSince > PATIENCE_MS;
  }

  #find(link: Link, now: Millis): PieceIndex | undefined {
    const { swarm, ledger } = this.#parts;
    let isHeldBack = false;
    for (const { first, end } of swarm.byWeight) {
      for (let piece = first; piece < end; piece++) {
        if (!isFree(ledger.picker, piece) || !this.#canGive(link, piece)) continue;
        if (this.#mayAsk(link, piece, now)) return piece;
        isHeldBack = true;
      }
    }
    this.#heldBackSince = isHeldBack ? (this.#heldBackSince ?? now) : undefined;
    return undefined;
  }

  #mayAsk(link: Link, piece: PieceIndex, now: Millis): boolean {
    if (this.#since[piece] === Infinity) this.#since[piece] = now;
    if (this.#isStarved(now)) return true;
    for (const other of this.#parts.links.values()) {
      if (other.proximity >= link.proximity || !this.#canGive(other, piece)) continue;
      // Who has just stalled is not waited for.
      if (other.stalledUntil <= now) return this.#isFaster(link, now);
    }
    if (this.#parts.swarm.isClaimed(piece, now)) {
      this.#since[piece] = now;
      return false;
    }
    const waitedMs = now - this.#since[piece]!;
    if (waitedMs >= this.#stallTimeoutMs) return true;
    return waitedMs >= this.#waitMs(link.proximity, piece, now);
  }

  /** How long this agent leaves the piece to neighbours that come before it; of the crew, if given. */
  #waitMs(nearerThan: number, piece: PieceIndex, crewAt?: Millis): Millis {
    const { links, swarm } = this.#parts;
    let rank = 0;
    for (const { peerId, proximity } of links.values()) {
      if (proximity >= nearerThan || !swarm.outranks(peerId, piece)) continue;
      if (crewAt === undefined || swarm.isOfCrew(peerId, crewAt)) rank++;
    }
    return (Math.min(rank, RANKS) * this.#stallTimeoutMs) / RANKS;
  }

  /** Whether the remote peer should give what neighbours have: they are slow, and it is not. */
  #isFaster(link: Link, now: Millis): boolean {
    if (!this.#areNeighboursSlow(now)) return false;
    const rate = this.#nearRate.rateBytesPerSec(now);
    if (link.msPerByte === 0) return link.outstanding === 0 && rate < RATE_MODEST_BYTES_PER_SEC;
    return 1_000 / link.msPerByte > REMOTE_ADVANTAGE * rate;
  }

  /** Whether neighbours have long had more to give than they will soon have given. */
  #areNeighboursSlow(now: Millis): boolean {
    this.#countOffer(now);
    return this.#slowSince !== undefined && now - this.#slowSince > this.#stallTimeoutMs;
  }

  /**
   * What is missing here and not left to neighbours: where some of them are of the crew and this
   * agent is not, what only remote peers have. `undefined`: nothing is left to anybody.
   */
  offeredBytes(now: Millis): number | undefined {
    const { swarm, links } = this.#parts;
    if (swarm.isInCrew(now)) return undefined;
    const isLeft = links.values().some((link) => {
      return link.proximity <= PROXIMITY_ALIKE_MAX && swarm.isOfCrew(link.peerId, now);
    });
    if (!isLeft) return undefined;
    this.#countOffer(now);
    return this.#offered;
  }

  #countOffer(now: Millis): void {
    if (now < this.#offerCountedAt + OFFER_INTERVAL_MS) return;
    this.#offerCountedAt = now;
    this.#offered = this.#nearBytes();
    const rate = this.#nearRate.rateBytesPerSec(now);
    const isSlow = this.#offered * 1_000 > rate * NEARLY_DONE_MS;
    this.#slowSince = isSlow ? (this.#slowSince ?? now) : undefined;
  }

  /** What is missing here, and some peer has that is not remote. */
  #nearBytes(): number {
    const { picker, layout } = this.#parts.ledger;
    const near = [...this.#parts.links.values()].filter((link) => !this.isRemote(link));
    let bytes = 0;
    for (let piece = 0; piece < layout.pieceCount; piece++) {
      if (picker.isHeld(piece)) continue;
      if (near.some(({ slot }) => picker.has(slot, piece))) bytes += layout.length(piece);
    }
    return bytes;
  }

  #hasLinksBeyond(proximity: Proximity): boolean {
    for (let far = proximity + 1; far < this.#counts.length; far++) {
      if (this.#counts[far]! > 0) return true;
    }
    return false;
  }

  #canGive({ slot }: Link, piece: PieceIndex): boolean {
    return this.#parts.ledger.picker.has(slot, piece);
  }
}
