/**
 * Who may have what a job fetches (R-PRIV-02): everybody, or the job's owner alone where the origin
 * was shown something that strangers do not have. A content's name and its pieces' digests are no
 * secret, so knowing them gives nobody its bytes.
 *
 * Knows job records. Called when a content is published, and when pieces are looked for.
 */
import type { JobFileSpec, JobId, JobRecord } from "@shoal/core";
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
  return spec === undefined || isPrivate(spec) ? ownerOf(job, jobId) : undefined;
}

/** Asked for with credentials, header fields, a certificate or a query string. */
function isPrivate({ url, mirrors = [], request = {} }: JobFileSpec): boolean {
  const { headers = [], challengeHeaders = [], clientCertificate } = request;
  if (headers.length + challengeHeaders.length > 0 || clientCertificate !== undefined) return true;
  const urls = url === undefined ? mirrors : [url, ...mirrors];
  return urls.some((text) => URL.parse(text)?.search !== "");
}
