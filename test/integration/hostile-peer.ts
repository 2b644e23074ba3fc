/**
 * A peer that has everything and delivers it wrong: a real swarm, driven by hand, that answers every
 * request for a piece with flipped bytes. Its manifest is right, so that only the pieces give it
 * away.
 */
import { readFile } from "node:fs/promises";
import { decodeManifest, PieceBufferPool, PieceSet } from "@shoal/core";
import type { PeerId, PieceBytes, SchedulerEvent, SwarmCommand } from "@shoal/core";
import { createSwarm } from "@shoal/swarm";
import type { Swarm } from "@shoal/swarm";
import type { TestContent } from "./harness.ts";
import { LOOPBACK } from "./harness.ts";

export class HostilePeer implements AsyncDisposable {
  /** Pieces sent wrong. */
  sentPieces = 0;
  failedDials = 0;
  /** Peers connected now. */
  readonly connected = new Set<PeerId>();
  readonly #content: TestContent;
  readonly #bytes: Buffer;
  readonly #pool = new PieceBufferPool();
  #swarm: Swarm | undefined;

  private constructor(content: TestContent, bytes: Buffer) {
    this.#content = content;
    this.#bytes = bytes;
  }

  static async start(content: TestContent): Promise<HostilePeer> {
    const peer = new HostilePeer(content, await readFile(content.path));
    peer.#swarm = await createSwarm(
      { pool: peer.#pool, sink: (event, payload) => peer.#handle(event, payload) },
      { listen: [LOOPBACK] },
    );
    return peer;
  }

  get #running(): Swarm {
    if (this.#swarm === undefined) throw new Error("the hostile peer has not started");
    return this.#swarm;
  }

  get peerId(): PeerId {
    return this.#running.peerId;
  }

  get addresses(): readonly string[] {
    return this.#running.addresses;
  }

  dial({ peerId, addresses }: { peerId: PeerId; addresses: readonly string[] }): void {
    this.#send({ type: "dialPeer", peerId, addresses });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.close();
  }

  #handle(event: SchedulerEvent, payload: PieceBytes | undefined): void {
    payload?.release();
    const { contentId, manifestBytes } = this.#content;
    switch (event.type) {
      case "peerConnected":
        return void this.connected.add(event.peerId);
      case "dialFailed":
        return void this.failedDials++;
      case "peerDisconnected":
        return void this.connected.delete(event.peerId);
      case "peerJoined":
        return this.#claimEverything(event.peerId);
      case "manifestRequested": {
        const { peerId, requestId } = event;
        return this.#send({ type: "sendManifest", peerId, requestId, bytes: manifestBytes });
      }
      case "pieceRequested": {
        if (event.contentId !== contentId) return;
        this.sentPieces++;
        const { peerId, requestId } = event;
        const wrong = this.#flippedPiece(event.piece);
        return this.#send({ type: "sendPiece", peerId, requestId, bufferId: 0 }, wrong);
      }
      default:
    }
  }

  #claimEverything(peerId: PeerId): void {
    const { contentId } = this.#content;
    const { pieceCount } = this.#layout;
    const bits = PieceSet.full(pieceCount).toBytes();
    this.#send({ type: "sendJoin", peerId, contentId });
    this.#send({ type: "sendBitfield", peerId, contentId, pieceCount, bits });
  }

  #flippedPiece(piece: number): PieceBytes {
    const layout = this.#layout;
    const payload = this.#pool.take(layout.length(piece));
    const right = this.#bytes.subarray(layout.start(piece), layout.end(piece));
    for (let i = 0; i < right.length; i++) payload.bytes[i] = right[i]! ^ 0xff;
    return payload;
  }

  get #layout() {
    const decoded = decodeManifest(this.#content.manifestBytes);
    if (!decoded.ok) throw new Error(decoded.reason);
    return decoded.manifest.layout;
  }

  #send(command: SwarmCommand, payload?: PieceBytes): void {
    this.#running.execute(command, payload);
  }
}
