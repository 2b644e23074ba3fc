/**
 * The one job behind a `shoal get`: the one an interrupted run has left, when it asked for the same,
 * or a new one; and what becomes of it when the command gives up. The agent may be the command's own
 * or one that runs, with jobs of others: only this command's are touched.
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
  /** Of this job; absent: as the agent's settings say. */
  readonly rateBytesPerSec?: number;
}

export interface LiveJob {
  readonly job: Job;
  readonly snapshot: JobSnapshot;
}

/** How long giving up may take; the state is then as after a crash, which loses nothing. */
const GIVE_UP_TIMEOUT_MS = 5_000;
const HANDLE_OPTIONS = { failOnTransient: true };
/** Under this name a job says what was asked for. */
const REQUEST_ATTRIBUTE = "shoal.get";

/**
 * The job that an earlier run, or one in another terminal, has for the same files. One that asked for
 * something else is cancelled where nobody can be waiting for it. `isAlone`: there are no jobs but this command's.
 */
export async function findLeftJob(
  jobs: Jobs,
  request: GetRequest,
  { isAlone, signal }: { readonly isAlone: boolean; readonly signal: AbortSignal },
): Promise<LiveJob | undefined> {
  const left = await findLive(jobs, request.files[0].destination);
  if (left === undefined) return undefined;
  const { job, snapshot } = left;
  const asked = snapshot.attributes[REQUEST_ATTRIBUTE];
  if (asked === digestOf(request)) return left;
  const isAbandoned = isAlone || (asked !== undefined && isAtRest(snapshot));
  // Otherwise it is somebody's, and the destination with it.
  if (isAbandoned) await job.cancel({ signal });
  return undefined;
}

/** Resolves when the job is durable and running. */
export async function createGetJob(
  jobs: Jobs,
  { files, overwrite, rateBytesPerSec }: GetRequest,
  signal: AbortSignal,
): Promise<Job> {
  const options = {
    displayName: basename(files[0].destination).slice(0, 64).toWellFormed(),
    attributes: { [REQUEST_ATTRIBUTE]: digestOf({ files, overwrite }) },
    priority: "foreground",
    overwrite,
    files,
    ...(rateBytesPerSec === undefined ? {} : { rateBytesPerSec }),
    ...HANDLE_OPTIONS,
  } as const;
  return await jobs.createJob(options, { signal });
}

/** Lets the job of an earlier run go on, unless it runs, or waits for its files to be published. */
export async function resumeLeftJob(
  { job, snapshot }: LiveJob,
  { rateBytesPerSec }: GetRequest,
  signal: AbortSignal,
): Promise<void> {
  if (rateBytesPerSec !== undefined) await job.change({ rateBytesPerSec }, { signal });
  if (isAtRest(snapshot)) await job.resume({ signal });
}

/** Whether nothing happens to the job until somebody wants it, or for a long time. */
function isAtRest({ state }: JobSnapshot): boolean {
  return state === "suspended" || state === "transientError" || state === "error";
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
export async function giveUpJob(job: Job, { wasThere }: { wasThere: boolean }): Promise<boolean> {
  const snapshot = await job.snapshot().catch(() => undefined);
  if (snapshot === undefined || isFinalState(snapshot.state)) return false;
  const isKept = snapshot.state !== "error" && (wasThere || snapshot.transferredBytes > 0);
  const signal = AbortSignal.timeout(GIVE_UP_TIMEOUT_MS);
  await (isKept ? job.suspend({ signal }) : job.cancel({ signal })).catch(() => {});
  return isKept;
}

/** The job that is to fill `destination`, unless it is over. */
async function findLive(jobs: Jobs, destination: string): Promise<LiveJob | undefined> {
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
function digestOf({ files, overwrite }: Pick<GetRequest, "files" | "overwrite">): string {
  const all = files.map(({ url, mirrors, contentId, sha256, destination }) => [
    url,
    contentId,
    sha256,
    overwrite,
    mirrors,
    destination,
  ]);
  return sha256Hex(new TextEncoder().encode(JSON.stringify(all))).slice(0, 16);
}
