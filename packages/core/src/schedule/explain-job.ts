/**
 * Explains a job: what it waits for, where each file's bytes came from and why, and why each known
 * peer is used or not. Puts together what `PieceRecord`, `explainFetch` and `explainPeers` know.
 *
 * Looks, and changes nothing. Called by the scheduler.
 */
import { POLICY_REASONS } from "../registry/policy-reasons.ts";
import type { PolicyReason } from "../registry/policy-reasons.ts";
import type { ReasonCode } from "../registry/reasons.ts";
import type { Millis } from "../units.ts";
import { explainFetch, explainPlaces } from "./explain-fetch.ts";
import { explainPeers } from "./explain-peers.ts";
import { reason, shareWithoutRecord, wordsOf } from "./explanation.ts";
import type { ExplainedFile, JobExplanation, PolicyVerdict, Reason } from "./explanation.ts";
import type { JobFile } from "./job-file.ts";
import type { Job } from "./job.ts";
import type { MachineDeps } from "./machine-deps.ts";
import type { Membership } from "./membership.ts";
import type { PieceSummary } from "./piece-record.ts";

export interface ExplainDeps extends MachineDeps {
  readonly membership: Membership;
}

/** `undefined` where there is no job. */
export function explainJob(
  deps: ExplainDeps,
  job: Job | undefined,
  now: Millis,
): JobExplanation | undefined {
  if (job === undefined) return undefined;
  const { jobId, state, error } = job;
  return {
    jobId,
    displayName: job.values.displayName,
    state,
    ...(error && { error }),
    verdicts: jobVerdicts(job, now),
    policies: policyVerdicts(deps, job),
    files: job.files.map((file) => explainFile(deps, { job, file }, now)),
  };
}

/** What policy takes away, of this agent or of one of the job's files. */
function policyVerdicts({ gate }: ExplainDeps, { files }: Job): PolicyVerdict[] {
  const codes = new Set<PolicyReason>(gate.peering.reasons);
  for (const { transfer } of files) {
    for (const code of transfer?.terms.reasons ?? []) codes.add(code);
  }
  return Array.from(codes, (code) => {
    const { meaning, remedy, policy } = POLICY_REASONS[code];
    return { code, words: meaning, remedy, ...(policy !== "" && { policy }) };
  });
}

function jobVerdicts({ state, error, retryAt }: Job, now: Millis): Reason[] {
  const because = error && { error };
  switch (state) {
    case "queued":
    case "suspended":
    case "cancelled":
    case "acknowledged":
      return [reason(state, because)];
    case "error":
      return [reason("failed", because)];
    case "transientError": {
      const waitMs = retryAt - now;
      return [reason("waitsToRetry", { ...because, ...(waitMs < Infinity && { waitMs }) })];
    }
    case "transferred":
      return [reason("unpublished")];
    case "connecting":
    case "transferring":
      return [];
  }
}

function explainFile(
  deps: ExplainDeps,
  { job, file }: { readonly job: Job; readonly file: JobFile },
  now: Millis,
): ExplainedFile {
  const snapshot = file.snapshot(now);
  const { fileId, destination, phase, contentId, length, transferredBytes, integrity } = snapshot;
  const { shares, runs, runCount } = summaryOf(file, transferredBytes);
  const { transfer } = file;
  const isComplete = file.isTransferred || phase === "verifying";
  const requests = transfer?.fetcher?.parts.peers;
  const canHavePeers = transfer !== undefined && contentId !== undefined;
  const { peers, peerCount } = canHavePeers
    ? explainPeers(deps, { contentId, requests, shares, isComplete }, now)
    : { peers: [], peerCount: 0 };
  return {
    ...(fileId !== undefined && { fileId }),
    ...(destination !== undefined && { destination }),
    phase,
    ...(contentId !== undefined && { contentId }),
    ...(length !== undefined && { length }),
    transferredBytes,
    integrity,
    verdicts: fileVerdicts(deps, { job, file }, now),
    shares: shares.map((share) => ({ ...share, ...wordsOf(share.code) })),
    runs,
    runCount,
    places: transfer?.sources.standings(now) ?? [],
    peers,
    peerCount,
  };
}

/** What another run of the agent has fetched has no record here. */
function summaryOf(file: JobFile, transferredBytes: number): PieceSummary {
  const summary = (file.transfer?.facts.pieces ?? file.pieces)?.summary();
  if (summary !== undefined) return summary;
  const isHere = file.isContinued && transferredBytes > 0;
  const shares = isHere ? [shareWithoutRecord("beforeRestart", transferredBytes)] : [];
  return { shares, runs: [], runCount: 0 };
}

const OF_PHASE: Readonly<Partial<Record<ExplainedFile["phase"], ReasonCode>>> = {
  resolving: "lookingForManifest",
  opening: "opening",
  verifying: "verifying",
};

function fileVerdicts(
  deps: ExplainDeps,
  { job, file }: { readonly job: Job; readonly file: JobFile },
  now: Millis,
): Reason[] {
  const { transfer } = file;
  if (transfer === undefined || file.isTransferred) return [];
  const { phase, fetcher, sources } = transfer;
  const code = OF_PHASE[phase];
  const verdicts = code === undefined ? [] : [reason(code)];
  if (fetcher !== undefined) {
    verdicts.push(...explainFetch(deps, { parts: fetcher.parts, urgency: job }, now));
  }
  const isFetched = phase === "resolving" || phase === "fetching";
  return isFetched ? [...verdicts, ...explainPlaces(sources, now)] : verdicts;
}
