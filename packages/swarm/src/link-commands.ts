/**
 * What core's commands about one connected peer are on its link. Knows both vocabularies and
 * decides nothing. Called by the swarm.
 */
import { unreachable } from "@shoal/core";
import type { PieceBytes, SwarmCommand } from "@shoal/core";
import type { Link } from "./link.ts";

/** Commands that are about one connected peer. */
export type LinkCommand = Exclude<
  SwarmCommand,
  {
    type:
      | "dialPeer"
      | "disconnectPeer"
      | "setRefusal"
      | "sendHave"
      | "sendClaim"
      | "publishPresence";
  }
>;

/** Carries out a command on the link to its peer; the payload becomes the link's. */
export function executeOn(link: Link, command: LinkCommand, payload: PieceBytes | undefined): void {
  switch (command.type) {
    case "sendJoin":
      return link.sendJoin(command.contentId);
    case "sendLeave":
      return link.sendLeave(command.contentId);
    case "sendBitfield":
      return link.sendBitfield(command.contentId, command.pieceCount, command.bits);
    case "requestPiece": {
      const { requestId, contentId, piece, length } = command;
      return link.requestPiece(requestId, contentId, piece, length);
    }
    case "requestManifest":
      return link.requestManifest(command.requestId, command.contentId);
    case "requestAnnouncement":
      return link.requestAnnouncement(command.requestId, command.tag);
    case "cancelRequest":
      return link.cancelRequest(command.requestId);
    case "sendPiece":
      if (payload !== undefined) link.served.sendPiece(command.requestId, payload);
      return;
    case "sendManifest":
      return link.served.sendManifest(command.requestId, command.bytes);
    case "sendAnnouncement":
      return link.served.sendAnnouncement(command.requestId, command.bytes);
    case "refuseRequest":
      return link.served.refuse(command.requestId, command.reason);
    default:
      unreachable(command);
  }
}
