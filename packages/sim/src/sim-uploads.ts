/**
 * The pieces and manifests that leave one simulated peer: each takes its turn on the uplink, then
 * the path's latency, and ends in one `uploadFinished`, whether all of it was sent or not.
 *
 * Knows what is being sent to whom. Decides nothing, except to misbehave as the peer's options say.
 * Called by `SimSwarm`, whose sink it reaches by `emit`, never from inside `execute`.
 */
import { assert } from "@shoal/core";
import type { Millis, PeerId, PieceIndex, RequestId, SwarmCommand, SwarmEvent } from "@shoal/core";
import { Upload } from "./sim-connection.ts";
import type { ConnectionEnd } from "./sim-connection.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimPayload } from "./sim-payload.ts";
import { lossyRateBytesPerSec } from "./sim-site.ts";
import type { SimSwarm } from "./sim-swarm.ts";

interface SimUploadsDeps {
  readonly swarm: SimSwarm;
  readonly network: SimNetwork;
  readonly emit: (event: SwarmEvent) => void;
}

interface UploadSpec {
  readonly requestId: RequestId;
  readonly byteLength: number;
}

/** A piece as it arrives at the other end. */
export interface SentPiece extends UploadSpec {
  readonly piece: PieceIndex;
  readonly corrupt: boolean;
}

type Sending<Type extends SwarmCommand["type"]> = Extract<SwarmCommand, { type: Type }>;

export class SimUploads {
  readonly #deps: SimUploadsDeps;

  constructor(deps: SimUploadsDeps) {
    this.#deps = deps;
  }

  /** Takes the payload's ownership. `end` is `undefined` when the peer is not connected. */
  sendPiece(
    end: ConnectionEnd | undefined,
    { peerId, requestId }: Sending<"sendPiece">,
    payload: SimPayload,
  ): void {
    const { swarm, network } = this.#deps;
    if (end === undefined || !end.asked.delete(requestId)) {
      swarm.payloads.release(payload);
      return this.#notSent(peerId, requestId);
    }
    const { piece, byteLength } = payload;
    const corrupt = payload.corrupt || network.draw(swarm.behaviour.corruptShare);
    // The uplink's queue stands for the buffer from here on.
    swarm.payloads.release(payload);
    this.#upload(end, { requestId, byteLength }, () => {
      end.other.swarm.pieceArrived(end.other, { requestId, piece, byteLength, corrupt });
    });
  }

  /** `end` is `undefined` when the peer is not connected. */
  sendManifest(
    end: ConnectionEnd | undefined,
    { peerId, requestId, bytes }: Sending<"sendManifest">,
  ): void {
    if (end === undefined || !end.asked.delete(requestId)) return this.#notSent(peerId, requestId);
    const { peerId: selfId } = this.#deps.swarm;
    const event: SwarmEvent = { type: "peerManifest", peerId: selfId, requestId, bytes };
    this.#upload(end, { requestId, byteLength: bytes.length }, () => {
      end.other.swarm.receive(end.other, event);
    });
  }

  /** Stops an upload, if there is one, before its last byte has left. */
  stop(end: ConnectionEnd, requestId: RequestId): void {
    const { swarm, network } = this.#deps;
    const upload = end.uploads.get(requestId);
    if (upload === undefined) return;
    end.uploads.delete(requestId);
    const sentBytes = upload.sentBytes + swarm.uplink.remove(upload);
    network.countLost(sentBytes);
    this.#finished(end.other.swarm.peerId, requestId, sentBytes);
  }

  /** Ends all uploads of a connection without a word: this peer is leaving. */
  abandon(end: ConnectionEnd): void {
    for (const upload of end.uploads.values()) this.#deps.swarm.uplink.remove(upload);
    end.uploads.clear();
  }

  #upload(end: ConnectionEnd, what: UploadSpec, arrived: () => void): void {
    const { requestId, byteLength } = what;
    const { swarm, network } = this.#deps;
    assert(byteLength > 0, "an upload has bytes");
    const { swarm: receiver } = end.other;
    const latencyMs = network.latencyMs(swarm, receiver);
    const pathRateBytesPerSecMax = lossyRateBytesPerSec(swarm.site, receiver.site, latencyMs);
    const sent = (_: Upload, arrivesAt: Millis): void => {
      end.uploads.delete(requestId);
      network.clock.schedule(arrivesAt + latencyMs, arrived);
      this.#finished(receiver.peerId, requestId, byteLength);
    };
    const upload = new Upload(end, byteLength, { pathRateBytesPerSecMax, sent });
    end.uploads.set(requestId, upload);
    if (!swarm.behaviour.stalls) swarm.uplink.add(upload);
  }

  /** Says so once the command being executed is done with. */
  #notSent(peerId: PeerId, requestId: RequestId): void {
    const { clock } = this.#deps.network;
    clock.schedule(clock.now(), () => this.#finished(peerId, requestId, 0));
  }

  #finished(peerId: PeerId, requestId: RequestId, sentBytes: number): void {
    this.#deps.emit({ type: "uploadFinished", peerId, requestId, sentBytes });
  }
}
