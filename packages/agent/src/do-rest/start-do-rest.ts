/**
 * The DO-compatible REST listener: programs built on Microsoft's Delivery Optimization SDK for Linux
 * find it by its port file, and talk to this agent as they would to theirs. What they download are
 * ordinary jobs. docs/do-rest.md says what is the same, and what is better.
 *
 *   RestListener ─▶ RestConnection ─▶ RestApi ─▶ RestDownloads ─▶ RestDownload ─▶ JobFetch ─▶ jobs
 *   (ports)         (order, time)     (nine operations)            (states)     └▶ BodyFetch ─▶ origin
 *
 * Knows how the parts fit together. Called by `startAgent`.
 */
import { mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ShoalError } from "@shoal/core";
import type { Millis, Settings } from "@shoal/core";
import type { JobService } from "@shoal/jobs";
import type { BodyReader } from "@shoal/origin";
import type { Logger } from "../logger.ts";
import { ConfigFiles, prepareConfigDirectory } from "./config-files.ts";
import type { CacheServers } from "./config-files.ts";
import type { RetryDelays } from "./fetch.ts";
import { KeptJobs } from "./kept-jobs.ts";
import { RestListener } from "./listener.ts";
import type { RestListenerOptions } from "./listener.ts";
import { removePortFile, writePortFile } from "./port-file.ts";
import { RestApi } from "./rest-api.ts";
import { RestDownloads } from "./rest-downloads.ts";

/** Times that tests make shorter. */
export interface DoRestTimes {
  /** Default 2, 4, 8, 16, 30, 30, … s. */
  readonly retryDelays?: RetryDelays;
  /** Of the count of looks without progress. Default 10 s. */
  readonly noProgressTickMs?: Millis;
  /** Between two looks at downloads nobody asks about. Default 1 s. */
  readonly lookIntervalMs?: Millis;
  /** How old what was read of configuration files may be. Default 60 s. */
  readonly configRefreshMs?: Millis;
}

export interface DoRestOptions {
  /** Where the port file goes. Default `/var/run/deliveryoptimization-agent`. */
  readonly runDirectory?: string;
  /** Default `/etc/deliveryoptimization-agent`. */
  readonly configDirectory?: string;
  /**
   * Directories and files of the agent beyond its own, which are closed to clients' files: who may
   * call here needs no leave, and must not write the agent's configuration for it (R-FS-03).
   */
  readonly reservedPaths?: readonly string[];
  readonly listener?: RestListenerOptions;
  readonly times?: DoRestTimes;
}

export interface DoRestDeps {
  /** Of a caller of its own. Who made it closes it. */
  readonly service: JobService;
  /** For files whose origin does not say how long they are. */
  readonly reader: BodyReader;
  /** Which cache servers transfers that begin from now on ask first; `undefined`: the usual. */
  readonly setCacheServers: (servers: CacheServers | undefined) => void;
  /** Where clients may have no files, as in the directories of the options. */
  readonly stateDirectory: string;
  /** Those of the cache say what stays on offer to peers when its client is done with it. */
  readonly settings: Settings;
  readonly logger: Logger;
}

/** A running listener. */
export interface DoRest extends AsyncDisposable {
  readonly port: number;
  /** Configuration files are read anew when they are next needed, as after a minute. */
  reload(): void;
  /** Removes the port file and ends all downloads; the clients' files stay. Idempotent. */
  close(): Promise<void>;
}

export const DO_REST_RUN_DIRECTORY = "/var/run/deliveryoptimization-agent";
export const DO_REST_CONFIG_DIRECTORY = "/etc/deliveryoptimization-agent";

/** The defaults of `DoRestTimes`, as the reference agent has them. */
export const DO_REST_TIMES: Required<DoRestTimes> = {
  retryDelays: { firstMs: 1_000, maxMs: 30_000 },
  noProgressTickMs: 10_000,
  lookIntervalMs: 1_000,
  configRefreshMs: 60_000,
};

/** Rejects with `ERR_LISTEN_FAILED`, having left nothing running. */
export async function startDoRest(deps: DoRestDeps, options: DoRestOptions = {}): Promise<DoRest> {
  const { logger, service, reader, setCacheServers, stateDirectory } = deps;
  const { runDirectory = DO_REST_RUN_DIRECTORY } = options;
  const { configDirectory = DO_REST_CONFIG_DIRECTORY } = options;
  const times = { ...DO_REST_TIMES, ...options.times };
  const now = (): Millis => performance.now();
  await prepareConfigDirectory(configDirectory).catch(() => {
    logger.warn({ configDirectory }, "the configuration directory cannot be prepared");
  });
  const onFault = (error: unknown): void => {
    const kind = error instanceof Error ? error.name : typeof error;
    logger.warn({ kind }, "a request to the DO-compatible listener met a fault of the agent");
  };
  const config = new ConfigFiles({
    directory: configDirectory,
    refreshMs: times.configRefreshMs,
    now,
  });
  const own = [stateDirectory, runDirectory, configDirectory];
  const others = await Promise.all((options.reservedPaths ?? []).map(placeOf));
  const reservedPaths = [...(await realPathsOf(own)), ...others];
  const kept = new KeptJobs({ ...deps, now });
  const parts = { service, reader, kept, now, retryDelays: times.retryDelays };
  const beforeFetching = cacheServerTeller(config, setCacheServers);
  const downloads = new RestDownloads(
    { ...parts, reservedPaths, beforeFetching, noProgressTickMs: times.noProgressTickMs },
    { lookIntervalMs: times.lookIntervalMs },
  );
  await using opened = new AsyncDisposableStack();
  opened.defer(() => downloads.close());
  const api = new RestApi({ downloads, config, onFault });
  const handle: RestApi["handle"] = (request, address) => api.handle(request, address);
  const listener = await RestListener.open({ handle, onFault }, options.listener);
  opened.defer(() => listener.close());
  const portFile = await writePortFile(runDirectory, listener.port, logger).catch(
    (error: unknown) => {
      throw new ShoalError("ERR_LISTEN_FAILED", `${runDirectory}: no port file`, { cause: error });
    },
  );
  opened.defer(() => removePortFile(portFile));
  logger.info({ port: listener.port }, "programs of the DO SDK are served");
  const open = opened.move();
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= open.disposeAsync());
  return {
    port: listener.port,
    reload: () => config.reload(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Tells only what is news: whose turn it is among several would be forgotten otherwise. */
function cacheServerTeller(
  config: ConfigFiles,
  tell: DoRestDeps["setCacheServers"],
): () => Promise<void> {
  let told: string | undefined;
  return async () => {
    const servers = await config.cacheServers();
    const text = JSON.stringify(servers);
    if (text === told) return;
    told = text;
    tell(servers);
  };
}

/** Those that do not exist yet are made, so that nobody else makes them something else. */
async function realPathsOf(directories: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const directory of directories) {
    await mkdir(directory, { recursive: true }).catch(() => {});
    found.push(await realpath(directory).catch(() => directory));
  }
  return found;
}

/** Without links, also where it is not there yet. */
async function placeOf(path: string): Promise<string> {
  const parent = await realpath(dirname(path)).catch(() => dirname(path));
  return await realpath(path).catch(() => join(parent, basename(path)));
}
