/**
 * The store without its thread: takes the commands of the store port and answers with events.
 * Everything here runs on one thread; steps of one transfer run one after the other, transfers
 * interleave where they wait for a sync or read a file back.
 *
 * Knows transfers and commands. Pieces, files and rows are other files' business. Made by
 * `openDiskStore`; driven by the worker, and directly by tests.
 */
import { errorInfo, NO_BUFFER, ShoalError, unreachable } from "@shoal/core";
import type { ContentId, JobId, StoreCommand, TransferId } from "@shoal/core";
import { CommandLane } from "./command-lane.ts";
import type { ContentCache } from "./content-cache.ts";
import type { ContentKey } from "./content-record.ts";
import { diskErrorInfo } from "./disk-errors.ts";
import { JobTable } from "./job-table.ts";
import { removeLeftovers } from "./leftovers.ts";
import { loadState } from "./load-state.ts";
import { openPart } from "./open-part.ts";
import { PartContent } from "./part-content.ts";
import type { Closing } from "./part-content.ts";
import { PieceReuse } from "./piece-reuse.ts";
import { SharedContent } from "./shared-content.ts";
import type { StoreContext } from "./store-context.ts";

type Command<Type extends StoreCommand["type"]> = Extract<StoreCommand, { type: Type }>;
type JobCommand = Command<"saveJob" | "endJob" | "forgetJob">;
type TransferCommand = Exclude<
  StoreCommand,
  | JobCommand
  | Command<
      | "loadState"
      | "saveAccepted"
      | "saveAnnouncement"
      | "saveConduct"
      | "savePeers"
      | "saveUsage"
      | "openContent"
      | "openShared"
      | "readPiece"
    >
>;

/** One transfer id in use. */
interface Slot {
  /** One per content, so that it is closed for one transfer before it is opened for the next. */
  readonly lane: CommandLane;
  /** The content of a job; `undefined` for shared files. */
  readonly key: ContentKey | undefined;
  content: PartContent | SharedContent | undefined;
  reuse?: PieceReuse;
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
  readonly #cache: ContentCache;
  readonly #slots = new Map<TransferId, Slot>();
  /** Jobs that wait for their contents to be closed. */
  readonly #endings = new Map<JobId, Promise<void>>();

  constructor(context: StoreContext, cache: ContentCache) {
    this.#context = context;
    this.#cache = cache;
    this.#jobs = new JobTable(context);
  }

  /** Resolves when the command has been worked off and `bytes` are not needed any more. */
  execute(command: StoreCommand, bytes?: Uint8Array): Promise<void> {
    switch (command.type) {
      case "loadState":
        this.#jobs.flush();
        loadState(this.#context, this.#cache);
        return Promise.resolve();
      case "saveConduct":
        this.#context.conductRows.save(command);
        return Promise.resolve();
      case "savePeers":
        this.#context.peerRows.save(command.peers);
        return Promise.resolve();
      case "saveUsage":
        this.#context.usageRows.save(command.usage);
        return Promise.resolve();
      case "saveAccepted":
        this.#context.acceptedRows.save(command.accepted);
        return Promise.resolve();
      case "saveAnnouncement":
        this.#context.announcementRows.save(command.announcement);
        return Promise.resolve();
      case "saveJob":
      case "endJob":
        return this.#executeOnJob(command, command.job.jobId);
      case "forgetJob":
        return this.#executeOnJob(command, command.jobId);
      case "openContent":
        this.#jobs.flush(command.spec.jobId);
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
    const { tables } = this.#context;
    tables.transaction(() => {
      tables.share({ contentId, path, length, stamp }, manifestBytes);
      this.#cache.forget(contentId);
    });
    this.#context.emit({ type: "contentShared", content: { contentId, manifestBytes, path } });
  }

  /** Commits what was stored and closes all contents, so that each can be resumed. */
  async close(): Promise<void> {
    const closes = [...this.#slots.values()].map((slot) => {
      stop(slot);
      return slot.lane.run(() => this.#closeSlot(slot, "keep"));
    });
    await Promise.all([...closes, ...this.#endings.values()]);
    this.#slots.clear();
    await this.#cache.close();
    this.#jobs.close();
  }

  /** For tests. */
  checkInvariants(): void {
    for (const { content } of this.#slots.values()) {
      if (content instanceof PartContent) content.checkInvariants();
    }
  }

  /** What is about a job that is being ended waits until it has been. */
  #executeOnJob(command: JobCommand, jobId: JobId): Promise<void> {
    const ending = this.#endings.get(jobId);
    if (ending !== undefined) return ending.then(() => this.execute(command));
    switch (command.type) {
      case "saveJob":
        return this.#jobs.save(command.job, command.revision);
      case "forgetJob":
        this.#jobs.forget(jobId);
        return Promise.resolve();
      case "endJob": {
        const end = this.#closeContentsOf(jobId).then(() => {
          this.#endings.delete(jobId);
          this.#jobs.end(command.job);
        });
        this.#endings.set(jobId, end);
        return end;
      }
      default:
        unreachable(command);
    }
  }

  /** Published contents stay open: peers are served from them when their job is forgotten. */
  async #closeContentsOf(jobId: JobId): Promise<void> {
    const closes: Array<Promise<void>> = [];
    for (const [transferId, slot] of this.#slots) {
      if (slot.key?.jobId !== jobId || isPublished(slot)) continue;
      stop(slot);
      const close = async (): Promise<void> => {
        if (isPublished(slot)) return;
        await this.#closeSlot(slot, "release");
        this.#forget(transferId, slot);
      };
      closes.push(slot.lane.run(close));
    }
    await Promise.all(closes);
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
      const { code, message } = diskErrorInfo(cause, spec.destination ?? "the spool directory");
      throw ShoalError.from({ code, message });
    }
    if (slot.isStopped) return;
    const { have, layout } = content;
    const reuse = PieceReuse.plan(this.#context, { content, lane: slot.lane });
    if (reuse !== undefined) slot.reuse = reuse;
    const pieces = reuse === undefined ? { have } : { have, reusable: reuse.reusable };
    this.#context.emit({ type: "contentOpened", transferId, ...pieces }, layout);
    reuse?.start();
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
    if (content !== undefined && isRead) this.#cache.wasRead(content);
    else if (content !== undefined && bytes) this.#cache.wasLost(content, piece, bytes);
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
    if (slot?.key !== undefined) this.#jobs.flush(slot.key.jobId);
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
    { content, reuse }: Slot,
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
        if (bytes !== undefined) return (reuse ?? content).store(command.piece, bytes);
        return;
      case "commitPieces":
        return content.commit();
      case "verifyContent":
        return content.verify(command.readBack);
      case "publishContent":
        return content.publish(command).then(() => void this.#cache.published(content));
      default:
        unreachable(command);
    }
  }

  async #closeSlot(slot: Slot, closing: Closing): Promise<void> {
    const { content } = slot;
    slot.content = undefined;
    if (!(content instanceof PartContent)) return;
    const leftover = await content.close(closing);
    if (leftover !== undefined) removeLeftovers(this.#context, [leftover]);
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
