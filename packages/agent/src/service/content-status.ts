/**
 * Contents as those see them who manage an agent: what core knows of each, with what the cache says
 * of those that stay on offer. Secrets that URLs may hold are left out (R-LOG-01).
 *
 * Knows the fields of Delivery Optimization's monitoring. Called by `LocalAgentService`.
 */
import type { ContentOverview, JobState, Millis } from "@shoal/core";
import type { CacheEntry } from "@shoal/store";
import type { ContentStatus } from "./agent-service.ts";

export interface ContentStatusContext {
  /** What is in the cache of this content. */
  readonly entry: CacheEntry | undefined;
  /** How long contents stay in the cache; 0 is for ever. */
  readonly cacheAgeMs: Millis;
}

export function contentStatus(
  content: ContentOverview,
  { entry, cacheAgeMs }: ContentStatusContext,
): ContentStatus {
  const { contentId, job, receivedBytes, sentBytes, peerConnections, peerCount } = content;
  const { originBytes = 0, cacheServerBytes = 0, peerBytes = 0 } = job?.file ?? {};
  const downloadedBytes = originBytes + cacheServerBytes + peerBytes;
  const path = entry?.path ?? job?.file.destination;
  const length = content.length ?? entry?.length;
  return {
    ...(contentId !== undefined && { contentId }),
    ...(job && jobFields(content, job)),
    ...(path !== undefined && { path }),
    ...(length !== undefined && { length }),
    heldBytes: Math.max(content.heldBytes, entry?.length ?? 0),
    status: statusOf(content),
    downloadedBytes,
    httpBytes: originBytes + cacheServerBytes,
    cacheServerBytes,
    peerBytes,
    receivedBytes,
    sentBytes,
    peerPercent: downloadedBytes === 0 ? 0 : Math.round((1_000 * peerBytes) / downloadedBytes) / 10,
    downloadMs: Math.round(job?.file.activeMs ?? 0),
    originConnections: content.originConnections + content.cacheServerConnections,
    peerConnections,
    peerCount,
    ...(entry && expiryOf(entry, cacheAgeMs)),
    isPinned: entry?.isPinned ?? false,
    isOffered: content.isOffered,
  };
}

function jobFields(
  { isFromCacheServer }: ContentOverview,
  { jobId, fileIndex, displayName, priority, file }: NonNullable<ContentOverview["job"]>,
): Partial<ContentStatus> {
  const { url, deliveredBy, downloadMode } = file;
  const cacheHost = isFromCacheServer && deliveredBy && URL.parse(deliveredBy)?.host;
  return {
    jobId,
    fileIndex,
    displayName,
    ...(url !== undefined && { url: withoutSecrets(url) }),
    ...(typeof cacheHost === "string" && { cacheHost }),
    priority,
    ...(downloadMode !== undefined && { downloadMode }),
  };
}

/** What `Status` says of a file of a job in each state, while not all of it is here. */
const INCOMPLETE: Readonly<Record<JobState, ContentStatus["status"]>> = {
  queued: "downloading",
  connecting: "downloading",
  transferring: "downloading",
  transientError: "downloading",
  suspended: "paused",
  error: "failed",
  transferred: "downloading",
  acknowledged: "downloading",
  cancelled: "failed",
};

function statusOf({ job, isOffered }: ContentOverview): ContentStatus["status"] {
  const phase = job?.file.phase;
  if (job === undefined) return "caching";
  if (phase !== "transferred" && phase !== "published") return INCOMPLETE[job.state];
  return isOffered ? "caching" : "complete";
}

function expiryOf(
  { completedAt, expiresAt, isPinned }: CacheEntry,
  cacheAgeMs: Millis,
): Partial<ContentStatus> {
  if (expiresAt !== undefined) return { expiresAt };
  return cacheAgeMs === 0 || isPinned ? {} : { expiresAt: completedAt + cacheAgeMs };
}

/** The URL without user information, query and fragment (R-LOG-01). */
export function withoutSecrets(text: string): string {
  const url = URL.parse(text);
  if (url === null) return "";
  url.username = "";
  url.password = "";
  url.search = "";
  url.hash = "";
  return url.href;
}
