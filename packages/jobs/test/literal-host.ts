/**
 * A host as a literal around a real scheduler: the ports' answers are given by hand, so a test
 * decides when a job is durable, when a piece arrives and what fails.
 */
import { PieceSet, Random, resolveSettings, Scheduler } from "@shoal/core";
import type {
  BufferId,
  ErrorInfo,
  JobId,
  Notice,
  OriginFailureKind,
  PieceBytes,
  PieceLayout,
  SchedulerCommand,
  SchedulerEvent,
  TransferId,
} from "@shoal/core";
import type { JobHost } from "../src/index.ts";

/** Of every file, unless a test says otherwise: one piece. */
export const LENGTH = 100_000;
const WALL_AT = Date.UTC(2026, 0, 1);

interface LiteralContent {
  readonly layout: PieceLayout;
  /** Stored, and not committed. */
  readonly stored: number[];
}

export class LiteralHost implements JobHost {
  /** Whether the store answers by itself, from inside the verb. */
  isStoreQuick = true;
  /** Commands the store has not answered, when it is not quick. */
  readonly held: SchedulerCommand[] = [];
  /** Called for every origin command; the test answers by `emit`. */
  onOrigin: (command: SchedulerCommand & { port: "origin" }) => void = () => {};
  /** What publication answers with. */
  publishError: "ERR_DESTINATION_EXISTS" | undefined;
  /** Of the files at the origin, in bytes. */
  length = LENGTH;
  readonly #machine: Scheduler;
  readonly #listeners = new Set<(notice: Notice) => void>();
  readonly #queue: SchedulerEvent[] = [];
  readonly #contents = new Map<TransferId, LiteralContent>();
  readonly #sinks = new Map<string, (piece: PieceBytes) => void>();
  /** What was read for streams and not released. */
  readonly #read = new Map<BufferId, Uint8Array>();
  #lastBufferId: BufferId = 1_000_000;
  #isRunning = false;
  #now = 0;

  constructor() {
    const settings = resolveSettings({ originFailuresMax: 1 });
    this.#machine = new Scheduler({ random: new Random(1), settings, selfId: "self" });
    this.#machine.tellWallTime(WALL_AT, 0);
    this.#machine.start();
    this.#run();
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  /** Pieces that streams were given and have not given back. */
  get unreleasedCount(): number {
    return this.#read.size;
  }

  act<Result>(verb: (scheduler: Scheduler, now: number) => Result): Result {
    const result = verb(this.#machine, this.#now);
    this.#run();
    return result;
  }

  onNotice(listener: (notice: Notice) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  attachSink(
    jobId: JobId,
    fileIndex: number,
    deliver: (piece: PieceBytes) => void,
  ): (() => void) | ErrorInfo {
    const key = `${jobId} ${fileIndex}`;
    const before = this.#sinks.get(key);
    this.#sinks.set(key, deliver);
    const refusal = this.act((scheduler, now) => scheduler.attachSink(jobId, fileIndex, now));
    if (refusal === undefined) return () => void this.#sinks.delete(key);
    if (before === undefined) this.#sinks.delete(key);
    else this.#sinks.set(key, before);
    return refusal;
  }

  emit(event: SchedulerEvent): void {
    this.#queue.push(event);
    this.#run();
  }

  /** Lets the store answer what it was asked meanwhile. */
  releaseStore(): void {
    this.isStoreQuick = true;
    for (const command of this.held.splice(0)) this.#execute(command);
    this.#run();
  }

  /** An origin that delivers at once. */
  deliver(): void {
    this.onOrigin = ({ command }) => {
      if (command.type === "probeOrigin") {
        const { requestId, transferId } = command;
        const validator = { etag: '"1"' };
        const found = { length: this.length, validator, acceptsRanges: true };
        this.emit({ type: "originProbed", requestId, transferId, ...found });
      } else if (command.type === "fetchRange") {
        const { requestId, transferId, firstPiece, pieceCount } = command;
        for (let piece = firstPiece; piece < firstPiece + pieceCount; piece++) {
          this.emit({ type: "rangePiece", requestId, transferId, piece, bufferId: piece + 1 });
        }
        this.emit({ type: "rangeFinished", requestId, transferId, validator: { etag: '"1"' } });
      }
    };
  }

  /** An origin that fails. */
  refuse(kind: OriginFailureKind): void {
    const code = kind === "fatal" ? "ERR_ORIGIN_NOT_FOUND" : "ERR_ORIGIN_UNREACHABLE";
    this.onOrigin = ({ command }) => {
      if (!("transferId" in command) || command.type === "setPace") return;
      const { requestId, transferId } = command;
      const failure = { kind, error: { code, message: "it failed" } } as const;
      this.emit({ type: "originFailed", requestId, transferId, failure });
    };
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#drain();
    for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
      this.#now++;
      this.#machine.handle(event, this.#now);
      this.#drain();
    }
    this.#isRunning = false;
  }

  #drain(): void {
    for (let next = this.#machine.pollCommand(); next; next = this.#machine.pollCommand()) {
      this.#execute(next);
    }
    for (let next = this.#machine.pollNotice(); next; next = this.#machine.pollNotice()) {
      for (const listener of this.#listeners) listener(next);
    }
  }

  #execute(next: SchedulerCommand): void {
    if (next.port === "origin") this.onOrigin(next);
    else if (next.port === "engine") this.#hand(next);
    else if (next.port === "store" && this.isStoreQuick) this.#store(next);
    else if (next.port === "store") this.held.push(next);
  }

  #hand({ command }: SchedulerCommand & { port: "engine" }): void {
    const { bufferId } = command;
    const bytes = this.#read.get(bufferId);
    const release = (): void => void this.#read.delete(bufferId);
    if (command.type === "releaseBuffer" || bytes === undefined) return release();
    this.#sinks.get(`${command.jobId} ${command.fileIndex}`)?.({ bytes, release });
  }

