/**
 * The support bundle: everything that somebody far away needs to see what is wrong with an agent,
 * and no secret, in one compressed archive that only its owner can read.
 *
 *   asked of the agent ─▶ SecretFilter ─▶ tar ─▶ gzip ─▶ FILE, 0600
 *
 * Knows what is worth looking at. Called by `shoal support-bundle`.
 */
import { request } from "node:http";
import { open, unlink } from "node:fs/promises";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { LIMITS, ShoalError } from "@shoal/core";
import type { Millis, UnixMillis } from "@shoal/core";
import { packTar } from "modern-tar";
import type { ConfigReport } from "../config/config-report.ts";
import type { AgentService, CheckReport } from "../service/agent-service.ts";
import { readVersion } from "../version.ts";
import type { Figures } from "./figures.ts";
import type { SecretFilter } from "./hide-secrets.ts";
import { htmlReport } from "./html-report.ts";

/** The name of each file in the archive, and its text. */
export type BundleFiles = ReadonlyMap<string, string>;

export interface BundleContent {
  readonly checks: readonly CheckReport[];
  readonly figures: Figures;
  /** Keys of the files and the environment, or what is wrong with them. */
  readonly configuration: readonly ConfigReport[] | string;
  readonly service?: AgentService;
  readonly socketPath?: string;
  readonly madeAt: UnixMillis;
}

const EXPLANATIONS_MAX = 50;
const METRICS_TIMEOUT_MS: Millis = 5_000;
const DIRECTORY = "shoal-support";
const GZIP = promisify(gzip);

/** Asks the agent, if there is one, and puts everything through the filter. */
export async function bundleFiles(
  content: BundleContent,
  filter: SecretFilter,
): Promise<BundleFiles> {
  const { checks, figures, configuration, service, socketPath, madeAt } = content;
  const files = new Map<string, string>();
  const put = (name: string, value: unknown): void => {
    files.set(name, `${filter.text(JSON.stringify(filter.value(value), null, 2))}\n`);
  };
  put("doctor.json", checks);
  put("configuration.json", configuration);
  put("limits.json", LIMITS);
  put("versions.json", versions());
  const shown = filter.value({ checks, figures, madeAt }) as Pick<
    BundleContent,
    "checks" | "figures"
  >;
  files.set("report.html", htmlReport({ ...shown.figures, checks: shown.checks, madeAt }));
  if (service !== undefined) await askAgent(service, { figures, put, files, filter });
  if (socketPath !== undefined) {
    const metrics = await readMetrics(socketPath);
    if (metrics !== undefined) files.set("metrics.txt", filter.text(metrics));
  }
  files.set("README.txt", readme(files, madeAt));
  return files;
}

async function askAgent(
  service: AgentService,
  {
    figures,
    put,
    files,
    filter,
  }: {
    readonly figures: Figures;
    readonly put: (name: string, value: unknown) => void;
    readonly files: Map<string, string>;
    readonly filter: SecretFilter;
  },
): Promise<void> {
  const { facts, performance, traffic, peers, jobs } = figures;
  put("agent.json", facts);
  put("performance.json", performance);
  put("traffic.json", traffic);
  put("peers.json", peers);
  // What programs keep with their jobs is theirs.
  put(
    "jobs.json",
    jobs.map(({ attributes: _attributes, ...job }) => job),
  );
  put("agent-configuration.json", await service.configuration());
  put("counters.json", await service.counters());
  put("month.json", await service.month());
  put("contents.json", await service.contents());
  put("bans.json", await service.bans());
  for (const { jobId } of jobs.slice(0, EXPLANATIONS_MAX)) {
    put(`explanations/${jobId}.json`, await service.jobs.explain(jobId));
  }
  const lines = (await service.log()).map((record) => JSON.stringify(filter.value(record)));
  files.set("log.ndjson", lines.map((line) => `${filter.text(line)}\n`).join(""));
}

function versions(): unknown {
  const [processor] = cpus();
  return {
    shoal: readVersion(),
    node: process.versions,
    system: { platform: platform(), release: release(), arch: arch() },
    machine: { processors: cpus().length, model: processor?.model, memoryBytes: totalmem() },
  };
}

/** What the agent gives to monitoring; `undefined` where it gives nothing. */
async function readMetrics(socketPath: string): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const signal = AbortSignal.timeout(METRICS_TIMEOUT_MS);
  request({ socketPath, path: "/metrics", signal, headers: { host: "localhost" } }, (response) => {
    text(response).then((body) => resolve(response.statusCode === 200 ? body : undefined), reject);
  })
    .on("error", reject)
    .end();
  return await promise.catch(() => undefined);
}

function readme(files: BundleFiles, madeAt: UnixMillis): string {
  const names = [...files.keys()].toSorted().map((name) => `  ${name}\n`);
  return `Shoal support bundle, ${new Date(madeAt).toISOString()}

Open report.html first. Keys, tokens, headers, cookies, user names and passwords in URLs, and query
strings are not in here; names of files, addresses of peers and paths are.

${names.join("")}`;
}

/**
 * Writes the archive; the file must not exist, and is its owner's alone. Rejects with
 * `ERR_DESTINATION_EXISTS` or `ERR_DESTINATION_INVALID`.
 */
export async function writeBundle(
  path: string,
  files: BundleFiles,
  madeAt: UnixMillis,
): Promise<number> {
  const mtime = new Date(madeAt);
  const entries = [...files].map(([name, body]) => {
    const size = Buffer.byteLength(body);
    return { header: { name: `${DIRECTORY}/${name}`, size, mtime, mode: 0o600 }, body };
  });
  const archive = await GZIP(await packTar(entries));
  try {
    await using file = await open(path, "wx", 0o600);
    await file.writeFile(archive).catch(async (error: unknown) => {
      await unlink(path).catch(() => {});
      throw error;
    });
    return archive.length;
  } catch (cause) {
    const isThere = cause instanceof Error && "code" in cause && cause.code === "EEXIST";
    const code = isThere ? "ERR_DESTINATION_EXISTS" : "ERR_DESTINATION_INVALID";
    throw new ShoalError(code, path, { cause });
  }
}
