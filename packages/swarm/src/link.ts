/**
 * A link: the one stream that carries all frames between us and one peer, and the protocol on it.
 * docs/wire.md is the specification.
 *
 *   greeting ──HELLO both ways──▶ open ──▶ closed
 *       └──── deadline, offence, connection lost ────┘
 *
 * Knows frames and both directions' requests. Does not know which link of a peer counts: it asks
 * its host when the peer's HELLO is in. Created by the swarm for every stream of the protocol.
 */
import type { Connection, Stream } from "@libp2p/interface";
import { LIMITS, NO_BUFFER, unreachable } from "@shoal/core";
import type {
  ContentId,
  PeerId,
  PieceBufferPool,
  PieceBytes,
  RequestId,
  SwarmEvent,
} from "@shoal/core";
import { pipe } from "it-pipe";
import type { Uint8ArrayList } from "uint8arraylist";
import { AskedRequests } from "./asked-requests.ts";
import { explainEnd } from "./dial-failure.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { Answer } from "./frame-writer.ts";
import { encodeFrame, FrameDecoder, FrameError, HAVE_PIECES_MAX, WIRE_VERSION } from "./frames.ts";
import type { ControlFrame, Frame, Refusal } from "./frames.ts";
import { RequestRates } from "./request-rates.ts";

/** What a link asks and tells its swarm. */
export interface LinkHost {
  emit(event: SwarmEvent, payload?: PieceBytes): void;
  /** The peer has greeted us on a stream it opened: is this the link to use? */
  admits(link: Link): boolean;
  /** Both sides have greeted. */
  opened(link: Link, requestsMax: number): void;
  /** Called once, with the link already silent. A farewell: it speaks another version. */
  closed(link: Link, reason: string, manner: "abort" | "farewell"): void;
}

export interface LinkDeps {
  readonly connection: Connection;
  readonly stream: Stream;
  readonly pool: PieceBufferPool;
  readonly host: LinkHost;
}

export interface LinkOptions {
  readonly isDialler: boolean;
  /** Open requests we accept of the peer. */
  readonly requestsMax: number;
  readonly stallTimeoutMs: number;
}

/** A request of the peer: not yet answered by core, or with its answer in the writer. */
type Served = { readonly kind: "piece" | "manifest"; phase: "asked" | "sending" };

export class Link {
  readonly peerId: PeerId;
  readonly isDialler: boolean;
  readonly connection: Connection;
  readonly #host: LinkHost;
  readonly #requestsMax: number;
  readonly #decoder = new FrameDecoder();
  readonly #writer: FrameWriter;
  readonly #asked: AskedRequests;
  /** Open requests of the peer, by its numbers. */
  readonly #served = new Map<number, Served>();
  #lastServedId = 0;
  readonly #rates = new RequestRates();
  #state: "greeting" | "open" | "closed" = "greeting";
  #wasOpen = false;

