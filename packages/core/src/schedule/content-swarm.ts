/**
 * Who takes part in one content, what they hold, and who fetches which run from the origin.
 *
 * Ownership makes simultaneous cold starts fetch about one copy (swarm-algorithms digest, section
 * 6): the content is cut into extents, and the owner of an extent is the member of the crew
 * (`origin-crew.ts`) with the highest hash of (member, extent). A member that has been silent for
 * the stall timeout is left out, so its extents fall to the next in rank without anyone deciding it.
 * Claims, announced before a run's first byte, hold others back for as long as they are repeated.
 *
 * Members are near, when connected, or far, when only their presence has been heard. What far ones
 * fetch reaches us over near ones, so without a near one nobody else's share counts.
 *
 * Knows members, extents and times. Does not choose pieces or send anything. Called by `Fetcher`.
 */
import type { PieceLayout } from "../content/layout.ts";
import type { PresenceRole } from "../ports/swarm-port.ts";
import { hashText32, mix32 } from "../random.ts";
import type { ContentId, Millis, PeerId, PieceIndex } from "../units.ts";
import { ClaimTable } from "./claim-table.ts";
import type { Claimer } from "./claim-table.ts";
import { chooseCrew, CREW_SIZE, crewRank, crewSeed } from "./origin-crew.ts";

interface Member extends Claimer {
  readonly peerId: PeerId;
  readonly hash: number;
  readonly rank: number;
  /** When the member last joined, claimed, announced, delivered or published its presence. */
  heardAt: Millis;
  isNear: boolean;
  /** Holds everything: needs nothing from the origin and owns nothing. */
  isSeed: boolean;
  /** It has delivered a verified piece. */
  isProved: boolean;
}

/** Whether this agent fetches an extent: not, by rank, or because those before it are silent. */
export const OWNERSHIP = { others: 0, own: 1, inherited: 2 } as const;

/** Far members that are remembered: only the highest in rank can ever be of the crew. */
const FAR_MEMBERS_MAX = 32;
/**
 * A member leaves the crew after this many times the stall timeout: its presence may be late, and
 * while it is connected the crew takes over what it owns sooner.
 */
