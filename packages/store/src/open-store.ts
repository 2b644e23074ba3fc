/**
 * The store port as the engine sees it: a thin proxy that sends commands to the store's worker
 * thread and hands its events to the sink. Piece bytes are shared memory and cross without a copy.
 *
 * Owns payloads between `execute` and the worker's answer. Cost on the calling thread: at most one
 * message each way per command. Called by whoever composes an agent.
 */
import { readFile, realpath } from "node:fs/promises";
import { sep } from "node:path";
import type { Worker } from "node:worker_threads";
import { assert, errorInfo, LIMITS, ShoalError, SIDECAR_SUFFIX } from "@shoal/core";
import type {
  ContentId,
  EventSink,
  PieceBufferPool,
  PieceBytes,
  PieceLayout,
  Port,
  RequestId,
  StoreCommand,
  StoreEvent,
  TransferId,
} from "@shoal/core";
import type { CacheEntry } from "./cache-rows.ts";
import type { CacheRequest, CacheSettings } from "./content-cache.ts";
import { describeOnWorker } from "./describe-file.ts";
import type { StartReport } from "./open-disk-store.ts";
import { startWorker } from "./start-worker.ts";
import { fromWireLayout, toWireCommand } from "./worker-messages.ts";
import type { FromWorker, StoreWorkerData, ToWorker, WireLayout } from "./worker-messages.ts";

/** Checking the database is the longest part of a start; it reads all of it after a crash. */
const START_TIMEOUT_MS = 60_000;
/** R-PROC-03: an orderly stop takes at most 10 s. */
const CLOSE_TIMEOUT_MS = 10_000;

export interface StoreDeps {
  /** Where buffers for `pieceRead` come from. */
  readonly pool: PieceBufferPool;
  /** Takes the store's events; called on later turns, never from inside `execute`. */
  readonly sink: EventSink<PieceBytes>;
}

export interface StoreOptions {
  /** Created with mode 0700 where it does not exist. */
  readonly stateDirectory: string;
  /** Default: those of the settings table. */
  readonly cache?: CacheSettings;
  /** Files that are never offered to peers, as those in the state directory never are. */
  readonly secretFiles?: readonly string[];
}

/** The disk store. `close` commits what was stored and takes at most 10 seconds. */
export interface Store extends Port<StoreCommand, PieceBytes>, AsyncDisposable {
  readonly report: StartReport;
  /**
   * Does something with the contents that stay on offer after their jobs, and returns them, the
   * least recently used first. Rejects with `ERR_CONTENT_NOT_CACHED`, `ERR_USAGE`,
   * `ERR_AGENT_CLOSED` or what the database reports.
   */
  cache(request: CacheRequest): Promise<readonly CacheEntry[]>;
  /**
   * Makes a complete file available to peers: digests it, or takes the sidecar manifest beside it
   * when that matches, remembers it and emits `contentShared`. One file at a time; others wait.
   * Rejects with `ERR_FILE_UNREADABLE`, `ERR_DISK_FULL`, `ERR_DISK_IO`, `ERR_AGENT_CLOSED` or the
   * signal's reason.
   */
  shareFile(path: string, options?: { readonly signal?: AbortSignal }): Promise<ContentId>;
}

/**
 * Opens the store of a state directory. Rejects with `ERR_STATE_LOCKED`, `ERR_STATE_NEWER`,
 * `ERR_STATE_UNUSABLE` or `ERR_DISK_FULL`.
 */
