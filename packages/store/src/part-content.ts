/**
 * One content of a job while its transfer is open: pieces come in, are verified, written, synced
 * and only then claimed; at the end the file is verified and published (threat model section 9).
 *
 *   receiving --publish--> published    pieces are read from the destination
 *       |
 *       `--failed write, sync or commit--> failed
 *
 * A sync covers exactly the pieces written before it began; hashing and writing go on while it
 * runs. A failed content answers with its failure until it is closed and opened again: a sync is
 * never repeated to repair it (R-FS-09).
 *
 * Knows one content. Called by `DiskStore`, one step at a time except for reads and `stop`.
 */
import { PieceSet, ShoalError } from "@shoal/core";
import type { ErrorInfo, Manifest, PieceIndex, PieceLayout, TransferId } from "@shoal/core";
import type { ContentRecord } from "./content-record.ts";
import { diskErrorInfo } from "./disk-errors.ts";
import { writeWithRoom } from "./disk-space.ts";
import type { PartFile } from "./part-file.ts";
import type { PartContentParts } from "./open-part.ts";
import { PieceClaims } from "./piece-claims.ts";
import type { Intake } from "./piece-reuse.ts";
import { publishPart } from "./publish-part.ts";
import type { PublishOptions } from "./publish-part.ts";
import { isPiece, readVerifiedPiece } from "./read-piece.ts";
import { findWrongPieces, isSameDigest } from "./scan-pieces.ts";
import type { Finding } from "./scan-pieces.ts";
import type { ContentChange, Leftover } from "./state-tables.ts";
import type { StoreContext } from "./store-context.ts";

type State =
  | { readonly kind: "receiving"; readonly part: PartFile }
  | { readonly kind: "failed"; readonly part: PartFile; readonly error: ErrorInfo }
  | { readonly kind: "published" }
  | { readonly kind: "closed" };

/** How an open content ends: for later, as never begun, or without a word to the database. */
export type Closing = "keep" | "discard" | "release";

export class PartContent {
  readonly transferId: TransferId;
  readonly record: ContentRecord;
  /** Of a copy that is read from then on in the place of the published file. */
  servedPath: string | undefined;
  readonly #context: StoreContext;
  readonly #manifest: Manifest | undefined;
  readonly #contentDigest: Uint8Array | undefined;
  readonly #isSpooled: boolean;
  readonly #claims: PieceClaims;
  #state: State;
  #mustReadBack: boolean;
  #isVerified = false;
  #isStopped = false;
  #commitsAsked = 0;
  #syncs: Promise<void> | undefined;

  constructor(context: StoreContext, parts: PartContentParts) {
    const { record, part } = parts;
    const { pieceCount } = record.layout;
    this.transferId = parts.transferId;
    this.record = record;
    this.#context = context;
    this.#manifest = parts.manifest?.manifest;
    this.#contentDigest = parts.contentDigest;
    this.#isSpooled = parts.isSpooled;
    const have = PieceSet.fromBytes(pieceCount, record.have) ?? new PieceSet(pieceCount);
    this.#claims = new PieceClaims(have);
    this.#state = part === undefined ? { kind: "published" } : { kind: "receiving", part };
    this.#mustReadBack = record.mustReadBack;
  }

  get layout(): PieceLayout {
    return this.record.layout;
  }

  /** The file is at its destination; nothing but reading is left to do. */
  get isPublished(): boolean {
    return this.#state.kind === "published";
  }

  /** Bit map of claimed pieces. */
  get have(): Uint8Array {
    return this.#claims.bytes();
  }

