/**
 * Counts the security events that the scheduler sees and no machine counts itself (R-LOG-03).
 *
 * Knows codes; decides nothing. Called by the scheduler, with failures that come and notices that go.
 */
import type { OriginEvent } from "../ports/origin-port.ts";
import type { StoreEvent } from "../ports/store-port.ts";
import type { Counters } from "../registry/counters.ts";
import type { ErrorCode } from "../registry/errors.ts";
import { SECURITY_EVENTS } from "../registry/security-events.ts";
import type { SecurityEventCode } from "../registry/security-events.ts";
import type { Notice } from "./notice.ts";

type OriginFailed = Extract<OriginEvent, { readonly type: "originFailed" }>;

const BY_ERROR: Readonly<Partial<Record<ErrorCode, SecurityEventCode>>> = {
  ERR_REDIRECT_REFUSED: "redirectRefusal",
  ERR_DISK_IO: "diskError",
  ERR_DISK_FULL: "diskError",
};

/** An origin has failed, or the store. */
export function countFailure(counters: Counters, event: OriginFailed | StoreEvent): void {
  const code = codeOf(event);
  if (code !== undefined) counters.add(SECURITY_EVENTS[code].counter);
}

/** Something is about to be told. */
export function countNotice(counters: Counters, notice: Notice | undefined): Notice | undefined {
  if (notice?.type === "manifestRefused") counters.add(SECURITY_EVENTS.manifestRefusal.counter);
  if (notice?.type === "peerOffended") counters.add(SECURITY_EVENTS.peerOffence.counter);
  return notice;
}

function codeOf(event: OriginFailed | StoreEvent): SecurityEventCode | undefined {
  if (event.type !== "originFailed")
    return "error" in event ? BY_ERROR[event.error.code] : undefined;
  const { kind, error } = event.failure;
  if (kind === "rangeBroken") return "rangeViolation";
  return kind === "changed" ? "validatorChange" : BY_ERROR[error.code];
}
