/**
 * Starts the REST API. The server and what it is built on are loaded here and not before, since most
 * programs that use Shoal serve nothing. Called by `startAgent`, and by tests.
 */
import type { ApiOptions, RestDeps, RestListener } from "./rest-options.ts";

/**
 * Resolves when all places listen. Rejects with `ERR_LISTEN_FAILED`, also where an agent listens
 * already, and with `ERR_KEY_INVALID` for a token file that is no good; nothing is left running.
 */
export async function startRest(deps: RestDeps, options: ApiOptions): Promise<RestListener> {
  const { openRest } = await import("./rest-server.ts");
  return openRest(deps, options);
}

/** The API's OpenAPI 3.1 document, as `/openapi.json` gives it. */
export async function openApiDocument(): Promise<object> {
  const { describeRoutes } = await import("./rest-server.ts");
  return describeRoutes();
}
