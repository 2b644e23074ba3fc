/**
 * `shoal publish URL`: fetches somebody else's file once, from its origin alone, and has an agent
 * announce "this URL, with this validator, is this content" under the user's signature. The agent
 * also gives the file to peers: it stays where it was put.
 *
 *   fetch ──▶ manifest beside it ──▶ sign ──▶ a running agent (`--socket`), or the state of one
 */
import { basename, join, resolve } from "node:path";
import {
  hex,
  isFileName,
  PieceBufferPool,
  resolveSettings,
  SETTINGS,
  ShoalError,
  urlTag,
  validatorTag,
} from "@shoal/core";
import type { ContentId, Validator } from "@shoal/core";
import type { Job } from "@shoal/jobs";
import { validatorInText } from "@shoal/origin";
import { describeFile, openStore, writeSidecar } from "@shoal/store";
import { startAgent } from "../start-agent.ts";
import type { CommandContext } from "./command-context.ts";
import { checkDestinationNow } from "./destination-check.ts";
import { escapeText } from "./escape-text.ts";
import { findAgent, nobodyAt } from "./find-agent.ts";
import { formatBytes } from "./format-values.ts";
import { createGetJob, findLeftJob, giveUpJob, resumeLeftJob } from "./get-job.ts";
import { createDisplay } from "./progress-display.ts";
import type { PublishOptions } from "./publish-command.ts";
import { signAnnouncement } from "./sign-manifest.ts";
import { readKeys, validityOf } from "./signing-options.ts";
import { openGetPlace, stateHome } from "./state-place.ts";
import { wayOut } from "./way-out.ts";

/** A person waits, and nothing but the origin's own bytes will do. */
const FETCH_SETTINGS = { originFailuresMax: 3, trustTlsManifest: 0 };

/** What the agent has in its cache stays there, whatever the agent's own settings are. */
const LASTING = {
  cacheAgeMs: 0,
  cacheBytesMax: SETTINGS.cacheBytesMax.max,
  cachePercentMax: 100,
  cacheFreeBytesMin: 0,
  cacheFreePercentMin: 0,
};

export async function runAnnounce(
  url: string,
  options: PublishOptions,
  context: CommandContext,
): Promise<void> {
  const tag = urlTag(url);
  if (tag === undefined) {
    throw new ShoalError("ERR_USAGE", "a URL with a user's name or a query is nobody else's");
  }
  if (options.product !== undefined) {
    throw new ShoalError("ERR_USAGE", "--product is of a file, a URL is its own");
  }
  if (options.state !== undefined && options.socket !== undefined) {
    throw new ShoalError("ERR_USAGE", "--state is of an agent that does not run, --socket of one");
  }
  const keys = await readKeys(options.key ?? []);
  if (keys.length === 0) throw new ShoalError("ERR_USAGE", "--key FILE is missing");
  const path = resolve(options.output ?? nameIn(url));
  await checkDestinationNow(path, options.overwrite ?? false);
  // It is there, or nothing is fetched.
  await using announcer = await openAnnouncer(options, context);
  const validator = await fetchOnce(url, { path, options, context });
  const { manifest, bytes, contentId } = await describeFile(path, {
    signal: context.signal,
    ...(options.pieceLength === undefined ? {} : { pieceLength: options.pieceLength }),
    ...(options.chunking === undefined ? {} : { chunking: options.chunking }),
  });
  const { contentLength: length } = manifest.layout;
  const mark = validatorTag(length, validator);
  if (mark === undefined) throw new ShoalError("ERR_VALIDATOR_MISSING", url);
  // Whoever shares the file takes the manifest beside it.
  await writeSidecar(path, bytes);
  const validity = validityOf(options);
  const announcement = { tag, validator: mark, contentId, ...validity };
  const signed = signAnnouncement(announcement, keys);
  await announcer.announce({ path, tag: hex(tag), signed });
  const expires = new Date(validity.expiresAtSec * 1_000).toISOString();
  const { sequence } = validity;
  report({ contentId, path, length, sequence, expires, validator }, options, context);
}

