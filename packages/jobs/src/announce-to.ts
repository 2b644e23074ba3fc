/** Gives an agent a signed announcement. Knows the scheduler's answer, not what is announced. */
import { ShoalError } from "@shoal/core";
import type { JobHost } from "./job-host.ts";

/** Throws `ERR_MANIFEST_UNTRUSTED` and others of the same kind; nothing has changed then. */
export function announceTo(host: Pick<JobHost, "act">, signed: Uint8Array): void {
  const result = host.act((scheduler, now) => scheduler.announcements.accept(signed, now));
  if (!result.ok) throw ShoalError.from(result.error);
}
