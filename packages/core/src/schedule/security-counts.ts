/**
 * Counts the security events that the scheduler sees and no machine counts itself (R-LOG-03).
 *
 * Knows codes; decides nothing. Called by the scheduler, with all that comes and goes.
 */
import type { SchedulerEvent } from "../ports/events.ts";
import type { Counters } from "../registry/counters.ts";
import type { ErrorCode } from "../registry/errors.ts";
import { SECURITY_EVENTS } from "../registry/security-events.ts";
import type { SecurityEventCode } from "../registry/security-events.ts";
import type { Notice } from "./notice.ts";

const BY_ERROR: Readonly<Partial<Record<ErrorCode, SecurityEventCode>>> = {
  ERR_REDIRECT_REFUSED: "redirectRefusal",
  ERR_DISK_IO: "diskError",
  ERR_DISK_FULL: "diskError",
};

/** Something has come, which may be that an origin has failed, or the store. */
export function countFailure(counters: Counters, event: SchedulerEvent): void {
  const code = codeOf(event);
  if (code !== undefined) counters.add(SECURITY_EVENTS[code].counter);
}

/** Something is about to be told. */
export function countNotice(counters: Counters, notice: Notice | undefined): Notice | undefined {
  if (notice?.type === "manifestRefused") counters.add(SECURITY_EVENTS.manifestRefusal.counter);
  if (notice?.type === "peerOffended") counters.add(SECURITY_EVENTS.peerOffence.counter);
  return notice;
}

function codeOf(event: SchedulerEvent): SecurityEventCode | undefined {
  switch (event.type) {
    case "originFailed": {
      const { kind, error } = event.failure;
      if (kind === "rangeBroken") return "rangeViolation";
      return kind === "changed" ? "validatorChange" : BY_ERROR[error.code];
    }
    case "contentFailed":
    case "publishFailed":
    case "stateFailed":
      return BY_ERROR[event.error.code];
    default:
      return undefined;
  }
}
