/**
 * Who takes part in one content, what they hold, and who fetches which run from the origin.
 *
 * Ownership makes simultaneous cold starts fetch about one copy (swarm-algorithms digest, section
 * 6): the content is cut into extents, and the owner of an extent is the member with the highest
 * hash of (member, extent) among those that are heard of. A member that has been silent for the
 * stall timeout is left out, so its extents fall to the next in rank without anyone deciding it.
 * Claims, announced before a run's first byte, hold others back for as long as the claimer is heard.
 *
 * Knows members, extents and times. Does not choose pieces or send anything. Called by `Fetcher`.
 */
import type { PieceLayout } from "../content/layout.ts";
import { hashText32, mix32 } from "../random.ts";
import type { Millis, PeerId, PieceIndex } from "../units.ts";

interface Member {
  readonly peerId: PeerId;
  readonly hash: number;
  /** When the member last joined, claimed, announced or delivered. */
  heardAt: Millis;
  /** Holds everything: needs nothing from the origin and owns nothing. */
  isSeed: boolean;
  /** The runs the member is fetching from the origin now. */
  claims: Array<{ readonly first: PieceIndex; readonly count: number }>;
}

/** Whether this agent fetches an extent: not, by rank, or because those before it are silent. */
export const OWNERSHIP = { others: 0, own: 1, inherited: 2 } as const;

/** Runs that one member may claim at a time; more replace the oldest. */
const CLAIMS_PER_MEMBER_MAX = 16;
/** Pieces that one claim covers; each costs us a step, and honest runs have fewer. */
const CLAIM_PIECES_MAX = 4_096;

export interface Extent {
  readonly first: PieceIndex;
  /** One past the last piece. */
  readonly end: PieceIndex;
  /** How strongly this agent claims to own it; the owner's is the greatest of all. */
  readonly weight: number;
}

export class ContentSwarm {
  /**
   * All extents, the strongest first. Whoever sees only a part of a swarm takes itself for the
   * owner of some extents whose owner it cannot see. Those are weak ones: fetched last, they have
   * mostly come from the swarm before their turn.
   */
  readonly byWeight: readonly Extent[];
  readonly #selfHash: number;
  readonly #members = new Map<PeerId, Member>();
  readonly #stallTimeoutMs: Millis;
  /** Per piece: how many members claim it. */
  readonly #claimed: Uint16Array;
  readonly #extentOf: Uint32Array;
  readonly #extentCount: number;
  /** Per extent, an `OWNERSHIP` value. Recomputed when the active members change. */
  #owned: Uint8Array;
  #ownershipUntil: Millis = -Infinity;
  /** The rivals the table was computed for, so that a mere check of silence stays cheap. */
  #rivalsKey = "";

