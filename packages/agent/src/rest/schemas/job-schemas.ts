/** Schemas of jobs. Requests are loose where core checks them, and gives codes of its own. */
import { FILE_PHASES, JOB_PRIORITIES, JOB_STATES } from "@shoal/core";
import type {
  FileSnapshot,
  JobAttribute,
  JobError,
  JobFacts,
  JobRange,
  JobState,
  OriginResponse,
  VerbGuard,
  VerbOutcome,
} from "@shoal/core";
import { z } from "zod";
import {
  byPeerClass,
  contentId,
  count,
  errorCode,
  errorInfo,
  instant,
  jobState,
  optional,
  text,
} from "./basic-schemas.ts";

const jobId = text().meta({ description: "A UUID in lower case." });

export const jobParams = z.object({ jobId });
export const fileParams = z.object({ jobId, fileIndex: z.coerce.number().int().min(0) });

const priority = z.enum(JOB_PRIORITIES);
const range: z.ZodType<JobRange> = z.strictObject({
  offset: z.number(),
  length: optional(z.number()),
});
const attribute: z.ZodType<JobAttribute> = z.union([z.string(), z.number(), z.boolean()]);
const error: z.ZodType<JobError> = z.strictObject({
  code: errorCode,
  message: z.string(),
  originStatus: optional(count),
  fileIndex: optional(count),
});

/** Such as core takes it; whether it makes sense is core's to say. */
export const fileSpec = z
  .looseObject({
    fileId: optional(z.string()),
    url: optional(z.string()),
    mirrors: optional(z.array(z.string())),
    destination: optional(z.string()),
    toStream: optional(z.boolean()),
    contentId: optional(z.string()),
    manifest: optional(z.string()),
    sha256: optional(z.string()),
    declaredLength: optional(z.number()),
    ranges: optional(z.array(range)),
    mandatoryIntegrity: optional(z.boolean()),
    isShareable: optional(z.boolean()),
  })
  .meta({ id: "FileSpec", description: "A file of a job, as it is asked for." });

const jobValues = {
  displayName: optional(z.string()),
  priority: optional(priority),
  overwrite: optional(z.boolean()),
  noProgressTimeoutMs: optional(z.number()),
  networkCosts: optional(z.number()),
  rateBytesPerSec: optional(z.number()),
  allowsCellular: optional(z.boolean()),
  isVolatile: optional(z.boolean()),
  attributes: optional(z.record(z.string(), attribute)),
};

export const createJob = z
  .looseObject({
    jobId: optional(z.string()),
    ...jobValues,
    startSuspended: optional(z.boolean()),
    idempotencyKey: optional(z.string()),
    files: z.array(fileSpec),
  })
  .meta({
    id: "CreateJob",
    examples: [
      {
        displayName: "example",
        startSuspended: true,
        files: [{ url: "http://127.0.0.1:8080/file.bin", destination: "/tmp/file.bin" }],
      },
    ],
  });

export const createDownload = z
  .strictObject({
    url: z.string(),
    path: z.string().meta({ description: "Absolute: where the file goes." }),
    displayName: optional(z.string()),
    priority: optional(priority),
    overwrite: optional(z.boolean()),
    contentId: optional(z.string()),
    sha256: optional(z.string()),
    startSuspended: optional(z.boolean()),
  })
  .meta({
    id: "CreateDownload",
    examples: [
      { url: "http://127.0.0.1:8080/file.bin", path: "/tmp/single.bin", startSuspended: true },
    ],
  });

export const created = z.strictObject({ jobId: z.string() }).meta({ id: "Created" });

export const guard: z.ZodType<VerbGuard> = z
  .strictObject({
    states: optional(z.array(z.enum(JOB_STATES))),
    hasStarted: optional(z.boolean()),
  })
  .meta({ id: "VerbGuard", description: "Where it does not hold, ERR_JOB_STATE and no change." });

export const verbBody = z.strictObject({ guard: optional(guard) }).meta({ examples: [{}] });

export const outcome: z.ZodType<VerbOutcome> = z
  .strictObject({ isPartial: z.boolean(), undeletedCount: count })
  .meta({ id: "VerbOutcome" });

const newValues = z.looseObject({}).meta({ description: "Null takes a value back." });

