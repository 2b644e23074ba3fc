/** Routes of long answers: streams of jobs' bytes, and events. Knows how they begin. */
import { LIMITS, ShoalError } from "@shoal/core";
import { z } from "zod";
import type { HoldKind } from "../connection-gate.ts";
import { serveEvents } from "../event-stream.ts";
import type { RestApp, RouteDeps } from "../rest-app.ts";
import { count, done, optional, failure, text } from "../schemas/basic-schemas.ts";
import { fileParams, jobParams } from "../schemas/job-schemas.ts";
import type { Socket } from "node:net";

const octets = {
  200: {
    description:
      "Pieces in order, each behind its length in four bytes, big-endian; the next one comes when " +
      "this one was taken. The field shoal-stream-id names the stream.",
    content: { "application/octet-stream": { schema: z.string() } },
  },
  default: failure,
};
const events = {
  200: {
    description: "Server-sent events: docs/rest-api.md lists them.",
    content: { "text/event-stream": { schema: z.string() } },
  },
  default: failure,
};
const streamParams = z.object({ streamId: text() });

const tags = ["streams"];

export function addStreamRoutes(app: RestApp, deps: RouteDeps): void {
  const { service, streams } = deps;
  app.post(
    "/v1/jobs/:jobId/files/:fileIndex/stream",
    {
      schema: {
        tags,
        operationId: "attachStream",
        params: fileParams,
        body: z.strictObject({}).meta({ examples: [{}] }),
        response: octets,
      },
    },
    async ({ params, raw }, reply) => {
      hold(deps, raw.socket, "stream");
      await streams.attach(service.jobs, params, reply.raw);
      reply.hijack();
      return reply;
    },
  );
  addStreamAnswers(app, deps);
}

function addStreamAnswers(app: RestApp, { streams }: RouteDeps): void {
  app.post(
    "/v1/streams/:streamId/taken",
    {
      schema: {
        tags,
        operationId: "takePiece",
        params: streamParams,
        body: z
          .strictObject({ pieceCount: count.meta({ description: "How many were taken so far." }) })
          .meta({ examples: [{ pieceCount: 1 }] }),
        response: { 200: done, default: failure },
      },
    },
    async ({ params: { streamId }, body: { pieceCount } }) => {
      streams.find(streamId).taken(pieceCount);
      return {};
    },
  );
  app.post(
    "/v1/streams/:streamId/refuse",
    {
      schema: {
        tags,
        operationId: "refusePiece",
        description: "The stream takes no more, and its file fails with the reason.",
        params: streamParams,
        body: z
          .strictObject({ reason: text() })
          .meta({ examples: [{ reason: "the tape is full" }] }),
        response: { 200: done, default: failure },
      },
    },
    async ({ params: { streamId }, body: { reason } }) => {
      streams.find(streamId).refused(reason);
      return {};
    },
  );
  app.delete(
    "/v1/streams/:streamId",
    {
      schema: {
        tags,
        operationId: "detachStream",
        description: "Takes the stream away; its file fails unless all of it was taken.",
        params: streamParams,
        body: z.strictObject({}).meta({ examples: [{}] }),
        response: { 200: done, default: failure },
      },
    },
    async ({ params: { streamId } }) => {
      streams.find(streamId).end();
      return {};
    },
  );
}

export function addEventRoutes(app: RestApp, deps: RouteDeps): void {
  const headers = z.object({ "last-event-id": optional(text()) });
  const querystring = z.object({
    types: optional(text(LIMITS.urlLengthMax)).meta({
      description: "Those wanted, with commas between them. A reset always comes.",
    }),
  });
  const serve = (request: RequestOfEvents, jobId?: string): void => {
    const { types } = request.query;
    hold(deps, request.raw.socket, "watcher");
    request.reply.hijack();
    const filter = { jobId, types: types === undefined ? undefined : new Set(types.split(",")) };
    const lastEventId = request.headers["last-event-id"];
    serveEvents({ hub: deps.hub, response: request.reply.raw }, { lastEventId, ...filter });
  };
  app.get(
    "/v1/events",
    { schema: { tags: ["events"], operationId: "watch", headers, querystring, response: events } },
    async ({ query, headers: fields, raw }, reply) => {
      serve({ query, headers: fields, raw, reply });
      return reply;
    },
  );
  app.get(
    "/v1/jobs/:jobId/events",
    {
      schema: {
        tags: ["events"],
        operationId: "watchJob",
        params: jobParams,
        headers,
        querystring,
        response: events,
      },
    },
    async ({ query, headers: fields, raw, params: { jobId } }, reply) => {
      if ((await deps.service.jobs.snapshot(jobId)) === undefined) {
        throw new ShoalError("ERR_JOB_NOT_FOUND", jobId);
      }
      serve({ query, headers: fields, raw, reply }, jobId);
      return reply;
    },
  );
}

interface RequestOfEvents {
  readonly query: { readonly types?: string };
  readonly headers: { readonly "last-event-id"?: string };
  readonly raw: { readonly socket: Socket };
  readonly reply: {
    hijack(): unknown;
    readonly raw: Parameters<typeof serveEvents>[0]["response"];
  };
}

function hold({ gate }: RouteDeps, socket: Socket, kind: HoldKind): void {
  if (gate.hold(socket, kind)) return;
  // Of streams it is files that are too many, as it is when an agent is asked in its own process.
  if (kind === "stream") throw new ShoalError("ERR_FILE_LIMIT", "too many streams at a time");
  throw new ShoalError("ERR_TOO_MANY_REQUESTS", "too many watchers");
}
