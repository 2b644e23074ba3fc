/** Routes of jobs: create, list, look, verbs, changes. Knows the job service. */
import { randomUUID } from "node:crypto";
import { LIMITS, ShoalError } from "@shoal/core";
import type { JobFileSpec, JobSummary, PlainVerb } from "@shoal/core";
import type { ServiceJobRequest } from "@shoal/jobs";
import { z } from "zod";
import { jsonLines, longObject, pageOf } from "../long-json.ts";
import type { RestApp, RouteDeps } from "../rest-app.ts";
import { done, optional, failure, text } from "../schemas/basic-schemas.ts";
import {
  changeBody,
  created,
  createDownload,
  createJob,
  explanation,
  fileParams,
  fileSnapshot,
  fileSpec,
  jobPage,
  jobParams,
  jobSnapshot,
  originResponse,
  outcome,
  verbBody,
} from "../schemas/job-schemas.ts";

const tags = ["jobs"];
const LINES = "application/x-ndjson";
const VERBS: Readonly<Record<PlainVerb, string>> = {
  suspend: "Stops it until it is resumed.",
  resume: "Lets it go on, or try again.",
  cancel: "Ends it, and removes what it has fetched.",
  acknowledge: "Publishes its files and ends it; takes as long as that does.",
};
const jobBody = { config: { hasJobBody: true }, bodyLimit: LIMITS.restJobBodyBytesMax };
const idempotency = z.object({ "idempotency-key": optional(text()) });
const DEFAULTS = {
  displayName: "",
  priority: "normal",
  overwrite: false,
  allowsCellular: true,
  isVolatile: false,
  attributes: {},
  startSuspended: false,
} as const;

export function addJobRoutes(app: RestApp, deps: RouteDeps): void {
  addCreation(app, deps);
  addLists(app, deps);
  addVerbs(app, deps);
  addFiles(app, deps);
}

function addCreation(app: RestApp, { service: { jobs } }: RouteDeps): void {
  const created201 = { response: { 201: created, default: failure }, headers: idempotency };
  app.post(
    "/v1/jobs",
    { ...jobBody, schema: { tags, operationId: "createJob", body: createJob, ...created201 } },
    async ({ body, headers }, reply) => {
      const key = headers["idempotency-key"];
      const request = { ...DEFAULTS, jobId: randomUUID(), ...body } as ServiceJobRequest;
      const idempotencyKey = key === undefined ? {} : { idempotencyKey: key };
      const jobId = await jobs.createJob({ ...request, ...idempotencyKey });
      return reply.code(201).header("location", `/v1/jobs/${jobId}`).send({ jobId });
    },
  );
  app.post(
    "/v1/downloads",
    { schema: { tags, operationId: "createDownload", body: createDownload, ...created201 } },
    async ({ body, headers }, reply) => {
      const { url, path, contentId, sha256, ...values } = body;
      const file: JobFileSpec = {
        url,
        destination: path,
        ...(contentId === undefined ? {} : { contentId }),
        ...(sha256 === undefined ? {} : { sha256 }),
      };
      const key = headers["idempotency-key"];
      const jobId = await jobs.createJob({
        ...DEFAULTS,
        jobId: randomUUID(),
        displayName: (path.split(/[\\/]/).at(-1) ?? "").slice(0, LIMITS.nameLengthMax),
        ...values,
        files: [file],
        ...(key === undefined ? {} : { idempotencyKey: key }),
      });
      return reply.code(201).header("location", `/v1/jobs/${jobId}`).send({ jobId });
    },
  );
}