export const changeBody = z
  .strictObject({
    change: z.discriminatedUnion("type", [
      z.strictObject({ type: z.literal("setJob"), values: newValues }),
      z.strictObject({ type: z.literal("addFiles"), files: z.array(fileSpec) }),
      z.strictObject({ type: z.literal("setFile"), fileIndex: z.number(), values: newValues }),
      z.strictObject({
        type: z.literal("addRanges"),
        fileIndex: z.number(),
        ranges: z.array(range),
      }),
    ]),
    guard: optional(guard),
  })
  .meta({
    id: "ChangeJob",
    examples: [{ change: { type: "setJob", values: { displayName: "another" } } }],
  });

export const fileSnapshot: z.ZodType<FileSnapshot> = z
  .strictObject({
    fileId: optional(z.string()),
    url: optional(z.string()),
    mirrors: optional(z.array(z.string())),
    deliveredBy: optional(z.string()),
    destination: optional(z.string()),
    toStream: z.boolean(),
    phase: z.enum(FILE_PHASES),
    contentId: optional(contentId),
    length: optional(count),
    declaredLength: optional(count),
    ranges: optional(z.array(range)),
    mandatoryIntegrity: optional(z.boolean()),
    transferredBytes: count,
    originBytes: count,
    cacheServerBytes: count,
    peerBytes: count,
    wastedBytes: count,
    reusedBytes: count,
    receivedBytes: byPeerClass,
    sentBytes: byPeerClass,
    originRequests: count,
    integrity: z.enum(["pieces", "digest", "none"]),
    peers: count,
    activeMs: z.number(),
    modifiedAt: optional(instant),
    downloadMode: optional(count),
  })
  .meta({ id: "FileSnapshot" });

const facts = {
  jobId,
  owner: z.string(),
  displayName: z.string(),
  priority,
  overwrite: z.boolean(),
  stateChanges: count,
  hasStarted: z.boolean(),
  isVolatile: z.boolean(),
  createdAt: instant,
  modifiedAt: instant,
  transferredAt: optional(instant),
  endedAt: optional(instant),
  noProgressTimeoutMs: z.number(),
  networkCosts: z.number(),
  rateBytesPerSec: z.number(),
  allowsCellular: z.boolean(),
  attributes: z.record(z.string(), attribute),
  fileCount: count,
  transferredFileCount: count,
  length: optional(count),
  transferredBytes: count,
  originBytes: count,
  cacheServerBytes: count,
  peerBytes: count,
  wastedBytes: count,
  state: jobState,
  error: z.optional(error),
};

type Summary = JobFacts & { readonly state: JobState; readonly error?: JobError | undefined };

export const jobSummary: z.ZodType<Summary> = z.strictObject(facts).meta({ id: "JobSummary" });

export const jobSnapshot: z.ZodType<Summary & { readonly files: readonly FileSnapshot[] }> = z
  .strictObject({ ...facts, files: z.array(fileSnapshot) })
  .meta({ id: "JobSnapshot" });

export const jobPage = z
  .strictObject({
    next: optional(z.string()).meta({ description: "`cursor` of the next page; absent: no more." }),
    jobs: z.array(jobSummary),
  })
  .meta({ id: "JobPage" });

export const originResponse: z.ZodType<OriginResponse> = z
  .strictObject({ status: count, headers: z.string(), url: z.string(), address: z.string() })
  .meta({ id: "OriginResponse" });

/** Reasons carry what was measured, which differs from reason to reason (docs/reasons.md). */
const reason = z.looseObject({
  code: z.string(),
  words: z.string(),
  remedy: optional(z.string()),
  error: optional(errorInfo),
});

export const explanation = z
  .strictObject({
    jobId,
    displayName: z.string(),
    state: jobState,
    error: optional(error),
    verdicts: z.array(reason),
    policies: z.array(reason),
    files: z.array(
      z.looseObject({
        phase: z.enum(FILE_PHASES),
        transferredBytes: count,
        integrity: z.enum(["pieces", "digest", "none"]),
        verdicts: z.array(reason),
        shares: z.array(z.looseObject({ code: z.string(), words: z.string(), bytes: count })),
        runs: z.array(z.looseObject({ firstPiece: count, pieceCount: count })),
        places: z.array(z.looseObject({ kind: z.string(), host: z.string() })),
        peers: z.array(reason),
      }),
    ),
  })
  .meta({ id: "JobExplanation" });
