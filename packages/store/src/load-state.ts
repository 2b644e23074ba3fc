/**
 * What the scheduler is told first: jobs, contents and rows of earlier runs, as `stateLoaded`, or
 * `stateFailed` when the database cannot be read. What is left of jobs that are over is removed.
 *
 * Knows which of the stored rows still mean something. Used by the disk store.
 */
import { errorInfo, isFinalState, LIMITS } from "@shoal/core";
import type { JobId, JobRecord, ResumableContent, StoredContent } from "@shoal/core";
import type { ContentCache } from "./content-cache.ts";
import { diskErrorInfo } from "./disk-errors.ts";
import { removeLeftovers } from "./leftovers.ts";
import { statComplete } from "./shared-content.ts";
import { resumableOf } from "./state-rows.ts";
import type { StoreContext } from "./store-context.ts";

/** Answers `loadState`. Jobs that wait to be saved must have been. */
export function loadState(context: StoreContext, cache: ContentCache): void {
  const { emit, tables } = context;
  try {
    cache.recover();
    const jobs = tables.loadJobs();
    const [resumable, contents] = [resumableOfJobs(context, jobs), storedContents(context)];
    const accepted = context.acceptedRows.all();
    const announcements = context.announcementRows.all();
    const conduct = context.conductRows.all();
    const peers = context.peerRows.all();
    const usage = context.usageRows.latest();
    const loaded = { jobs, resumable, contents, accepted, announcements, conduct, peers };
    emit({ type: "stateLoaded", ...loaded, ...(usage && { usage }) });
  } catch (cause) {
    const error = errorInfo("ERR_STATE_UNUSABLE", diskErrorInfo(cause, "state.db").message);
    emit({ type: "stateFailed", error });
  }
}

/** Unpublished contents of live jobs; manifests beyond the bound are found again by other means. */
function resumableOfJobs(context: StoreContext, jobs: readonly JobRecord[]): ResumableContent[] {
  const { tables } = context;
  const jobById = new Map(jobs.map((job) => [job.jobId, job]));
  const found: ResumableContent[] = [];
  let bytesLeft: number = LIMITS.storedManifestBytesMax;
  for (const jobId of tables.jobsWithContents()) {
    const job = jobById.get(jobId);
    if (job === undefined) continue;
    if (isFinalState(job.state)) {
      finishEnd(context, jobId);
    } else if (job.files.some(({ isPublished }) => !isPublished) && bytesLeft >= 0) {
      for (const { record, manifest: stored } of tables.contentsOf(jobId)) {
        if (job.files[record.fileIndex]?.isPublished !== false) continue;
        bytesLeft -= stored?.bytes.length ?? 0;
        if (bytesLeft < 0) break;
        found.push(resumableOf(record, stored));
      }
    }
  }
  return found;
}

function finishEnd(context: StoreContext, jobId: JobId): void {
  try {
    removeLeftovers(context, context.tables.forgetContentsOf(jobId));
  } catch {
    // Nothing of it is used, and the next start tries again.
  }
}

function storedContents({ cacheRows, disk, tables }: StoreContext): StoredContent[] {
  const found: StoredContent[] = [];
  let manifestBytes = 0;
  const [withdrawn, privates] = [cacheRows.withdrawn(), cacheRows.privates()];
  for (const { contentId, path, length, bytes } of tables.shared()) {
    if (withdrawn.has(contentId)) continue;
    if (statComplete(disk, path, length) === undefined) continue;
    manifestBytes += bytes.length;
    if (manifestBytes > LIMITS.storedManifestBytesMax) break;
    const isPrivate = privates.has(contentId);
    found.push({ contentId, manifestBytes: bytes, path, ...(isPrivate && { isPrivate }) });
  }
  return found;
}
