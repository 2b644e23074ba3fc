/**
 * Who takes part in which contents: what this agent has told connected peers, and what they have
 * told it. Each side says so once, so both are kept for transfers that begin later.
 *
 * Several transfers may be of one content, but peers know contents only: they hear of a content
 * when its first transfer wants peers, and again when the last is over. Knows contents and peers,
 * not pieces or jobs. Called by the scheduler.
 */
import type { PieceSet } from "../content/piece-set.ts";
import { LIMITS } from "../registry/limits.ts";
import type { ContentId, Millis, PeerId } from "../units.ts";
import type { Outbox } from "./outbox.ts";
import type { Link, PeerTable } from "./peer-table.ts";
import { Presence } from "./presence.ts";
import type { PresenceDeps, PresenceEvent } from "./presence.ts";
import type { TransferTable } from "./transfer-table.ts";
import type { Transfer } from "./transfer.ts";

export class Membership {
  readonly #outbox: Outbox;
  readonly #peers: PeerTable;
  readonly #transfers: TransferTable;
  /** Which connected peers said they take part in which contents, the latest last. */
  readonly #interests = new Map<PeerId, Set<ContentId>>();
  /** Connected peers and contents that they have left, as `leaverKey`; the latest last. */
  readonly #leavers = new Set<string>();
  /** Contents we have told connected peers about. */
  readonly #joined = new Set<ContentId>();
  readonly #presence: Presence;
  /** Contents that some transfer wants peers for; kept up to date by `settle`. */
  readonly #wanted = new Set<ContentId>();
  /** The transfers' `moves` that `settle` has last looked at; -1 to look at them again. */
  #settledMoves = -1;
  /** Transfers that have been told which peers take part in their content. */
  readonly #introduced = new WeakSet<Transfer>();

  constructor(deps: PresenceDeps, transfers: TransferTable) {
    this.#presence = new Presence(deps, transfers);
    this.#outbox = deps.outbox;
    this.#peers = deps.peers;
    this.#transfers = transfers;
  }

