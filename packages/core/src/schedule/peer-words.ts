/**
 * What members say about the content that is being fetched: that they take part, what they hold,
 * what they have got since, and what they are about to fetch. All of it is kept where it is used:
 * their pieces in the picker, themselves in the swarm and among the peers that may be asked.
 *
 * Announcements are by far the most of all that is said, and most of them change nothing that can be
 * asked for: those are to cost little. Called by `Fetcher`.
 */
import { PieceSet } from "../content/piece-set.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Millis, PeerId } from "../units.ts";
import type { FetchParts } from "./fetcher-options.ts";
import type { Link, PeerTable } from "./peer-table.ts";
import type { Claim } from "./run-table.ts";
import type { PeerEvent, WordOutcome } from "./stage.ts";

export type PeerBitfield = Extract<PeerEvent, { type: "peerBitfield" }>;
type Have = Extract<PeerEvent, { type: "peerHave" }>;

export class PeerWords {
  readonly #peerTable: PeerTable;
  readonly #parts: Omit<FetchParts, "sources" | "pace">;
  readonly #pieceCount: number;
  /** When each peer last said all it holds; doing so costs us, so it is bounded (R-PEER-13). */
  readonly #bitfieldAt = new Map<PeerId, Millis>();

  constructor(deps: { readonly peers: PeerTable }, parts: Omit<FetchParts, "sources" | "pace">) {
    this.#peerTable = deps.peers;
    this.#parts = parts;
    this.#pieceCount = parts.ledger.layout.pieceCount;
  }

  /** The peer takes part. Returns whether that was not known, or it had been silent for long. */
  member(link: Link, now: Millis): boolean {
    const { swarm, peers, ledger } = this.#parts;
    const isNews = swarm.join(link.peerId, now);
    if (peers === undefined || ledger.picker.hasSource(link.slot)) return isNews;
    peers.addLink(link);
    ledger.picker.addSource(link.slot, new PieceSet(this.#pieceCount));
    return true;
  }

  /** False where it cannot be true of this content. */
  bitfield(link: Link, pieceCount: number, bits: Uint8Array, now: Millis): boolean {
    const have = pieceCount === this.#pieceCount ? PieceSet.fromBytes(pieceCount, bits) : undefined;
    if (have === undefined) return false;
    const sinceLast = now - (this.#bitfieldAt.get(link.peerId) ?? -Infinity);
    this.#bitfieldAt.set(link.peerId, now);
    if (sinceLast < LIMITS.haveMapIntervalMs) {
      this.#peerTable.offended(link.peerId, "requestFlood", now);
      return true;
    }
    this.member(link, now);
    const { ledger, swarm, origin } = this.#parts;
    ledger.picker.addSource(link.slot, have);
    swarm.setSeed(link.peerId, have.isFull);
    origin.memberHolds(link.peerId, (piece) => have.has(piece));
    return true;
  }

  /** `mayAsk`: the peer is asked for what it can give from now on. */
  have({ pieces }: Have, link: Link, now: Millis, mayAsk: boolean): WordOutcome {
    const { ledger, swarm, peers } = this.#parts;
    let isMoved = this.member(link, now);
    for (let i = 0; i < pieces.length; i++) {
      if (pieces[i]! >= this.#pieceCount) return "untrue";
      ledger.picker.sourceHas(link.slot, pieces[i]!);
    }
    swarm.delivered(link.peerId, pieces);
    if (ledger.picker.sourceCount(link.slot) === this.#pieceCount) {
      swarm.setSeed(link.peerId, true);
      isMoved = true;
    }
    if (mayAsk && peers?.fillFrom(link, now) === true) isMoved = true;
    return isMoved ? "moved" : "idle";
  }

  claimed(link: Link, claim: Claim, now: Millis): void {
    const { swarm, peers, origin } = this.#parts;
    this.member(link, now);
    swarm.claim(link.peerId, claim.first, claim.count, now);
    peers?.gateway.claimed(link, claim.first, now);
    origin.memberClaimed(link.peerId, claim, now);
  }

  /** The peer is gone or left the content. */
  gone(peerId: PeerId): void {
    const { ledger, swarm, peers } = this.#parts;
    const link = peers?.links.get(peerId);
    this.#bitfieldAt.delete(peerId);
    peers?.removeLink(peerId);
    if (link !== undefined) ledger.picker.removeSource(link.slot);
    if (swarm.has(peerId)) swarm.leave(peerId);
  }

  /** All that is known of what peers hold, as each would say it now. */
  *bitfields(): Generator<readonly [Link, PeerBitfield]> {
    const { contentId, peers, ledger } = this.#parts;
    if (contentId === undefined || peers === undefined) return;
    const common = { type: "peerBitfield", contentId, pieceCount: this.#pieceCount } as const;
    for (const link of peers.links.values()) {
      const bits = ledger.picker.haveMap(link.slot);
      yield [link, { ...common, peerId: link.peerId, bits }];
    }
  }
}
