/** Routes of monitors and clients that look for an agent. Knows nothing of jobs. */
import { ShoalError } from "@shoal/core";
import { z } from "zod";
import type { RestApp, RouteDeps } from "../rest-app.ts";
import { failure } from "../schemas/basic-schemas.ts";

const tags = ["probes"];
/** Clients of another version go away. */
const API_VERSION = 1;

/** Of those that say nothing worth a token. */
const noToken = { security: [] };

export function addProbeRoutes(app: RestApp, deps: RouteDeps): void {
  addStates(app, deps);
  addGreetings(app, deps);
}

function addStates(app: RestApp, { service, metricsText }: RouteDeps): void {
  const ok = z.strictObject({ status: z.literal("ok") });
  app.get(
    "/healthz",
    {
      schema: {
        tags,
        operationId: "health",
        description: "Whether it answers at all; says nothing else (R-API-02).",
        response: { 200: ok, default: failure },
        ...noToken,
      },
    },
    async () => ({ status: "ok" as const }),
  );
  const ready = z.strictObject({ status: z.literal("ready"), isSafeMode: z.boolean() });
  app.get(
    "/readyz",
    {
      schema: {
        tags,
        operationId: "readiness",
        response: { 200: ready, default: failure },
      },
    },
    async () => ({ status: "ready" as const, isSafeMode: (await service.facts()).isSafeMode }),
  );
  app.get(
    "/metrics",
    {
      schema: {
        tags,
        operationId: "metrics",
        description: "In Prometheus' text format (docs/metrics.md).",
        response: {
          200: { description: "Metrics", content: { "text/plain": { schema: z.string() } } },
          default: failure,
        },
      },
    },
    async (_request, reply) => {
      if (metricsText === undefined) throw new ShoalError("ERR_FEATURE_UNSUPPORTED", "metrics");
      const metrics = await metricsText();
      return reply.type("text/plain; version=0.0.4; charset=utf-8").send(metrics);
    },
  );
}

function addGreetings(app: RestApp, { prove, document }: RouteDeps): void {
  const version = z.strictObject({ name: z.literal("shoal"), apiVersion: z.number() });
  app.get(
    "/v1",
    { schema: { tags, operationId: "version", response: { 200: version, default: failure } } },
    async () => ({ name: "shoal" as const, apiVersion: API_VERSION }),
  );
  const nonce = z.string().regex(/^[0-9a-f]{64}$/);
  app.get(
    "/challenge",
    {
      schema: {
        tags,
        operationId: "challenge",
        description:
          "On TCP: HMAC-SHA256 with the token as key over `server`, the nonce and the port, by which " +
          "a caller knows the agent before it sends the token (R-API-11).",
        querystring: z.object({ nonce }),
        response: { 200: z.strictObject({ proof: z.string() }), default: failure },
        ...noToken,
      },
    },
    async ({ query }) => {
      if (prove === undefined) throw new ShoalError("ERR_ROUTE_NOT_FOUND", "there is no token");
      return { proof: prove(query.nonce) };
    },
  );
  app.get("/openapi.json", { schema: { hide: true } }, () => document());
}