  /** What pieces found elsewhere need to know; `undefined` once none are received any more. */
  get intake(): Intake | undefined {
    if (this.#state.kind !== "receiving") return undefined;
    return { manifest: this.#manifest, claims: this.#claims, syncing: this.#syncs };
  }

  /** Ends scans early; the step that waits for one ends without an answer. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * Hashes every claimed piece again and clears what does not match; without a manifest there is
   * nothing to compare with and the claims stay. Throws when the result cannot be committed.
   */
  async recheck(): Promise<void> {
    if (this.#state.kind !== "receiving" || this.#manifest === undefined) return;
    const { part } = this.#state;
    const wrong = await this.#scan(part, { wants: (piece) => this.#claims.has(piece) });
    if (wrong === "stopped") return;
    for (const piece of wrong === "right" ? [] : wrong) this.#claims.lose(piece);
    this.#context.tables.updateContent(this.record, { have: this.have, mustRecheck: false });
  }

  /** Verifies and writes one piece. Answers `pieceStored`, `pieceCorrupt` or the failure. */
  store(piece: PieceIndex, bytes: Uint8Array): void | Promise<void> {
    const { transferId } = this;
    const state = this.#state;
    if (state.kind === "failed") return this.#answer(state.error);
    if (state.kind === "closed") return;
    if (!isPiece(bytes, this.layout, { piece, digests: this.#manifest?.pieceDigests })) {
      this.#context.emit({ type: "pieceCorrupt", transferId, piece });
      return;
    }
    if (state.kind === "receiving" && !this.#claims.isWritten(piece)) {
      try {
        const { part } = state;
        const room = { directory: part.directory, length: bytes.length };
        const write = (): void => part.write(bytes, this.layout.start(piece));
        writeWithRoom(this.#context, room, write);
      } catch (error) {
        return this.#failAfterWrite(error);
      }
      this.#claims.addWritten(piece);
      this.#isVerified = false;
    }
    this.#context.emit({ type: "pieceStored", transferId, piece });
  }

  /** Begins to sync and commit everything stored so far; answered when that is done. */
  commit(): void {
    if (this.#state.kind === "failed") return this.#answer(this.#state.error);
    this.#commitsAsked++;
    this.#syncs ??= this.#runSyncs().finally(() => void (this.#syncs = undefined));
  }

  /** Fills `bytes` with a claimed piece, verified; false, and no claim, when that fails. */
  read(piece: PieceIndex, bytes: Uint8Array): boolean {
    const state = this.#state;
    const manifest = this.#manifest;
    // Without a manifest nothing can be verified, so nothing is served (R-CACHE-02); what lies in
    // the spool is for its owner alone.
    if (manifest === undefined && !this.#isSpooled) return false;
    if (state.kind === "closed" || !this.#claims.has(piece)) return false;
    if (state.kind === "published") {
      const path = this.servedPath ?? this.record.destination;
      const { disk } = this.#context;
      if (readVerifiedPiece(disk, path, { manifest, piece, bytes })) return true;
    } else {
      // After a failed sync there is no descriptor to read from; the claim itself still holds.
      if (state.part.isClosed) return false;
      if (this.#readPart(state.part, piece, bytes)) return true;
    }
    this.#lose(piece);
    return false;
  }

  /** The final check (R-MAN-14). Answers `contentVerified`, `contentMismatch` or the failure. */
  async verify(readBack: boolean): Promise<void> {
    const { transferId } = this;
    await this.#syncs;
    if (this.#state.kind === "failed") return this.#answer(this.#state.error);
    try {
      const finding = await this.#check(readBack);
      if (finding === "stopped") return;
      if (finding === "right") this.#context.emit({ type: "contentVerified", transferId });
      else this.#context.emit({ type: "contentMismatch", transferId, pieces: finding });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Moves the file to its destination. Answers `contentPublished` or `publishFailed`. */
  async publish({ overwrite, modifiedAt }: Omit<PublishOptions, "record">): Promise<void> {
    const { transferId, record } = this;
    const { emit } = this.#context;
    await this.#syncs;
    const state = this.#state;
    try {
      if (this.#isSpooled) throw new ShoalError("ERR_JOB_STATE", "it has no destination");
      if (state.kind === "failed") throw ShoalError.from(state.error);
      const finding = await this.#check(false);
      if (finding === "stopped") return;
      if (finding !== "right") throw new ShoalError("ERR_CONTENT_MISMATCH", record.destination);
      if (state.kind === "receiving") {
        await publishPart(this.#context, state.part, { record, overwrite, modifiedAt });
        this.#state = { kind: "published" };
        this.#release(state.part);
      }
      emit({ type: "contentPublished", transferId });
    } catch (cause) {
      const error = diskErrorInfo(cause, record.destination);
      emit({ type: "publishFailed", transferId, error });
    }
  }

  /**
   * Closes the descriptors. `keep` commits what was written and remembers the file's stamp;
   * `discard` turns an unpublished file into a leftover, which is returned for removal; `release`
   * leaves both to the caller.
   */
  async close(closing: Closing): Promise<Leftover | undefined> {
    await this.#syncs;
    if (closing === "keep") await this.#flush();
    const state = this.#state;
    this.#state = { kind: "closed" };
    if (state.kind === "closed" || state.kind === "published") return undefined;
    if (closing === "keep" && !state.part.isClosed) {
      this.#update(() => ({ stamp: state.part.stamp }));
    }
    this.#release(state.part);
    if (closing !== "discard") return undefined;
    return this.#cautiously(() => this.#context.tables.forgetContent(this.record));
  }

  /** Sets and counts are consistent. For tests. */
  checkInvariants(): void {
    this.#claims.checkInvariants();
  }

  async #runSyncs(): Promise<void> {
    while (this.#commitsAsked > 0 && this.#state.kind !== "failed") {
      const answers = this.#commitsAsked;
      this.#commitsAsked = 0;
      await this.#syncOnce(answers);
    }
    this.#commitsAsked = 0;
  }

  /** Syncs and commits what is written, once, without being asked. */
  async #flush(): Promise<void> {
    await this.#syncs;
    if (this.#state.kind === "receiving" && this.#claims.hasWritten) await this.#syncOnce(1);
  }

  async #syncOnce(answers: number): Promise<void> {
    const { transferId } = this;
    const state = this.#state;
    const pieces = this.#claims.beginSync();
    if (state.kind === "receiving" && pieces.length > 0) {
      try {
        await state.part.syncData();
      } catch (error) {
        this.#release(state.part, false);
        return this.#fail(error);
      }
      try {
        await this.#context.tables.grouped((tables) =>
          tables.updateContent(this.record, { have: this.#claims.bytesWithSynced() }),
        );
      } catch (error) {
        return this.#fail(error);
      }
    }
    this.#claims.claimSynced();
    this.#context.emit({ type: "piecesCommitted", transferId, pieces });
    for (let i = 1; i < answers; i++) {
      this.#context.emit({ type: "piecesCommitted", transferId, pieces: [] });
    }
  }

  async #check(readBack: boolean): Promise<Finding> {
    const state = this.#state;
    if (state.kind !== "receiving") return "right";
    if (!this.#claims.isFull) return this.#claims.missing();
    const finding = await this.#checkPart(state.part, readBack);
    // A read may have found a piece lost meanwhile.
    if (finding === "right" && !this.#claims.isFull) return this.#claims.missing();
    this.#isVerified = finding === "right";
    return finding;
  }

  async #checkPart(part: PartFile, readBack: boolean): Promise<Finding> {
    const manifest = this.#manifest;
    const named = this.#contentDigest;
    const isUntouched = part.isUntouched();
    if (this.#isVerified && isUntouched && !readBack) return "right";
    if (manifest === undefined && named === undefined) {
      return isUntouched && part.hasFullLength() ? "right" : this.#loseAll(part);
    }
    const published = manifest?.contentDigest;
    if (published !== undefined && named !== undefined && !isSameDigest(named, published))
      return [];
    // A digest that the job names is checked against the bytes themselves: the publisher of the
    // manifest may not be the one who named it.
    const isNeeded = readBack || this.#mustReadBack || !isUntouched || named !== undefined;
    if (!isNeeded) return "right";
    const before = part.stats();
    const whole = named ?? published;
    const wants = (): boolean => true;
    const finding = await this.#scan(part, whole === undefined ? { wants } : { wants, whole });
    if (finding === "stopped") return finding;
    if (finding !== "right") {
      for (const piece of finding) this.#claims.lose(piece);
      if (finding.length > 0) this.#context.tables.updateContent(this.record, { have: this.have });
      return finding;
    }
    part.acceptAsUntouched(before);
    this.#mustReadBack = false;
    this.#context.tables.updateContent(this.record, { mustReadBack: false });
    return "right";
  }

  #scan(
    part: PartFile,
    { wants, whole }: { wants: (piece: PieceIndex) => boolean; whole?: Uint8Array },
  ): Promise<Finding> {
    const pieceDigests = this.#manifest?.pieceDigests;
    return findWrongPieces(this.layout, {
      read: (bytes, position) => part.read(bytes, position),
      wants,
      isStopped: () => this.#isStopped,
      ...(pieceDigests === undefined ? {} : { pieceDigests }),
      ...(whole === undefined ? {} : { whole }),
    });
  }

  #readPart(part: PartFile, piece: PieceIndex, bytes: Uint8Array): boolean {
    try {
      if (this.#manifest === undefined && !part.isUntouched()) {
        this.#loseAll(part);
        return false;
      }
      return (
        part.read(bytes, this.layout.start(piece)) &&
        isPiece(bytes, this.layout, { piece, digests: this.#manifest?.pieceDigests })
      );
    } catch {
      return false; // R-FS-10: what cannot be read is missing.
    }
  }

  #lose(piece: PieceIndex): void {
    this.#claims.lose(piece);
    this.#isVerified = false;
    this.#update(() => ({ have: this.have }));
    const { contentId } = this.record;
    if (this.#state.kind !== "published" || contentId === undefined) return;
    this.#cautiously(() => this.#context.tables.stampShared(contentId, undefined));
  }

  /** For bytes that nothing can be compared with, once somebody else may have written some. */
  #loseAll(part: PartFile): readonly PieceIndex[] {
    part.beginAnew();
    this.#claims.clear();
    this.#context.tables.updateContent(this.record, { have: this.have });
    return this.#claims.missing();
  }

  /** Keeps what was written before the failure, as far as it can be synced, and then fails. */
  async #failAfterWrite(error: unknown): Promise<void> {
    await this.#flush();
    const state = this.#state;
    if (state.kind === "failed") this.#answer(state.error);
    else this.#fail(error);
  }

  /** receiving -> failed. */
  #fail(cause: unknown): void {
    const state = this.#state;
    this.#claims.forgetUnclaimed();
    if (state.kind !== "receiving") return;
    const error = diskErrorInfo(cause, this.record.destination);
    this.#state = { kind: "failed", part: state.part, error };
    // A full disk takes nothing back; after any other failure nothing is believed unread.
    if (error.code !== "ERR_DISK_FULL") {
      this.#update(() => ({ mustRecheck: true, mustReadBack: true }));
    }
    this.#answer(error);
  }

  #answer(error: ErrorInfo): void {
    this.#context.emit({ type: "contentFailed", transferId: this.transferId, error });
  }

  #release(part: PartFile, withDirectory = true): void {
    this.#cautiously(() => part.close());
    if (withDirectory) part.directory.close();
  }

  #update(change: () => ContentChange): void {
    this.#cautiously(() => this.#context.tables.updateContent(this.record, change()));
  }

  /** For steps whose failure nobody waits for: this run then ends without the clean marker. */
  #cautiously<Result>(work: () => Result): Result | undefined {
    try {
      return work();
    } catch {
      this.#context.doubt();
      return undefined;
    }
  }
}
