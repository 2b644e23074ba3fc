/**
 * `shoal get`: one file, or those of a Metalink document, from origins and peers to their
 * destinations. What an interruption leaves is picked up by the same command.
 */
import { basename, resolve } from "node:path";
import { ShoalError } from "@shoal/core";
import type { ContentId, FileSnapshot, JobSnapshot, Millis, Settings } from "@shoal/core";
import { parseMetalink } from "@shoal/jobs";
import type { Job, Jobs } from "@shoal/jobs";
import type { CommandContext } from "./command-context.ts";
import { checkDestinationNow } from "./destination-check.ts";
import { escapeText } from "./escape-text.ts";
import { explanationText } from "./explain-screen.ts";
import { NotedFailure } from "./failure.ts";
import { formatBytes, formatDuration, formatRate } from "./format-values.ts";
import { openGetHost } from "./get-host.ts";
import type { GetHost } from "./get-host.ts";
import { createGetJob, findLeftJob, giveUpJob, resumeLeftJob, sinceLeft } from "./get-job.ts";
import type { GetFile, GetRequest } from "./get-job.ts";
import { isMetalink, readMetalink } from "./metalink-source.ts";
import { createDisplay } from "./progress-display.ts";

export interface GetOptions {
  /** False: an agent of its own, whether or not one runs. */
  readonly agent: boolean;
  readonly socket?: string;
  readonly output?: string;
  readonly contentId?: ContentId;
  readonly sha256?: string;
  readonly peer?: readonly string[];
  readonly listen?: readonly string[];
  readonly cacheHost?: readonly string[];
  readonly trust?: readonly string[];
  readonly groupKey?: readonly string[];
  readonly mdns: boolean;
  readonly ca?: string;
  readonly overwrite?: true;
  readonly state?: string;
  readonly timeout?: Millis;
  /** In bytes a second, of all sources together; 0 is no limit. */
  readonly limit?: number;
  readonly setting?: Partial<Settings>;
  readonly explain?: true;
  readonly json?: true;
}

export async function runGet(
  url: string | undefined,
  options: GetOptions,
  context: CommandContext,
): Promise<void> {
  if (options.output === undefined) throw new ShoalError("ERR_USAGE", "-o FILE is missing");
  if (url === undefined && options.contentId === undefined) {
    throw new ShoalError("ERR_USAGE", "name a URL, or --content-id and a --peer");
  }
  const destination = resolve(options.output);
  const overwrite = options.overwrite ?? false;
  const document = url !== undefined && isMetalink(url) ? url : undefined;
  if (document === undefined) await checkDestinationNow(destination, overwrite);
  else if (options.sha256 !== undefined || options.contentId !== undefined) {
    const reason = "--sha256 and --content-id are of one file, a Metalink document has its own";
    throw new ShoalError("ERR_USAGE", reason);
  }
  // Several documents may have their files in one directory.
  const owner = document === undefined ? destination : `${destination}\n${document}`;
  const host = await openGetHost(owner, options, context);
  const signal = stopSignal(context.signal, options.timeout);
  const { jobs, rateBytesPerSec } = host;
  let delivery: Delivery;
  try {
    const files: GetRequest["files"] =
      document === undefined
        ? [fileOf(destination, url, options)]
        : await filesOf(document, { jobs, directory: destination, overwrite, signal });
    const limit = rateBytesPerSec === undefined ? {} : { rateBytesPerSec };
    delivery = await deliver(host, { files, overwrite, ...limit }, { options, context, signal });
  } catch (error) {
    delivery = { error, isKept: false };
  }
  await host.close(delivery.isKept);
  if ("error" in delivery) {
    const { error, isKept } = delivery;
    throw new NotedFailure(error, isKept ? KEPT : undefined);
  }
}

const KEPT = "What was fetched is kept; the same command goes on from there.";

/** How it ended, and whether there is something to come back for. */
type Delivery = { readonly isKept: false } | { readonly error: unknown; readonly isKept: boolean };

function fileOf(
  destination: string,
  url: string | undefined,
  { contentId, sha256 }: GetOptions,
): GetFile {
  return {
    destination,
    ...(url === undefined ? {} : { url }),
    ...(contentId === undefined ? {} : { contentId }),
    ...(sha256 === undefined ? {} : { sha256 }),
  };
}

interface MetalinkPlace {
  readonly jobs: Jobs;
  readonly directory: string;
  readonly overwrite: boolean;
  readonly signal: AbortSignal;
}

/** The files of a Metalink document, each with a place in the directory. */
async function filesOf(
  document: string,
  { jobs, directory, overwrite, signal }: MetalinkPlace,
): Promise<GetRequest["files"]> {
  const text = await readMetalink(document, { jobs, signal });
  const [first, ...others] = parseMetalink(text, { directory }).map((file) => ({
    ...file,
    destination: file.destination ?? directory,
  }));
  if (first === undefined) throw new ShoalError("ERR_METALINK_MALFORMED", "it has no files");
  for (const file of [first, ...others]) await checkDestinationNow(file.destination, overwrite);
  return [first, ...others];
}