function addLists(app: RestApp, { service: { jobs } }: RouteDeps): void {
  const querystring = z.object({
    cursor: optional(text()),
    limit: optional(z.coerce.number().int().min(1).max(LIMITS.restPageItemsMax)),
  });
  const response = {
    200: {
      description: "A page, or a line for each job where lines are asked for.",
      content: { "application/json": { schema: jobPage }, [LINES]: { schema: z.string() } },
    },
    default: failure,
  };
  app.get(
    "/v1/jobs",
    { schema: { tags, operationId: "listJobs", querystring, response } },
    async ({ query, headers }, reply) => {
      const all = await jobs.list();
      if (headers.accept === LINES) return reply.type(LINES).send(jsonLines(all) as never);
      const { cursor, limit = LIMITS.restPageItemsMax } = query;
      const first = firstOf(all, cursor);
      const page = pageOf(all.slice(first, first + limit), limit);
      const next = first + page.length;
      const last = page.at(-1);
      const more = next < all.length && last ? { next: `${next}.${last.jobId}` } : {};
      return reply.type("application/json").send(longObject(more, "jobs", page) as never);
    },
  );
  app.get(
    "/v1/jobs/:jobId",
    {
      schema: {
        tags,
        operationId: "getJob",
        params: jobParams,
        response: { 200: jobSnapshot, default: failure },
      },
    },
    async ({ params: { jobId } }, reply) => {
      const { files, ...summary } = found(await jobs.snapshot(jobId), jobId);
      return reply.type("application/json").send(longObject(summary, "files", files) as never);
    },
  );
  app.get(
    "/v1/jobs/:jobId/explain",
    {
      schema: {
        tags,
        operationId: "explainJob",
        params: jobParams,
        response: { 200: explanation, default: failure },
      },
    },
    async ({ params: { jobId } }, reply) => {
      const { files, ...head } = found(await jobs.explain(jobId), jobId);
      return reply.type("application/json").send(longObject(head, "files", files) as never);
    },
  );
}

/** Jobs may have been forgotten since the page before; then its place is as good. */
function firstOf(all: readonly JobSummary[], cursor: string | undefined): number {
  if (cursor === undefined) return 0;
  const [, index = "", lastId] = /^(\d{1,8})\.(.+)$/.exec(cursor) ?? [];
  if (lastId === undefined) throw new ShoalError("ERR_USAGE", "cursor is none of ours");
  const lastIndex = all.findIndex(({ jobId }) => jobId === lastId);
  return lastIndex < 0 ? Math.min(Number(index), all.length) : lastIndex + 1;
}

function addVerbs(app: RestApp, { service: { jobs } }: RouteDeps): void {
  for (const [verb, description] of Object.entries(VERBS) as [PlainVerb, string][]) {
    app.post(
      `/v1/jobs/:jobId/${verb}`,
      {
        schema: {
          tags,
          operationId: `${verb}Job`,
          description,
          params: jobParams,
          body: verbBody,
          response: { 200: outcome, default: failure },
        },
      },
      ({ params: { jobId }, body: { guard } }) => jobs.applyVerb(jobId, verb, guard),
    );
  }
  app.patch(
    "/v1/jobs/:jobId",
    {
      ...jobBody,
      schema: {
        tags,
        operationId: "changeJob",
        params: jobParams,
        body: changeBody,
        response: { 200: done, default: failure },
      },
    },
    async ({ params: { jobId }, body: { change, guard } }) => {
      await jobs.changeJob(jobId, change as Parameters<typeof jobs.changeJob>[1], guard);
      return {};
    },
  );
}

function addFiles(app: RestApp, { service: { jobs }, hidesSecrets }: RouteDeps): void {
  const path = "/v1/jobs/:jobId/files/:fileIndex";
  app.get(
    path,
    {
      schema: {
        tags,
        operationId: "getFile",
        params: fileParams,
        response: { 200: fileSnapshot, default: failure },
      },
    },
    async ({ params: { jobId, fileIndex } }) =>
      found((await jobs.snapshot(jobId))?.files[fileIndex], `${jobId}, file ${fileIndex}`),
  );
  app.get(
    `${path}/spec`,
    {
      schema: {
        tags,
        operationId: "getFileSpec",
        description: "What was asked for; header fields and certificates on the socket only.",
        params: fileParams,
        response: { 200: fileSpec, default: failure },
      },
    },
    async ({ params }) => {
      const spec = found(await jobs.fileSpec(params), `${params.jobId}, file ${params.fileIndex}`);
      const { request: _secret, ...shown } = spec;
      return (hidesSecrets ? shown : spec) as z.infer<typeof fileSpec>;
    },
  );
  app.get(
    `${path}/response`,
    {
      schema: {
        tags,
        operationId: "getFileResponse",
        description: "What the origin answered last; its header fields on the socket only.",
        params: fileParams,
        response: { 200: originResponse, default: failure },
      },
    },
    async ({ params }) => {
      const { jobId, fileIndex } = params;
      const answer = found(await jobs.fileResponse(params), `${jobId}, file ${fileIndex}`);
      return hidesSecrets ? { ...answer, headers: "" } : answer;
    },
  );
}

function found<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new ShoalError("ERR_JOB_NOT_FOUND", what);
  return value;
}
