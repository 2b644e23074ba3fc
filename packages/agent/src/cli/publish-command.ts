/**
 * `shoal publish FILE`: writes the manifest of a file beside it, with `--key` in its signed form too,
 * and prints the content id. `shoal publish URL` is `announce-command.ts`.
 */
import { basename, resolve } from "node:path";
import { hex, ShoalError, SIGNED_SIDECAR_SUFFIX } from "@shoal/core";
import { describeFile, writeSidecar } from "@shoal/store";
import { createLogUpdate } from "log-update";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { formatBytes, formatCount, formatPercent } from "./format-values.ts";
import type { SigningKey } from "./key-file.ts";
import { signManifest } from "./sign-manifest.ts";
import { readKeys, validityOf } from "./signing-options.ts";

export interface PublishOptions {
  readonly pieceLength?: number;
  readonly chunking?: "fixed" | "content";
  /** Files of private keys. */
  readonly key?: readonly string[];
  /** Default: the file's name. */
  readonly product?: string;
  /** Default: the time in seconds. */
  readonly sequence?: number;
  readonly validDays?: number;
  readonly json?: true;
  /** For a URL alone: where the file goes, who announces it, and how it is fetched. */
  readonly output?: string;
  readonly overwrite?: true;
  readonly state?: string;
  readonly socket?: string;
  readonly ca?: string;
}

export async function runPublish(
  file: string,
  options: PublishOptions,
  context: CommandContext,
): Promise<void> {
  if (/^https?:/i.test(file)) {
    // Starts an agent, of which a file's manifest needs nothing.
    const { runAnnounce } = await import("./announce-command.ts");
    return runAnnounce(file, options, context);
  }
  const { output, overwrite, state, socket, ca } = options;
  if ([output, overwrite, state, socket, ca].some((value) => value !== undefined)) {
    throw new ShoalError("ERR_USAGE", "--output and where to announce it are for a URL");
  }
  const { terminal, signal } = context;
  const path = resolve(file);
  const keys = await readKeys(options.key ?? []);
  const draw = terminal.isLive ? createLogUpdate(terminal.stderr as NodeJS.WriteStream) : undefined;
  const { manifest, bytes, contentId } = await describeFile(path, {
    signal,
    ...(options.pieceLength === undefined ? {} : { pieceLength: options.pieceLength }),
    ...(options.chunking === undefined ? {} : { chunking: options.chunking }),
    onProgress: (digestedBytes, length) => {
      const name = escapeText(basename(path));
      draw?.(`${name}  ${formatPercent(digestedBytes, length)}  reading the file`);
    },
  }).finally(() => {
    draw?.clear();
    draw?.done();
  });
  const sidecar = await writeSidecar(path, bytes);
  const signed = await writeSigned(path, { bytes, keys, options });
  const { layout, contentDigest } = manifest;
  const { boundaries, contentLength: length, pieceCount } = layout;
  const isFixed = boundaries.kind === "fixed";
  const pieceLength = isFixed ? boundaries.pieceLength : length / Math.max(1, pieceCount);
  if (options.json === true) {
    const sha256 = contentDigest === undefined ? {} : { sha256: hex(contentDigest) };
    const fixed = isFixed ? { pieceLength } : {};
    terminal.json({ contentId, sidecar, ...signed, length, ...fixed, pieceCount, ...sha256 });
    return;
  }
  const each = `${isFixed ? "" : "about "}${formatBytes(Math.round(pieceLength))}`;
  const pieces = `${formatCount(pieceCount, "piece")} of ${each}`;
  terminal.say(`Wrote ${escapeText(sidecar)}: ${formatBytes(length)} in ${pieces}.\n`);
  if (signed !== undefined) {
    const { signedSidecar, sequence, expires } = signed;
    const about = `number ${sequence}, until ${expires}`;
    terminal.say(`Wrote ${escapeText(signedSidecar)}, signed: ${about}.\n`);
  }
  const it = signed === undefined ? "it" : "both";
  terminal.say(`Put ${it} beside the file on the server. The content id:\n`);
  terminal.data(contentId);
}

interface Signing {
  readonly bytes: Uint8Array;
  readonly keys: readonly SigningKey[];
  readonly options: PublishOptions;
}

interface Signed {
  readonly signedSidecar: string;
  readonly product: string;
  readonly sequence: number;
  readonly expires: string;
}

/** Nothing without a key. */
async function writeSigned(
  path: string,
  { bytes: manifestBytes, keys, options }: Signing,
): Promise<Signed | undefined> {
  if (keys.length === 0) return undefined;
  const { product = basename(path) } = options;
  const validity = validityOf(options);
  const { sequence, expiresAtSec } = validity;
  const statement = { product, ...validity, manifestBytes };
  const suffix = SIGNED_SIDECAR_SUFFIX;
  const signedSidecar = await writeSidecar(path, signManifest(statement, keys), { suffix });
  const expires = new Date(expiresAtSec * 1_000).toISOString();
  return { signedSidecar, product, sequence, expires };
}
