/**
 * Jobs and files as the legacy interfaces show them: states and priorities by tables, lengths,
 * times and swarm statistics. Pure views of snapshots (job-API reference, sections 4, 5 and 11).
 *
 * Knows snapshots. Called by the objects beside it.
 */
import { ShoalError } from "@shoal/core";
import type {
  FileSnapshot,
  JobError,
  JobPriority,
  JobRange,
  JobSnapshot,
  JobState,
  JobSummary,
  UnixMillis,
} from "@shoal/core";
import {
  BG_ERROR_CONTEXT,
  BG_JOB_PRIORITY,
  BG_JOB_STATE,
  BG_LENGTH_TO_EOF,
  BG_NOTIFY_DEFAULT,
  BG_SIZE_UNKNOWN,
  DownloadMode,
  SwarmStatus,
} from "../constants/bits.ts";
import { HResultError } from "../hresult-error.ts";
import type {
  BG_FILE_PROGRESS,
  BG_FILE_RANGE,
  BG_JOB_PROGRESS,
  BG_JOB_TIMES,
  DOSwarmStats,
} from "./interfaces.ts";

/** `connecting` is shown as transferring: Delivery Optimization never reports it. */
export const SHOWN_STATES: Readonly<Record<JobState, BG_JOB_STATE>> = {
  queued: BG_JOB_STATE.BG_JOB_STATE_QUEUED,
  connecting: BG_JOB_STATE.BG_JOB_STATE_TRANSFERRING,
  transferring: BG_JOB_STATE.BG_JOB_STATE_TRANSFERRING,
  suspended: BG_JOB_STATE.BG_JOB_STATE_SUSPENDED,
  error: BG_JOB_STATE.BG_JOB_STATE_ERROR,
  transientError: BG_JOB_STATE.BG_JOB_STATE_TRANSIENT_ERROR,
  transferred: BG_JOB_STATE.BG_JOB_STATE_TRANSFERRED,
  acknowledged: BG_JOB_STATE.BG_JOB_STATE_ACKNOWLEDGED,
  cancelled: BG_JOB_STATE.BG_JOB_STATE_CANCELLED,
};

export const SHOWN_PRIORITIES: Readonly<Record<JobPriority, BG_JOB_PRIORITY>> = {
  foreground: BG_JOB_PRIORITY.BG_JOB_PRIORITY_FOREGROUND,
  high: BG_JOB_PRIORITY.BG_JOB_PRIORITY_HIGH,
  normal: BG_JOB_PRIORITY.BG_JOB_PRIORITY_NORMAL,
  low: BG_JOB_PRIORITY.BG_JOB_PRIORITY_LOW,
};

/** What this face keeps in a job's attributes. */
export const BITS_ATTRIBUTES = {
  notifyFlags: "bits.notifyFlags",
  notifyClsid: "bits.notifyClsid",
  /** The bits of the cost flags that are no network costs. */
  costOptions: "bits.costOptions",
} as const;

export function notifyFlagsOf({ attributes }: JobSummary): number {
  return Number(attributes[BITS_ATTRIBUTES.notifyFlags] ?? BG_NOTIFY_DEFAULT);
}

/** States in which the error that is known is the job's present one, or was its last. */
const ERROR_STATES: readonly JobState[] = ["error", "transientError", "suspended", "queued"];

/** The error that `GetError` tells of; `undefined` when there is none. */
export function shownError({ state, error }: JobSnapshot): JobError | undefined {
  return ERROR_STATES.includes(state) ? error : undefined;
}

export function hresultOf(error: JobError): number {
  return HResultError.from(ShoalError.from(error)).hresult;
}

const STATUS_FORBIDDEN = 403;

/** `REMOTE_FILE` for HTTP 403 and `NONE` for everything else, as documented. */
export function contextOf({ originStatus }: JobError): BG_ERROR_CONTEXT {
  return originStatus === STATUS_FORBIDDEN
    ? BG_ERROR_CONTEXT.BG_ERROR_CONTEXT_REMOTE_FILE
    : BG_ERROR_CONTEXT.BG_ERROR_CONTEXT_NONE;
}

export function jobProgress({ files, transferredFileCount }: JobSnapshot): BG_JOB_PROGRESS {
  const lengths = files.map(lengthOf);
  const isKnown = lengths.every((length) => length !== undefined);
  const sum = lengths.reduce<number>((total, length) => total + (length ?? 0), 0);
  const transferred = files.reduce((total, file) => total + file.transferredBytes, 0);
  return {
    BytesTotal: isKnown ? BigInt(sum) : BG_SIZE_UNKNOWN,
    BytesTransferred: BigInt(transferred),
    FilesTotal: files.length,
    FilesTransferred: transferredFileCount,
  };
}

