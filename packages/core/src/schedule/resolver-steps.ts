/** What a `Resolver` may ask, where it stands with the answers, and how it ends. Plain values. */
import type { JobFileSpec } from "../job/file-spec.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { Millis, RequestId } from "../units.ts";
import type { FileSource } from "./file-sources.ts";
import type { Resolution } from "./resolution.ts";

export type ResolveOutcome =
  | { readonly name: "resolved"; readonly resolution: Resolution }
  | { readonly name: "failed"; readonly error: ErrorInfo; readonly transient: boolean };

/** The manifest beside the file, signed or plain; the job's piece hashes; length and validator. */
export type Question = "signed" | "sidecar" | "pieceHashes" | "probe";

/** Where to look first, by what the job names and what may be trusted. */
export function firstQuestion(
  { contentId, ranges, pieceHashes, mandatoryIntegrity }: JobFileSpec,
  may: {
    readonly mayUseManifests: boolean;
    readonly unsigned: Question;
    readonly isSigned: boolean;
  },
): Question {
  if (contentId !== undefined) return "sidecar";
  if (ranges !== undefined) return "probe";
  const isSimple = !may.mayUseManifests && mandatoryIntegrity !== true;
  if (pieceHashes !== undefined && !isSimple) return "pieceHashes";
  if (isSimple) return "probe";
  return may.isSigned ? "signed" : may.unsigned;
}

/** Failures that may pass, of all places, after which a signed sidecar is done without. */
export const SIGNED_TRIES = 2;

export type OriginStep =
  | { readonly name: "none" }
  /** `source`: unless the question is about piece hashes, which have a URL of their own. */
  | {
      readonly name: Question;
      readonly requestId: RequestId;
      readonly source: FileSource | undefined;
    }
  | { readonly name: "waiting"; readonly retryAt: Millis; readonly what: Question };

export interface OriginProblem {
  readonly error: ErrorInfo;
  readonly transient: boolean;
  readonly retryAfterMs?: Millis | undefined;
}
