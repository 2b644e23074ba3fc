/**
 * A file from one HTTP origin to disk: Shoal, curl and aria2. Shoal's time is the job's in a running
 * agent, from its creation to the file in its place; that of the others is the whole process's.
 */
import { join } from "node:path";
import { TestSite } from "../integration/harness.ts";
import { startNginx } from "../integration/web-servers.ts";
import { aria2Http, curl } from "./contenders/programs.ts";
import { shoalOrigin } from "./contenders/shoal.ts";
import type { Figure } from "./measure.ts";
import { compare, transferFigures, transferInTurns } from "./transfer.ts";
import type { Comparison } from "./transfer.ts";

export interface OriginBenchOptions {
  readonly length: number;
  readonly rounds: number;
  /** The server's limit for each connection. */
  readonly rateBytesPerSec?: number;
}

/** Issue 7's. */
const COMPARISONS: readonly Comparison[] = [
  { ours: "shoal", theirs: "aria2c", rate: 1 },
  { ours: "shoal, verified", theirs: "aria2c", rate: 1 },
  { ours: "shoal", theirs: "curl" },
  { ours: "shoal, verified", theirs: "curl", rate: 0.7 },
];

export async function benchOrigin(options: OriginBenchOptions): Promise<Figure[]> {
  const { length, rounds, rateBytesPerSec } = options;
  await using site = await TestSite.create();
  const content = await site.publish("file.bin", length);
  const server = await startNginx(join(content.path, ".."), {
    ...(rateBytesPerSec !== undefined && { rateBytesPerSec }),
  });
  if (server === undefined) return [{ name: "nginx is not installed", value: NaN, unit: "MiB/s" }];
  site.use(server);
  const url = `${server.url}/${content.name}`;
  const contenders = {
    shoal: shoalOrigin(url, false),
    "shoal, verified": shoalOrigin(url, true),
    curl: curl(url),
    aria2c: aria2Http(url),
  };
  const runs = await transferInTurns(contenders, { site, content, rounds });
  return [...transferFigures(runs, options), ...compare(runs, COMPARISONS)];
}