export function fileProgress(file: FileSnapshot): BG_FILE_PROGRESS {
  return {
    BytesTotal: shownLength(file),
    BytesTransferred: BigInt(file.transferredBytes),
    Completed: file.phase === "published",
  };
}

/** The origin tells, or the ranges that were asked for do, or what the caller said. */
function lengthOf({ length, ranges, declaredLength }: FileSnapshot): number | undefined {
  if (length !== undefined || ranges === undefined) return length ?? declaredLength;
  let sum = 0;
  for (const range of ranges) {
    const rest = declaredLength === undefined ? undefined : declaredLength - range.offset;
    const rangeLength = range.length ?? rest;
    if (rangeLength === undefined || rangeLength < 0) return undefined;
    sum += rangeLength;
  }
  return sum;
}

function shownLength(file: FileSnapshot): bigint {
  const length = lengthOf(file);
  return length === undefined ? BG_SIZE_UNKNOWN : BigInt(length);
}

export function shownRange({ offset, length }: JobRange): BG_FILE_RANGE {
  return {
    InitialOffset: BigInt(offset),
    Length: length === undefined ? BG_LENGTH_TO_EOF : BigInt(length),
  };
}

export function jobTimes({ createdAt, modifiedAt, transferredAt }: JobSnapshot): BG_JOB_TIMES {
  return {
    CreationTime: filetimeOf(createdAt),
    ModificationTime: filetimeOf(modifiedAt),
    TransferCompletionTime: transferredAt === undefined ? 0n : filetimeOf(transferredAt),
  };
}

/** From the beginning of 1601 to that of 1970. */
const FILETIME_EPOCH_MS = 11_644_473_600_000n;
const FILETIME_TICKS_PER_MS = 10_000n;

function filetimeOf(at: UnixMillis): bigint {
  return (BigInt(Math.floor(at)) + FILETIME_EPOCH_MS) * FILETIME_TICKS_PER_MS;
}

const ULONG_MAX = 0xffff_ffff;

/** Peers found by local discovery are of the LAN; so are those that older agents did not tell apart. */
export function swarmStats(job: JobSnapshot, file: FileSnapshot): DOSwarmStats {
  const { originBytes, cacheServerBytes, peerBytes, activeMs } = file;
  const { receivedBytes: received, sentBytes: sent } = file;
  return {
    fileId: file.fileId ?? "",
    sourceURL: file.url ?? "",
    fileSize: shownLength(file),
    totalBytesDownloaded: BigInt(originBytes + cacheServerBytes + peerBytes),
    bytesFromLanPeers: BigInt(peerBytes - received.group - received.internet),
    bytesFromGroupPeers: BigInt(received.group),
    bytesFromInternetPeers: BigInt(received.internet),
    bytesFromHttp: BigInt(originBytes),
    bytesFromDoinc: BigInt(cacheServerBytes),
    bytesToLanPeers: BigInt(sent.lan + sent.linkLocal),
    bytesToGroupPeers: BigInt(sent.group),
    bytesToInternetPeers: BigInt(sent.internet),
    httpConnectionCount: file.originRequests,
    doincConnectionCount: 0,
    lanConnectionCount: file.peers,
    groupConnectionCount: 0,
    internetConnectionCount: 0,
    downloadDuration: Math.min(Math.round(activeMs), ULONG_MAX),
    downloadMode: shownMode(file),
    status: swarmStatus(job, file),
    isBackground: job.priority !== "foreground",
  };
}

/** The mode of this file: where nothing can be verified piece by piece there are no peers. */
function shownMode({ integrity, downloadMode }: FileSnapshot): DownloadMode {
  const modes = Object.values(DownloadMode);
  const mode = modes.find((value) => value === downloadMode) ?? DownloadMode.DownloadMode_Lan;
  const hasPeers =
    mode >= DownloadMode.DownloadMode_Lan && mode <= DownloadMode.DownloadMode_Internet;
  return hasPeers && integrity !== "pieces" ? DownloadMode.DownloadMode_CdnOnly : mode;
}

/** States in which nothing is fetched until somebody acts. */
const PAUSED_STATES: readonly JobState[] = ["suspended", "error", "cancelled"];

function swarmStatus({ state }: JobSnapshot, { phase, integrity }: FileSnapshot): SwarmStatus {
  if (phase === "transferred" || phase === "published") {
    return integrity === "pieces" && state !== "cancelled"
      ? SwarmStatus.SwarmStatus_Caching
      : SwarmStatus.SwarmStatus_Complete;
  }
  return PAUSED_STATES.includes(state)
    ? SwarmStatus.SwarmStatus_Paused
    : SwarmStatus.SwarmStatus_Downloading;
}
