/**
 * The store without its thread: takes the commands of the store port and answers with events.
 * Everything here runs on one thread; steps of one transfer run one after the other, transfers
 * interleave where they wait for a sync or read a file back.
 *
 * Knows transfers and commands. Pieces, files and rows are other files' business. Made by
 * `openDiskStore`; driven by the worker, and directly by tests.
 */
import { errorInfo, LIMITS, NO_BUFFER, ShoalError, unreachable } from "@shoal/core";
import type {
  ContentId,
  JobId,
  JobRecord,
  ResumableContent,
  StoreCommand,
  StoredContent,
  TransferId,
} from "@shoal/core";
import { CommandLane } from "./command-lane.ts";
import type { ContentKey } from "./content-record.ts";
import { diskErrorInfo } from "./disk-errors.ts";
import { JobTable } from "./job-table.ts";
import { removeLeftover } from "./leftovers.ts";
import { openPart } from "./open-part.ts";
import { PartContent } from "./part-content.ts";
import { SharedContent, statComplete } from "./shared-content.ts";
import type { StoreContext } from "./store-context.ts";

type Command<Type extends StoreCommand["type"]> = Extract<StoreCommand, { type: Type }>;
type TransferCommand = Exclude<
  StoreCommand,
  Command<"loadState" | "saveJob" | "deleteJob" | "openContent" | "openShared" | "readPiece">
>;

/** One transfer id in use. */
interface Slot {
  /** One per content, so that it is closed for one transfer before it is opened for the next. */
  readonly lane: CommandLane;
  /** The content of a job; `undefined` for shared files. */
  readonly key: ContentKey | undefined;
  content: PartContent | SharedContent | undefined;
  isStopped: boolean;
}

/** A complete file that was described and is to be remembered for serving. */
export interface ShareRequest {
  readonly contentId: ContentId;
  readonly manifestBytes: Uint8Array;
  readonly path: string;
  readonly length: number;
  /** The file's stamp while it was digested. */
  readonly stamp: string;
}

export class DiskStore {
  readonly #context: StoreContext;
  readonly #jobs: JobTable;
  readonly #slots = new Map<TransferId, Slot>();

  constructor(context: StoreContext) {
    this.#context = context;
    this.#jobs = new JobTable(context);
  }