  constructor(deps: LinkDeps, options: LinkOptions) {
    const { connection, stream } = deps;
    this.connection = connection;
    this.peerId = connection.remotePeer.toString();
    this.isDialler = options.isDialler;
    this.#host = deps.host;
    this.#requestsMax = options.requestsMax;
    this.#asked = new AskedRequests(deps.pool);
    this.#writer = new FrameWriter(
      { stream, observer: this.#writerObserver() },
      { stallTimeoutMs: options.stallTimeoutMs },
    );
    stream.addEventListener("message", (event) => this.#receive(event.data));
    stream.addEventListener("remoteCloseWrite", () => this.close("the peer closed the connection"));
    stream.addEventListener("close", ({ error }) => this.close(explainEnd(error)));
    allowReadAhead(stream, LIMITS.streamReadBytesMax);
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether it is open, or was before it closed. */
  get wasOpen(): boolean {
    return this.#wasOpen;
  }

  /** When the peer was last of use, by `performance.now()` (R-PEER-19). */
  get usefulAt(): number {
    return this.#rates.usefulAt;
  }

  /** Bytes held because of the peer, without pieces. */
  get heldBytes(): number {
    return this.#writer.controlBytes + this.#asked.manifestBytes;
  }

  /** Sends our HELLO: the dialler's first step, the listener's answer. */
  greet(): void {
    const hello = { version: WIRE_VERSION, requestsMax: this.#requestsMax };
    this.#writer.sendFirst(encodeFrame({ type: "hello", ...hello }));
  }

  sendJoin(contentId: ContentId): void {
    this.#send({ type: "join", contentId });
  }

  sendLeave(contentId: ContentId): void {
    this.#send({ type: "leave", contentId });
  }

  sendBitfield(contentId: ContentId, pieceCount: number, bits: Uint8Array): void {
    this.#send({ type: "bitfield", contentId, pieceCount, bits });
  }

  sendHave(contentId: ContentId, pieces: readonly number[]): void {
    for (let i = 0; i < pieces.length; i += HAVE_PIECES_MAX) {
      this.#send({ type: "have", contentId, pieces: pieces.slice(i, i + HAVE_PIECES_MAX) });
    }
  }

  sendClaim(contentId: ContentId, firstPiece: number, pieceCount: number): void {
    this.#send({ type: "claim", contentId, firstPiece, pieceCount });
  }

  /** Asks for `length` bytes: `peerPiece` or `requestRefused` follows unless the link ends. */
  requestPiece(requestId: RequestId, contentId: ContentId, piece: number, length: number): void {
    const id = this.#asked.add(requestId, "piece", length);
    this.#send({ type: "request", id, contentId, piece });
  }

  requestManifest(requestId: RequestId, contentId: ContentId): void {
    const id = this.#asked.add(requestId, "manifest");
    this.#send({ type: "manifestRequest", id, contentId });
  }

  cancelRequest(requestId: RequestId): void {
    const id = this.#asked.cancel(requestId);
    if (id !== undefined) this.#send({ type: "cancel", id });
  }

  /** Takes over the payload; `uploadFinished` follows in every case. */
  sendPiece(id: RequestId, payload: PieceBytes): void {
    const answer = { id, bytes: payload.bytes, release: () => payload.release() };
    this.#answer("piece", answer);
  }

  sendManifest(id: RequestId, bytes: Uint8Array): void {
    this.#answer("manifest", { id, bytes, release: () => {} });
  }

  refuseRequest(id: RequestId, reason: Refusal): void {
    if (this.#served.get(id)?.phase !== "asked") return;
    this.#served.delete(id);
    this.#send({ type: "refuse", id, reason });
    if (reason === "notFound" && !this.#rates.admitNotFound()) this.#reportFlood();
  }

  /**
   * Ends the link and its connection; idempotent. Everything it held is released, and its answers
   * are reported finished, before the host hears of it. A farewell waits for what was queued.
   */
  close(reason: string, manner: "abort" | "farewell" = "abort"): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    if (manner === "abort") abortConnection(this.connection, reason);
    else this.#leave(reason);
    this.#writer.close();
    this.#asked.close();
    this.#served.clear();
    this.#host.closed(this, reason, manner);
  }

  /** Lets our HELLO reach a peer of another version before the connection goes. */
  #leave(reason: string): void {
    const signal = AbortSignal.timeout(FAREWELL_TIMEOUT_MS);
    this.connection.close({ signal }).catch(() => abortConnection(this.connection, reason));
  }

  #send(frame: ControlFrame): void {
    this.#writer.sendControl(encodeFrame(frame));
  }

  #answer(kind: Served["kind"], answer: Answer): void {
    const served = this.#served.get(answer.id);
    if (served === undefined || served.phase === "sending" || served.kind !== kind) {
      return this.#finished(answer, 0);
    }
    served.phase = "sending";
    if (kind === "manifest") {
      this.#send({ type: "manifest", id: answer.id, length: answer.bytes.length });
    }
    this.#writer.sendAnswer(answer);
  }

  #writerObserver(): ConstructorParameters<typeof FrameWriter>[0]["observer"] {
    return {
      answered: (id) => void this.#served.delete(id),
      answerExpired: (id) => {
        if (this.#served.delete(id)) this.#send({ type: "refuse", id, reason: "busy" });
      },
      answerFinished: (answer, sentBytes) => this.#finished(answer, sentBytes),
      writeFailed: (reason) => this.close(reason),
    };
  }

  #finished(answer: Answer, sentBytes: number): void {
    answer.release();
    if (sentBytes === answer.bytes.length) this.#rates.served();
    const { peerId } = this;
    this.#host.emit({ type: "uploadFinished", peerId, requestId: answer.id, sentBytes });
  }