  #store({ command }: SchedulerCommand): void {
    switch (command.type) {
      case "loadState":
        return this.emit({ type: "stateLoaded", jobs: [], resumable: [], contents: [] });
      case "saveJob": {
        const { revision, job } = command;
        return this.emit({ type: "jobSaved", jobId: job.jobId, revision });
      }
      case "endJob":
        return this.emit({ type: "jobEnded", jobId: command.job.jobId, undeletedCount: 0 });
      case "openContent": {
        const { transferId, spec } = command;
        this.#contents.set(transferId, { layout: spec.layout, stored: [] });
        const have = new PieceSet(spec.layout.pieceCount).toBytes();
        return this.emit({ type: "contentOpened", transferId, have });
      }
      case "storePiece":
        this.#contents.get(command.transferId)?.stored.push(command.piece);
        return this.emit({ ...command, type: "pieceStored" });
      case "commitPieces": {
        const { transferId } = command;
        const pieces = this.#contents.get(transferId)?.stored.splice(0) ?? [];
        return this.emit({ type: "piecesCommitted", transferId, pieces });
      }
      case "readPiece": {
        const { transferId, requestId, piece } = command;
        const byteLength = this.#contents.get(transferId)?.layout.length(piece) ?? 0;
        const bufferId = ++this.#lastBufferId;
        this.#read.set(bufferId, new Uint8Array(byteLength).fill(piece + 1));
        return this.emit({ type: "pieceRead", transferId, requestId, bufferId });
      }
      case "verifyContent":
        return this.emit({ type: "contentVerified", transferId: command.transferId });
      case "publishContent": {
        const { transferId } = command;
        const code = this.publishError;
        if (code === undefined) return this.emit({ type: "contentPublished", transferId });
        const error = { code, message: "something lies there" };
        return this.emit({ type: "publishFailed", transferId, error });
      }
      case "closeContent":
        return this.emit({ type: "contentClosed", transferId: command.transferId });
      default:
    }
  }
}
