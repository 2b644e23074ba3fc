/**
 * What a transfer's working stages have in common, so that `Transfer` passes events on without
 * looking into them: `Resolver` before the content is known, `Fetcher` while pieces are missing.
 */
import type { OriginEvent } from "../ports/origin-port.ts";
import type { SwarmEvent } from "../ports/swarm-port.ts";
import type { Millis, PeerId, RequestId } from "../units.ts";
import type { Link } from "./peer-table.ts";

/** What connected peers say about one content. */
export type PeerEvent = Extract<
  SwarmEvent,
  {
    readonly type:
      | "peerJoined"
      | "peerLeft"
      | "peerBitfield"
      | "peerHave"
      | "peerClaimed"
      | "peerPiece"
      | "requestRefused"
      | "peerManifest"
      | "peerAnnouncement";
  }
>;

/** What becomes of peers and their connections. */
export type LinkEvent = Extract<
  SwarmEvent,
  {
    readonly type:
      | "peerDiscovered"
      | "peerConnected"
      | "dialFailed"
      | "peerDisconnected"
      | "peerOffended";
  }
>;

/**
 * What came of a peer's word: it cannot be true of this content; nothing, no output and no other
 * deadline; or something.
 */
export type WordOutcome = "untrue" | "idle" | "moved";

export interface Stage {
  peerEvent(event: PeerEvent, link: Link, now: Millis): WordOutcome;
  /** The peer has disconnected or left the content. */
  peerGone(peerId: PeerId, now: Millis): void;
  originEvent(event: OriginEvent, now: Millis): void;
  /** Whether the request to a peer was made here and still waits for its answer. */
  owns(requestId: RequestId): boolean;
  pollDeadline(): Millis;
  handleTimeout(now: Millis): void;
  /** Withdraws every question to every port. */
  stop(): void;
}