  constructor(
    layout: PieceLayout,
    options: { selfId: PeerId; extentBytes: number; stallTimeoutMs: Millis },
  ) {
    this.#selfHash = hashText32(options.selfId);
    this.#stallTimeoutMs = options.stallTimeoutMs;
    this.#claimed = new Uint16Array(layout.pieceCount);
    this.#extentOf = new Uint32Array(layout.pieceCount);
    const extents: Extent[] = [];
    let first: PieceIndex = 0;
    while (first < layout.pieceCount) {
      const end = first + layout.piecesWithin(first, options.extentBytes);
      this.#extentOf.fill(extents.length, first, end);
      extents.push({ first, end, weight: weightOf(this.#selfHash, extents.length) });
      first = end;
    }
    this.#extentCount = extents.length;
    this.byWeight = extents.toSorted((a, b) => b.weight - a.weight);
    this.#owned = new Uint8Array(this.#extentCount).fill(OWNERSHIP.own);
  }

  /** Members other than this agent. */
  get memberCount(): number {
    return this.#members.size;
  }

  /** Members that may fetch from the origin beside this agent. */
  get fetchingMemberCount(): number {
    let count = 0;
    for (const member of this.#members.values()) if (!member.isSeed) count++;
    return count;
  }

  has(peerId: PeerId): boolean {
    return this.#members.has(peerId);
  }

  join(peerId: PeerId, now: Millis): void {
    const member = this.#members.get(peerId);
    if (member !== undefined) {
      this.#heard(member, now);
      return;
    }
    const hash = hashText32(peerId);
    this.#members.set(peerId, { peerId, hash, heardAt: now, isSeed: false, claims: [] });
    this.#ownershipUntil = -Infinity;
  }

  leave(peerId: PeerId): void {
    const member = this.#members.get(peerId);
    if (member === undefined) return;
    this.#dropClaims(member);
    this.#members.delete(peerId);
    this.#ownershipUntil = -Infinity;
  }

  setSeed(peerId: PeerId, isSeed: boolean): void {
    const member = this.#members.get(peerId);
    if (member === undefined || member.isSeed === isSeed) return;
    member.isSeed = isSeed;
    if (isSeed) this.#dropClaims(member);
    this.#ownershipUntil = -Infinity;
  }

  heard(peerId: PeerId, now: Millis): void {
    const member = this.#members.get(peerId);
    if (member !== undefined) this.#heard(member, now);
  }

  /** A member is about to fetch, or still fetching, a run. Ranges outside the content are cut. */
  claim(peerId: PeerId, first: PieceIndex, count: number, now: Millis): void {
    const member = this.#members.get(peerId);
    if (member === undefined || first >= this.#claimed.length) return;
    this.#heard(member, now);
    const end = Math.min(first + Math.min(count, CLAIM_PIECES_MAX), this.#claimed.length);
    if (member.claims.some((claim) => claim.first === first)) return;
    if (member.claims.length >= CLAIMS_PER_MEMBER_MAX) this.#unclaim(member.claims.shift());
    const claim = { first, count: end - first };
    member.claims.push(claim);
    for (let piece = first; piece < end; piece++) this.#claimed[piece]!++;
  }

  /** The member announced `piece`: a claim whose last piece it was is over. */
  delivered(peerId: PeerId, piece: PieceIndex, now: Millis): void {
    const member = this.#members.get(peerId);
    if (member === undefined) return;
    this.#heard(member, now);
    const done = member.claims.findIndex((claim) => claim.first + claim.count - 1 === piece);
    if (done >= 0) this.#unclaim(member.claims.splice(done, 1)[0]);
  }

  /** Whether a member that is heard of says it is fetching the piece. */
  isClaimed(piece: PieceIndex, now: Millis): boolean {
    if (now >= this.#ownershipUntil) this.#recompute(now);
    return this.#claimed[piece]! > 0;
  }

  /** Whether some member that is heard of says it is fetching anything at all. */
  hasClaims(now: Millis): boolean {
    for (const { claims, heardAt } of this.#members.values()) {
      if (claims.length > 0 && now - heardAt <= this.#stallTimeoutMs) return true;
    }
    return false;
  }

  /** Whether this agent is the one to fetch the piece from the origin: an `OWNERSHIP` value. */
  ownership(piece: PieceIndex, now: Millis): number {
    if (now >= this.#ownershipUntil) this.#recompute(now);
    return this.#owned[this.#extentOf[piece]!]!;
  }

  /** The next instant at which silence may change owners or end claims. */
  pollDeadline(): Millis {
    return this.#members.size === 0 ? Infinity : Math.max(0, this.#ownershipUntil);
  }

  #heard(member: Member, now: Millis): void {
    if (now - member.heardAt > this.#stallTimeoutMs) this.#ownershipUntil = -Infinity;
    member.heardAt = now;
  }

  /** Finds the members that are heard of, and when silence may change that. */
  #recompute(now: Millis): void {
    const rivals: number[] = [];
    const silent: number[] = [];
    let until = now + this.#stallTimeoutMs;
    for (const member of this.#members.values()) {
      if (member.isSeed) continue;
      const silentAt = member.heardAt + this.#stallTimeoutMs;
      if (silentAt <= now) {
        this.#dropClaims(member);
        silent.push(member.hash);
      } else {
        until = Math.min(until, silentAt);
        rivals.push(member.hash);
      }
    }
    this.#ownershipUntil = Math.max(until, now + 1);
    const key = `${rivals.join()};${silent.join()}`;
    if (key === this.#rivalsKey) return;
    this.#rivalsKey = key;
    for (let extent = 0; extent < this.#extentCount; extent++) {
      this.#owned[extent] = this.#ownershipOf(extent, rivals, silent);
    }
  }

  #ownershipOf(extent: number, rivals: readonly number[], silent: readonly number[]): number {
    const own = weightOf(this.#selfHash, extent);
    for (const rival of rivals) if (weightOf(rival, extent) > own) return OWNERSHIP.others;
    for (const gone of silent) if (weightOf(gone, extent) > own) return OWNERSHIP.inherited;
    return OWNERSHIP.own;
  }

  #dropClaims(member: Member): void {
    for (const claim of member.claims) this.#unclaim(claim);
    member.claims = [];
  }

  #unclaim(claim: { first: PieceIndex; count: number } | undefined): void {
    if (claim === undefined) return;
    const end = claim.first + claim.count;
    for (let piece = claim.first; piece < end; piece++) this.#claimed[piece]!--;
  }
}

function weightOf(memberHash: number, extent: number): number {
  return mix32(memberHash ^ mix32(extent)) >>> 0;
}
