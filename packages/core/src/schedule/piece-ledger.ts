/**
 * Where every piece of one transfer stands, and how many bytes that ties up.
 *
 *   free ──asked──▶ requested ──received──▶ storing ──pieceStored──▶ stored ──commit──▶ committed
 *     ▲                 │ failed               │ pieceCorrupt
 *     └─────────────────┴──────────────────────┘
 *
 * Also decides when stored pieces are synced: soon when peers wait for their announcement, in large
 * batches when nobody does (threat model, section 9 step 6). Called by `Fetcher` and its sources.
 */
import { assert } from "../assert.ts";
import type { PieceLayout } from "../content/layout.ts";
import { PieceSet } from "../content/piece-set.ts";
import { Picker } from "../picker/picker.ts";
import type { Random } from "../random.ts";
import type { Settings } from "../registry/settings.ts";
import type { Millis, PieceIndex, TransferId } from "../units.ts";
import type { FlowGate } from "./flow-gate.ts";
import type { FetcherOptions } from "./fetcher-options.ts";
import type { Outbox } from "./outbox.ts";
import type { Link, PeerTable } from "./peer-table.ts";
import type { PieceRecord } from "./piece-record.ts";

/** Who sent a piece; `reuse`: nobody, the store has it in another place. */
export type PieceOrigin = "origin" | "reuse" | Link;

export interface PieceLedgerDeps {
  readonly outbox: Outbox;
  readonly random: Random;
  readonly settings: Settings;
  readonly flowGate: FlowGate;
  readonly peers: PeerTable;
}

export class PieceLedger {
  readonly picker: Picker;
  readonly layout: PieceLayout;
  /** Where the pieces that are held came from. */
  readonly record: PieceRecord;
  readonly #deps: PieceLedgerDeps;
  readonly #transferId: TransferId;
  /** Received and handed to the store, which has not answered yet; by whom each was sent. */
  readonly #storing = new Map<PieceIndex, PieceOrigin>();
  readonly #committed: PieceSet;
  #requestedBytes = 0;
  #storingBytes = 0;
  #storedCount: number;
  #storedBytes: number;
  /** Stored and not yet covered by a commit under way. */
  #unsyncedBytes = 0;
  #unsyncedSince: Millis | undefined;
  #commitUnderWay = false;

  constructor(
    deps: PieceLedgerDeps,
    options: Pick<FetcherOptions, "transferId" | "layout" | "have" | "reusable" | "record">,
  ) {
    this.#deps = deps;
    this.#transferId = options.transferId;
    this.layout = options.layout;
    this.record = options.record;
    this.#committed = options.have;
    this.#storedCount = options.have.size;
    this.#storedBytes = 0;
    const addressOf = (slot: number): string => deps.peers.addressOf(slot);
    this.picker = new Picker(this.layout.pieceCount, deps.random, addressOf);
    for (const piece of options.have) {
      this.picker.markHeld(piece);
      this.#storedBytes += this.layout.length(piece);
    }
    // Nobody is asked for them as long as the store has not said that it does not have them.
    const { reusable = new Uint8Array() } = options;
    for (const piece of PieceSet.fromBytes(this.layout.pieceCount, reusable) ?? []) {
      if (this.picker.isHeld(piece)) continue;
      this.picker.markHeld(piece);
      this.#storing.set(piece, "reuse");
    }
  }

  /** Verified bytes on disk, committed or not. */
  get storedBytes(): number {
    return this.#storedBytes;
  }

  get committed(): PieceSet {
    return this.#committed;
  }

  get isComplete(): boolean {
    return this.#committed.isFull;
  }

  /** Pieces handed to the store and not answered. */
  get storingCount(): number {
    return this.#storing.size;
  }

  /** Whether one more piece may be asked for. At least one always may. */
  hasBudget(): boolean {
    const used = this.#requestedBytes + this.#storingBytes;
    return used === 0 || used + this.layout.pieceLengthMax <= this.#deps.settings.inFlightBytesMax;
  }

  requested(piece: PieceIndex): void {
    this.picker.markRequested(piece);
    this.#requestedBytes += this.layout.length(piece);
  }

