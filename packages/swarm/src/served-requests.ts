/**
 * What one peer has asked of us and not yet got in full.
 *
 *   asked ──core's answer──▶ sending ──last byte──▶ done
 *     └── REFUSE or CANCEL ──────┴── CANCEL, or too slow ──▶ done
 *
 * A piece or manifest given as an answer ends in one `uploadFinished`, whatever becomes of its
 * request. Knows one peer's requests and how often it may make them; knows neither streams nor what
 * is in an answer. Used by the link, which tells it what the peer and the writer do, and for core's
 * answers.
 */
import { LIMITS } from "@shoal/core";
import type { PeerId, PieceBytes, RequestId, SwarmEvent } from "@shoal/core";
import type { AskedKind } from "./asked-requests.ts";
import type { Answer, FrameWriter } from "./frame-writer.ts";
import { encodeFrame, FrameError } from "./frames.ts";
import type { ControlFrame, Refusal } from "./frames.ts";
import type { RequestRates } from "./request-rates.ts";

/** Not yet answered by core, or with its answer in the writer. */
interface Served {
  readonly kind: AskedKind;
  phase: "asked" | "sending";
  /** Of a manifest in the writer. */
  manifestBytes: number;
}

interface ServedRequestsDeps {
  readonly peerId: PeerId;
  readonly writer: FrameWriter;
  readonly rates: RequestRates;
  readonly emit: (event: SwarmEvent) => void;
}

export class ServedRequests {
  readonly #deps: ServedRequestsDeps;
  readonly #requestsMax: number;
  /** Open requests of the peer, by its numbers. */
  readonly #served = new Map<number, Served>();
  #lastId = 0;

  constructor(deps: ServedRequestsDeps, options: { readonly requestsMax: number }) {
    this.#deps = deps;
    this.#requestsMax = options.requestsMax;
  }

  /** Admits a request of the peer, or refuses it (R-PEER-16, R-PEER-17). */
  admit(id: number, kind: AskedKind): boolean {
    if (id <= this.#lastId) throw new FrameError(`request number ${id} does not grow`);
    this.#lastId = id;
    if (!this.#deps.rates.admitRequest() || this.#served.size >= this.#requestsMax) {
      this.#send({ type: "refuse", id, reason: "busy" });
      this.#reportFlood();
      return false;
    }
    this.#served.set(id, { kind, phase: "asked", manifestBytes: 0 });
    this.#deps.rates.admitted();
    return true;
  }

  /** A CANCEL may cross the end of its request; then there is nothing to cancel. */
  cancelled(id: number): void {
    if (id > this.#lastId) throw new FrameError(`request ${id} was never made`);
    if (!this.#served.delete(id)) return;
    this.#deps.writer.stopAnswer(id);
    this.#send({ type: "refuse", id, reason: "cancelled" });
    this.#deps.emit({ type: "requestCancelled", peerId: this.#deps.peerId, requestId: id });
  }

  /** Takes over the payload; `uploadFinished` follows in every case. */
  sendPiece(id: RequestId, payload: PieceBytes): void {
    const answer = { id, bytes: payload.bytes, release: () => payload.release() };
    this.#answer("piece", answer);
  }

  /**
   * Refused as busy where those under way would be more than one of the largest (R-PEER-14).
   * `uploadFinished` follows in every case.
   */
  sendManifest(id: RequestId, bytes: Uint8Array): void {
    let underWay = bytes.length;
    for (const { manifestBytes } of this.#served.values()) underWay += manifestBytes;
    if (underWay > LIMITS.manifestBytesMax) this.refuse(id, "busy");
    this.#answer("manifest", { id, bytes, release: () => {} });
  }

  /** One frame, which counts as any request does (R-PEER-17). */
  sendAnnouncement(id: RequestId, bytes: Uint8Array): void {
    if (this.#served.get(id)?.kind !== "announcement") return;
    this.#served.delete(id);
    this.#send({ type: "announcement", id, bytes });
  }

  refuse(id: RequestId, reason: Refusal): void {
    if (this.#served.get(id)?.phase !== "asked") return;
    this.#served.delete(id);
    this.#send({ type: "refuse", id, reason });
    if (reason === "notFound" && !this.#deps.rates.admitNotFound()) this.#reportFlood();
  }

  /** The writer has put all of an answer into the stream. */
  answered(id: number): void {
    this.#served.delete(id);
  }

  /** The writer has given an answer up. */
  expired(id: number): void {
    if (this.#served.delete(id)) this.#send({ type: "refuse", id, reason: "busy" });
  }

  /** The writer, or whoever would have needed it, is done with an answer's bytes. */
  finished(answer: Answer, sentBytes: number): void {
    answer.release();
    if (sentBytes === answer.bytes.length) this.#deps.rates.served();
    const { peerId, emit } = this.#deps;
    emit({ type: "uploadFinished", peerId, requestId: answer.id, sentBytes });
  }

  /** The link ends; answers in the writer are the writer's to finish. */
  close(): void {
    this.#served.clear();
  }

  #answer(kind: AskedKind, answer: Answer): void {
    const served = this.#served.get(answer.id);
    if (served === undefined || served.phase === "sending" || served.kind !== kind) {
      return this.finished(answer, 0);
    }
    served.phase = "sending";
    if (kind === "manifest") {
      served.manifestBytes = answer.bytes.length;
      this.#send({ type: "manifest", id: answer.id, length: answer.bytes.length });
    }
    this.#deps.writer.sendAnswer(answer);
  }

  #send(frame: ControlFrame): void {
    this.#deps.writer.sendControl(encodeFrame(frame));
  }

  #reportFlood(): void {
    const { peerId, rates, emit } = this.#deps;
    if (rates.isNewFlood()) emit({ type: "peerOffended", peerId, offence: "requestFlood" });
  }
}