interface Delivering {
  readonly options: GetOptions;
  readonly context: CommandContext;
  readonly signal: AbortSignal;
}

async function deliver(
  host: GetHost,
  request: GetRequest,
  { options, context, signal }: Delivering,
): Promise<Delivery> {
  const { terminal } = context;
  const { destination } = request.files[0];
  const startedAt = performance.now();
  let job: Job | undefined;
  let left: JobSnapshot | undefined;
  let explain = async (): Promise<void> => {};
  try {
    const found = await findLeftJob(host.jobs, request, { isAlone: host.isAlone, signal });
    left = found?.snapshot;
    job = found?.job ?? (await createGetJob(host.jobs, request, signal));
    if (found !== undefined) await resumeLeftJob(found, request, signal);
    if (options.explain === true) {
      const asked = job;
      explain = async () => {
        const explanation = await asked.explain();
        if (options.json === true) terminal.json({ type: "explanation", ...explanation });
        else terminal.say(explanationText(explanation));
      };
    }
    {
      using display = createDisplay(terminal, {
        name: basename(destination),
        json: options.json === true,
      });
      for await (const snapshot of job.progress({ signal })) {
        if (snapshot.state === "suspended") throw new ShoalError("ERR_JOB_SUSPENDED");
        display.show(sinceLeft(snapshot, left));
      }
    }
    await job.transferred;
    await publish(job);
    const durationMs = performance.now() - startedAt;
    const snapshot = sinceLeft(await job.snapshot(), left);
    for (const file of snapshot.files) {
      const { destination: path = destination } = file;
      report(file, { destination: path, durationMs, json: options.json === true, context });
    }
    await explain();
    return { isKept: false };
  } catch (error) {
    await explain().catch(() => {}); // What has failed is what there is to tell.
    if (job === undefined) return { error, isKept: left !== undefined };
    return { error, isKept: await giveUpJob(job, { wasThere: left !== undefined }) };
  }
}

/** How long files may take to be put in place by somebody else. */
const PUBLISH_TIMEOUT_MS = 60_000;

/** Puts the files in place, unless the same command in another terminal is at it, or was. */
async function publish(job: Job): Promise<void> {
  try {
    await job.acknowledge();
  } catch (error) {
    if (!(error instanceof ShoalError) || error.code !== "ERR_JOB_STATE") throw error;
    const signal = AbortSignal.timeout(PUBLISH_TIMEOUT_MS);
    await Array.fromAsync(job.events({ signal })); // Until it is over.
    if ((await job.snapshot()).state !== "acknowledged") throw error;
  }
}

/** Aborted by a signal of the system, or when the time allowed has passed. */
function stopSignal(interruption: AbortSignal, timeoutMs: Millis | undefined): AbortSignal {
  if (timeoutMs === undefined) return interruption;
  const aborter = new AbortController();
  const error = new ShoalError("ERR_TIMEOUT", formatDuration(timeoutMs));
  const timer = setTimeout(() => aborter.abort(error), timeoutMs);
  timer.unref();
  return AbortSignal.any([interruption, aborter.signal]);
}

function report(
  file: FileSnapshot,
  about: { destination: string; durationMs: Millis; json: boolean; context: CommandContext },
): void {
  const { destination, context } = about;
  const { terminal } = context;
  const { integrity, originBytes, cacheServerBytes, peerBytes, wastedBytes } = file;
  const length = file.length ?? file.transferredBytes;
  const durationMs = Math.round(about.durationMs);
  if (about.json) {
    const bytes = { length, originBytes, cacheServerBytes, peerBytes, wastedBytes };
    const { contentId } = file;
    terminal.json({ type: "done", destination, contentId, integrity, ...bytes, durationMs });
    return;
  }
  const receivedBytes = originBytes + cacheServerBytes + peerBytes;
  const rate = formatRate((receivedBytes * 1_000) / about.durationMs);
  const fromCaches =
    cacheServerBytes === 0 ? "" : `, ${formatBytes(cacheServerBytes)} from cache servers`;
  const sources = `${formatBytes(originBytes)} from the origin${fromCaches}, ${formatBytes(peerBytes)} from peers`;
  terminal.say(
    `Saved ${escapeText(destination)} (${formatBytes(length)}) in ${formatDuration(durationMs)}: ` +
      `${sources} (${rate}).\n${CHECKED[integrity]}\n`,
  );
}

const CHECKED = {
  pieces: "Every piece was checked against the manifest.",
  digest: "The SHA-256 is as expected.",
  none: "Not checked: name --content-id or --sha256 to have the bytes verified.",
} as const;
