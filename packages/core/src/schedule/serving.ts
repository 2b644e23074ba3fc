/**
 * What peers ask of us: finds the transfer that can answer, and counts what was sent. When it is
 * sent is `UploadQueue`'s. Called by the scheduler.
 */
import type { Pacer } from "../pace/pacer.ts";
import type { SwarmEvent } from "../ports/swarm-port.ts";
import type { Counters } from "../registry/counters.ts";
import type { ContentId, Millis, PieceIndex } from "../units.ts";
import type { Announcements } from "./announcements.ts";
import type { Outbox } from "./outbox.ts";
import type { PeerTable } from "./peer-table.ts";
import type { TransferTable } from "./transfer-table.ts";
import type { Transfer } from "./transfer.ts";
import type { UploadQueue } from "./upload-queue.ts";

export type ServingEvent = Extract<
  SwarmEvent,
  {
    type:
      | "pieceRequested"
      | "manifestRequested"
      | "announcementRequested"
      | "requestCancelled"
      | "uploadFinished";
  }
>;

export interface ServingDeps {
  readonly outbox: Outbox;
  readonly counters: Counters;
  readonly uploads: UploadQueue;
  readonly transfers: TransferTable;
  readonly peers: PeerTable;
  readonly pacer: Pick<Pacer, "sent">;
  readonly publishers: { readonly announcements: Announcements };
}

export class Serving {
  readonly #outbox: Outbox;
  readonly #counters: Counters;
  readonly #uploads: UploadQueue;
  readonly #transfers: TransferTable;
  readonly #peers: PeerTable;
  readonly #pacer: ServingDeps["pacer"];
  readonly #announcements: Announcements;

  constructor(deps: ServingDeps) {
    const { outbox, counters, uploads, transfers, peers, pacer, publishers } = deps;
    this.#outbox = outbox;
    this.#pacer = pacer;
    this.#counters = counters;
    this.#uploads = uploads;
    this.#transfers = transfers;
    this.#peers = peers;
    this.#announcements = publishers.announcements;
  }

  handle(event: ServingEvent, now: Millis): void {
    const { peerId, requestId } = event;
    switch (event.type) {
      case "pieceRequested": {
        const server = this.#serverOf(event.contentId, event.piece);
        const length = server?.resolution?.layout.length(event.piece) ?? 0;
        this.#uploads.request(event, server && { transferId: server.transferId, length }, now);
        break;
      }
      case "manifestRequested": {
        const bytes = this.#serverOf(event.contentId)?.manifestBytes;
        if (bytes === undefined) this.#notFound(event);
        else this.#outbox.swarm({ type: "sendManifest", peerId, requestId, bytes });
        break;
      }
      case "announcementRequested": {
        this.#counters.add("shoal_announcement_requests_total");
        const bytes = this.#announcements.find(event.tag, now)?.bytes;
        if (bytes === undefined) this.#notFound(event);
        else this.#outbox.swarm({ type: "sendAnnouncement", peerId, requestId, bytes });
        break;
      }
      case "requestCancelled":
        this.#uploads.cancel(peerId, requestId, now);
        break;
      case "uploadFinished": {
        const transferId = this.#uploads.finished(event, now);
        const transfer = transferId === undefined ? undefined : this.#transfers.get(transferId);
        const link = this.#peers.links.get(peerId);
        this.#pacer.sent.add(event.sentBytes, now);
        link?.traffic.sent.add(event.sentBytes, now);
        if (transfer === undefined || link === undefined) break;
        if (event.sentBytes > 0 && !transfer.facts.hasSent) {
          this.#counters.add("shoal_contents_sent_total");
        }
        transfer.facts.sentBytes[link.peerClass] += event.sentBytes;
        break;
      }
    }
  }

  /** The same whether it is unknown here or not for the peer (R-PRIV-03). */
  #notFound({ peerId, requestId }: ServingEvent): void {
    this.#outbox.swarm({ type: "refuseRequest", peerId, requestId, reason: "notFound" });
  }

  #serverOf(contentId: ContentId, piece?: PieceIndex): Transfer | undefined {
    for (const transfer of this.#transfers.of(contentId)) {
      const pieces = transfer.served();
      if (pieces === undefined) continue;
      if (piece === undefined || (piece < pieces.pieceCount && pieces.has(piece))) return transfer;
    }
    return undefined;
  }
}
