/**
 * Swarm commands as the messages that other peers receive. A message is the event it causes at the
 * other end, because nothing is encoded in a simulation.
 *
 * Pure; knows neither connections nor time. Called by `SimSwarm`.
 */
import { PieceSet, unreachable } from "@shoal/core";
import type { ContentId, PeerId, SwarmCommand, SwarmEvent } from "@shoal/core";

/** Commands that tell several peers the same. */
export type Announcement = Extract<SwarmCommand, { type: "sendHave" | "sendClaim" }>;

/** Commands that become one message to one peer, told from uploads by having no length. */
export type Addressed = Exclude<
  SwarmCommand,
  {
    type:
      | "dialPeer"
      | "disconnectPeer"
      | "setRefusal"
      | "sendHave"
      | "sendClaim"
      | "publishPresence"
      | "sendPiece"
      | "sendManifest";
  }
>;

/** What `peerId` announces. */
export function announcementOf(peerId: PeerId, command: Announcement): SwarmEvent {
  const { contentId } = command;
  if (command.type === "sendHave") {
    return { type: "peerHave", peerId, contentId, pieces: command.pieces };
  }
  const { firstPiece, pieceCount } = command;
  return { type: "peerClaimed", peerId, contentId, firstPiece, pieceCount };
}

/** What `peerId` says to one other peer. */
export function messageOf(peerId: PeerId, command: Addressed): SwarmEvent {
  switch (command.type) {
    case "sendJoin":
      return { type: "peerJoined", peerId, contentId: command.contentId };
    case "sendLeave":
      return { type: "peerLeft", peerId, contentId: command.contentId };
    case "sendBitfield": {
      const { contentId, pieceCount, bits } = command;
      return { type: "peerBitfield", peerId, contentId, pieceCount, bits };
    }
    case "requestPiece": {
      const { requestId, contentId, piece } = command;
      return { type: "pieceRequested", peerId, requestId, contentId, piece };
    }
    case "requestManifest": {
      const { requestId, contentId } = command;
      return { type: "manifestRequested", peerId, requestId, contentId };
    }
    case "requestAnnouncement": {
      const { requestId, tag } = command;
      return { type: "announcementRequested", peerId, requestId, tag };
    }
    case "sendAnnouncement": {
      const { requestId, bytes } = command;
      return { type: "peerAnnouncement", peerId, requestId, bytes };
    }
    case "cancelRequest":
      return { type: "requestCancelled", peerId, requestId: command.requestId };
    case "refuseRequest": {
      const { requestId, reason } = command;
      return { type: "requestRefused", peerId, requestId, reason };
    }
    default:
      return unreachable(command);
  }
}

/** What a peer says to make others believe that it holds all of a content. */
export function fullBitfield(peerId: PeerId, contentId: ContentId, pieceCount: number): SwarmEvent {
  const bits = PieceSet.full(pieceCount).toBytes();
  return { type: "peerBitfield", peerId, contentId, pieceCount, bits };
}
