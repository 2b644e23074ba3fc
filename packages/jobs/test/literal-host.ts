/**
 * A host as a literal around a real scheduler: the ports' answers are given by hand, so a test
 * decides when a job is durable, when a piece arrives and what fails.
 */
import { PieceSet, Random, resolveSettings, Scheduler } from "@shoal/core";
import type { Notice, OriginFailureKind, SchedulerCommand, SchedulerEvent } from "@shoal/core";
import type { JobHost } from "../src/index.ts";

export const LENGTH = 100_000;

export class LiteralHost implements JobHost {
  /** Whether the store answers by itself, from inside the verb. */
  isStoreQuick = true;
  /** Commands the store has not answered, when it is not quick. */
  readonly held: SchedulerCommand[] = [];
  /** Called for every origin command; the test answers by `emit`. */
  onOrigin: (command: SchedulerCommand & { port: "origin" }) => void = () => {};
  /** What publication answers with. */
  publishError: "ERR_DESTINATION_EXISTS" | undefined;
  readonly #machine: Scheduler;
  readonly #listeners = new Set<(notice: Notice) => void>();
  readonly #queue: SchedulerEvent[] = [];
  readonly #stored: number[] = [];
  #isRunning = false;
  #now = 0;

  constructor() {
    const settings = resolveSettings({ originFailuresMax: 1 });
    this.#machine = new Scheduler({ random: new Random(1), settings, selfId: "self" });
    this.#machine.start();
    this.#run();
  }

  get listenerCount(): number {
    return this.#listeners.size;
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
        const found = { length: LENGTH, validator, acceptsRanges: true };
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
      if (!("transferId" in command)) return;
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
    else if (next.port === "store" && this.isStoreQuick) this.#store(next);
    else if (next.port === "store") this.held.push(next);
  }

  #store({ command }: SchedulerCommand): void {
    switch (command.type) {
      case "loadState":
        return this.emit({ type: "stateLoaded", jobs: [], resumable: [], contents: [] });
      case "saveJob": {
        const { revision, job } = command;
        return this.emit({ type: "jobSaved", jobId: job.jobId, revision });
      }
      case "deleteJob":
        return this.emit({ type: "jobDeleted", jobId: command.jobId });
      case "openContent": {
        const { transferId, spec } = command;
        const have = new PieceSet(spec.layout.pieceCount).toBytes();
        return this.emit({ type: "contentOpened", transferId, have });
      }
      case "storePiece":
        this.#stored.push(command.piece);
        return this.emit({ ...command, type: "pieceStored" });
      case "commitPieces": {
        const pieces = this.#stored.splice(0);
        return this.emit({ type: "piecesCommitted", transferId: command.transferId, pieces });
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
