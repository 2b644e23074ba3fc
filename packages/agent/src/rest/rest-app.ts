/**
 * The HTTP application of one listener: Fastify with our schemas, bodies and problems. Which routes
 * there are is in `routes/`; who may ask at all is decided before, by the request guard.
 *
 * Knows the framework, not the agent. Called by the REST server.
 */
import type { RequestListener, Server } from "node:http";
import { LIMITS, ShoalError } from "@shoal/core";
import { fastify } from "fastify";
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  RawServerDefault,
} from "fastify";
import { validatorCompiler } from "fastify-type-provider-zod";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { IncomingMessage, ServerResponse } from "node:http";
import { JOB_BOUNDS, parseBody, USUAL_BOUNDS } from "./json-body.ts";
import { PROBLEM_TYPE, problemOf, shoalErrorOf } from "./problem.ts";
import type { ConnectionGate } from "./connection-gate.ts";
import type { EventHub } from "./event-hub.ts";
import type { RestDeps } from "./rest-options.ts";
import type { ServedStreams } from "./served-streams.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The body is a job, or what becomes of one: longer, and bounded by core. */
    readonly hasJobBody?: boolean;
  }
}

export type RestApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** What routes are given. */
export interface RouteDeps extends RestDeps {
  readonly hub: EventHub;
  readonly streams: ServedStreams;
  readonly gate: ConnectionGate;
  /** Whether header fields and certificates of jobs stay here (R-API-13). */
  readonly hidesSecrets: boolean;
  /** Answers a caller's nonce; absent where there is no token. */
  readonly prove: ((nonce: string) => string) | undefined;
  /** The API's OpenAPI document. */
  readonly document: () => Promise<object>;
}

/** Makes what answers requests; `bind` is given it and returns the server it hangs on. */
export function createRestApp(
  { onFault, service }: RouteDeps,
  bind: (listener: RequestListener) => Server,
): RestApp {
  const app = fastify<RawServerDefault, IncomingMessage, ServerResponse>({
    serverFactory: (handler) => bind(handler),
    bodyLimit: LIMITS.restBodyBytesMax,
    routerOptions: { maxParamLength: LIMITS.nameLengthMax },
    exposeHeadRoutes: false,
    logger: false,
    frameworkErrors: (error, _request, reply) =>
      void sendProblem(
        reply as FastifyReply,
        shoalErrorOf(error) ?? new ShoalError("ERR_INTERNAL"),
        {},
      ),
    forceCloseConnections: true,
    return503OnClosing: false,
    // In place of the framework's own, which it would load: a tenth of what there is to load.
    schemaController: { compilersFactory: { buildValidator: () => noCompiler, buildSerializer } },
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.removeAllContentTypeParsers();
  const parseAs = "buffer";
  app.addContentTypeParser("application/json", { parseAs }, (request, body, settle) => {
    const { hasJobBody = false } = request.routeOptions.config;
    try {
      settle(null, parseBody(body as Buffer, hasJobBody ? JOB_BOUNDS : USUAL_BOUNDS));
    } catch (error) {
      settle(error as Error);
    }
  });
  app.setNotFoundHandler((request) => {
    throw new ShoalError("ERR_ROUTE_NOT_FOUND", `${request.method} ${pathOf(request)}`);
  });
  app.setErrorHandler(async (fault, request, reply) => {
    const error = shoalErrorOf(fault) ?? new ShoalError("ERR_INTERNAL");
    if (error.code === "ERR_INTERNAL") onFault?.(fault);
    const state = error.code === "ERR_JOB_STATE" ? await stateOf(request) : undefined;
    return sendProblem(reply, error, state === undefined ? {} : { state });
  });
  async function stateOf({ params }: FastifyRequest): Promise<string | undefined> {
    const { jobId = "" } = params as { readonly jobId?: string };
    return (await service.jobs.snapshot(jobId).catch(() => undefined))?.state;
  }
  return app;
}

/** Never called: schemas are zod's, and the application is told who compiles those. */
const noCompiler = (): never => {
  throw new ShoalError("ERR_INTERNAL", "a schema that is not zod's");
};

/** Answers are of our own making: tests check them against their schemas. */
const buildSerializer = () => () => JSON.stringify;

function sendProblem(
  reply: FastifyReply,
  error: ShoalError,
  facts: { state?: string },
): FastifyReply {
  const problem = problemOf(error, facts);
  return reply
    .code(problem.status)
    .type(PROBLEM_TYPE)
    .serializer((value: unknown) => JSON.stringify(value))
    .send(problem);
}

/** Without the query, which may hold what is nobody's business. */
function pathOf({ url }: FastifyRequest): string {
  return (url.split("?", 1)[0] ?? "").slice(0, LIMITS.nameLengthMax);
}
