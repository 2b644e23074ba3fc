/**
 * All transfers of the agent, and which of them an event is for. Peers speak of contents, the store
 * and origins of transfers; several transfers may be of one content.
 *
 * Knows ids, not meanings. Called by the scheduler and by `JobTable`, which learn from
 * `takeReports()` what transfers have to say.
 */
import { assert } from "../assert.ts";
import type { ContentId, Millis, RequestId, TransferId } from "../units.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { Transfer } from "./transfer.ts";
import type { TransferDeps, TransferOptions, TransferReport } from "./transfer-state.ts";

interface TransferReported {
  readonly transfer: Transfer;
  readonly report: TransferReport;
}

/** Most events bring a transfer to nothing. */
const NONE: readonly TransferReported[] = [];
const NO_TRANSFERS: readonly Transfer[] = [];

export class TransferTable {
  readonly #deps: TransferDeps;
  readonly #transfers = new Map<TransferId, Transfer>();
  /** By content, the oldest first; arrays are replaced, never changed, as somebody may walk one. */
  readonly #byContent = new Map<ContentId, readonly Transfer[]>();
  /** Under what each transfer is found there. */
  readonly #contentOf = new Map<Transfer, ContentId>();
  /** Those with work to do or things to report; contents that are merely there are left alone. */
  readonly #working = new Set<Transfer>();
  /** Contents with a transfer that has moved. */
  #moved = new Set<ContentId>();
  #lastId: TransferId = 0;
  #moves = 0;
  #reportedAt = 0;

  constructor(deps: MachineDeps) {
    this.#deps = { ...deps, transferMoved: (transfer) => this.#note(transfer) };
  }

  /** How often a transfer has changed its state or its content: the same number, the same states. */
  get moves(): number {
    return this.#moves;
  }

  /** Contents whose transfers, of which there may be none left, have moved since the last call. */
  takeMoved(): ReadonlySet<ContentId> {
    const moved = this.#moved;
    this.#moved = new Set();
    return moved;
  }

  open(options: Omit<TransferOptions, "transferId">, now: Millis): Transfer {
    const transferId = ++this.#lastId;
    const transfer = new Transfer(this.#deps, { ...options, transferId }, now);
    this.#transfers.set(transferId, transfer);
    this.#working.add(transfer);
    this.#note(transfer);
    return transfer;
  }

  remove(transfer: Transfer): void {
    this.#transfers.delete(transfer.transferId);
    this.#working.delete(transfer);
    this.#note(transfer);
  }

  working(): Iterable<Transfer> {
    return this.#working;
  }

  /** To be called when a transfer may have reached, or left, the state of merely being there. */
  noteState(transfer: Transfer): void {
    if (!this.#transfers.has(transfer.transferId)) return;
    if (transfer.isIdle) this.#working.delete(transfer);
    else if (!this.#working.has(transfer)) {
      this.#working.add(transfer);
      this.#moves++;
    }
  }

  get(transferId: TransferId): Transfer | undefined {
    return this.#transfers.get(transferId);
  }

  all(): Iterable<Transfer> {
    return this.#transfers.values();
  }

  /** The transfers of one content; usually none or one. O(1). */
  of(contentId: ContentId): readonly Transfer[] {
    return this.#byContent.get(contentId) ?? NO_TRANSFERS;
  }

  /** Contents that peers can have from us, whole or in part. */
  servedContents(): ContentId[] {
    const served = new Set<ContentId>();
    for (const transfer of this.#transfers.values()) {
      const { contentId } = transfer;
      if (contentId !== undefined && transfer.served() !== undefined) served.add(contentId);
    }
    return [...served];
  }

  /** Nobody is given the content any more; a job that is fetching it anew goes on. */
  withdraw(contentId: ContentId): void {
    for (const transfer of this.of(contentId)) {
      if (transfer.phase !== "published") continue;
      transfer.close("keep");
      this.noteState(transfer);
      this.#deps.outbox.notice({ type: "contentServed", contentId, served: false });
    }
  }

  /** The transfer that made a request to a peer and still waits for the answer. */
  ownerOf(requestId: RequestId): Transfer | undefined {
    for (const transfer of this.#working) {
      if (transfer.owns(requestId)) return transfer;
    }
    return undefined;
  }

  /** What transfers have come to since the last call; repeat until it is empty. */
  takeReports(): readonly TransferReported[] {
    // Nobody reports without having moved.
    if (this.#reportedAt === this.#moves) return NONE;
    this.#reportedAt = this.#moves;
    let reports: TransferReported[] | undefined;
    for (const transfer of this.#working) {
      const report = transfer.takeReport();
      if (report !== undefined) (reports ??= []).push({ transfer, report });
    }
    return reports ?? NONE;
  }

  pollDeadline(): Millis {
    let deadline = Infinity;
    for (const transfer of this.#working) {
      deadline = Math.min(deadline, transfer.pollDeadline());
    }
    return deadline;
  }

  handleTimeout(now: Millis): void {
    for (const transfer of this.#working) {
      if (transfer.pollDeadline() <= now) transfer.handleTimeout(now);
    }
  }

  checkInvariants(): void {
    for (const transfer of this.#transfers.values()) transfer.checkInvariants();
    const named = [...this.#transfers.values()].filter(({ contentId }) => contentId !== undefined);
    for (const transfer of named) {
      const { contentId = "" } = transfer;
      assert(this.of(contentId).includes(transfer), "a transfer is found by its content");
    }
    const found = [...this.#byContent.values()].flat();
    assert(found.length === named.length, "a transfer is found by no other content");
  }

  /** Finds the transfer under the content it has now; one that is not in the table, nowhere. */
  #note(transfer: Transfer): void {
    this.#moves++;
    const before = this.#contentOf.get(transfer);
    const isHere = this.#transfers.has(transfer.transferId);
    if (isHere && !transfer.isIdle) this.#working.add(transfer);
    const contentId = isHere ? transfer.contentId : undefined;
    for (const each of [before, contentId]) if (each !== undefined) this.#moved.add(each);
    if (contentId === before) return;
    if (before !== undefined) {
      const others = this.of(before).filter((other) => other !== transfer);
      if (others.length > 0) this.#byContent.set(before, others);
      else this.#byContent.delete(before);
      this.#contentOf.delete(transfer);
    }
    if (contentId === undefined) return;
    const all = [...this.of(contentId), transfer];
    this.#byContent.set(
      contentId,
      all.toSorted((a, b) => a.transferId - b.transferId),
    );
    this.#contentOf.set(transfer, contentId);
  }
}
