/**
 * `npm start`: a real delivery on this machine, from one origin to several agents, with live
 * progress and a table at its end. Leaves nothing behind: neither files nor processes.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { ERRORS, MiB } from "@shoal/core";
import type { ErrorCode } from "@shoal/core";
import { ChildFailure } from "./child.ts";
import { deliver } from "./delivery.ts";
import type { DeliveryDeps, DeliveryResult } from "./delivery.ts";
import { parseOptions } from "./options.ts";
import type { Options } from "./options.ts";
import { originCopies, renderResult } from "./render-delivery.ts";
import { Screen } from "./screen.ts";
import {
  DeliveryError,
  downloadFile,
  ensureSpace,
  findFile,
  makeRandomFile,
} from "./source-file.ts";
import type { SourceFile } from "./source-file.ts";

/** A signal told this process to stop. */
class Interruption extends Error {
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`);
    this.signal = signal;
  }
}

const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => interruption.abort(new Interruption(name)));
}
for (const stream of [process.stdout, process.stderr]) {
  // Whoever read along has gone.
  stream.on("error", () => interruption.abort(new Interruption("SIGPIPE")));
}
process.exitCode = await main(parseOptions());

async function main(options: Options): Promise<number> {
  const { signal } = interruption;
  const screen = options.json === true ? undefined : new Screen();
  const directory = await mkdtemp(join(tmpdir(), "shoal-main-job-"));
  try {
    screen?.introduce(options.agents);
    const source = await prepare(options.target, { directory, options, signal, screen });
    const result = await deliver(
      {
        source,
        directory,
        signal,
        onStep: (step) => screen?.step(step),
        onProgress: (agents) => screen?.progress(agents),
      },
      {
        agentCount: options.agents,
        timeoutMs: options.timeout * 1_000,
        ...(options.originRate === undefined ? {} : { originRateBytesPerSec: options.originRate }),
      },
    );
    screen?.end();
    process.stdout.write(`${options.json === true ? json(result) : `\n${renderResult(result)}`}\n`);
    return result.agents.every(({ isVerified }) => isVerified)
      ? 0
      : ERRORS.ERR_CONTENT_MISMATCH.exitCode;
  } catch (error) {
    screen?.end();
    return explain(error, options);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface Preparation extends Pick<DeliveryDeps, "directory" | "signal"> {
  readonly options: Options;
  readonly screen: Screen | undefined;
}

/** Finds, downloads or makes the file, once there is room for all its copies. */
async function prepare(target: string | undefined, context: Preparation): Promise<SourceFile> {
  const { directory, options, signal, screen } = context;
  const url = target === undefined ? null : URL.parse(target);
  if (url?.protocol === "http:" || url?.protocol === "https:") {
    screen?.step(`Downloading ${url.href} once, to serve it from this machine`);
    const source = await downloadFile(directory, { url, signal });
    await ensureSpace(directory, source.length * options.agents);
    return source;
  }
  if (target !== undefined) {
    const source = await findFile(target);
    await ensureSpace(directory, source.length * options.agents);
    return source;
  }
  await ensureSpace(directory, options.size * (options.agents + 1));
  screen?.step(`Making a file of ${(options.size / MiB).toFixed(1)} MiB of random bytes`);
  return makeRandomFile(directory, { length: options.size, signal });
}

function json(result: DeliveryResult): string {
  return JSON.stringify({ ok: true, originCopies: originCopies(result), ...result });
}

/** Says what went wrong, in one line, and gives the exit code. */
function explain(error: unknown, { json: asJson }: Options): number {
  if (error instanceof Interruption) {
    process.stderr.write("Stopped.\n");
    return 128 + constants.signals[error.signal];
  }
  const { message } = error instanceof Error ? error : new Error(String(error));
  if (asJson === true) {
    process.stdout.write(`${JSON.stringify({ ok: false, error: { message } })}\n`);
  } else {
    process.stderr.write(`main-job: ${message}\n`);
  }
  if (error instanceof DeliveryError) return error.exitCode;
  if (error instanceof ChildFailure && error.code !== undefined) {
    return ERRORS[error.code as ErrorCode].exitCode;
  }
  return 1;
}
