/**
 * The store port of one simulated agent, over a `SimDisk` that outlives it. Pieces are verified by
 * what their payload says, written, synced and committed in virtual time; what is not committed
 * when the agent crashes is gone.
 *
 * Knows open transfers. Commands of one transfer take effect in order. Called by the engine
 * (`execute`, `close`) and by scenarios (`crash`); calls the engine's sink, never from inside
 * `execute`.
 */
import { assert, errorInfo, NO_BUFFER, PieceSet, unreachable } from "@shoal/core";
import type {
  ErrorCode,
  EventSink,
  JobId,
  JobRecord,
  Millis,
  PieceIndex,
  Port,
  RequestId,
  StoreCommand,
  StoreEvent,
  TransferId,
} from "@shoal/core";
import { OpenFile } from "./open-file.ts";
import type { DiskFile, SimDisk } from "./sim-disk.ts";
import { bitMapOf, reusablePieces } from "./piece-reuse.ts";
import type { SimPayload, SimPayloads } from "./sim-payload.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface SimStoreDeps {
  readonly clock: VirtualClock;
  readonly disk: SimDisk;
  readonly payloads: SimPayloads;
  readonly sink: EventSink<SimPayload>;
}

type OpenCommand = Exclude<
  Extract<StoreCommand, { transferId: TransferId }>,
  { type: "openContent" | "openShared" | "storePiece" }
>;

/** Saves of one instant: they share a sync. */
interface Batch {
  readonly begunAt: Millis;
  readonly saves: Array<{ readonly job: JobRecord; readonly revision: number }>;
}

export class SimStore implements Port<StoreCommand, SimPayload> {
  readonly #deps: SimStoreDeps;
  readonly #disk: SimDisk;
  readonly #opens = new Map<TransferId, OpenFile>();
  /** Files whose claims were left by a crash, until they have been read back. */
  readonly #unchecked: boolean;
  #batch: Batch | undefined;
  #isClosed = false;

  constructor(deps: SimStoreDeps) {
    this.#deps = deps;
    this.#disk = deps.disk;
    this.#unchecked = !deps.disk.wasClosed;
    deps.disk.wasClosed = false;
  }

  execute(command: StoreCommand, payload?: SimPayload): void {
    if (this.#isClosed) {
      if (payload !== undefined) this.#deps.payloads.release(payload);
      return;
    }
    switch (command.type) {
      case "loadState":
        return this.#at(this.#disk.read(0), () => this.#loadState());
      case "saveConduct":
        return this.#at(this.#disk.sync(), () => this.#disk.saveConduct(command));
      case "savePeers":
        return this.#at(this.#disk.sync(), () => void (this.#disk.peers = command.peers));
      case "saveUsage":
        return this.#at(this.#disk.sync(), () => void (this.#disk.usage = command.usage));
      case "saveAccepted":
        return this.#at(this.#disk.sync(), () => this.#disk.saveAccepted(command.accepted));
      case "saveAnnouncement": {
        const { announcement } = command;
        return this.#at(this.#disk.sync(), () => this.#disk.saveAnnouncement(announcement));
      }
      case "saveJob":
        return this.#saveJob(command.job, command.revision);
      case "endJob":
        this.#batch = undefined;
        return this.#at(this.#disk.sync(), () => this.#endJob(command.job));
      case "forgetJob":
        this.#batch = undefined;
        return this.#at(this.#disk.sync(), () => this.#forgetJob(command.jobId));
      case "openContent":
        return this.#at(this.#disk.sync(), () => this.#openContent(command));
      case "openShared":
        return this.#openShared(command);
      case "storePiece":
        assert(payload !== undefined, "storePiece comes with a payload");
        return this.#storePiece(command, payload);
      default: {
        const open = this.#opens.get(command.transferId);
        if (open !== undefined) this.#executeOn(open, command);
        else this.#answerUnknown(command);
      }
    }
  }

  /** Ends cleanly: what is written is committed, and claims need no check at the next start. */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    for (const open of this.#opens.values()) open.commitAll();
    this.#isClosed = true;
    this.#disk.wasClosed = true;
    return Promise.resolve();
  }

