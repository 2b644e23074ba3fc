/**
 * The origin port of one simulated agent: commands become requests to the `SimOriginServer`, and
 * its answers become events with the meaning of the real adapter's, after the latency of the path
 * and the crossing of both links.
 *
 * Knows this agent's requests. Decides nothing: a refusal or a silence is an event. Called by the
 * engine (`execute`, `close`); calls the engine's sink, never from inside `execute`.
 */
import { NO_BUFFER, unreachable } from "@shoal/core";
import type {
  EventSink,
  Millis,
  OriginCommand,
  OriginEvent,
  OriginFailure,
  PieceIndex,
  Port,
  RequestId,
  TransferId,
  Validator,
} from "@shoal/core";
import type { Crossing } from "./fair-link.ts";
import {
  answerTo,
  documentOf,
  fail,
  ManifestPart,
  PieceParts,
  responseOf,
} from "./sim-origin-answer.ts";
import type { Asking, Parts, SimResponse } from "./sim-origin-answer.ts";
import type { OriginBody, SimOriginServer } from "./sim-origin-server.ts";
import { SimPace } from "./sim-pace.ts";
import type { SimPayload, SimPayloads } from "./sim-payload.ts";
import { crossingTo, lossyRateBytesPerSec } from "./sim-site.ts";
import type { Place } from "./sim-site.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** The agent's place is where answers go to. */
export interface SimOriginDeps extends Place {
  readonly clock: VirtualClock;
  readonly server: SimOriginServer;
  readonly payloads: SimPayloads;
  readonly sink: EventSink<SimPayload>;
}

export interface SimOriginOptions {
  /** One way, between this agent and the origin. Default 5. */
  readonly latencyMs?: Millis;
  /** Silence after which a request has failed. Default 20,000 (R-HTTP-08). */
  readonly idleTimeoutMs?: Millis;
}

/** `rangeProgress` comes at most this often per request (origin port). */
const PROGRESS_MS = 500;

export class SimOrigin implements Port<OriginCommand, SimPayload> {
  readonly #deps: SimOriginDeps;
  readonly #latencyMs: Millis;
  readonly #idleTimeoutMs: Millis;
  readonly #requests = new Map<RequestId, Request>();
  readonly #paces = new Map<TransferId, SimPace>();
  #isFlowOpen = true;
  #isOnline = true;
  #isClosed = false;

  constructor(deps: SimOriginDeps, options: SimOriginOptions = {}) {
    this.#deps = deps;
    this.#latencyMs = options.latencyMs ?? 5;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? 20_000;
  }

  execute(command: OriginCommand): void {
    if (this.#isClosed) return;
    switch (command.type) {
      case "setFlow":
        this.#isFlowOpen = command.open;
        this.#deps.clock.schedule(this.#deps.clock.now(), () => {
          for (const request of this.#requests.values()) request.flowChanged();
        });
        return;
      case "setPace":
        return this.#paceOf(command.transferId).setRate(command.rateBytesPerSec);
      case "cancelOrigin":
        this.#requests.get(command.requestId)?.end();
        return;
      case "probeOrigin":
      case "fetchManifest":
      case "fetchRange":
        return this.#begin(command);
      default:
        unreachable(command);
    }
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const request of this.#requests.values()) request.end();
    return Promise.resolve();
  }

  /** The agent's link goes, and every request under way breaks; or it comes back. */
  setOnline(isOnline: boolean): void {
    this.#isOnline = isOnline;
    if (isOnline) return;
    for (const request of this.#requests.values()) request.linkLost();
  }

  #paceOf(transferId: TransferId): SimPace {
    const pace = this.#paces.get(transferId) ?? new SimPace(this.#deps.clock);
    this.#paces.set(transferId, pace);
    return pace;
  }

  #begin(command: Asking): void {
    const { clock } = this.#deps;
    const request = new Request(command, {
      ...this.#deps,
      latencyMs: this.#latencyMs,
      idleTimeoutMs: this.#idleTimeoutMs,
      isFlowOpen: () => this.#isFlowOpen,
      pace: this.#paceOf(command.transferId),
      ended: () => this.#requests.delete(command.requestId),
    });
    this.#requests.set(command.requestId, request);
    clock.schedule(clock.now() + this.#latencyMs, () => {
      if (this.#isOnline) request.reachServer();
      else request.linkLost();
    });
  }
}

interface RequestDeps extends SimOriginDeps {
  readonly latencyMs: Millis;
  readonly idleTimeoutMs: Millis;
  isFlowOpen(): boolean;
  /** Of the transfer. */
  readonly pace: SimPace;
  ended(): void;
}

