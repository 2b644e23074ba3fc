/**
 * The one job behind a `shoal get`: the one an interrupted run has left, when it asked for the same,
 * or a new one; and what becomes of it when the command gives up.
 */
import { basename } from "node:path";
import { isFinalState, sha256Hex } from "@shoal/core";
import type { JobSnapshot } from "@shoal/core";
import type { CreateJobFile, Job, Jobs } from "@shoal/jobs";

export type GetFile = CreateJobFile & { readonly destination: string };

export interface GetRequest {
  /** At least one. The destination of the first one names the job. */
  readonly files: readonly [GetFile, ...GetFile[]];
  readonly overwrite: boolean;
}

export interface GetJob {
  readonly job: Job;
  /** How an earlier run has left the job, if one has. */
  readonly left?: JobSnapshot;
}

export interface LiveJob {
  readonly job: Job;
  readonly snapshot: JobSnapshot;
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
  const { files, overwrite } = request;
  const left = await findLive(jobs, files[0].destination);
  if (left?.snapshot.displayName === displayName) {
    await left.job.resume({ signal });
    return { job: left.job, left: left.snapshot };
  }
  await left?.job.cancel({ signal });
  const options = { displayName, priority: "foreground", overwrite, files } as const;
  return { job: await jobs.createJob({ ...options, ...HANDLE_OPTIONS }, { signal }) };
}

/** The snapshot with the bytes that came since `left`: a job counts those of all its runs. */
export function sinceLeft(snapshot: JobSnapshot, left: JobSnapshot | undefined): JobSnapshot {
  if (left === undefined) return snapshot;
  return {
    ...snapshot,
    ...receivedSince(snapshot, left),
    files: snapshot.files.map((file, index) => ({
      ...file,
      ...receivedSince(file, left.files[index] ?? NOTHING),
    })),
  };
}

type Received = Pick<JobSnapshot, "originBytes" | "cacheServerBytes" | "peerBytes" | "wastedBytes">;
const NOTHING: Received = { originBytes: 0, cacheServerBytes: 0, peerBytes: 0, wastedBytes: 0 };

function receivedSince(now: Received, then: Received): Received {
  return {
    originBytes: now.originBytes - then.originBytes,
    cacheServerBytes: now.cacheServerBytes - then.cacheServerBytes,
    peerBytes: now.peerBytes - then.peerBytes,
    wastedBytes: now.wastedBytes - then.wastedBytes,
  };
}

/**
 * Suspends the job when there is something worth coming back for, and cancels it otherwise; returns
 * whether it was kept. `wasThere`: an earlier run may have stored bytes.
 */
export async function giveUpJob(
  jobs: Jobs,
  { destination, wasThere }: { destination: string; wasThere: boolean },
): Promise<boolean> {
  const left = await findLive(jobs, destination);
  if (left === undefined) return false;
  const { job, snapshot } = left;
  const isKept = snapshot.state !== "error" && (wasThere || snapshot.transferredBytes > 0);
  const signal = AbortSignal.timeout(GIVE_UP_TIMEOUT_MS);
  await (isKept ? job.suspend({ signal }) : job.cancel({ signal })).catch(() => {});
  return isKept;
}

/** The job that is to fill `destination`, unless it is over. */
export async function findLive(jobs: Jobs, destination: string): Promise<LiveJob | undefined> {
  for (const { jobId, state } of await jobs.list()) {
    if (isFinalState(state)) continue;
    const job = await jobs.get(jobId, HANDLE_OPTIONS);
    const snapshot = await job?.snapshot();
    if (job !== undefined && snapshot?.files[0]?.destination === destination) {
      return { job, snapshot };
    }
  }
  return undefined;
}

/** Tells requests for one destination apart by a digest of what they ask for. */
function displayNameOf({ files, overwrite }: GetRequest): string {
  const all = files.map(({ url, mirrors, contentId, sha256, destination }) => {
    // What one file asked for is told apart as it was before there were several.
    const own = [url, contentId, sha256, overwrite];
    return files.length === 1 && mirrors === undefined ? own : [...own, mirrors, destination];
  });
  const asked = JSON.stringify(all.length === 1 ? all[0] : all);
  const digest = sha256Hex(new TextEncoder().encode(asked)).slice(0, 16);
  return `${basename(files[0].destination).slice(0, 64).toWellFormed()} ${digest}`;
}