const CREW_SILENCE_FACTOR = 4;
/** How long members that only say they fetch are not believed, at first and at most. */
const DISTRUST_MS_MIN = 60_000;
const DISTRUST_MS_MAX = 600_000;

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
  readonly #crewSeed: number;
  readonly #selfHash: number;
  readonly #selfRank: number;
  readonly #members = new Map<PeerId, Member>();
  readonly #stallTimeoutMs: Millis;
  readonly #claims: ClaimTable;
  readonly #extentOf: Uint32Array;
  readonly #extentCount: number;
  #nearCount = 0;
  #farCount = 0;
  /** Per extent, an `OWNERSHIP` value. Recomputed when the crew changes. */
  #owned: Uint8Array;
  #ownershipUntil: Millis = -Infinity;
  #crew: ReadonlySet<PeerId> = new Set();
  #isInCrew = true;
  #distrustUntil: Millis = -Infinity;
  #distrustMs: Millis = DISTRUST_MS_MIN;
  /** Whoever ranks lower changes nothing as long as the crew is heard of. */
  #crewFloor = 0;
  /** The crew the table was computed for, so that a mere check of silence stays cheap. */
  #crewKey = "";

  constructor(
    layout: PieceLayout,
    options: {
      readonly contentId: ContentId | undefined;
      readonly selfId: PeerId;
      readonly extentBytes: number;
      readonly stallTimeoutMs: Millis;
    },
  ) {
    this.#crewSeed = crewSeed(options.contentId ?? ("" as ContentId));
    this.#selfHash = hashText32(options.selfId);
    this.#selfRank = crewRank(this.#selfHash, this.#crewSeed);
    this.#stallTimeoutMs = options.stallTimeoutMs;
    this.#claims = new ClaimTable(layout.pieceCount, options.stallTimeoutMs);
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

  /** Connected members. */
  get memberCount(): number {
    return this.#nearCount;
  }

  /** Members that may fetch from the origin beside this agent. */
  fetchingMemberCount(now: Millis): number {
    if (this.#nearCount === 0) return 0;
    if (now >= this.#ownershipUntil) this.#recompute(now);
    return this.#crew.size;
  }

  /** Whether this agent is one of those that fetch from the origin. */
  isInCrew(now: Millis): boolean {
    if (this.#nearCount === 0) return true;
    if (now >= this.#ownershipUntil) this.#recompute(now);
    return this.#isInCrew;
  }

  /** Whether the member is one of those that fetch from the origin. */
  isOfCrew(peerId: PeerId, now: Millis): boolean {
    if (now >= this.#ownershipUntil) this.#recompute(now);
    return this.#crew.has(peerId);
  }

  has(peerId: PeerId): boolean {
    return this.#members.get(peerId)?.isNear === true;
  }

  /** Returns whether the member is new here, or heard of for the first time in long. */
  join(peerId: PeerId, now: Millis): boolean {
    const member = this.#members.get(peerId);
    if (member === undefined) {
      this.#add(peerId, true, now);
      return true;
    }
    const wasNear = member.isNear;
    if (!wasNear) {
      member.isNear = true;
      this.#farCount--;
      this.#nearCount++;
    }
    return this.#heard(member, now) || !wasNear;
  }

  /**
   * A member's presence; returns whether it is new here. `hash` is `hashText32` of the id, for those
   * who have it: presence comes from all of a large group again and again.
   */
  presence(peerId: PeerId, role: PresenceRole, now: Millis, hash = hashText32(peerId)): boolean {
    const member = this.#members.get(peerId);
    if (member?.isNear === true) {
      this.#heard(member, now);
      return false;
    }
    if (role !== "fetching") {
      if (member !== undefined) this.leave(peerId);
      return false;
    }
    if (member !== undefined) {
      this.#heard(member, now);
      return false;
    }
    if (crewRank(hash, this.#crewSeed) < this.#crewFloor) return false;
    this.#add(peerId, false, now);
    if (this.#farCount > FAR_MEMBERS_MAX) this.#dropLowest();
    return true;
  }

  leave(peerId: PeerId): void {
    const member = this.#members.get(peerId);
    if (member === undefined) return;
    this.#claims.drop(member);
    this.#members.delete(peerId);
    if (member.isNear) this.#nearCount--;
    else this.#farCount--;
    if (member.rank >= this.#crewFloor) this.#ownershipUntil = -Infinity;
  }

  setSeed(peerId: PeerId, isSeed: boolean): void {
    const member = this.#members.get(peerId);
    if (member === undefined || member.isSeed === isSeed) return;
    member.isSeed = isSeed;
    if (isSeed) this.#claims.drop(member);
    this.#ownershipUntil = -Infinity;
  }

  heard(peerId: PeerId, now: Millis): void {
    const member = this.#members.get(peerId);
    if (member !== undefined) this.#heard(member, now);
  }

  /** The member has delivered a verified piece. */
  proved(peerId: PeerId): void {
    const member = this.#members.get(peerId);
    if (member === undefined || member.isProved) return;
    member.isProved = true;
    if (this.#distrustUntil !== -Infinity) this.#ownershipUntil = -Infinity;
  }

  /**
   * Members only say that they fetch: for a while those that have delivered nothing own and claim
   * nothing (R-SCH-03). Identities are free, so it lasts longer each time.
   */
  distrust(now: Millis): void {
    this.#distrustUntil = now + this.#distrustMs;
    this.#distrustMs = Math.min(2 * this.#distrustMs, DISTRUST_MS_MAX);
    for (const member of this.#members.values()) if (!member.isProved) this.#claims.drop(member);
    this.#ownershipUntil = -Infinity;
  }

  /** A member is about to fetch, or still fetching, a run. Ranges outside the content are cut. */
  claim(peerId: PeerId, first: PieceIndex, count: number, now: Millis): void {
    const member = this.#members.get(peerId);
    if (member === undefined) return;
    this.#heard(member, now);
    if (!this.#isTrusted(member, now)) return;
    const endsAt = this.#claims.add(member, first, count, now);
    this.#ownershipUntil = Math.min(this.#ownershipUntil, endsAt);
  }

  /** The member, just heard of, announced `pieces`: claims whose last ones they were are over. */
  delivered(peerId: PeerId, pieces: readonly PieceIndex[]): void {
    const member = this.#members.get(peerId);
    if (member === undefined || member.claims.length === 0) return;
    for (const piece of pieces) this.#claims.delivered(member, piece);
  }

  /** Whether a member that is heard of says it is fetching the piece. */
  isClaimed(piece: PieceIndex, now: Millis): boolean {
    if (now >= this.#ownershipUntil) this.#recompute(now);
    return this.#claims.isClaimed(piece);
  }

  /** Whether some member that is heard of says it is fetching anything at all. */
  hasClaims(now: Millis): boolean {
    for (const member of this.#members.values()) {
      if (member.claims.some(({ expiresAt }) => expiresAt > now)) return true;
    }
    return false;
  }

  /** Whether this agent is the one to fetch the piece from the origin: an `OWNERSHIP` value. */
  ownership(piece: PieceIndex, now: Millis): number {
    if (now >= this.#ownershipUntil) this.#recompute(now);
    return this.#owned[this.#extentOf[piece]!]!;
  }

  /** Whether the member comes before this agent as the owner of the piece. */
  outranks(peerId: PeerId, piece: PieceIndex): boolean {
    const extent = this.#extentOf[piece]!;
    const rival = weightOf(this.#members.get(peerId)?.hash ?? 0, extent);
    return this.#members.has(peerId) && rival > weightOf(this.#selfHash, extent);
  }

  /**
   * The extent with which to begin as long as nobody has spoken: the strongest of this agent that
   * none of those in sight would begin with, if they take part and have the same in sight.
   */
  firstExtent(inSight: Iterable<PeerId>): Extent | undefined {
    const hashes = Array.from(inSight, hashText32);
    const isOwn = ({ weight }: Extent, extent: number): boolean =>
      hashes.every((hash) => weightOf(hash, extent) < weight);
    return (
      this.byWeight.find((extent) => isOwn(extent, this.#extentOf[extent.first]!)) ??
      this.byWeight[0]
    );
  }

  /** The next instant at which silence may change owners or end claims. */
  pollDeadline(): Millis {
    return this.#nearCount === 0 ? Infinity : Math.max(0, this.#ownershipUntil);
  }

  #add(peerId: PeerId, isNear: boolean, now: Millis): void {
    const hash = hashText32(peerId);
    const rank = crewRank(hash, this.#crewSeed);
    const fresh = { isSeed: false, isProved: false, claims: [] };
    const member = { peerId, hash, rank, heardAt: now, isNear, ...fresh };
    this.#members.set(peerId, member);
    if (isNear) this.#nearCount++;
    else this.#farCount++;
    if (rank >= this.#crewFloor) this.#ownershipUntil = -Infinity;
  }

  #dropLowest(): void {
    let lowest: Member | undefined;
    for (const member of this.#members.values()) {
      if (!member.isNear && member.rank < (lowest?.rank ?? Infinity)) lowest = member;
    }
    if (lowest !== undefined) this.leave(lowest.peerId);
  }

  /** When what the member owns falls to others: of one that is far only with its place. */
  #silentAt({ heardAt, isNear }: Member): Millis {
    return heardAt + this.#stallTimeoutMs * (isNear ? 1 : CREW_SILENCE_FACTOR);
  }

  /** Returns whether the member had been silent. */
  #heard(member: Member, now: Millis): boolean {
    const wasSilent = now > this.#silentAt(member);
    if (wasSilent && member.rank >= this.#crewFloor) this.#ownershipUntil = -Infinity;
    member.heardAt = now;
    return wasSilent;
  }

  #isTrusted({ isNear, isProved }: Member, now: Millis): boolean {
    return now >= this.#distrustUntil || (isNear && isProved);
  }

  /** Finds the crew among the members that are heard of, and when silence may change it. */
  #recompute(now: Millis): void {
    const candidates: Member[] = [];
    let until = now + this.#stallTimeoutMs;
    const crewSince = now - this.#stallTimeoutMs * CREW_SILENCE_FACTOR;
    for (const member of this.#members.values()) {
      until = Math.min(until, this.#claims.expire(member, now));
      if (member.isSeed || !this.#isTrusted(member, now)) continue;
      if (member.heardAt > crewSince) candidates.push(member);
    }
    const { others, isSelfIn } = chooseCrew(candidates, this.#selfRank);
    const active = others.filter((member) => this.#silentAt(member) > now);
    const gone = others.filter((member) => this.#silentAt(member) <= now);
    for (const member of active) until = Math.min(until, this.#silentAt(member));
    if (this.#distrustUntil > now) until = Math.min(until, this.#distrustUntil);
    this.#ownershipUntil = Math.max(until, now + 1);
    const isFull = others.length + (isSelfIn ? 1 : 0) === CREW_SIZE;
    const lowest = Math.min(
      ...others.map(({ rank }) => rank),
      isSelfIn ? this.#selfRank : Infinity,
    );
    this.#crewFloor = isFull ? lowest : 0;
    const key = `${keyOf(active)};${keyOf(gone)};${String(isSelfIn)}`;
    if (key === this.#crewKey) return;
    this.#crewKey = key;
    this.#crew = new Set(others.map(({ peerId }) => peerId));
    this.#isInCrew = isSelfIn;
    if (!isSelfIn) this.#owned.fill(OWNERSHIP.others);
    else {
      for (let extent = 0; extent < this.#extentCount; extent++) {
        this.#owned[extent] = this.#ownershipOf(extent, active, gone);
      }
    }
  }

  #ownershipOf(extent: number, crew: readonly Member[], gone: readonly Member[]): number {
    const own = weightOf(this.#selfHash, extent);
    for (const { hash } of crew) if (weightOf(hash, extent) > own) return OWNERSHIP.others;
    for (const { hash } of gone) if (weightOf(hash, extent) > own) return OWNERSHIP.inherited;
    return OWNERSHIP.own;
  }
}

function keyOf(members: readonly Member[]): string {
  return members.map(({ hash }) => hash).join();
}

function weightOf(memberHash: number, extent: number): number {
  return mix32(memberHash ^ mix32(extent)) >>> 0;
}
