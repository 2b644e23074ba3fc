/** Parts of schemas that many routes use. Knows shapes; what values may say is core's to check. */
import { ERRORS, JOB_STATES, LIMITS } from "@shoal/core";
import type { ErrorCode, ErrorInfo, JobState } from "@shoal/core";
import { z } from "zod";
import type { ByPeerClass } from "../../service/agent-service.ts";
import type { Problem } from "../problem.ts";

export const optional = z.exactOptional;
export const text = (lengthMax: number = LIMITS.nameLengthMax): z.ZodString =>
  z.string().max(lengthMax);
export const count = z.number().int().min(0);
export const instant = z.number().meta({ description: "Milliseconds since 1970, UTC." });

const errorCodes = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];
export const errorCode = z.enum(errorCodes).meta({ id: "ErrorCode" });
export const jobState: z.ZodType<JobState> = z.enum(JOB_STATES).meta({ id: "JobState" });

export const errorInfo: z.ZodType<ErrorInfo> = z
  .strictObject({ code: errorCode, message: z.string(), originStatus: optional(count) })
  .meta({ id: "ErrorInfo" });

export const problem: z.ZodType<Problem> = z
  .strictObject({
    type: z.string(),
    title: z.string(),
    status: count,
    detail: z.string(),
    code: errorCode,
    remedy: z.string(),
    isTransient: z.boolean(),
    originStatus: optional(count),
    state: optional(z.string()),
  })
  .meta({ id: "Problem", description: "RFC 9457; `code` is one of docs/errors.md." });

export const byPeerClass: z.ZodType<ByPeerClass> = z
  .strictObject({ linkLocal: count, lan: count, group: count, internet: count })
  .meta({ id: "ByPeerClass" });

export const contentId = text().meta({
  description: "CIDv1 of the manifest.",
  examples: ["bafyreiba2csl5fgcaakvugy4xlgcwy2j3vxwj6y6vnhwcozmo7gfqpmupm"],
});

/** Nothing but that it worked. */
export const done = z.strictObject({}).meta({ id: "Done" });

/** What every route may answer instead. */
export const failure = {
  description: "Why not: a problem whose code is one of docs/errors.md.",
  content: { "application/problem+json": { schema: problem } },
};