/** One request, from the command to its last event. It is its own body on the server's link. */
class Request implements OriginBody {
  readonly downlink: Crossing;
  readonly rateBytesPerSecMax: number;
  readonly #command: Asking;
  readonly #deps: RequestDeps;
  #isOver = false;
  /** What is being sent, once the server has agreed to send it. */
  #parts: Parts | undefined;
  #partRemaining = 0;
  #validator: Validator = {};
  /** Whole pieces that have come while the agent was not reading, and then the last event. */
  readonly #arrived: PieceIndex[] = [];
  #last: OriginEvent | undefined;
  #receivedBytes = 0;
  #lastArrivalAt: Millis;
  #progressAt: Millis;

  constructor(command: Asking, deps: RequestDeps) {
    this.#command = command;
    this.#deps = deps;
    this.downlink = crossingTo(undefined, deps);
    this.rateBytesPerSecMax = Math.min(
      deps.server.requestRateBytesPerSecMax,
      lossyRateBytesPerSec(undefined, deps.site, deps.latencyMs),
    );
    this.#lastArrivalAt = deps.clock.now();
    this.#progressAt = deps.clock.now();
    deps.pace.join(this);
    this.#watchSilence();
  }

  get isPaused(): boolean {
    return !this.#deps.isFlowOpen() || !this.#deps.pace.isOpen;
  }

  /** Ends the request; nothing about it is emitted any more. */
  end(): void {
    this.#isOver = true;
    this.#deps.pace.leave(this);
    this.#deps.server.end(this);
    this.#deps.ended();
  }

  /** The transfer has spent what it may take for now, or may take more. */
  paceChanged(): void {
    if (this.isPaused) return this.#deps.server.hold(this);
    this.#lastArrivalAt = Math.max(this.#lastArrivalAt, this.#deps.clock.now());
    this.#deps.server.resume(this);
  }

