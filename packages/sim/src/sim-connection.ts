/**
 * One connection between two simulated peers, seen from one end: its state, the requests on it and
 * the pieces and manifests that leave by it.
 *
 *   opening ──acceptance arrives──▶ open ──either side, or the network──▶ closed
 *   (the dialler's end; the other end is open from the start)
 *
 * Knows which requests are unanswered in which direction. Emits nothing itself. Called by
 * `SimSwarm`.
 */
import type { Millis, PieceIndex, RequestId, SwarmEvent } from "@shoal/core";
import type { Crossing, Flow } from "./fair-link.ts";
import type { Addressed } from "./sim-messages.ts";
import { crossingTo } from "./sim-site.ts";
import type { SimSwarm } from "./sim-swarm.ts";

export class ConnectionEnd {
  readonly swarm: SimSwarm;
  /** The other end of the same connection. */
  readonly other: ConnectionEnd;
  state: "opening" | "open" | "closed";
  /** Our requests that are neither answered nor withdrawn: bytes asked for; 0 for a manifest. */
  readonly requests = new Map<RequestId, number>();
  /** The other side's requests that our engine has not answered; a manifest has no piece. */
  readonly asked = new Map<RequestId, PieceIndex | undefined>();
  readonly uploads = new Map<RequestId, Upload>();
  /** When the other side was last reported for asking too much. */
  floodReportedAt: Millis = Number.NEGATIVE_INFINITY;

  /** A connection that `dialler` asked for and this peer accepts. */
  static accept(acceptor: SimSwarm, dialler: SimSwarm): ConnectionEnd {
    return new ConnectionEnd(acceptor, "open", (end) => {
      return new ConnectionEnd(dialler, "opening", () => end);
    });
  }

  private constructor(
    swarm: SimSwarm,
    state: "opening" | "open",
    makeOther: (self: ConnectionEnd) => ConnectionEnd,
  ) {
    this.swarm = swarm;
    this.state = state;
    this.other = makeOther(this);
  }

  /** Keeps the books for a message to the other side; false when it is about nothing known. */
  sends(command: Addressed): boolean {
    switch (command.type) {
      case "requestPiece":
        this.requests.set(command.requestId, command.length);
        return true;
      case "requestManifest":
      case "requestAnnouncement":
        this.requests.set(command.requestId, 0);
        return true;
      case "cancelRequest":
        return this.requests.delete(command.requestId);
      case "refuseRequest":
      case "sendAnnouncement":
        return this.asked.delete(command.requestId);
      default:
        return true;
    }
  }

  /** Keeps the books for a message from the other side; false when it is about nothing known. */
  accepts(event: SwarmEvent): boolean {
    switch (event.type) {
      case "pieceRequested":
        this.asked.set(event.requestId, event.piece);
        return true;
      case "manifestRequested":
      case "announcementRequested":
        this.asked.set(event.requestId, undefined);
        return true;
      case "requestCancelled":
        return this.asked.delete(event.requestId) || this.uploads.has(event.requestId);
      case "requestRefused":
      case "peerManifest":
      case "peerAnnouncement":
        return this.requests.delete(event.requestId);
      default:
        return true;
    }
  }
}

/** A piece or manifest on its way out; the flow of it on the uplink. */
export class Upload implements Flow {
  readonly downlink: Crossing;
  readonly rateBytesPerSecMax: number;
  readonly byteLength: number;
  /** Bytes that have left. */
  sentBytes = 0;
  readonly #sent: (upload: Upload, arrivesAt: number) => void;

  /** `sent` is called once, when the last byte has left, with the instant at which it arrives. */
  constructor(
    end: ConnectionEnd,
    byteLength: number,
    options: {
      readonly pathRateBytesPerSecMax: number;
      readonly sent: (upload: Upload, arrivesAt: number) => void;
    },
  ) {
    this.downlink = crossingTo(end.swarm.site, end.other.swarm);
    const { uploadRateBytesPerSecMax } = end.swarm.behaviour;
    this.rateBytesPerSecMax = Math.min(uploadRateBytesPerSecMax, options.pathRateBytesPerSecMax);
    this.byteLength = byteLength;
    this.#sent = options.sent;
  }

  nextSliceBytes(sliceBytesMax: number): number {
    return Math.min(this.byteLength - this.sentBytes, sliceBytesMax);
  }

  sliceSent(bytes: number, arrivesAt: number): boolean {
    this.sentBytes += bytes;
    if (this.sentBytes < this.byteLength) return true;
    this.#sent(this, arrivesAt);
    return false;
  }
}
