/**
 * What becomes of connections, told to all who keep something for connected peers, in the order in
 * which they depend on each other. Called by the scheduler.
 */
import type { Millis, PeerId } from "../units.ts";
import type { JobTable } from "./job-table.ts";
import type { Membership } from "./membership.ts";
import type { PeerTable } from "./peer-table.ts";
import type { LinkEvent } from "./stage.ts";
import type { TransferTable } from "./transfer-table.ts";
import type { UploadQueue } from "./upload-queue.ts";

export interface LinkEventsDeps {
  readonly peers: PeerTable;
  readonly uploads: UploadQueue;
  readonly membership: Membership;
  readonly transfers: TransferTable;
  readonly jobs: JobTable;
  readonly selfId: PeerId;
}

export class LinkEvents {
  readonly #deps: LinkEventsDeps;

  constructor(deps: LinkEventsDeps) {
    this.#deps = deps;
  }

  handle(event: LinkEvent, now: Millis): void {
    const { peers, uploads, membership, transfers, jobs, selfId } = this.#deps;
    switch (event.type) {
      case "peerDiscovered":
        if (event.peerId !== selfId) peers.discovered(event, now);
        break;
      case "peerConnected":
        const link = peers.connected(event, now);
        if (link === undefined) break;
        uploads.connected(link);
        membership.connected(link);
        transfers.handleTimeout(now);
        jobs.peerConnected(now);
        break;
      case "dialFailed":
        peers.dialFailed(event, now);
        transfers.handleTimeout(now);
        break;
      case "peerDisconnected":
        uploads.disconnected(event.peerId, now);
        membership.disconnected(event.peerId);
        peers.disconnected(event.peerId, event.reason, now);
        for (const transfer of transfers.all()) transfer.peerGone(event.peerId, now);
        break;
      case "peerOffended":
        peers.offended(event.peerId, event.offence, now);
    }
  }
}
