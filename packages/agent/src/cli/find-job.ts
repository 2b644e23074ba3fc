/**
 * The job that a user means: by its id, by a beginning of it, or by its name. Of several with one
 * name it is the one that is not over.
 */
import { isFinalState, ShoalError } from "@shoal/core";
import type { JobSummary } from "@shoal/core";

const NAMED_MAX = 5;

/** Throws `ERR_JOB_NOT_FOUND`, or `ERR_USAGE` where it could be several. */
export function findJob(all: readonly JobSummary[], text: string): JobSummary {
  const found = matching(all, text);
  const [first, second] = found;
  if (first === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", text);
  if (second === undefined) return first;
  const ids = found.slice(0, NAMED_MAX).map(({ jobId }) => jobId);
  const more = found.length > NAMED_MAX ? ` and ${found.length - NAMED_MAX} more` : "";
  throw new ShoalError("ERR_USAGE", `${text} could be ${ids.join(", ")}${more}`);
}

/** What counts most comes first: the id, a live job of this name, any of this name, a beginning. */
function matching(all: readonly JobSummary[], text: string): readonly JobSummary[] {
  const named = all.filter(({ displayName }) => displayName === text);
  const choices = [
    all.filter(({ jobId }) => jobId === text),
    named.filter(({ state }) => !isFinalState(state)),
    named,
    text === "" ? [] : all.filter(({ jobId }) => jobId.startsWith(text.toLowerCase())),
  ];
  return choices.find((choice) => choice.length > 0) ?? [];
}
