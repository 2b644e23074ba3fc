/**
 * Hands a file's pieces to the stream a client attached: committed pieces only, in order, one at a
 * time, the next when the stream has taken the one before. The last piece waits until the whole
 * file has passed its final check, so that nobody takes a file for complete that is not.
 *
 *   idle ─readPiece─▶ reading ─deliverPiece─▶ delivering ─sinkTaken─▶ idle …
 *
 * Knows one file and piece indexes; the bytes go from the store through the engine to the stream.
 * Called by `JobSinks`.
 */
import type { PieceSet } from "../content/piece-set.ts";
import type { BufferId, JobId, PieceIndex, RequestId } from "../units.ts";
import type { Outbox } from "./outbox.ts";
import type { Resolution } from "./resolution.ts";
import type { Transfer } from "./transfer.ts";

export class SinkDelivery {
  readonly #outbox: Outbox;
  readonly #file: { readonly jobId: JobId; readonly fileIndex: number };
  #isAttached = false;
  #next: PieceIndex = 0;
  #deliveredBytes = 0;
  #state:
    | { readonly name: "idle" }
    | { readonly name: "reading"; readonly requestId: RequestId }
    | { readonly name: "delivering"; readonly byteLength: number } = { name: "idle" };
  /** What the delivered bytes belong to. */
  #resolution: Resolution | undefined;

  constructor(outbox: Outbox, file: { jobId: JobId; fileIndex: number }) {
    this.#outbox = outbox;
    this.#file = file;
  }

  get isAttached(): boolean {
    return this.#isAttached;
  }

  get deliveredBytes(): number {
    return this.#deliveredBytes;
  }

  /** A new stream has nothing yet, unless it is one that goes on with added ranges. */
  attach(): void {
    this.#isAttached = true;
    this.#next = 0;
    this.#deliveredBytes = 0;
    this.#state = { name: "idle" };
    this.#resolution = undefined;
  }

  detach(): void {
    this.#isAttached = false;
    this.#state = { name: "idle" };
  }

  /** The next piece is missing from a content that is complete and fetches nothing. */
  isMissing({ committed, phase }: Transfer): boolean {
    if (this.#state.name !== "idle" || phase !== "transferred" || committed === undefined)
      return false;
    return this.#next < committed.pieceCount && !committed.has(this.#next);
  }

  /** Every byte has been taken. */
  isComplete(transfer: Transfer): boolean {
    const layout = transfer.resolution?.layout;
    return layout !== undefined && this.#isAttached && this.#next >= layout.pieceCount;
  }

  /** Asks for the next piece, if it is there. False: what was delivered is of another content. */
  pump(transfer: Transfer): boolean {
    const { resolution, committed } = transfer;
    if (!this.#isAttached || resolution === undefined || committed === undefined) return true;
    const hasBegun = this.#next > 0 || this.#state.name === "delivering";
    if (hasBegun && !isSameContent(this.#resolution, resolution)) return false;
    // What is being read belongs to the content it was asked of.
    if (this.#state.name !== "idle") return true;
    this.#resolution = resolution;
    if (!isDue(this.#next, transfer, committed)) return true;
    const requestId = this.#outbox.nextRequestId();
    this.#state = { name: "reading", requestId };
    const { transferId } = transfer;
    this.#outbox.store({ type: "readPiece", transferId, piece: this.#next, requestId });
    return true;
  }

  owns(requestId: RequestId): boolean {
    return this.#state.name === "reading" && this.#state.requestId === requestId;
  }

  /** reading -> delivering */
  read(bufferId: BufferId): void {
    const byteLength = this.#resolution?.layout.length(this.#next) ?? 0;
    this.#state = { name: "delivering", byteLength };
    this.#outbox.deliver({ type: "deliverPiece", ...this.#file, bufferId });
  }

  /** reading -> idle: the disk has lost the piece. */
  lost(): void {
    this.#state = { name: "idle" };
  }

  /** delivering -> idle. False when nothing was under way. */
  taken(): boolean {
    if (this.#state.name !== "delivering") return false;
    this.#deliveredBytes += this.#state.byteLength;
    this.#next++;
    this.#state = { name: "idle" };
    return true;
  }
}

function isDue(piece: PieceIndex, transfer: Transfer, committed: PieceSet): boolean {
  if (piece >= committed.pieceCount || !committed.has(piece)) return false;
  return piece < committed.pieceCount - 1 || transfer.phase === "transferred";
}

/** Whether the first pieces of both are the same bytes for certain. */
function isSameContent(a: Resolution | undefined, b: Resolution): boolean {
  if (a === b) return true;
  if (a?.manifest !== undefined || b.manifest !== undefined) {
    return a?.manifest?.contentId === b.manifest?.contentId;
  }
  return a?.validatorKey !== undefined && a.validatorKey === b.validatorKey;
}
