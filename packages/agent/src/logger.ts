/** What the agent writes its log to: the part of pino's interface that it uses. */
import type { Notice } from "@shoal/core";

export type LogFields = Readonly<Record<string, string | number>>;

/** A pino logger is one. Text in fields may come from peers; whoever shows it escapes it. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
}

/** Writes nothing; the default of an embedded agent. */
export const silentLogger: Logger = { debug: () => {}, info: () => {}, warn: () => {} };

/** Writes what is worth a line among the scheduler's notices. */
export function logNotice(logger: Logger, notice: Notice): void {
  switch (notice.type) {
    case "peerConnected":
      return logger.info({ peerId: notice.peerId }, "peer connected");
    case "peerDisconnected":
      return logger.info({ peerId: notice.peerId, reason: notice.reason }, "peer disconnected");
    case "peerOffended":
      return logger.warn({ peerId: notice.peerId, offence: notice.offence }, "peer offended");
    case "peerBanned":
      return logger.warn({ peerId: notice.peerId, offence: notice.offence }, "peer banned");
    case "addressBanned":
      return logger.warn({ address: notice.address, offence: notice.offence }, "address banned");
    case "contentServed": {
      const message = notice.served ? "content is on offer" : "content is no longer on offer";
      return logger.debug({ contentId: notice.contentId }, message);
    }
    case "originAsked": {
      const { firstPiece, pieceCount, reason } = notice;
      return logger.debug({ firstPiece, pieceCount, reason }, "origin asked");
    }
    case "policyChanged": {
      const reasons = notice.peering.reasons.join(" ");
      return logger.info({ reasons }, reasons === "" ? "peering is open" : "peering is held back");
    }
    case "manifestRefused":
      return logger.warn({ code: notice.error.code }, notice.error.message);
    case "unusable":
      return logger.warn({ code: notice.error.code }, notice.error.message);
    default:
  }
}
