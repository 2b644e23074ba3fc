/**
 * The one job behind a `shoal get`: the one an interrupted run has left, when it asked for the same,
 * or a new one; and what becomes of it when the command gives up.
 */
import { basename } from "node:path";
import { isFinalState, sha256Hex } from "@shoal/core";
import type { JobSnapshot } from "@shoal/core";
import type { CreateJobFile, Job, Jobs } from "@shoal/jobs";

export interface GetRequest {
  readonly file: CreateJobFile & { readonly url?: string };
  readonly overwrite: boolean;
}

export interface GetJob {
  readonly job: Job;
  /** Left by an earlier run, perhaps with bytes that are not counted yet. */
  readonly isResumed: boolean;
}

/** How long giving up may take; the state is then as after a crash, which loses nothing. */
const GIVE_UP_TIMEOUT_MS = 5_000;
const HANDLE_OPTIONS = { failOnTransient: true };

/** Resolves when the job is durable and running. A job that asked for something else is cancelled. */
export async function findOrCreateJob(
  jobs: Jobs,
  request: GetRequest,
  signal: AbortSignal,
): Promise<GetJob> {
  const displayName = displayNameOf(request);
  const { file, overwrite } = request;
  const left = findLive(jobs, file.destination);
  const job = left && jobs.get(left.jobId, HANDLE_OPTIONS);
  if (job !== undefined && left?.displayName === displayName) {
    await job.resume({ signal });
    return { job, isResumed: true };
  }
  await job?.cancel({ signal });
  const options = { displayName, priority: "foreground", overwrite, files: [file] } as const;
  const created = await jobs.createJob({ ...options, ...HANDLE_OPTIONS }, { signal });
  return { job: created, isResumed: false };
}

/**
 * Suspends the job when there is something worth coming back for, and cancels it otherwise; returns
 * whether it was kept. `wasThere`: an earlier run may have stored bytes.
 */
export async function giveUpJob(
  jobs: Jobs,
  { destination, wasThere }: { destination: string; wasThere: boolean },
): Promise<boolean> {
  const left = findLive(jobs, destination);
  const job = left && jobs.get(left.jobId);
  if (left === undefined || job === undefined) return false;
  const isKept = left.state !== "error" && (wasThere || left.transferredBytes > 0);
  const signal = AbortSignal.timeout(GIVE_UP_TIMEOUT_MS);
  await (isKept ? job.suspend({ signal }) : job.cancel({ signal })).catch(() => {});
  return isKept;
}

function findLive(jobs: Jobs, destination: string): JobSnapshot | undefined {
  return jobs
    .list()
    .find(({ state, files }) => !isFinalState(state) && files[0]?.destination === destination);
}

/** Tells requests for one destination apart by a digest of what they ask for. */
function displayNameOf({ file, overwrite }: GetRequest): string {
  const asked = JSON.stringify([file.url, file.contentId, file.sha256, overwrite]);
  const digest = sha256Hex(new TextEncoder().encode(asked)).slice(0, 16);
  return `${basename(file.destination).slice(0, 64).toWellFormed()} ${digest}`;
}