export async function openStore(deps: StoreDeps, options: StoreOptions): Promise<Store> {
  const { stateDirectory, cache, secretFiles = [] } = options;
  const data: StoreWorkerData = { stateDirectory, ...(cache && { cache }) };
  const worker = startWorker("store-worker", data);
  const started = Promise.withResolvers<StartReport>();
  const onMessage = (messages: readonly FromWorker[]): void => {
    for (const message of messages) {
      if (message.kind === "started") started.resolve(message.report);
      else if (message.kind === "refused") started.reject(ShoalError.from(message.error));
    }
  };
  const onError = (cause: Error): void =>
    started.reject(new ShoalError("ERR_STATE_UNUSABLE", cause.message, { cause }));
  const timer = setTimeout(
    () => started.reject(new ShoalError("ERR_STATE_UNUSABLE", "the store does not start")),
    START_TIMEOUT_MS,
  );
  worker.on("message", onMessage).on("error", onError);
  try {
    const report = await started.promise;
    const home = await realpath(stateDirectory);
    const store = new WorkerStore(deps, { worker, report, home, secretFiles });
    worker.off("message", onMessage).off("error", onError);
    return store;
  } catch (error) {
    worker.off("error", onError).on("error", () => {});
    await worker.terminate();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** What the worker says to a message that is answered by `done`. */
type Answer = Pick<Extract<FromWorker, { kind: "done" }>, "error" | "entries">;

class WorkerStore implements Store {
  readonly report: StartReport;
  readonly #deps: StoreDeps;
  readonly #worker: Worker;
  readonly #stateDirectory: string;
  readonly #secretFiles: readonly string[];
  /** Commands on their way, by message id, with the payload that each lends to the worker. */
  readonly #outstanding = new Map<number, PieceBytes | undefined>();
  /** Buffers that the worker fills. */
  readonly #reads = new Map<RequestId, PieceBytes>();
  readonly #asked = new Map<number, (answer: Answer) => void>();
  readonly #layouts = new Map<TransferId, PieceLayout>();
  readonly #exited = Promise.withResolvers<void>();
  readonly #closing = new AbortController();
  #lastShare: Promise<unknown> = Promise.resolve();
  #lastId = 0;
  #closed: Promise<void> | undefined;
  #hasExited = false;

  constructor(
    deps: StoreDeps,
    {
      worker,
      report,
      home,
      secretFiles,
    }: {
      readonly worker: Worker;
      readonly report: StartReport;
      readonly home: string;
      readonly secretFiles: readonly string[];
    },
  ) {
    this.#stateDirectory = home;
    this.#secretFiles = secretFiles;
    this.#deps = deps;
    this.#worker = worker;
    this.report = report;
    worker.on("message", (messages: readonly FromWorker[]) => {
      for (const message of messages) this.#take(message);
    });
    worker.on("error", (error: Error) => this.#ended(error.message));
    worker.on("exit", (code) => this.#ended(`exit code ${code}`));
  }

  execute(command: StoreCommand, payload?: PieceBytes): void {
    if (this.#closed !== undefined || this.#hasExited) {
      payload?.release();
      const isAwaited = command.type === "saveJob" || command.type === "endJob";
      // Whoever waits for a job to be durable learns that it never is.
      if (this.#closed === undefined && isAwaited) this.#fail("it has stopped");
      return;
    }
    assert(this.#outstanding.size < LIMITS.storeCommandsMax, "the store's queue is bounded");
    const id = ++this.#lastId;
    this.#outstanding.set(id, payload);
    if (command.type === "openContent") {
      this.#layouts.set(command.transferId, command.spec.layout);
    }
    const bytes = command.type === "readPiece" ? this.#bufferFor(command) : payload?.bytes;
    const message: ToWorker = { kind: "command", id, command: toWireCommand(command) };
    this.#post(bytes === undefined ? message : { ...message, bytes });
  }

  async shareFile(path: string, { signal }: { signal?: AbortSignal } = {}): Promise<ContentId> {
    const before = this.#lastShare;
    const share = before.then(() => this.#share(path, signal));
    this.#lastShare = share.catch(() => {});
    return share;
  }

  async cache(request: CacheRequest): Promise<readonly CacheEntry[]> {
    if (this.#closed !== undefined || this.#hasExited) throw new ShoalError("ERR_AGENT_CLOSED");
    const { entries = [] } = await this.#ask({ kind: "cache", id: ++this.#lastId, request });
    return entries;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#closing.abort(new ShoalError("ERR_AGENT_CLOSED"));
    if (!this.#hasExited) this.#post({ kind: "close" });
    const timer = setTimeout(() => void this.#worker.terminate(), CLOSE_TIMEOUT_MS);
    await this.#exited.promise;
    clearTimeout(timer);
  }

  async #share(path: string, signal: AbortSignal | undefined): Promise<ContentId> {
    const stop = AbortSignal.any([this.#closing.signal, ...(signal === undefined ? [] : [signal])]);
    stop.throwIfAborted();
    const file = await realpath(path).catch((cause: unknown) => {
      throw new ShoalError("ERR_FILE_UNREADABLE", path, { cause });
    });
    // The agent's own files, its identity among them, are never anybody else's to read.
    const isSecret = (await realPathsOf(this.#secretFiles)).includes(file);
    if (isSecret || file.startsWith(this.#stateDirectory + sep)) {
      throw new ShoalError("ERR_FILE_UNREADABLE", `${path} is the agent's own`);
    }
    const sidecar = await readFile(file + SIDECAR_SUFFIX, { signal: stop }).catch(() => undefined);
    const { contentId, bytes, length, stamp } = await describeOnWorker(file, {
      signal: stop,
      ...(sidecar === undefined ? {} : { sidecar }),
    });
    stop.throwIfAborted();
    const id = ++this.#lastId;
    const request = { contentId, manifestBytes: bytes, path: file, length, stamp };
    await this.#ask({ kind: "share", id, request });
    return contentId;
  }

  /** Sends a message that is answered by `done`. */
  async #ask(message: Extract<ToWorker, { kind: "share" | "cache" }>): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#asked.set(message.id, resolve);
    this.#post(message);
    const answer = await promise;
    if (answer.error !== undefined) throw ShoalError.from(answer.error);
    return answer;
  }

  /** `undefined` for a transfer that is not open: the worker answers that nothing can be read. */
  #bufferFor(command: Extract<StoreCommand, { type: "readPiece" }>): Uint8Array | undefined {
    const { piece, requestId, transferId } = command;
    const layout = this.#layouts.get(transferId);
    if (layout === undefined || piece >= layout.pieceCount) return undefined;
    assert(!this.#reads.has(requestId), "a request id names one read");
    const buffer = this.#deps.pool.take(layout.length(piece));
    this.#reads.set(requestId, buffer);
    return buffer.bytes;
  }

  #take(message: FromWorker): void {
    if (message.kind === "event") {
      this.#deliver(message.event, message.layout);
    } else if (message.kind === "done") {
      this.#outstanding.get(message.id)?.release();
      this.#outstanding.delete(message.id);
      this.#asked.get(message.id)?.(message);
      this.#asked.delete(message.id);
    }
  }

  #deliver(event: StoreEvent, layout: WireLayout | undefined): void {
    let payload: PieceBytes | undefined;
    if (event.type === "pieceRead" || event.type === "pieceLost") {
      payload = this.#reads.get(event.requestId);
      this.#reads.delete(event.requestId);
    } else if (event.type === "contentOpened" && layout !== undefined) {
      this.#layouts.set(event.transferId, fromWireLayout(layout));
    } else if (event.type === "contentClosed") {
      this.#layouts.delete(event.transferId);
    }
    if (this.#closed !== undefined) payload?.release();
    else if (event.type === "pieceRead") this.#deps.sink(event, payload);
    else {
      payload?.release();
      this.#deps.sink(event);
    }
  }

  /** The worker is gone: in order, or because an assertion failed in it. */
  #ended(reason: string): void {
    if (this.#hasExited) return;
    this.#hasExited = true;
    for (const payload of this.#outstanding.values()) payload?.release();
    for (const payload of this.#reads.values()) payload.release();
    const error = errorInfo("ERR_AGENT_CLOSED");
    for (const settle of this.#asked.values()) settle({ error });
    this.#outstanding.clear();
    this.#reads.clear();
    this.#asked.clear();
    this.#exited.resolve();
    if (this.#closed === undefined) this.#fail(reason);
  }

  #fail(reason: string): void {
    const error = errorInfo("ERR_STATE_UNUSABLE", `the store stopped: ${reason}`);
    this.#deps.sink({ type: "stateFailed", error });
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }
}

/** Of those that are there. */
async function realPathsOf(paths: readonly string[]): Promise<readonly string[]> {
  return await Promise.all(paths.map((path) => realpath(path).catch(() => path)));
}
