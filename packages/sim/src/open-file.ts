/**
 * One file that a simulated transfer has open, and how far each of its pieces has got.
 *
 *   missing ──write──▶ written ──sync begins──▶ syncing ──sync done──▶ committed
 *      ◀──────────── crash, full disk ─────────────┘         ◀── damage found ──┘
 *
 * Knows one file and the space it takes on its disk; claims that survive a crash are the file's own.
 * Knows neither time nor events. Used by `SimStore`.
 */
import type { ErrorInfo, PieceIndex } from "@shoal/core";
import type { DiskFile, SimDisk } from "./sim-disk.ts";

export class OpenFile {
  readonly file: DiskFile;
  /** After a failure the content only answers with it, until it is closed and opened again. */
  failure: ErrorInfo | undefined;
  readonly #disk: SimDisk;
  /** Pieces written since the last sync began. */
  #written: PieceIndex[] = [];
  /** Pieces that a sync under way will commit. */
  #syncing: PieceIndex[] = [];

  constructor(disk: SimDisk, file: DiskFile) {
    this.#disk = disk;
    this.file = file;
  }

  /** Writes a piece that the file has not yet; false when the disk is full. */
  write(piece: PieceIndex, isWrong: boolean): boolean {
    const { committed, damaged, layout } = this.file;
    const isPending = this.#written.includes(piece) || this.#syncing.includes(piece);
    if (committed.has(piece) || isPending) return true;
    if (!this.#disk.reserve(layout.length(piece))) return false;
    this.#written.push(piece);
    if (isWrong || this.#disk.isNextWriteDamaged()) damaged.add(piece);
    return true;
  }

  /** Takes what was written for a sync; `commit` follows unless there is a crash or a failure. */
  beginSync(): readonly PieceIndex[] {
    const pieces = this.#written;
    this.#written = [];
    this.#syncing.push(...pieces);
    return pieces;
  }

  /** The sync that `beginSync` gave these pieces to is done. */
  commit(pieces: readonly PieceIndex[]): void {
    for (const piece of pieces) this.file.committed.add(piece);
    this.#syncing = this.#syncing.filter((piece) => !pieces.includes(piece));
  }

  commitAll(): void {
    for (const piece of this.#pending()) this.file.committed.add(piece);
    this.#written = [];
    this.#syncing = [];
  }

  forgetUncommitted(): void {
    for (const piece of this.#pending()) {
      this.#disk.free(this.file.layout.length(piece));
      this.file.damaged.delete(piece);
    }
    this.#written = [];
    this.#syncing = [];
  }

  /** Gives up all pieces that are damaged; returns them in order. */
  forgetDamaged(): PieceIndex[] {
    const pieces = [...this.file.damaged].toSorted((a, b) => a - b);
    for (const piece of pieces) this.forget(piece);
    return pieces;
  }

  /** Gives up a piece, whose claim does not hold. */
  forget(piece: PieceIndex): void {
    this.file.damaged.delete(piece);
    if (this.file.committed.delete(piece)) this.#disk.free(this.file.layout.length(piece));
  }

  #pending(): readonly PieceIndex[] {
    return [...this.#syncing, ...this.#written];
  }
}
