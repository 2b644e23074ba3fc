/**
 * The swarm port: peers. The adapter dials, authenticates, frames and bounds; who to talk to, what
 * to ask, whom to serve and whom to drop is decided in core. The messages behind these commands and
 * events are specified in docs/wire.md.
 */
import type { BufferId, ContentId, PeerId, PieceIndex, RequestId } from "../units.ts";

/** Why a peer does not get what it asked for. */
export type RefusalReason = "busy" | "notFound";

/** Where a connected peer is: on this machine, in a subnet of it, at a private address, elsewhere. */
export type PeerReach = "host" | "subnet" | "private" | "public";

/** Something a peer did that only a broken or hostile peer does (threat model section 14). */
export type Offence =
  | "malformedFrame"
  | "surplusBytes"
  | "corruptPiece"
  | "corruptManifest"
  | "notFound"
  | "stall"
  | "requestFlood";

/** What a member of a content's swarm does there. `left` takes back the others. */
export type PresenceRole = "fetching" | "holding" | "left";

export type SwarmCommand =
  /** `peerConnected` or `dialFailed`. Addresses are tried in order. */
  | { readonly type: "dialPeer"; readonly peerId: PeerId; readonly addresses: readonly string[] }
  /** Closes all connections to the peer; `peerDisconnected` follows if it was connected. */
  | { readonly type: "disconnectPeer"; readonly peerId: PeerId; readonly reason: string }
  /**
   * From now on connections with a peer, or from an address (`addressKey`), are refused before
   * anything is spent on them, or are again allowed (R-BAN-05). Those that are open stay.
   */
  | {
      readonly type: "setRefusal";
      readonly kind: "peer" | "address";
      readonly subject: string;
      readonly isRefused: boolean;
    }
  /** Tells the peer that we take part in a content and would like to know what it holds. */
  | { readonly type: "sendJoin"; readonly peerId: PeerId; readonly contentId: ContentId }
  | { readonly type: "sendLeave"; readonly peerId: PeerId; readonly contentId: ContentId }
  | {
      readonly type: "sendBitfield";
      readonly peerId: PeerId;
      readonly contentId: ContentId;
      readonly pieceCount: number;
      readonly bits: Uint8Array;
    }
  /**
   * Tells all members of the group that can be reached over others, near and far, what we do in a
   * content. Best effort: it may be lost or come late. Only those who know the content learn of
   * which it is.
   */
  | {
      readonly type: "publishPresence";
      readonly contentId: ContentId;
      readonly role: PresenceRole;
    }
  /** Announces committed pieces to several peers. */
  | {
      readonly type: "sendHave";
      readonly peerIds: readonly PeerId[];
      readonly contentId: ContentId;
      readonly pieces: readonly PieceIndex[];
    }
  /** Announces that we are about to fetch a run of pieces from the origin, or from far away. */
  | {
      readonly type: "sendClaim";
      readonly peerIds: readonly PeerId[];
      readonly contentId: ContentId;
      readonly firstPiece: PieceIndex;
      readonly pieceCount: number;
    }
  /** Asks for one piece of `length` bytes: `peerPiece`, `requestRefused`, or `peerDisconnected`. */
  | {
      readonly type: "requestPiece";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly contentId: ContentId;
      readonly piece: PieceIndex;
      readonly length: number;
    }
  /** `peerManifest`, `requestRefused`, or `peerDisconnected`. */
  | {
      readonly type: "requestManifest";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly contentId: ContentId;
    }
  /**
   * Asks for a signed announcement of the file that `tag` (`urlTag`, 32 bytes) stands for:
   * `peerAnnouncement`, `requestRefused`, or `peerDisconnected`.
   */
  | {
      readonly type: "requestAnnouncement";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly tag: Uint8Array;
    }
  /** Withdraws a request of ours. No event about it follows; late bytes are dropped. */
  | { readonly type: "cancelRequest"; readonly peerId: PeerId; readonly requestId: RequestId }
  /** Answers a peer's request with the payload beside; `uploadFinished` when sent or failed. */
  | {
      readonly type: "sendPiece";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly bufferId: BufferId;
    }
  | {
      readonly type: "sendManifest";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly bytes: Uint8Array;
    }
  /** Answers with at most `announcementBytesMax`. No `uploadFinished` follows. */
  | {
      readonly type: "sendAnnouncement";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly bytes: Uint8Array;
    }
  | {
      readonly type: "refuseRequest";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly reason: RefusalReason;
    };