  /** Resolves when the command has been worked off and `bytes` are not needed any more. */
  execute(command: StoreCommand, bytes?: Uint8Array): Promise<void> {
    switch (command.type) {
      case "loadState":
        this.#loadState();
        return Promise.resolve();
      case "saveJob":
        this.#jobs.save(command.job, command.revision);
        return Promise.resolve();
      case "deleteJob":
        return this.#deleteJob(command.jobId);
      case "openContent":
        return this.#open(command.transferId, command.spec, (slot) =>
          this.#openContent(slot, command),
        );
      case "openShared":
        return this.#open(command.transferId, undefined, (slot) => this.#openShared(slot, command));
      case "readPiece":
        this.#readPiece(command, bytes);
        return Promise.resolve();
      default:
        return this.#enqueue(command, bytes);
    }
  }

  /** Remembers a complete file and emits `contentShared`. Throws what the disk throws. */
  share({ contentId, manifestBytes, path, length, stamp }: ShareRequest): void {
    this.#context.tables.share({ contentId, path, length, stamp }, manifestBytes);
    this.#context.emit({ type: "contentShared", content: { contentId, manifestBytes, path } });
  }

  /** Commits what was stored and closes all contents, so that each can be resumed. */
  async close(): Promise<void> {
    const closes = [...this.#slots.values()].map((slot) => {
      stop(slot);
      return slot.lane.run(() => this.#closeSlot(slot, "keep"));
    });
    await Promise.all(closes);
    this.#slots.clear();
    this.#jobs.close();
  }

  /** For tests. */
  checkInvariants(): void {
    for (const { content } of this.#slots.values()) {
      if (content instanceof PartContent) content.checkInvariants();
    }
  }

  #loadState(): void {
    const { emit } = this.#context;
    try {
      const jobs = this.#context.tables.loadJobs();
      const [resumable, contents] = [this.#resumable(jobs), this.#storedContents()];
      emit({ type: "stateLoaded", jobs, resumable, contents });
    } catch (cause) {
      const error = errorInfo("ERR_STATE_UNUSABLE", diskErrorInfo(cause, "state.db").message);
      emit({ type: "stateFailed", error });
    }
  }

  /** Unpublished contents of live jobs; manifests beyond the bound are found again by other means. */
  #resumable(jobs: readonly JobRecord[]): ResumableContent[] {
    const { tables } = this.#context;
    const jobById = new Map(jobs.map((job) => [job.jobId, job]));
    const found: ResumableContent[] = [];
    let manifestBytes = 0;
    for (const record of tables.allContents()) {
      const { jobId, fileIndex, contentId, validatorKey, layout } = record;
      if (jobById.get(jobId)?.published[fileIndex] !== false) continue;
      const stored = contentId === undefined ? undefined : tables.manifest(contentId);
      manifestBytes += stored?.bytes.length ?? 0;
      if (manifestBytes > LIMITS.storedManifestBytesMax) break;
      const manifest =
        stored === undefined
          ? {}
          : { manifest: { contentId: stored.contentId, bytes: stored.bytes } };
      const validator = validatorKey === undefined ? {} : { validatorKey };
      found.push({ jobId, fileIndex, length: layout.contentLength, ...manifest, ...validator });
    }
    return found;
  }

  #storedContents(): StoredContent[] {
    const { disk, tables } = this.#context;
    const found: StoredContent[] = [];
    let manifestBytes = 0;
    for (const { contentId, path, length, bytes } of tables.shared()) {
      if (statComplete(disk, path, length) === undefined) continue;
      manifestBytes += bytes.length;
      if (manifestBytes > LIMITS.storedManifestBytesMax) break;
      found.push({ contentId, manifestBytes: bytes, path });
    }
    return found;
  }

  /** Published contents stay open: peers are served from them when their job is forgotten. */
  async #deleteJob(jobId: JobId): Promise<void> {
    const closes: Array<Promise<void>> = [];
    for (const [transferId, slot] of this.#slots) {
      if (slot.key?.jobId !== jobId || isPublished(slot)) continue;
      stop(slot);
      const discard = async (): Promise<void> => {
        if (isPublished(slot)) return;
        await this.#closeSlot(slot, "discard");
        this.#forget(transferId, slot);
      };
      closes.push(slot.lane.run(discard));
    }
    await Promise.all(closes);
    this.#jobs.delete(jobId);
  }

  #open(
    transferId: TransferId,
    key: ContentKey | undefined,
    work: (slot: Slot) => Promise<void>,
  ): Promise<void> {
    const lane = this.#laneOf(key);
    const slot: Slot = { lane, key, content: undefined, isStopped: false };
    this.#slots.set(transferId, slot);
    return lane.run(async () => {
      try {
        await work(slot);
      } catch (cause) {
        await this.#closeSlot(slot, "keep");
        // Whoever stopped it waits for another answer.
        if (slot.isStopped) return;
        this.#forget(transferId, slot);
        const error = diskErrorInfo(cause, `transfer ${transferId}`);
        this.#context.emit({ type: "contentFailed", transferId, error });
      }
    });
  }

  #laneOf(key: ContentKey | undefined): CommandLane {
    for (const slot of this.#slots.values()) {
      const isSame = slot.key?.jobId === key?.jobId && slot.key?.fileIndex === key?.fileIndex;
      if (key !== undefined && isSame) return slot.lane;
    }
    return new CommandLane();
  }

  /** Frees the id, unless it names another transfer already. */
  #forget(transferId: TransferId, slot: Slot): void {
    if (this.#slots.get(transferId) === slot) this.#slots.delete(transferId);
  }

  async #openContent(slot: Slot, { transferId, spec }: Command<"openContent">): Promise<void> {
    let content: PartContent;
    try {
      const isStopped = (): boolean => slot.isStopped;
      content = await openPart(this.#context, { transferId, spec, isStopped });
      slot.content = content;
      if (slot.isStopped) return;
      if (content.record.mustRecheck) await content.recheck();
    } catch (cause) {
      // Named here, where the path is known.
      const { code, message } = diskErrorInfo(cause, spec.destination);
      throw ShoalError.from({ code, message });
    }
    if (slot.isStopped) return;
    const { have, layout } = content;
    this.#context.emit({ type: "contentOpened", transferId, have }, layout);
  }

  async #openShared(slot: Slot, { transferId, contentId }: Command<"openShared">): Promise<void> {
    const content = await SharedContent.open(this.#context, contentId, () => slot.isStopped);
    slot.content = content;
    if (content === undefined || slot.isStopped) return;
    const { have, layout } = content;
    this.#context.emit({ type: "contentOpened", transferId, have }, layout);
  }

  /** Does not wait for the transfer's other steps: peers are served while a file is verified. */
  #readPiece({ transferId, piece, requestId }: Command<"readPiece">, bytes?: Uint8Array): void {
    const content = this.#slots.get(transferId)?.content;
    const isRead = bytes !== undefined && content?.read(piece, bytes) === true;
    this.#context.emit(
      isRead
        ? { type: "pieceRead", transferId, requestId, bufferId: NO_BUFFER }
        : { type: "pieceLost", transferId, requestId, piece },
    );
  }

  /** Commands for a transfer id that is not in use are about a transfer that has ended: dropped. */
  #enqueue(command: TransferCommand, bytes: Uint8Array | undefined): Promise<void> {
    const { transferId } = command;
    const slot = this.#slots.get(transferId);
    if (slot === undefined) {
      if (command.type === "closeContent")
        this.#context.emit({ type: "contentClosed", transferId });
      return Promise.resolve();
    }
    if (command.type !== "closeContent") {
      return slot.lane.run(() => this.#perform(slot, command, bytes));
    }
    stop(slot);
    return slot.lane.run(async () => {
      await this.#closeSlot(slot, command.outcome);
      this.#forget(transferId, slot);
      this.#context.emit({ type: "contentClosed", transferId });
    });
  }

  #perform(
    { content }: Slot,
    command: Exclude<TransferCommand, Command<"closeContent">>,
    bytes: Uint8Array | undefined,
  ): void | Promise<void> {
    if (content === undefined) return;
    if (content instanceof SharedContent) {
      const error = errorInfo("ERR_JOB_STATE", `${command.type} on a shared file`);
      this.#context.emit({ type: "contentFailed", transferId: command.transferId, error });
      return;
    }
    switch (command.type) {
      case "storePiece":
        if (bytes !== undefined) return content.store(command.piece, bytes);
        return;
      case "commitPieces":
        return content.commit();
      case "verifyContent":
        return content.verify(command.readBack);
      case "publishContent":
        return content.publish(command.overwrite);
      default:
        unreachable(command);
    }
  }

  async #closeSlot(slot: Slot, outcome: "keep" | "discard"): Promise<void> {
    const { content } = slot;
    slot.content = undefined;
    if (!(content instanceof PartContent)) return;
    const leftover = await content.close(outcome);
    if (leftover !== undefined) removeLeftover(this.#context, leftover);
  }
}

function isPublished({ content }: Slot): boolean {
  return content instanceof PartContent && content.isPublished;
}

/** Long scans end early; the answer that still comes is that of the command that stopped them. */
function stop(slot: Slot): void {
  slot.isStopped = true;
  if (slot.content instanceof PartContent) slot.content.stop();
}
