/**
 * What this agent tells the members of one content of its own accord: the pieces it has got, and
 * the runs it is fetching from the origin.
 *
 * A piece is announced at once to a few members, chosen at random among those that lack it, and to
 * the rest a little later, many pieces at a time. Whoever gets it first passes it on, so it spreads as
 * a tree of which everybody is now an inner node and now a leaf: uploads are shared evenly, and few
 * messages are about pieces that the hearer has (swarm-algorithms digest, section 2). Members that
 * are remote (`Gateway`) come after all that are not.
 *
 * Knows members and pieces. Called by `Fetcher`.
 */
import type { Random } from "../random.ts";
import type { Counters } from "../registry/counters.ts";
import type { Settings } from "../registry/settings.ts";
import type { ContentId, Millis, PeerId, PieceIndex } from "../units.ts";
import type { Outbox } from "./outbox.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { Link } from "./peer-table.ts";
import type { PieceLedger } from "./piece-ledger.ts";
import type { Claim } from "./run-table.ts";

export interface AnnouncerDeps {
  readonly outbox: Outbox;
  readonly random: Random;
  readonly settings: Settings;
  readonly counters: Counters;
}

export interface AnnouncerParts {
  readonly ledger: PieceLedger;
  readonly peers: PeerRequests | undefined;
}

export interface AnnouncerOptions {
  readonly contentId: ContentId | undefined;
  /** Whether peers may have the content from us now. */
  readonly mayServe: () => boolean;
}

/** So few are told at once with the first. */
const REST_MIN = 2;

/** Remote members among those told at once: others where they are hear of the piece from them. */
const REMOTE_FIRST = 1;

export class Announcer {
  readonly #deps: AnnouncerDeps;
  readonly #parts: AnnouncerParts;
  readonly #options: AnnouncerOptions;
  readonly #interested = new Map<PeerId, Link>();
  /** Pieces that not everybody has been told of, the oldest first. */
  #untold: PieceIndex[] = [];
  #deadline: Millis = Infinity;

  constructor(deps: AnnouncerDeps, parts: AnnouncerParts, options: AnnouncerOptions) {
    this.#deps = deps;
    this.#parts = parts;
    this.#options = options;
  }

  /** Whether anybody wants to know: those that hold everything do not. */
  get isHeard(): boolean {
    for (const link of this.#interested.values()) if (!this.#isSeed(link)) return true;
    return false;
  }

  /** The peer takes part; it has been told all we hold up to now. */
  add(link: Link): void {
    this.#interested.set(link.peerId, link);
  }

  remove(peerId: PeerId): void {
    this.#interested.delete(peerId);
  }

  /** These pieces are here from now on. */
  committed(pieces: readonly PieceIndex[], now: Millis): void {
    const members = this.#wanting();
    if (members.length === 0 || pieces.length === 0 || !this.#options.mayServe()) return;
    const { announceFirstMax, announceDelayMs } = this.#deps.settings;
    if (members.length < announceFirstMax + REST_MIN) return this.#tell(members, pieces);
    const toTell = new Map<Link, PieceIndex[]>();
    for (const piece of pieces) {
      for (const link of this.#chooseFirst(piece, members, announceFirstMax)) {
        const list = toTell.get(link);
        if (list === undefined) toTell.set(link, [piece]);
        else list.push(piece);
      }
      this.#untold.push(piece);
    }
    for (const [link, list] of toTell) this.#tell([link], list);
    this.#deadline = Math.min(this.#deadline, now + announceDelayMs);
  }

  /** Runs that are being fetched from the origin. */
  claim(claims: readonly Claim[], to: readonly Link[] = this.#wanting()): void {
    const { contentId, mayServe } = this.#options;
    if (contentId === undefined || to.length === 0 || !mayServe()) return;
    const peerIds = idsOf(to);
    for (const { first: firstPiece, count: pieceCount } of claims) {
      this.#deps.counters.add("shoal_claims_sent_total");
      const run = { contentId, firstPiece, pieceCount };
      this.#deps.outbox.swarm({ type: "sendClaim", peerIds, ...run });
    }
  }

  /** What is being fetched from far away, for members that are nearer, until they know of it. */
  claimRemote(now: Millis): void {
    const { ledger, peers } = this.#parts;
    if (peers === undefined) return;
    const isTold = (piece: PieceIndex): boolean =>
      ledger.committed.has(piece) && !this.#untold.includes(piece);
    for (const { piece, nearerThan } of peers.gateway.takeClaimsDue(isTold, now)) {
      const near = this.#wanting().filter(({ proximity }) => proximity < nearerThan);
      this.claim([{ first: piece, count: 1 }], near);
    }
  }

  pollDeadline(): Millis {
    return this.#deadline;
  }

  /** Tells everybody what is due; whoever knows it already has lost nothing. */
  handleTimeout(now: Millis): void {
    if (now >= this.#deadline) this.flush();
  }

  /** Tells everybody what few have been told. */
  flush(): void {
    this.#deadline = Infinity;
    const members = this.#wanting();
    if (members.length > 0 && this.#untold.length > 0) this.#tell(members, this.#untold);
    this.#untold = [];
  }

  #tell(to: readonly Link[], pieces: readonly PieceIndex[]): void {
    const { contentId, mayServe } = this.#options;
    if (contentId === undefined || !mayServe()) return;
    this.#deps.outbox.swarm({ type: "sendHave", peerIds: idsOf(to), contentId, pieces });
  }

  /** Members that lack something. */
  #wanting(): Link[] {
    const wanting: Link[] = [];
    for (const link of this.#interested.values()) if (!this.#isSeed(link)) wanting.push(link);
    return wanting;
  }

  #isSeed({ slot }: Link): boolean {
    const { picker, layout } = this.#parts.ledger;
    return picker.hasSource(slot) && picker.sourceCount(slot) === layout.pieceCount;
  }

  /**
   * Up to `count` members that lack the piece, and one more that is remote; as many of those where no
   * other lacks it. `members` is left in another order.
   */
  #chooseFirst(piece: PieceIndex, members: Link[], count: number): readonly Link[] {
    const chosen: Link[] = [];
    const remote: Link[] = [];
    const { peers, ledger } = this.#parts;
    const gateway = peers?.gateway.hasRemote === true ? peers.gateway : undefined;
    const remoteMin = members.some((link) => gateway?.isRemote(link)) ? REMOTE_FIRST : 0;
    for (let i = 0; i < members.length; i++) {
      if (chosen.length >= count && remote.length >= remoteMin) break;
      const at = i + this.#deps.random.below(members.length - i);
      const link = members[at]!;
      members[at] = members[i]!;
      members[i] = link;
      if (ledger.picker.hasSource(link.slot) && ledger.picker.has(link.slot, piece)) continue;
      if (gateway?.isRemote(link) === true) remote.push(link);
      else if (chosen.length < count) chosen.push(link);
    }
    return [...chosen, ...remote.slice(0, chosen.length > 0 ? REMOTE_FIRST : count)];
  }
}

function idsOf(links: readonly Link[]): PeerId[] {
  return links.map(({ peerId }) => peerId);
}