export type SwarmEvent =
  /** An address hint from discovery or the user. Nothing about it is proved. */
  | {
      readonly type: "peerDiscovered";
      readonly peerId: PeerId;
      readonly addresses: readonly string[];
      /** Named by the user: dialled first, and again for as long as the agent runs. */
      readonly isStatic: boolean;
      /** Seen on a link of this machine (multicast DNS). Absent: no. */
      readonly isLocal?: boolean;
    }
  /** Authenticated and past our handshake. At most once per peer until `peerDisconnected`. */
  | {
      readonly type: "peerConnected";
      readonly peerId: PeerId;
      /** The remote host's address without port, for per-address limits. */
      readonly host: string;
      /** The handshake that protects the connection, such as `tls`; for those who look on. */
      readonly transport?: string;
      /** Absent: at a private address. */
      readonly reach?: PeerReach;
      /** Requests the peer accepts at a time. */
      readonly requestsMax: number;
    }
  | {
      readonly type: "dialFailed";
      readonly peerId: PeerId;
      readonly reason: string;
      /** It is there, and speaks another version of the protocol. */
      readonly isForeign?: boolean;
    }
  | { readonly type: "peerDisconnected"; readonly peerId: PeerId; readonly reason: string }
  | { readonly type: "peerJoined"; readonly peerId: PeerId; readonly contentId: ContentId }
  | { readonly type: "peerLeft"; readonly peerId: PeerId; readonly contentId: ContentId }
  /**
   * A member's `publishPresence` of a content that we have published presence in ourselves and not
   * left since. The peer's id is proved; addresses are hints. Never our own.
   */
  | {
      readonly type: "presenceHeard";
      readonly peerId: PeerId;
      readonly addresses: readonly string[];
      readonly contentId: ContentId;
      readonly role: PresenceRole;
    }
  /** `bits` is as the peer sent it: at most `haveMapBytesMax`, not yet checked against the content. */
  | {
      readonly type: "peerBitfield";
      readonly peerId: PeerId;
      readonly contentId: ContentId;
      readonly pieceCount: number;
      readonly bits: Uint8Array;
    }
  | {
      readonly type: "peerHave";
      readonly peerId: PeerId;
      readonly contentId: ContentId;
      /** Not yet checked against the content. */
      readonly pieces: readonly PieceIndex[];
    }
  | {
      readonly type: "peerClaimed";
      readonly peerId: PeerId;
      readonly contentId: ContentId;
      readonly firstPiece: PieceIndex;
      readonly pieceCount: number;
    }
  /** All bytes of a piece we asked for; exactly the length asked, content unverified. */
  | {
      readonly type: "peerPiece";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly bufferId: BufferId;
    }
  | {
      readonly type: "peerManifest";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly bytes: Uint8Array;
    }
  /** `bytes` is as the peer sent it: at most `announcementBytesMax`, not yet checked. */
  | {
      readonly type: "peerAnnouncement";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly bytes: Uint8Array;
    }
  | {
      readonly type: "requestRefused";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly reason: RefusalReason;
    }
  /** A peer asks us for a piece. `requestId` is the peer's number, unique per connection. */
  | {
      readonly type: "pieceRequested";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly contentId: ContentId;
      readonly piece: PieceIndex;
    }
  | {
      readonly type: "manifestRequested";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly contentId: ContentId;
    }
  | {
      readonly type: "announcementRequested";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly tag: Uint8Array;
    }
  | { readonly type: "requestCancelled"; readonly peerId: PeerId; readonly requestId: RequestId }
  /** Our answer has left, or will never: a `sendPiece` or `sendManifest` is done. */
  | {
      readonly type: "uploadFinished";
      readonly peerId: PeerId;
      readonly requestId: RequestId;
      readonly sentBytes: number;
    }
  | { readonly type: "peerOffended"; readonly peerId: PeerId; readonly offence: Offence };