  /** Ends as if the process had been killed: what is not committed is lost. */
  crash(): void {
    for (const open of this.#opens.values()) open.forgetUncommitted();
    this.#isClosed = true;
  }

  #executeOn(open: OpenFile, command: OpenCommand): void {
    const { transferId } = command;
    switch (command.type) {
      case "commitPieces":
        return this.#at(this.#disk.writtenAt(), () => this.#commit(open, transferId));
      case "readPiece":
        return this.#readPiece(open, command);
      case "verifyContent":
        return this.#at(this.#disk.idleAt(), () => this.#verify(open, command));
      case "publishContent":
        return this.#at(this.#disk.idleAt(), () => {
          this.#at(this.#disk.sync(), () => this.#publish(open, command));
        });
      case "closeContent":
        return this.#at(this.#disk.idleAt(), () => this.#closeContent(open, command));
      default:
        unreachable(command);
    }
  }

  /** Commands for a transfer id that is not in use are about a transfer that has ended. */
  #answerUnknown(command: OpenCommand): void {
    const { type, transferId } = command;
    if (type !== "closeContent" && type !== "readPiece") return;
    this.#at(this.#deps.clock.now(), () => {
      if (type === "closeContent") return this.#emit({ type: "contentClosed", transferId });
      const { requestId, piece } = command;
      this.#emit({ type: "pieceLost", transferId, requestId, piece });
    });
  }

  #loadState(): void {
    const jobs = [...this.#disk.jobs.values()].toSorted((a, b) => a.sequence - b.sequence);
    const { accepted, peers, usage } = this.#disk;
    const conduct = [...this.#disk.conduct.values()];
    const announcements = [...this.#disk.announcements].map(([tag, bytes]) => ({ tag, bytes }));
    const [resumable, contents] = [this.#disk.resumable(), this.#disk.shared()];
    const kept = { accepted, announcements, conduct, peers, ...(usage && { usage }) };
    this.#emit({ type: "stateLoaded", jobs, resumable, contents, ...kept });
  }

  #saveJob(job: JobRecord, revision: number): void {
    const begunAt = this.#deps.clock.now();
    if (this.#batch?.begunAt === begunAt) return void this.#batch.saves.push({ job, revision });
    const batch: Batch = { begunAt, saves: [{ job, revision }] };
    this.#batch = batch;
    this.#at(this.#disk.sync(), () => this.#saved(batch));
  }

  #saved(batch: Batch): void {
    if (this.#batch === batch) this.#batch = undefined;
    for (const { job } of batch.saves) this.#disk.jobs.set(job.jobId, job);
    for (const { job, revision } of batch.saves) {
      this.#emit({ type: "jobSaved", jobId: job.jobId, revision });
    }
  }

  #endJob(job: JobRecord): void {
    this.#disk.jobs.set(job.jobId, job);
    this.#discardContentsOf(job.jobId);
    this.#emit({ type: "jobEnded", jobId: job.jobId, undeletedCount: 0 });
  }

  #forgetJob(jobId: JobId): void {
    this.#disk.jobs.delete(jobId);
    this.#discardContentsOf(jobId);
  }

  /** Published contents stay open: peers are served from them when their job is over. */
  #discardContentsOf(jobId: JobId): void {
    for (const [transferId, open] of this.#opens) {
      if (open.file.jobId !== jobId || open.file.isPublished) continue;
      open.forgetUncommitted();
      this.#opens.delete(transferId);
    }
    for (const file of this.#disk.files.values()) {
      if (file.jobId === jobId) this.#disk.discard(file);
    }
  }

  #openContent({ transferId, spec }: Extract<StoreCommand, { type: "openContent" }>): void {
    const file = this.#disk.openFile(spec);
    const open = new OpenFile(this.#disk, file);
    this.#opens.set(transferId, open);
    if (!this.#unchecked) return this.#opened(transferId, file);
    this.#at(this.#disk.read(file.layout.bytesOf(file.committed)), () => {
      if (file.manifest !== undefined) open.forgetDamaged();
      this.#opened(transferId, file);
    });
  }

  #opened(transferId: TransferId, file: DiskFile): void {
    const found = reusablePieces(this.#disk, file);
    const reusable = bitMapOf(found, file);
    const pieces = { have: file.committed.toBytes(), ...(reusable && { reusable }) };
    this.#emit({ type: "contentOpened", transferId, ...pieces });
    for (const { piece, isDamaged } of found) {
      this.#at(this.#disk.read(file.layout.length(piece)), () => {
        if (isDamaged) this.#emit({ type: "pieceCorrupt", transferId, piece });
        else this.#write(transferId, piece, false);
      });
    }
  }

  #openShared({ transferId, contentId }: Extract<StoreCommand, { type: "openShared" }>): void {
    const all = [...this.#disk.published.values()];
    const file = all.find(({ manifest }) => manifest?.contentId === contentId);
    const readAt = this.#disk.read(file?.layout.contentLength ?? 0);
    this.#at(readAt, () => {
      if (file === undefined) return this.#failed(transferId, "ERR_FILE_UNREADABLE", contentId);
      if (file.damaged.size > 0) return this.#failed(transferId, "ERR_CONTENT_MISMATCH", file.path);
      this.#opens.set(transferId, new OpenFile(this.#disk, file));
      const have = PieceSet.full(file.layout.pieceCount).toBytes();
      this.#emit({ type: "contentOpened", transferId, have });
    });
  }

  #storePiece(command: StorePiece, payload: SimPayload): void {
    const { transferId, piece } = command;
    const file = this.#opens.get(transferId)?.file;
    const isWrong = payload.corrupt || payload.piece !== piece;
    this.#deps.payloads.release(payload);
    if (file === undefined) return;
    assert(payload.byteLength === file.layout.length(piece), "a piece fills its place");
    if (file.manifest !== undefined && isWrong) {
      return this.#at(this.#disk.writtenAt(), () => {
        this.#emit({ type: "pieceCorrupt", transferId, piece });
      });
    }
    this.#write(transferId, piece, isWrong);
  }

  #write(transferId: TransferId, piece: PieceIndex, isWrong: boolean): void {
    const open = this.#opens.get(transferId);
    if (open === undefined) return;
    this.#at(this.#disk.write(open.file.layout.length(piece)), () => {
      if (this.#isOver(open, transferId)) return;
      if (!open.write(piece, isWrong)) return this.#fail(open, transferId);
      this.#emit({ type: "pieceStored", transferId, piece });
    });
  }

  #commit(open: OpenFile, transferId: TransferId): void {
    if (this.#isOver(open, transferId)) return;
    const pieces = open.beginSync();
    this.#at(this.#disk.sync(), () => {
      if (this.#isOver(open, transferId)) return;
      open.commit(pieces);
      this.#emit({ type: "piecesCommitted", transferId, pieces });
    });
  }

  /** Whether a step has nothing to do any more; a content that has failed says so again. */
  #isOver(open: OpenFile, transferId: TransferId): boolean {
    if (this.#opens.get(transferId) !== open) return true;
    if (open.failure === undefined) return false;
    this.#emit({ type: "contentFailed", transferId, error: open.failure });
    return true;
  }

  /** The disk is full: what is not committed counts as missing (R-FS-09). */
  #fail(open: OpenFile, transferId: TransferId): void {
    open.failure = errorInfo("ERR_DISK_FULL", open.file.path);
    open.forgetUncommitted();
    this.#emit({ type: "contentFailed", transferId, error: open.failure });
  }

  #readPiece(open: OpenFile, command: ReadPiece): void {
    const { transferId, piece, requestId } = command;
    const { file } = open;
    const length = file.layout.length(piece);
    this.#at(this.#disk.read(length), () => {
      // Without a manifest nothing can be verified, so nothing is served (R-CACHE-02); what lies in
      // the spool is for its owner alone, who gets it as it is.
      const isVerified = file.manifest !== undefined;
      const canRead = (isVerified || file.isSpooled) && file.committed.has(piece);
      const isDamaged = file.damaged.has(piece);
      if (!canRead || (isVerified && isDamaged)) {
        if (canRead) open.forget(piece);
        return this.#emit({ type: "pieceLost", transferId, requestId, piece });
      }
      const payload = this.#deps.payloads.take(piece, length, isDamaged);
      this.#emit({ type: "pieceRead", transferId, requestId, bufferId: NO_BUFFER }, payload);
    });
  }

  #verify(open: OpenFile, command: Extract<StoreCommand, { type: "verifyContent" }>): void {
    const { transferId, readBack } = command;
    const { file } = open;
    const isDigestOnly = file.manifest === undefined && file.hasContentDigest;
    const reads = readBack || isDigestOnly || (this.#unchecked && file.manifest !== undefined);
    this.#at(this.#disk.read(reads ? file.layout.contentLength : 0), () => {
      if (!reads || file.damaged.size === 0 || (file.manifest === undefined && !isDigestOnly)) {
        return this.#emit({ type: "contentVerified", transferId });
      }
      const pieces = isDigestOnly ? [] : open.forgetDamaged();
      this.#emit({ type: "contentMismatch", transferId, pieces });
    });
  }

  #publish({ file }: OpenFile, command: Extract<StoreCommand, { type: "publishContent" }>): void {
    const { transferId, overwrite, modifiedAt } = command;
    const old = this.#disk.published.get(file.path);
    const isTaken = old !== undefined && old !== file && !overwrite;
    if (file.isSpooled || isTaken) {
      const code = file.isSpooled ? "ERR_JOB_STATE" : "ERR_DESTINATION_EXISTS";
      return this.#emit({ type: "publishFailed", transferId, error: errorInfo(code, file.path) });
    }
    if (old !== undefined && old !== file) this.#disk.free(old.layout.bytesOf(old.committed));
    file.isPublished = true;
    file.modifiedAt = modifiedAt;
    this.#disk.published.set(file.path, file);
    this.#emit({ type: "contentPublished", transferId });
  }

  #closeContent(open: OpenFile, command: Extract<StoreCommand, { type: "closeContent" }>): void {
    const { transferId, outcome } = command;
    if (outcome === "keep") open.commitAll();
    else open.forgetUncommitted();
    if (outcome === "discard") this.#disk.discard(open.file);
    this.#opens.delete(transferId);
    this.#emit({ type: "contentClosed", transferId });
  }

  #failed(transferId: TransferId, code: ErrorCode, details: string): void {
    this.#emit({ type: "contentFailed", transferId, error: errorInfo(code, details) });
  }

  /** Runs `wake` at an instant, unless the store has ended by then. */
  #at(at: Millis, wake: () => void): void {
    this.#deps.clock.schedule(at, () => {
      if (!this.#isClosed) wake();
    });
  }

  #emit(event: StoreEvent, payload?: SimPayload): void {
    this.#deps.sink(event, payload);
  }
}

type StorePiece = Extract<StoreCommand, { type: "storePiece" }>;
type ReadPiece = Extract<StoreCommand, { type: "readPiece" }> & { readonly requestId: RequestId };