/** The last part of the URL's path. */
function nameIn(url: string): string {
  let name = URL.parse(url)?.pathname.split("/").at(-1) ?? "";
  try {
    name = decodeURIComponent(name);
  } catch {
    // Then it is a name as it stands.
  }
  if (!isFileName(name)) throw new ShoalError("ERR_USAGE", "the URL names no file: use -o FILE");
  return name;
}

interface Fetching {
  readonly path: string;
  readonly options: PublishOptions;
  readonly context: CommandContext;
}

/** Fetches the file as it is now; returns what the origin says identifies it. */
async function fetchOnce(
  url: string,
  { path: destination, options, context }: Fetching,
): Promise<Validator> {
  const { env, signal, terminal } = context;
  const place = await openGetPlace(`announce ${destination}`, { named: undefined, env });
  try {
    await using agent = await startAgent({
      stateDirectory: place.path,
      listen: [],
      mdns: false,
      ...wayOut(options, env),
      settings: FETCH_SETTINGS,
    });
    let job: Job | undefined;
    try {
      const overwrite = options.overwrite ?? false;
      const request = { files: [{ url, destination }], overwrite } as const;
      const found = await findLeftJob(agent.jobs, request, { isAlone: true, signal });
      job = found?.job ?? (await createGetJob(agent.jobs, request, signal));
      if (found !== undefined) await resumeLeftJob(found, request, signal);
      using display = createDisplay(terminal, {
        name: basename(destination),
        // One object is printed, at the end.
        json: false,
      });
      for await (const snapshot of job.progress({ signal })) display.show(snapshot);
      await job.transferred;
      const response = await job.response(0);
      await job.acknowledge();
      return validatorInText(response?.headers ?? "");
    } catch (error) {
      if (job !== undefined) await giveUpJob(job, { wasThere: false });
      throw error;
    }
  } finally {
    await place.remove();
  }
}

interface Announced {
  readonly path: string;
  readonly tag: string;
  readonly signed: Uint8Array;
}

/** The agent that announces. */
interface Announcer extends AsyncDisposable {
  announce(announced: Announced): Promise<void>;
}

/** One that runs, which may not trust the key; or one that starts on its state later. */
async function openAnnouncer(
  { socket, state }: PublishOptions,
  context: CommandContext,
): Promise<Announcer> {
  const { env, signal } = context;
  const found =
    state === undefined
      ? await findAgent(socket === undefined ? {} : { socket }, context)
      : undefined;
  if (found !== undefined) {
    const { service } = found;
    return {
      announce: ({ path, signed }) =>
        service.jobs.announce({ path, signed: Buffer.from(signed).toString("base64") }),
      [Symbol.asyncDispose]: async () => service.close(),
    };
  }
  if (socket !== undefined) throw nobodyAt([socket]);
  const stateDirectory = resolve(state ?? join(stateHome(env), "agent"));
  const deps = { pool: new PieceBufferPool(), sink: () => {} };
  const store = await openStore(deps, { stateDirectory, cache: resolveSettings(LASTING) });
  return {
    announce: async ({ path, tag, signed }) => {
      store.execute({ type: "saveAnnouncement", announcement: { tag, bytes: signed } });
      await store.shareFile(path, { signal });
    },
    [Symbol.asyncDispose]: () => store.close(),
  };
}

interface Report {
  readonly contentId: ContentId;
  readonly path: string;
  readonly length: number;
  readonly sequence: number;
  readonly expires: string;
  readonly validator: Validator;
}

function report(
  { contentId, path, length, sequence, expires, validator }: Report,
  { json }: PublishOptions,
  { terminal }: CommandContext,
): void {
  if (json === true) {
    terminal.json({ contentId, output: path, length, sequence, expires, validator });
    return;
  }
  terminal.say(`Fetched ${escapeText(path)} (${formatBytes(length)}).\n`);
  terminal.say(`Announced it, signed: number ${sequence}, until ${expires}.\n`);
  terminal.say("Keep the file there, and let the agent that shares it trust the key as well.\n");
  terminal.say("The content id:\n");
  terminal.data(contentId);
}
