/**
 * Which files of jobs are nobody's but their owner's (R-PRIV-02): those for which an origin was
 * shown something that strangers do not have. A content's name and its pieces' digests are no
 * secret, so knowing them gives nobody its bytes.
 *
 * Knows specs. Asked when something may be given to peers, and by the store when pieces are looked
 * for on this machine.
 */
import type { JobFileSpec } from "./file-spec.ts";

/**
 * Whether the file is asked for with credentials, header fields, a certificate, user information or
 * a query string, and its job does not say that it may be shared all the same.
 */
export function isPrivateFile(spec: JobFileSpec): boolean {
  if (spec.isShareable === true) return false;
  const { url, mirrors = [], request = {} } = spec;
  const { headers = [], challengeHeaders = [], clientCertificate } = request;
  if (headers.length + challengeHeaders.length > 0 || clientCertificate !== undefined) return true;
  return (url === undefined ? mirrors : [url, ...mirrors]).some(isPrivateUrl);
}

function isPrivateUrl(text: string): boolean {
  const url = URL.parse(text);
  return url === null || url.search !== "" || url.username !== "" || url.password !== "";
}
