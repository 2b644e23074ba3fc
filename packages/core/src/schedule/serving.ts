/**
 * What peers ask of us: finds the transfer that can answer, and counts what was sent. When it is
 * sent is `UploadQueue`'s. Called by the scheduler.
 */
import type { SwarmEvent } from "../ports/swarm-port.ts";
import type { ContentId, Millis, PieceIndex } from "../units.ts";
import type { Outbox } from "./outbox.ts";
import type { TransferTable } from "./transfer-table.ts";
import type { Transfer } from "./transfer.ts";
import type { UploadQueue } from "./upload-queue.ts";

export type ServingEvent = Extract<
  SwarmEvent,
  { type: "pieceRequested" | "manifestRequested" | "requestCancelled" | "uploadFinished" }
>;

export class Serving {
  readonly #outbox: Outbox;
  readonly #uploads: UploadQueue;
  readonly #transfers: TransferTable;

  constructor(outbox: Outbox, uploads: UploadQueue, transfers: TransferTable) {
    this.#outbox = outbox;
    this.#uploads = uploads;
    this.#transfers = transfers;
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
        if (bytes !== undefined) {
          this.#outbox.swarm({ type: "sendManifest", peerId, requestId, bytes });
        } else {
          const reason = "notFound";
          this.#outbox.swarm({ type: "refuseRequest", peerId, requestId, reason });
        }
        break;
      }
      case "requestCancelled":
        this.#uploads.cancel(peerId, requestId);
        break;
      case "uploadFinished": {
        const transferId = this.#uploads.finished(peerId, requestId, event.sentBytes, now);
        const transfer = transferId === undefined ? undefined : this.#transfers.get(transferId);
        if (transfer !== undefined) transfer.facts.uploadedBytes += event.sentBytes;
        break;
      }
    }
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
