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
  readonly #interested = new Set<PeerId>();
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
    for (const peerId of this.#interested) if (!this.#isSeed(peerId)) return true;
    return false;
  }

  /** The peer takes part; it has been told all we hold up to now. */
  add(peerId: PeerId): void {
    this.#interested.add(peerId);
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
    const toTell = new Map<PeerId, PieceIndex[]>();
    for (const piece of pieces) {
      for (const peerId of this.#chooseFirst(piece, members, announceFirstMax)) {
        const list = toTell.get(peerId);
        if (list === undefined) toTell.set(peerId, [piece]);
        else list.push(piece);
      }
      this.#untold.push(piece);
    }
    for (const [peerId, list] of toTell) this.#tell([peerId], list);
    this.#deadline = Math.min(this.#deadline, now + announceDelayMs);
  }

  /** Runs that are being fetched from the origin. */
  claim(claims: readonly Claim[], to: readonly PeerId[] = this.#wanting()): void {
    const { contentId, mayServe } = this.#options;
    if (contentId === undefined || to.length === 0 || !mayServe()) return;
    for (const { first: firstPiece, count: pieceCount } of claims) {
      this.#deps.counters.add("shoal_claims_sent_total");
      const run = { contentId, firstPiece, pieceCount };
      this.#deps.outbox.swarm({ type: "sendClaim", peerIds: to, ...run });
    }
  }

  /** What is being fetched from far away, for members that are nearer, until they know of it. */
  claimRemote(now: Millis): void {
    const { ledger, peers } = this.#parts;
    if (peers === undefined) return;
    const isTold = (piece: PieceIndex): boolean =>
      ledger.committed.has(piece) && !this.#untold.includes(piece);
    for (const { piece, nearerThan } of peers.gateway.takeClaimsDue(isTold, now)) {
      const isNearer = (peerId: PeerId): boolean =>
        (peers.links.get(peerId)?.proximity ?? nearerThan) < nearerThan;
      this.claim([{ first: piece, count: 1 }], this.#wanting().filter(isNearer));
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

  #tell(peerIds: readonly PeerId[], pieces: readonly PieceIndex[]): void {
    const { contentId, mayServe } = this.#options;
    if (contentId === undefined || !mayServe()) return;
    this.#deps.outbox.swarm({ type: "sendHave", peerIds, contentId, pieces });
  }

  /** Members that lack something. */
  #wanting(): PeerId[] {
    const wanting: PeerId[] = [];
    for (const peerId of this.#interested) if (!this.#isSeed(peerId)) wanting.push(peerId);
    return wanting;
  }

  #isSeed(peerId: PeerId): boolean {
    const { ledger, peers } = this.#parts;
    const link = peers?.links.get(peerId);
    return link !== undefined && ledger.picker.sourceCount(link.slot) === ledger.layout.pieceCount;
  }

  /**
   * Up to `count` members that lack the piece, and one more that is remote; as many of those where no
   * other lacks it. `members` is left in another order.
   */
  #chooseFirst(piece: PieceIndex, members: PeerId[], count: number): readonly PeerId[] {
    const chosen: PeerId[] = [];
    const remote: PeerId[] = [];
    const hasRemote = this.#parts.peers?.gateway.hasRemote === true;
    const remoteMin =
      hasRemote && members.some((peerId) => this.#isRemote(peerId)) ? REMOTE_FIRST : 0;
    for (let i = 0; i < members.length; i++) {
      if (chosen.length >= count && remote.length >= remoteMin) break;
      const at = i + this.#deps.random.below(members.length - i);
      const peerId = members[at]!;
      members[at] = members[i]!;
      members[i] = peerId;
      if (this.#holds(peerId, piece)) continue;
      if (hasRemote && this.#isRemote(peerId)) remote.push(peerId);
      else if (chosen.length < count) chosen.push(peerId);
    }
    return [...chosen, ...remote.slice(0, chosen.length > 0 ? REMOTE_FIRST : count)];
  }

  #isRemote(peerId: PeerId): boolean {
    const { peers } = this.#parts;
    const link = peers?.links.get(peerId);
    return peers !== undefined && link !== undefined && peers.gateway.isRemote(link);
  }

  #holds(peerId: PeerId, piece: PieceIndex): boolean {
    const link = this.#parts.peers?.links.get(peerId);
    return link !== undefined && this.#parts.ledger.picker.has(link.slot, piece);
  }
}