  /** Runs inside the socket's callback: nothing may be thrown, and nothing here waits. */
  #receive(data: Uint8Array | Uint8ArrayList): void {
    if (this.#state === "closed") return;
    const parts = data instanceof Uint8Array ? [data] : data;
    try {
      pipe(
        parts,
        (source) => this.#decoder.decode(source),
        (frames) => {
          for (const frame of frames) {
            if (frame.type !== "pieceData") this.#countControl(frame);
            this.#rates.heard(frame.type);
            this.#handle(frame);
            if (this.#state === "closed") return;
          }
        },
      );
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      const { peerId } = this;
      this.#host.emit({ type: "peerOffended", peerId, offence: error.offence });
      this.close(`the peer broke the protocol: ${error.message}`);
    }
  }

  #handle(frame: Frame): void {
    if ((frame.type === "hello") !== (this.#state === "greeting")) {
      throw new FrameError(`${frame.type} out of its place`);
    }
    const { peerId } = this;
    switch (frame.type) {
      case "hello":
        return this.#greeted(frame.version, frame.requestsMax);
      case "join":
        return this.#host.emit({ type: "peerJoined", peerId, contentId: frame.contentId });
      case "leave":
        return this.#host.emit({ type: "peerLeft", peerId, contentId: frame.contentId });
      case "bitfield":
        return this.#host.emit({ ...frame, type: "peerBitfield", peerId });
      case "have":
        return this.#host.emit({ ...frame, type: "peerHave", peerId });
      case "claim":
        return this.#host.emit({ ...frame, type: "peerClaimed", peerId });
      case "request": {
        if (!this.#serves(frame.id, "piece")) return;
        const { id: requestId, contentId, piece } = frame;
        return this.#host.emit({ type: "pieceRequested", peerId, requestId, contentId, piece });
      }
      case "manifestRequest": {
        if (!this.#serves(frame.id, "manifest")) return;
        const { id: requestId, contentId } = frame;
        return this.#host.emit({ type: "manifestRequested", peerId, requestId, contentId });
      }
      case "cancel":
        return this.#cancelled(frame.id);
      case "refuse": {
        const refused = this.#asked.refused(frame.id, frame.reason);
        if (refused !== undefined) {
          this.#host.emit({ type: "requestRefused", peerId, ...refused });
        }
        return;
      }
      case "manifest":
        return this.#asked.manifestBegins(frame.id, frame.length);
      case "pieceData":
        return this.#received(frame.id, frame.bytes);
      default:
        unreachable(frame);
    }
  }

  #greeted(version: number, requestsMax: number): void {
    if (!this.isDialler) {
      if (!this.#host.admits(this)) return this.close("another connection to the peer is in use");
      this.greet();
    }
    if (version !== WIRE_VERSION) {
      return this.close(`the peer speaks version ${version} of the protocol`, "farewell");
    }
    this.#state = "open";
    this.#wasOpen = true;
    this.#host.opened(this, requestsMax);
  }

  /** Admits a request of the peer, or refuses it (R-PEER-14, R-PEER-16, R-PEER-17). */
  #serves(id: number, kind: Served["kind"]): boolean {
    if (id <= this.#lastServedId) throw new FrameError(`request number ${id} does not grow`);
    this.#lastServedId = id;
    if (!this.#rates.admitRequest() || this.#served.size >= this.#requestsMax) {
      this.#send({ type: "refuse", id, reason: "busy" });
      this.#reportFlood();
      return false;
    }
    const hasManifest = [...this.#served.values()].some((served) => served.kind === "manifest");
    if (kind === "manifest" && hasManifest) {
      this.#send({ type: "refuse", id, reason: "busy" });
      return false;
    }
    this.#served.set(id, { kind, phase: "asked" });
    this.#rates.admitted();
    return true;
  }

  /** Control frames cost us more than they cost the peer, so they are bounded by the second. */
  #countControl(frame: ControlFrame): void {
    const work = frame.type === "have" ? 1 + frame.pieces.length / HAVE_PIECES_PER_WORK : 1;
    if (!this.#rates.admitControl(work)) {
      throw new FrameError("too many control frames in a second", "requestFlood");
    }
  }

  #reportFlood(): void {
    if (!this.#rates.isNewFlood()) return;
    this.#host.emit({ type: "peerOffended", peerId: this.peerId, offence: "requestFlood" });
  }

  /** A CANCEL may cross the end of its request; then there is nothing to cancel. */
  #cancelled(id: number): void {
    if (id > this.#lastServedId) throw new FrameError(`request ${id} was never made`);
    if (!this.#served.delete(id)) return;
    this.#writer.stopAnswer(id);
    this.#send({ type: "refuse", id, reason: "cancelled" });
    this.#host.emit({ type: "requestCancelled", peerId: this.peerId, requestId: id });
  }

  #received(id: number, bytes: Uint8Array): void {
    const completed = this.#asked.receive(id, bytes);
    if (completed === undefined) return;
    const { peerId } = this;
    const { requestId } = completed;
    if (completed.kind === "manifest") {
      const manifest = completed.bytes;
      return this.#host.emit({ type: "peerManifest", peerId, requestId, bytes: manifest });
    }
    // Buffers are numbered by the engine, which holds the payload.
    const event = { type: "peerPiece", peerId, requestId, bufferId: NO_BUFFER } as const;
    this.#host.emit(event, completed.payload);
  }
}

/** Ends a connection without waiting for anything, whatever state it is in. */
export function abortConnection(connection: Connection, reason: string): void {
  try {
    connection.abort(new Error(reason));
  } catch {
    // Yamux says goodbye after it has closed its streams, whose listeners may have ended the
    // connection already; then it has nothing to say it on.
  }
}

/** How long a link that ends politely may take to send what is queued. */
const FAREWELL_TIMEOUT_MS = 500;
/** A long HAVE counts as several control frames. */
const HAVE_PIECES_PER_WORK = 64;

/** The parts of a yamux stream that decide how much its peer may send ahead. */
interface YamuxCredit {
  recvWindow?: number;
  sendWindowUpdate?(): void;
}

/**
 * Lets the peer send `bytes` ahead from the start. Yamux begins with 256 KiB and doubles that by a
 * measured round trip; measured with pieces of 1 MiB, that costs a seventh of the speed. The field
 * is private to yamux: where it is missing, transfers are slower and all else works.
 */
function allowReadAhead(stream: Stream, bytes: number): void {
  const yamux = stream as unknown as YamuxCredit;
  if (typeof yamux.recvWindow !== "number" || yamux.recvWindow >= bytes) return;
  yamux.recvWindow = bytes;
  yamux.sendWindowUpdate?.();
}
