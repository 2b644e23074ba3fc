/**
 * Who may have what a job fetches (R-PRIV-02): everybody, or the job's owner alone where core says
 * that the file is private.
 *
 * Knows job records. Called when a content is published, and when pieces are looked for.
 */
import { isPrivateFile } from "@shoal/core";
import type { JobId, JobRecord } from "@shoal/core";
import type { ContentKey } from "./content-record.ts";

/** The owner of a job's contents. A job that is not recorded is nobody's but its own. */
export function ownerOf(job: JobRecord | undefined, jobId: JobId): string {
  return job?.owner ?? jobId;
}

/** Who alone may have the content of a job's file; `undefined`: everybody. */
export function privateOwner(
  job: JobRecord | undefined,
  { jobId, fileIndex }: ContentKey,
): string | undefined {
  const spec = job?.files[fileIndex]?.spec;
  return spec === undefined || isPrivateFile(spec) ? ownerOf(job, jobId) : undefined;
}
