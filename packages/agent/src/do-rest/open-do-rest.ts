/**
 * The DO-compatible listener as a part of an agent: what it needs, taken from the agent's parts. Its
 * jobs are its own, and seen by administrators as all others are.
 *
 * Knows the agent's parts. Called by `startAgent`.
 */
import type { Scheduler, Settings } from "@shoal/core";
import { LocalJobService } from "@shoal/jobs";
import type { JobCaller, JobHost } from "@shoal/jobs";
import { createBodyReader } from "@shoal/origin";
import type { OriginOptions } from "@shoal/origin";
import type { Logger } from "../logger.ts";
import { startDoRest } from "./start-do-rest.ts";
import type { DoRest, DoRestOptions } from "./start-do-rest.ts";

export interface OpenDoRestDeps {
  readonly host: JobHost;
  readonly logger: Logger;
}

export interface OpenDoRestOptions {
  /** Absent: there is no listener. */
  readonly doRest: DoRestOptions | undefined;
  readonly stateDirectory: string;
  /** Of the REST API, whether they are there or not. */
  readonly apiFiles: readonly string[];
  readonly settings: Settings;
  readonly originOptions: OriginOptions;
}

/** Not held to a number of jobs per owner: the listener has a bound of its own. */
const CALLER: JobCaller = { name: "do-rest", isAdministrator: true };

/** Rejects with `ERR_LISTEN_FAILED`. Whoever asked for it closes it before the engine. */
export async function openDoRest(
  { host, logger }: OpenDoRestDeps,
  { doRest, stateDirectory, apiFiles, settings, originOptions }: OpenDoRestOptions,
): Promise<DoRest | undefined> {
  if (doRest === undefined) return undefined;
  await using opened = new AsyncDisposableStack();
  const service = opened.adopt(new LocalJobService(host, CALLER), (own) => own.close());
  const reader = opened.adopt(createBodyReader({}, originOptions), (own) => own.close());
  type Servers = Parameters<Scheduler["cacheHosts"]["set"]>[0];
  const listener = await startDoRest(
    {
      service,
      reader,
      logger,
      setCacheServers: (servers: Servers) =>
        host.act((scheduler) => scheduler.cacheHosts.set(servers)),
      stateDirectory,
      settings,
    },
    { ...doRest, reservedPaths: [...apiFiles, ...(doRest.reservedPaths ?? [])] },
  );
  opened.use(listener);
  const open = opened.move();
  const close = (): Promise<void> => open.disposeAsync();
  const reload = (): void => listener.reload();
  return { port: listener.port, reload, close, [Symbol.asyncDispose]: close };
}
