/**
 * What connected peers say, brought to whom it concerns: answers to the transfer that asked, words
 * about a content to all of its transfers. Called by the scheduler.
 */
import type { Millis } from "../units.ts";
import type { Membership } from "./membership.ts";
import type { Outbox } from "./outbox.ts";
import type { PeerTable } from "./peer-table.ts";
import type { PeerEvent } from "./stage.ts";
import type { TransferTable } from "./transfer-table.ts";

export interface PeerEventsDeps {
  readonly outbox: Outbox;
  readonly peers: PeerTable;
  readonly membership: Membership;
  readonly transfers: TransferTable;
}

export class PeerEvents {
  readonly #deps: PeerEventsDeps;

  constructor(deps: PeerEventsDeps) {
    this.#deps = deps;
  }

  /** False: nothing came of it, no output and no other deadline. */
  handle(event: PeerEvent, now: Millis): boolean {
    const { peers, transfers, membership, outbox } = this.#deps;
    const link = peers.links.get(event.peerId);
    if ("requestId" in event) {
      const owner = link && transfers.ownerOf(event.requestId);
      if (link !== undefined && owner !== undefined) owner.peerEvent(event, link, now);
      else if (event.type === "peerPiece") outbox.release(event.bufferId);
      return true;
    }
    if (link === undefined) return false;
    if (event.type === "peerJoined") membership.joined(event.peerId, event.contentId);
    if (event.type === "peerLeft") membership.left(event.peerId, event.contentId);
    let isMoved = event.type !== "peerHave";
    for (const transfer of transfers.of(event.contentId)) {
      if (!transfer.terms.mayPeer) continue;
      const outcome = transfer.peerEvent(event, link, now);
      if (outcome !== "idle") isMoved = true;
      if (outcome === "untrue") peers.lied(event.peerId, now);
    }
    return isMoved;
  }
}
