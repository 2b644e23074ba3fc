/**
 * Failures as RFC 9457 problems: our code, its words and remedy, and what it happened to; no stack,
 * no path but a job's own (R-API-15).
 *
 * Knows errors, not requests. Called by the REST server; `@shoal/jobs`' client reads them.
 */
import { ERRORS, LIMITS, ShoalError } from "@shoal/core";
import type { ErrorCode } from "@shoal/core";

export const PROBLEM_TYPE = "application/problem+json";

export interface Problem {
  /** A URN of the code. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** Our words: the title, and what it happened to. */
  readonly detail: string;
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly isTransient: boolean;
  /** Of the origin's answer, where that is what failed. */
  readonly originStatus?: number;
  /** The job's, where its state is why (R-API-14). */
  readonly state?: string;
}

export function problemOf(error: ShoalError, facts: { readonly state?: string } = {}): Problem {
  const { code, message, originStatus, remedy } = error;
  const { httpStatus: status, message: title } = ERRORS[code];
  return {
    type: `urn:shoal:error:${code}`,
    title,
    status,
    // What it happened to may be as long as a request.
    detail: message.slice(0, LIMITS.urlLengthMax),
    code,
    remedy,
    isTransient: error.transient,
    ...(originStatus === undefined ? {} : { originStatus }),
    ...facts,
  };
}

/** What the server's own parts threw, as one of our errors; `undefined`: the agent's mistake. */
export function shoalErrorOf(error: unknown): ShoalError | undefined {
  if (error instanceof ShoalError) return error;
  if (!(error instanceof Error) || !("statusCode" in error)) return undefined;
  const { statusCode } = error;
  if (statusCode === 413) return new ShoalError("ERR_BODY_TOO_LARGE");
  if (statusCode === 415) return new ShoalError("ERR_MEDIA_TYPE");
  if (typeof statusCode !== "number" || statusCode >= 500 || statusCode < 400) return undefined;
  return new ShoalError("ERR_USAGE", error.message);
}