  flowChanged(): void {
    if (!this.#deps.isFlowOpen()) return this.#deps.server.hold(this);
    this.#lastArrivalAt = Math.max(this.#lastArrivalAt, this.#deps.clock.now());
    this.#deps.server.resume(this);
    this.#emitArrived();
  }

  /** What is on its way is lost; the failure is noticed at once. */
  linkLost(): void {
    if (this.#isOver) return;
    this.#deps.server.end(this);
    const { clock } = this.#deps;
    this.#last = this.#failed(fail("transient", "ERR_ORIGIN_UNREACHABLE", "there is no network"));
    clock.schedule(clock.now(), () => this.#emitArrived());
  }

  reachServer(): void {
    if (this.#isOver) return;
    const { server } = this.#deps;
    const command = this.#command;
    const file = server.request(command.url);
    const trouble = server.troubleWith(file);
    if (trouble?.kind === "silent") return;
    const acceptsRanges = file !== undefined && server.hasRanges(file);
    const { status, failure } = answerTo(command, file, { trouble, hasRanges: acceptsRanges });
    if (status !== undefined) {
      const response = responseOf(command.url, status, file);
      this.#deps.clock.schedule(this.#inLatency(), () => this.#emitAnswered(response));
    }
    if (failure !== undefined) return this.#finishAt(this.#inLatency(), this.#failed(failure));
    if (file === undefined) return;
    this.#validator = file.validator;
    if (command.type === "probeOrigin") {
      const { requestId, transferId } = command;
      const { length, validator } = file;
      const shape = { length, validator, acceptsRanges };
      const probed = { type: "originProbed", requestId, transferId, ...shape } as const;
      return this.#finishAt(this.#inLatency(), probed);
    }
    this.#parts =
      command.type === "fetchRange"
        ? new PieceParts(command)
        : new ManifestPart(documentOf(command, file) ?? new Uint8Array());
    this.#partRemaining = this.#parts.length;
    if (this.#parts.length === 0) {
      this.#lastArrivalAt = this.#inLatency();
      return this.#bodySent();
    }
    server.begin(this);
  }

  nextSliceBytes(sliceBytesMax: number): number {
    return Math.min(this.#partRemaining, sliceBytesMax);
  }

  sliceSent(bytes: number, arrivesAt: Millis): boolean {
    const { clock, latencyMs } = this.#deps;
    const at = arrivesAt + latencyMs;
    this.#lastArrivalAt = at;
    this.#receivedBytes += bytes;
    this.#partRemaining -= bytes;
    this.#deps.pace.spend(this, bytes);
    if (at - this.#progressAt >= PROGRESS_MS) {
      this.#progressAt = at;
      const received = this.#receivedBytes;
      clock.schedule(at, () => this.#emitProgress(received));
    }
    if (this.#partRemaining === 0 && !this.#partSent(at)) return false;
    // Spending may have ended the transfer's turn, and this body is held then.
    return !this.isPaused;
  }

  sliceCut(bytes: number): void {
    this.#receivedBytes += bytes;
    this.#partRemaining -= bytes;
    this.#deps.pace.spend(this, bytes);
  }

  interrupted(): void {
    const failure = fail("transient", "ERR_ORIGIN_UNREACHABLE", "the connection broke");
    this.#finishAt(Math.max(this.#inLatency(), this.#lastArrivalAt), this.#failed(failure));
  }

  /** Moves on to the next part; false when the one that has left was the last. */
  #partSent(at: Millis): boolean {
    const parts = this.#parts;
    if (parts === undefined) return false;
    const { piece } = parts;
    if (piece !== undefined) this.#deps.clock.schedule(at, () => this.#pieceArrived(piece));
    if (parts.next()) {
      this.#partRemaining = parts.length;
      return true;
    }
    this.#bodySent();
    return false;
  }

  #bodySent(): void {
    this.#deps.server.end(this);
    const { requestId, transferId, type, url } = this.#command;
    if (type !== "fetchManifest") {
      const validator = this.#validator;
      const last = { type: "rangeFinished", requestId, transferId, validator } as const;
      return this.#finishAt(this.#lastArrivalAt, last);
    }
    const bytes = this.#parts?.bytes ?? new Uint8Array();
    const overTls = url.startsWith("https:");
    const last = { type: "manifestFetched", requestId, transferId, bytes, overTls } as const;
    this.#finishAt(this.#lastArrivalAt, last);
  }

  #pieceArrived(piece: PieceIndex): void {
    if (this.#isOver || this.#last !== undefined) return;
    this.#arrived.push(piece);
    this.#emitArrived();
  }

  #finishAt(at: Millis, last: OriginEvent): void {
    this.#deps.clock.schedule(at, () => {
      if (this.#isOver) return;
      this.#last ??= last;
      this.#emitArrived();
    });
  }

  #emitArrived(): void {
    const { server, payloads, sink } = this.#deps;
    const command = this.#command;
    if (command.type === "fetchRange") {
      const { requestId, transferId, layout, fresh } = command;
      while (this.#arrived.length > 0) {
        if (this.#isOver || !this.#deps.isFlowOpen()) return;
        const piece = this.#arrived.shift()!;
        const payload = payloads.take(piece, layout.length(piece), server.isNextCorrupt(fresh));
        sink({ type: "rangePiece", requestId, transferId, piece, bufferId: NO_BUFFER }, payload);
      }
    }
    if (this.#isOver || this.#last === undefined) return;
    this.end();
    sink(this.#last);
  }

  #emitAnswered(response: SimResponse): void {
    if (this.#isOver) return;
    const { requestId, transferId } = this.#command;
    this.#deps.sink({ type: "originAnswered", requestId, transferId, response });
  }

  #emitProgress(receivedBytes: number): void {
    if (this.#isOver || !this.#deps.isFlowOpen() || this.#command.type !== "fetchRange") return;
    const { requestId, transferId } = this.#command;
    this.#deps.sink({ type: "rangeProgress", requestId, transferId, receivedBytes });
  }

  /** Fails the request when nothing has come for too long while the agent was reading. */
  #watchSilence(): void {
    const { clock, idleTimeoutMs } = this.#deps;
    clock.schedule(Math.max(this.#lastArrivalAt, clock.now()) + idleTimeoutMs, () => {
      if (this.#isOver) return;
      const isSilent = clock.now() - this.#lastArrivalAt >= idleTimeoutMs;
      if (this.isPaused) this.#lastArrivalAt = clock.now();
      if (this.isPaused || !isSilent) return this.#watchSilence();
      this.#deps.server.end(this);
      this.#last = this.#failed(fail("timeout", "ERR_ORIGIN_TIMEOUT", this.#command.url));
      this.#emitArrived();
    });
  }

  #inLatency(): Millis {
    return this.#deps.clock.now() + this.#deps.latencyMs;
  }

  #failed(failure: OriginFailure): OriginEvent {
    const { requestId, transferId } = this.#command;
    return { type: "originFailed", requestId, transferId, failure };
  }
}
