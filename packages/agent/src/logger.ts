/** What the agent writes its log to: the part of pino's interface that it uses. */
import { SECURITY_EVENTS } from "@shoal/core";
import type { Notice, SecurityEventCode } from "@shoal/core";

export type LogFields = Readonly<Record<string, string | number>>;

/** A pino logger is one. Text in fields may come from peers; whoever shows it escapes it. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** Writes nothing; the default of an embedded agent. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};

/** Writes what is worth a line among the scheduler's notices. */
export function logNotice(logger: Logger, notice: Notice): void {
  switch (notice.type) {
    case "peerConnected":
      return logger.info({ peerId: notice.peerId }, "peer connected");
    case "peerDisconnected":
      return logger.info({ peerId: notice.peerId, reason: notice.reason }, "peer disconnected");
    case "peerOffended":
      return logSecurity(logger, "peerOffence", notice);
    case "peerBanned":
      return logSecurity(logger, "peerBan", notice);
    case "addressBanned":
      return logSecurity(logger, "addressBan", notice);
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
      return logger.warn(
        { event: "manifestRefusal", code: notice.error.code },
        notice.error.message,
      );
    case "unusable":
      return logger.warn({ code: notice.error.code }, notice.error.message);
    default:
  }
}

/** A security event, with its code (R-LOG-03). */
export function logSecurity(
  logger: Logger,
  event: SecurityEventCode,
  { type: _type, ...fields }: LogFields,
): void {
  logger.warn({ ...fields, event }, SECURITY_EVENTS[event].words);
}
