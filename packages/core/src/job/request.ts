/** What may be asked of `createJob`: everything that can be wrong with a request without a disk. */
import { parseContentId } from "../content/content-id.ts";
import { parseSha256Hex } from "../hash/digest.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { JobId } from "../units.ts";
import { checkDestination } from "./destination.ts";
import { isJobId, JOB_PRIORITIES } from "./record.ts";
import type { JobFileSpec, JobPriority } from "./record.ts";

/** What `createJob` takes. */
export interface JobRequest {
  /** A UUID the caller made, in lower case. */
  readonly jobId: JobId;
  readonly displayName: string;
  readonly priority: JobPriority;
  /** Whether a destination that exists may be replaced at publication. */
  readonly overwrite: boolean;
  readonly files: readonly JobFileSpec[];
  /** Begin at once (`queued`), or wait for `resume` (`suspended`, as BITS does). */
  readonly startSuspended: boolean;
}

/** What is wrong with the request; `undefined` when nothing is. */
export function checkJobRequest(request: JobRequest): ErrorInfo | undefined {
  if (!isJobId(request.jobId)) {
    return errorInfo("ERR_USAGE", "the job id is not a UUID");
  }
  if (request.displayName.length > LIMITS.displayNameLengthMax) {
    return errorInfo("ERR_USAGE", "the display name is too long");
  }
  if (!JOB_PRIORITIES.includes(request.priority)) {
    return errorInfo("ERR_USAGE", `unknown priority ${String(request.priority)}`);
  }
  if (request.files.length > LIMITS.filesPerJobMax) {
    return errorInfo("ERR_JOB_LIMIT", `${request.files.length} files in one job`);
  }
  const destinations = new Set<string>();
  for (const file of request.files) {
    const problem = checkFile(file);
    if (problem !== undefined) return problem;
    if (destinations.has(file.destination)) {
      return errorInfo("ERR_DESTINATION_INVALID", `${file.destination} stands twice`);
    }
    destinations.add(file.destination);
  }
  return undefined;
}

function checkFile({ url, destination, contentId, sha256 }: JobFileSpec): ErrorInfo | undefined {
  const problem = checkDestination(destination);
  if (problem !== undefined) {
    return errorInfo("ERR_DESTINATION_INVALID", `${destination}: ${problem}`);
  }
  if (url === undefined && contentId === undefined) {
    return errorInfo("ERR_USAGE", "a file needs a URL or a content id");
  }
  if (contentId !== undefined && parseContentId(contentId) === undefined) {
    return errorInfo("ERR_CONTENT_ID_INVALID", contentId);
  }
  if (sha256 !== undefined && parseSha256Hex(sha256) === undefined) {
    return errorInfo("ERR_USAGE", "a SHA-256 has 64 hexadecimal digits");
  }
  return url === undefined ? undefined : checkUrl(url);
}

/** R-HTTP-01. The text of a refused URL is not repeated beyond its beginning. */
function checkUrl(text: string): ErrorInfo | undefined {
  const shown = text.slice(0, 100);
  if (text.length > LIMITS.urlLengthMax) return errorInfo("ERR_URL_INVALID", "it is too long");
  const url = URL.parse(text);
  if (url === null) return errorInfo("ERR_URL_INVALID", shown);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return errorInfo("ERR_URL_INVALID", `${url.protocol} is not http: or https:`);
  }
  if (url.username !== "" || url.password !== "") {
    return errorInfo("ERR_URL_INVALID", "it holds a user name or password");
  }
  return undefined;
}
