/**
 * A link: the one stream that carries all frames between us and one peer, and the protocol on it.
 * docs/wire.md is the specification.
 *
 *   greeting ──HELLO both ways──▶ (in groups: proving ──PROOF──▶) open ──▶ closed
 *       └──────────── deadline, offence, connection lost ───────────────────┘
 *
 * Knows frames and what each may mean when. What we have asked is in `asked-requests.ts`, what the
 * peer has asked in `served-requests.ts`. Which link of a peer counts it asks its host when the
 * peer's HELLO is in. Created by the swarm for every stream of the protocol.
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
import { abortConnection } from "./abort-connection.ts";
import { AskedRequests } from "./asked-requests.ts";
import { explainEnd, NOT_OF_OUR_GROUP } from "./dial-failure.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { FrameWriterObserver } from "./frame-writer.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import { encodeFrame, FEATURES, FrameError } from "./frames.ts";
import { HAVE_PIECES_MAX, placeOf, WIRE_VERSION } from "./frames.ts";
import type { ControlFrame, Frame } from "./frames.ts";
import type { GroupProof } from "./group-proof.ts";
import { allowReadAhead, readAtOnce } from "./read-ahead.ts";
import { RequestRates } from "./request-rates.ts";
import { ServedRequests } from "./served-requests.ts";

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
  /** In groups: what both sides prove before anything else is said. */
  readonly proof?: GroupProof | undefined;
}

export interface LinkOptions {
  readonly isDialler: boolean;
  /** Open requests we accept of the peer. */
  readonly requestsMax: number;
  readonly stallTimeoutMs: number;
}

export class Link {
  readonly peerId: PeerId;
  readonly isDialler: boolean;
  readonly connection: Connection;
  /** What the peer asks of us. */
  readonly served: ServedRequests;
  readonly #host: LinkHost;
  readonly #proof: GroupProof | undefined;
  readonly #requestsMax: number;
  readonly #decoder = new FrameDecoder();
  readonly #writer: FrameWriter;
  readonly #asked: AskedRequests;
  readonly #rates = new RequestRates();
  #state: "greeting" | "proving" | "open" | "closed" = "greeting";
  #peerRequestsMax = 0;
  #wasOpen = false;
  #features = 0;

  constructor(deps: LinkDeps, options: LinkOptions) {
    const { connection, stream } = deps;
    this.connection = connection;
    this.peerId = connection.remotePeer.toString();
    this.isDialler = options.isDialler;
    this.#host = deps.host;
    this.#proof = deps.proof;
    this.#requestsMax = options.requestsMax;
    this.#asked = new AskedRequests(deps.pool);
    this.#writer = new FrameWriter(
      { stream, observer: this.#writerObserver() },
      { stallTimeoutMs: options.stallTimeoutMs },
    );
    const emit = (event: SwarmEvent): void => this.#host.emit(event);
    const serving = { peerId: this.peerId, writer: this.#writer, rates: this.#rates, emit };
    this.served = new ServedRequests(serving, { requestsMax: options.requestsMax });
    stream.addEventListener("message", (event) => this.#receive(event.data));
    stream.addEventListener("remoteCloseWrite", () => this.close("the peer closed the connection"));
    stream.addEventListener("close", ({ error }) => this.close(explainEnd(error)));
    readAtOnce(stream);
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
    const { announcements: features } = FEATURES;
    const hello = { version: WIRE_VERSION, features, requestsMax: this.#requestsMax };
    this.#writer.sendFirst(encodeFrame({ type: "hello", ...hello, nonce: this.#proof?.nonce }));
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

  /** A peer that does not know the frame has nothing to answer either. */
  requestAnnouncement(requestId: RequestId, tag: Uint8Array): void {
    if ((this.#features & FEATURES.announcements) === 0) {
      const { peerId } = this;
      this.#host.emit({ type: "requestRefused", peerId, requestId, reason: "notFound" });
      return;
    }
    const id = this.#asked.add(requestId, "announcement");
    this.#send({ type: "announcementRequest", id, tag });
  }

  cancelRequest(requestId: RequestId): void {
    const id = this.#asked.cancel(requestId);
    if (id !== undefined) this.#send({ type: "cancel", id });
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
    this.served.close();
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

  #writerObserver(): FrameWriterObserver {
    return {
      answered: (id) => this.served.answered(id),
      answerExpired: (id) => this.served.expired(id),
      answerFinished: (answer, sentBytes) => this.served.finished(answer, sentBytes),
      writeFailed: (reason) => this.close(reason),
    };
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
    if (placeOf(frame) !== this.#state) {
      throw new FrameError(`${frame.type} out of its place`);
    }
    const { peerId } = this;
    switch (frame.type) {
      case "hello":
        this.#features = frame.features ?? 0;
        return this.#greeted(frame);
      case "proof":
        return this.#proved(frame.proof);
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
        if (!this.served.admit(frame.id, "piece")) return;
        const { id: requestId, contentId, piece } = frame;
        return this.#host.emit({ type: "pieceRequested", peerId, requestId, contentId, piece });
      }
      case "manifestRequest": {
        if (!this.served.admit(frame.id, "manifest")) return;
        const { id: requestId, contentId } = frame;
        return this.#host.emit({ type: "manifestRequested", peerId, requestId, contentId });
      }
      case "announcementRequest": {
        if (!this.served.admit(frame.id, "announcement")) return;
        const { id: requestId, tag } = frame;
        return this.#host.emit({ type: "announcementRequested", peerId, requestId, tag });
      }
      case "announcement": {
        const requestId = this.#asked.announced(frame.id);
        if (requestId === undefined) return;
        const { bytes } = frame;
        return this.#host.emit({ type: "peerAnnouncement", peerId, requestId, bytes });
      }
      case "cancel":
        return this.served.cancelled(frame.id);
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

  #greeted({ version, requestsMax, nonce }: Extract<Frame, { type: "hello" }>): void {
    if (!this.isDialler) {
      if (!this.#host.admits(this)) return this.close("another connection to the peer is in use");
      this.greet();
    }
    if (version !== WIRE_VERSION) {
      return this.close(`the peer speaks version ${version} of the protocol`, "farewell");
    }
    this.#peerRequestsMax = requestsMax;
    if (this.#proof === undefined) return this.#open();
    if (!this.#proof.meet(nonce)) return this.close(NOT_OF_OUR_GROUP);
    this.#state = "proving";
    if (!this.isDialler) this.#prove(this.#proof);
  }

  /** proving -> open */
  #proved(proof: Uint8Array): void {
    if (this.#proof?.accepts(proof) !== true) return this.close(NOT_OF_OUR_GROUP);
    if (this.isDialler) this.#prove(this.#proof);
    this.#open();
  }

  #prove(proof: GroupProof): void {
    this.#writer.sendFirst(encodeFrame({ type: "proof", proof: proof.prove() }));
  }

  #open(): void {
    this.#state = "open";
    this.#wasOpen = true;
    this.#host.opened(this, this.#peerRequestsMax);
  }

  /** Control frames cost us more than they cost the peer, so they are bounded by the second. */
  #countControl(frame: ControlFrame): void {
    const work = frame.type === "have" ? 1 + frame.pieces.length / HAVE_PIECES_PER_WORK : 1;
    if (!this.#rates.admitControl(work)) {
      throw new FrameError("too many control frames in a second", "requestFlood");
    }
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

/** How long a link that ends politely may take to send what is queued. */
const FAREWELL_TIMEOUT_MS = 500;
/** A long HAVE counts as several control frames. */
const HAVE_PIECES_PER_WORK = 64;