  connected(link: Link): void {
    const { peerId } = link;
    this.#interests.set(peerId, new Set());
    for (const contentId of this.#joined) {
      for (const { fetcher } of this.#transfers.of(contentId)) fetcher?.announceClaims(link);
      this.#outbox.swarm({ type: "sendJoin", peerId, contentId });
    }
  }

  /** How a connected peer stands to a content. */
  standingOf(peerId: PeerId, contentId: ContentId): "member" | "left" | "notMember" {
    if (this.#interests.get(peerId)?.has(contentId) === true) return "member";
    return this.#leavers.has(leaverKey(peerId, contentId)) ? "left" : "notMember";
  }

  /** Members of the group that have said that they take part in the content, connected or not. */
  heardCount(contentId: ContentId): number {
    return this.#presence.heardCount(contentId);
  }

  disconnected(peerId: PeerId): void {
    this.#interests.delete(peerId);
  }

  /** The peer takes part, and hears what we hold. Beyond the bound its oldest interest is dropped. */
  joined(peerId: PeerId, contentId: ContentId): void {
    const contents = this.#interests.get(peerId);
    if (contents === undefined) return;
    contents.delete(contentId);
    for (const oldest of contents) {
      if (contents.size < LIMITS.contentsPerPeerMax) break;
      contents.delete(oldest);
    }
    contents.add(contentId);
    this.#sendBitfield(contentId, peerId);
  }

  left(peerId: PeerId, contentId: ContentId): void {
    if (this.#interests.get(peerId)?.delete(contentId) !== true) return;
    this.#leavers.add(leaverKey(peerId, contentId));
    const [oldest] = this.#leavers;
    if (this.#leavers.size > LIMITS.leaversMax && oldest !== undefined) {
      this.#leavers.delete(oldest);
    }
  }

  /** What a member says to all of the group. Returns whether that changes what there is to do. */
  presenceHeard(event: PresenceEvent, now: Millis): boolean {
    return this.#presence.heard(event, now);
  }

  pollDeadline(): Millis {
    return this.#presence.pollDeadline();
  }

  handleTimeout(now: Millis): void {
    this.#presence.handleTimeout(now);
  }

  /** A transfer has pieces to give from now on: whoever asked before is told what. */
  beginServing(transfer: Transfer, now: Millis): void {
    const { contentId } = transfer;
    if (contentId === undefined) return;
    const before = this.#largestServed(contentId, transfer);
    // A bitfield replaces the one before it: a smaller one would take back what was announced.
    if (before !== undefined && before.size >= (transfer.served()?.size ?? 0)) return;
    this.#outbox.notice({ type: "contentServed", contentId, served: true });
    this.#presence.serves(contentId, now);
    for (const [peerId, contents] of this.#interests) {
      if (contents.has(contentId)) this.#sendBitfield(contentId, peerId);
    }
  }

  /** Says of a content that is there for peers alone that policy keeps it from them, if it does. */
  withhold({ contentId, jobId, terms }: Transfer): void {
    if (contentId === undefined || jobId !== undefined || terms.mayServe) return;
    this.#outbox.notice({ type: "contentServed", contentId, served: false });
  }

  /**
   * Policy has moved: who takes part in a content that was offered `before` and is not any more is
   * told that we hold nothing, and the other way round.
   */
  offersMoved(before: readonly ContentId[], now: Millis): void {
    this.#settledMoves = -1;
    const [old, current] = [new Set(before), new Set(this.#transfers.servedContents())];
    for (const contentId of new Set([...old, ...current])) {
      const served = current.has(contentId);
      if (served === old.has(contentId)) continue;
      this.#outbox.notice({ type: "contentServed", contentId, served });
      if (served) this.#presence.serves(contentId, now);
      else this.#presence.withheld(contentId);
      for (const [peerId, contents] of this.#interests) {
        if (!contents.has(contentId)) continue;
        if (served) this.#sendBitfield(contentId, peerId);
        else this.#takeBack(contentId, peerId);
      }
    }
  }

  /** After any change: introduces new transfers, joins and leaves contents. */
  settle(now: Millis): void {
    // What is wanted and served follows from the transfers' states, and those rarely change.
    const { moves } = this.#transfers;
    if (moves === this.#settledMoves) return;
    // A content that is not wanted any more has moved, unless policy has.
    const moved = this.#transfers.takeMoved();
    const mayLeave = this.#settledMoves < 0 ? this.#joined : moved;
    this.#settledMoves = moves;
    const wanted = this.#wanted;
    // Kept as it is where at most one is wanted, and it is the same as before: that is usual.
    if (wanted.size > 1) wanted.clear();
    let count = 0;
    for (const transfer of this.#transfers.working()) {
      const { contentId } = transfer;
      if (!transfer.wantsPeers || contentId === undefined) continue;
      if (count++ === 0 && !wanted.has(contentId)) wanted.clear();
      wanted.add(contentId);
      if (!this.#introduced.has(transfer)) this.#introduce(transfer, contentId, now);
    }
    if (count === 0 && wanted.size > 0) wanted.clear();
    for (const contentId of mayLeave) {
      // Complete contents stay joined, so that nobody takes a seed for one that has left.
      if (wanted.has(contentId) || this.#largestServed(contentId) !== undefined) continue;
      if (!this.#joined.delete(contentId)) continue;
      this.#presence.left(contentId);
      for (const peerId of this.#peers.links.keys()) {
        this.#outbox.swarm({ type: "sendLeave", peerId, contentId });
      }
    }
    this.#presence.settle(wanted, this.#isHeld, now);
    this.#peers.dialler.setWanted(wanted.size > 0, now);
  }

  /** What a listening transfer of the content was told, or else what peers say when asked anew. */
  #introduce(transfer: Transfer, contentId: ContentId, now: Millis): void {
    this.#introduced.add(transfer);
    for (const other of this.#transfers.of(contentId)) {
      if (other !== transfer && transfer.learnFrom(other, now)) return;
    }
    this.#joined.add(contentId);
    for (const [peerId, link] of this.#peers.links) {
      this.#outbox.swarm({ type: "sendJoin", peerId, contentId });
      if (this.#interests.get(peerId)?.has(contentId) !== true) continue;
      transfer.peerEvent({ type: "peerJoined", peerId, contentId }, link, now);
    }
  }

  /** An empty bitfield replaces the one before it. */
  #takeBack(contentId: ContentId, peerId: PeerId): void {
    const [transfer] = this.#transfers.of(contentId);
    const { pieceCount } = transfer?.committed ?? {};
    if (pieceCount === undefined) return;
    const bits = new Uint8Array(Math.ceil(pieceCount / 8));
    this.#outbox.swarm({ type: "sendBitfield", peerId, contentId, pieceCount, bits });
  }

  /** One for all transfers of the content: of the one that holds most. */
  #sendBitfield(contentId: ContentId, peerId: PeerId): void {
    const pieces = this.#largestServed(contentId);
    if (pieces === undefined || pieces.size === 0) return;
    const bits = pieces.toBytes();
    const { pieceCount } = pieces;
    this.#outbox.swarm({ type: "sendBitfield", peerId, contentId, pieceCount, bits });
  }

  readonly #isHeld = (id: ContentId): boolean => (this.#largestServed(id)?.size ?? 0) > 0;

  #largestServed(contentId: ContentId, except?: Transfer): PieceSet | undefined {
    let largest: PieceSet | undefined;
    for (const transfer of this.#transfers.of(contentId)) {
      const pieces = transfer === except ? undefined : transfer.served();
      if (pieces !== undefined && pieces.size >= (largest?.size ?? 0)) largest = pieces;
    }
    return largest;
  }
}

function leaverKey(peerId: PeerId, contentId: ContentId): string {
  return `${contentId} ${peerId}`;
}
