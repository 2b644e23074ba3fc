/**
 * The requests for runs of pieces that one transfer has under way, from the command to the last
 * event. Marks their pieces as asked for, counts requests by host, and keeps the claims that other
 * members are to be told of. Decides nothing. Called by `OriginRuns`.
 */
import type { OriginReason } from "../registry/reasons.ts";
import type { Millis, PieceIndex, RequestId } from "../units.ts";
import type { FileSource } from "./file-sources.ts";
import type { OriginHosts } from "./origin-hosts.ts";
import type { Outbox } from "./outbox.ts";
import type { PieceLedger } from "./piece-ledger.ts";

export interface OriginRun {
  readonly requestId: RequestId;
  readonly source: FileSource;
  readonly mode: "range" | "stream";
  readonly first: PieceIndex;
  readonly count: number;
  readonly reason: OriginReason;
  readonly startedAt: Millis;
  /** Pieces of the run that have not come yet. */
  readonly owed: Set<PieceIndex>;
  claimedAt: Millis;
  /** As far as pieces and progress have told. */
  receivedBytes: number;
  pieceBytes: number;
}

export interface Claim {
  readonly first: PieceIndex;
  readonly count: number;
}

/** A run of at least so many pieces is followed by the next before its last piece is here. */
const OVERLAP_PIECES_MIN = 4;

export class RunTable {
  readonly #outbox: Outbox;
  readonly #hosts: OriginHosts;
  readonly #ledger: PieceLedger;
  readonly #runs = new Map<RequestId, OriginRun>();
  /** Claims to announce; `Fetcher` takes them away. */
  readonly claimsDue: Claim[] = [];

  constructor(deps: { outbox: Outbox; originHosts: OriginHosts }, ledger: PieceLedger) {
    this.#outbox = deps.outbox;
    this.#hosts = deps.originHosts;
    this.#ledger = ledger;
  }

  get size(): number {
    return this.#runs.size;
  }

  get(requestId: RequestId): OriginRun | undefined {
    return this.#runs.get(requestId);
  }

  all(): Iterable<OriginRun> {
    return this.#runs.values();
  }

  begin(run: OriginRun): void {
    this.#runs.set(run.requestId, run);
    this.#hosts.begun(run.source.host);
    for (const piece of run.owed) this.#ledger.picker.markRequested(piece);
    this.claimsDue.push({ first: run.first, count: run.count });
  }

  /** The run is over; what it still owes is free again. */
  end(run: OriginRun): void {
    if (!this.#runs.delete(run.requestId)) return;
    this.#hosts.ended(run.source.host);
    for (const piece of run.owed) this.#ledger.picker.unmarkRequested(piece);
    run.owed.clear();
  }

  cancel(run: OriginRun): void {
    this.end(run);
    this.#outbox.origin({ type: "cancelOrigin", requestId: run.requestId });
  }

  cancelFrom(source: FileSource): void {
    for (const run of this.#runs.values()) if (run.source === source) this.cancel(run);
  }

  cancelAll(): void {
    for (const run of this.#runs.values()) this.cancel(run);
  }

  /** A peer was sooner with the piece: a run is given up when nothing it still owes is missing. */
  pieceCameElsewhere(piece: PieceIndex): void {
    const { picker } = this.#ledger;
    for (const run of this.#runs.values()) {
      if (!run.owed.has(piece)) continue;
      if ([...run.owed].every((owed) => picker.isHeld(owed))) this.cancel(run);
    }
  }

  /** Bytes still come: the claim is repeated, so that others see that the member is not silent. */
  repeatClaim(run: OriginRun, intervalMs: Millis, now: Millis): void {
    if (now - run.claimedAt < intervalMs) return;
    run.claimedAt = now;
    this.claimsDue.push({ first: run.first, count: run.count });
  }

  /** Whether the last piece of a long run is on its way: the next can follow it without a gap. */
  get isOneEnding(): boolean {
    for (const { count, owed } of this.#runs.values()) {
      if (count >= OVERLAP_PIECES_MIN && owed.size <= 1) return true;
    }
    return false;
  }

  /** Whether each run has brought something. */
  get areAllDelivering(): boolean {
    for (const { receivedBytes } of this.#runs.values()) if (receivedBytes === 0) return false;
    return true;
  }
}
