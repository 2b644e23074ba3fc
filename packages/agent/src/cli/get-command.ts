/**
 * `shoal get`: one file, or those of a Metalink document, from origins and peers to their
 * destinations; then the agent that fetched them goes away again. What an interruption leaves is picked up by the same command.
 */
import { basename, resolve } from "node:path";
import { ShoalError } from "@shoal/core";
import type { ContentId, FileSnapshot, Millis, Settings } from "@shoal/core";
import { parseMetalink } from "@shoal/jobs";
import { startAgent } from "../start-agent.ts";
import type { Agent } from "../running-agent.ts";
import type { CommandContext } from "./command-context.ts";
import { checkDestinationNow } from "./destination-check.ts";
import { escapeText } from "./escape-text.ts";
import { NotedFailure } from "./failure.ts";
import { printExplanation } from "./explain-command.ts";
import { formatBytes, formatDuration, formatRate } from "./format-values.ts";
import { findLive, findOrCreateJob, giveUpJob, sinceLeft } from "./get-job.ts";
import type { GetFile, GetRequest } from "./get-job.ts";
import { isMetalink, readMetalink } from "./metalink-source.ts";
import { createDisplay } from "./progress-display.ts";
import { openGetPlace } from "./state-place.ts";
import { wayOut } from "./way-out.ts";

export interface GetOptions {
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

/** Two retries, about 3 s: a person waits. The daemon's default is more patient. */
const SETTINGS_OF_GET = { originFailuresMax: 3 };

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
  const place = await openGetPlace(owner, { named: options.state, env: context.env });
  let agent: Agent;
  try {
    agent = await startAgent({
      stateDirectory: place.path,
      peers: options.peer ?? [],
      mdns: options.mdns,
      ...wayOut(options, context.env),
      ...(options.listen === undefined ? {} : { listen: options.listen }),
      cacheHosts: options.cacheHost ?? [],
      trustedKeys: options.trust ?? [],
      groupKeyFiles: options.groupKey ?? [],
      settings: settingsOf(options),
    });
  } catch (error) {
    await place.removeIfNew();
    throw error;
  }
  const signal = stopSignal(context.signal, options.timeout);
  let delivery: Delivery;
  try {
    const files: GetRequest["files"] =
      document === undefined
        ? [fileOf(destination, url, options)]
        : await filesOf(document, { agent, directory: destination, overwrite, signal });
    delivery = await deliver(agent, { files, overwrite }, { options, context, signal });
  } catch (error) {
    delivery = { error, isKept: false };
  }
  await agent.close();
  if (!delivery.isKept) await place.remove();
  if ("error" in delivery) {
    const { error, isKept } = delivery;
    throw new NotedFailure(error, isKept ? KEPT : undefined);
  }
}

function settingsOf({ setting, limit }: GetOptions): Partial<Settings> {
  const rate = limit === undefined ? {} : { downloadRateBytesPerSec: limit };
  return { ...SETTINGS_OF_GET, ...setting, ...rate };
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
  readonly agent: Agent;
  readonly directory: string;
  readonly overwrite: boolean;
  readonly signal: AbortSignal;
}

/** The files of a Metalink document, each with a place in the directory. */
async function filesOf(
  document: string,
  { agent, directory, overwrite, signal }: MetalinkPlace,
): Promise<GetRequest["files"]> {
  const text = await readMetalink(document, { jobs: agent.jobs, signal });
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
  agent: Agent,
  request: GetRequest,
  { options, context, signal }: Delivering,
): Promise<Delivery> {
  const { terminal } = context;
  const { destination } = request.files[0];
  const startedAt = performance.now();
  let wasThere = false;
  let explain = async (): Promise<void> => {};
  try {
    wasThere = (await findLive(agent.jobs, destination)) !== undefined;
    const { job, left } = await findOrCreateJob(agent.jobs, request, signal);
    wasThere = left !== undefined;
    if (options.explain === true) {
      const write = (text: string): void => terminal.say(text);
      explain = () => printExplanation(job, { terminal, isJson: options.json === true, write });
    }
    {
      using display = createDisplay(terminal, {
        name: basename(destination),
        json: options.json === true,
        connectedCount: () => agent.connectedPeers.length,
      });
      for await (const snapshot of job.progress({ signal })) {
        display.show(sinceLeft(snapshot, left));
      }
    }
    await job.transferred;
    await job.acknowledge();
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
    return { error, isKept: await giveUpJob(agent.jobs, { destination, wasThere }) };
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
