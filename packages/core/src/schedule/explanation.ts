/**
 * What an explanation of a job says: plain JSON, valid at one instant. Made by `explainJob`, carried
 * by the job API, printed by `shoal explain`. The codes are those of `registry/reasons.ts`.
 */
import type { JobError } from "../job/record.ts";
import type { JobState } from "../job/states.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { REASONS } from "../registry/reasons.ts";
import type { PeerReason, PieceReason, ReasonCode, ReasonRow } from "../registry/reasons.ts";
import type { ContentId, JobId, Millis, PeerId } from "../units.ts";
import type { PlaceStanding } from "./file-sources.ts";
import type { PieceRun, SourceShare } from "./piece-record.ts";
import type { FilePhase, FileSnapshot } from "./snapshot.ts";

/** A code with its words; and what was measured, where the reason rests on that. */
export interface Reason<Code extends ReasonCode = ReasonCode> {
  readonly code: Code;
  readonly words: string;
  /** What the user can do about it. */
  readonly remedy?: string;
  /** How long it lasts, unless something happens before. */
  readonly waitMs?: Millis;
  /** What went wrong. */
  readonly error?: ErrorInfo;
  /** What peers have delivered lately, all together. */
  readonly peersBytesPerSec?: number;
  /** What the origin delivers. */
  readonly originBytesPerSec?: number;
  /** How long peers have had something to give and have given nothing. */
  readonly silentMs?: Millis;
  /** The limit in force. */
  readonly limitBytesPerSec?: number;
}

/** Bytes that are here from one source for one reason. */
export interface ExplainedShare extends SourceShare {
  readonly words: string;
  readonly remedy?: string;
}

/** A peer that is known, and why it is used or not. */
export interface ExplainedPeer extends Reason<PeerReason> {
  readonly peerId: PeerId;
  /** IP address; of IPv6, a network. Absent: it is not connected. */
  readonly address?: string;
  /** What it was refused or lost for, in words that may be a peer's. */
  readonly detail?: string;
  /** Whether pieces are asked of it now. */
  readonly isUsed: boolean;
  /** Requests under way, of all transfers. */
  readonly requestCount: number;
  readonly bytesPerSec: number;
  /** What is here of the file from it. */
  readonly pieceCount: number;
  readonly bytes: number;
}

export interface ExplainedFile {
  /** The caller's own name for the file. */
  readonly fileId?: string;
  readonly destination?: string;
  readonly phase: FilePhase;
  readonly contentId?: ContentId;
  readonly length?: number;
  readonly transferredBytes: number;
  readonly integrity: FileSnapshot["integrity"];
  /** What holds for the file as a whole, the weightiest first. */
  readonly verdicts: readonly Reason[];
  /** Where what is here came from, the largest first. */
  readonly shares: readonly ExplainedShare[];
  /** Which pieces; the first 512 runs. */
  readonly runs: readonly PieceRun[];
  readonly runCount: number;
  /** Cache servers, origin and mirrors, in the order in which they are tried. */
  readonly places: readonly PlaceStanding[];
  /** The peers that are known, those connected first, at most 256; none where none can be used. */
  readonly peers: readonly ExplainedPeer[];
  readonly peerCount: number;
}

/** A policy that allows or forbids something, and why. */
export interface PolicyVerdict {
  readonly code: string;
  readonly words: string;
  readonly remedy?: string;
  /** The Delivery Optimization policy that decides it, where there is one. */
  readonly policy?: string;
}

/** A job's explanation without its files. */
export interface JobExplanationHead {
  readonly jobId: JobId;
  readonly displayName: string;
  readonly state: JobState;
  readonly error?: JobError;
  readonly verdicts: readonly Reason[];
  readonly policies: readonly PolicyVerdict[];
}

export interface JobExplanation extends JobExplanationHead {
  readonly files: readonly ExplainedFile[];
}

/** The code with what the table says of it. */
export function reason<Code extends ReasonCode>(
  code: Code,
  facts: Omit<Reason, "code" | "words" | "remedy"> = {},
): Reason<Code> {
  return { code, ...wordsOf(code), ...facts };
}

export function wordsOf(code: ReasonCode): { words: string; remedy?: string } {
  const { words, remedy }: ReasonRow = REASONS[code];
  return { words, ...(remedy !== undefined && { remedy }) };
}

/** A share of a file that no record tells of. */
export function shareWithoutRecord(code: PieceReason, bytes: number): SourceShare {
  return { source: { kind: "thisMachine" }, code, pieceCount: 0, bytes };
}