  unrequested(piece: PieceIndex): void {
    this.picker.unmarkRequested(piece);
    this.#requestedBytes -= this.layout.length(piece);
    assert(this.#requestedBytes >= 0, "requested bytes cannot be negative");
  }

  /** Hands a received piece to the store. False: it is here already, and the bytes are waste. */
  received(piece: PieceIndex, from: PieceOrigin, bufferId: number): boolean {
    if (this.picker.isHeld(piece)) return false;
    this.picker.markHeld(piece);
    this.#storing.set(piece, from);
    if (typeof from === "object") {
      from.unverified++;
      const { peerId, address } = from;
      const isRace = this.picker.requestedCount(piece) > 0;
      const source = { kind: "peer", peerId, address } as const;
      this.record.note(piece, source, isRace ? "endgame" : "offered");
    }
    this.#storingBytes += this.layout.length(piece);
    this.#deps.flowGate.add(this.layout.length(piece));
    const transferId = this.#transferId;
    this.#deps.outbox.store({ type: "storePiece", transferId, piece, bufferId });
    return true;
  }

  /** storing -> stored. Returns who sent the piece. */
  stored(piece: PieceIndex, now: Millis): PieceOrigin | undefined {
    const from = this.#unstore(piece);
    if (from === undefined) return undefined;
    if (from === "reuse") this.record.noteHere(piece, "reused");
    const length = this.layout.length(piece);
    this.#storedCount++;
    this.#storedBytes += length;
    this.#unsyncedBytes += length;
    this.#unsyncedSince ??= now;
    return from;
  }

  /** storing -> free. Returns who sent the piece. */
  corrupt(piece: PieceIndex): PieceOrigin | undefined {
    const from = this.#unstore(piece);
    if (from === undefined) return undefined;
    this.picker.markMissing(piece);
    this.record.forget(piece);
    return from;
  }

  /** A commit has ended: these pieces may be announced. */
  pieceCommitted(piece: PieceIndex): boolean {
    return this.#committed.add(piece);
  }

  commitEnded(): void {
    this.#commitUnderWay = false;
  }

  /** committed -> free: the disk has lost the piece. */
  lost(piece: PieceIndex): void {
    if (!this.#committed.delete(piece)) return;
    this.#storedCount--;
    this.#storedBytes -= this.layout.length(piece);
    this.picker.markMissing(piece);
    this.record.forget(piece);
  }

  /** Asks for a sync when it is time. `isAwaited`: somebody waits to hear of the pieces. */
  sync(now: Millis, isAwaited: () => boolean): void {
    if (this.#commitUnderWay || now < this.#syncAt(isAwaited)) return;
    this.#commitUnderWay = true;
    this.#unsyncedBytes = 0;
    this.#unsyncedSince = undefined;
    this.#deps.outbox.store({ type: "commitPieces", transferId: this.#transferId });
  }

  pollDeadline(isAwaited: () => boolean): Millis {
    return this.#commitUnderWay ? Infinity : this.#syncAt(isAwaited);
  }

  /** Gives back the budget of pieces the store will never answer for. */
  close(): void {
    for (const piece of this.#storing.keys()) this.#unstore(piece);
  }

  checkInvariants(): void {
    this.picker.checkInvariants();
    assert(this.#storedCount >= this.#committed.size, "committed pieces are stored");
    const held = this.layout.pieceCount - this.picker.missingCount;
    assert(held === this.#storedCount + this.#storing.size, "held = stored + storing");
    for (let piece = 0; piece < this.layout.pieceCount; piece++) {
      const isHeld = this.picker.isHeld(piece) && this.#storing.get(piece) !== "reuse";
      assert(this.record.has(piece) === isHeld, "what is held has a source and a reason");
    }
  }

  #syncAt(isAwaited: () => boolean): Millis {
    if (this.#unsyncedSince === undefined) return Infinity;
    const { settings } = this.#deps;
    const isLast = this.#storedCount === this.layout.pieceCount;
    if (isLast) return 0;
    const shared = isAwaited();
    const bytesMax = shared ? settings.sharedSyncBytesMax : settings.syncBytesMax;
    if (this.#unsyncedBytes >= bytesMax) return 0;
    return this.#unsyncedSince + (shared ? settings.sharedSyncDelayMs : settings.syncDelayMs);
  }

  #unstore(piece: PieceIndex): PieceOrigin | undefined {
    const from = this.#storing.get(piece);
    if (from === undefined) return undefined;
    this.#storing.delete(piece);
    if (from === "reuse") return from; // It was nowhere in memory.
    if (from !== "origin") from.unverified--;
    this.#storingBytes -= this.layout.length(piece);
    this.#deps.flowGate.add(-this.layout.length(piece));
    return from;
  }
}
