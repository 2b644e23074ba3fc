/** `shoal publish`: writes the manifest of a file beside it and prints the content id. */
import { basename, resolve } from "node:path";
import { hex } from "@shoal/core";
import { describeFile, writeSidecar } from "@shoal/store";
import { createLogUpdate } from "log-update";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { formatBytes, formatCount, formatPercent } from "./format-values.ts";

export interface PublishOptions {
  readonly pieceLength?: number;
  readonly chunking?: "fixed" | "content";
  readonly json?: true;
}

export async function runPublish(
  file: string,
  options: PublishOptions,
  { terminal, signal }: CommandContext,
): Promise<void> {
  const path = resolve(file);
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
  const { layout, contentDigest } = manifest;
  const { boundaries, contentLength: length, pieceCount } = layout;
  const isFixed = boundaries.kind === "fixed";
  const pieceLength = isFixed ? boundaries.pieceLength : length / Math.max(1, pieceCount);
  if (options.json === true) {
    const sha256 = contentDigest === undefined ? {} : { sha256: hex(contentDigest) };
    const fixed = isFixed ? { pieceLength } : {};
    terminal.json({ contentId, sidecar, length, ...fixed, pieceCount, ...sha256 });
    return;
  }
  const each = `${isFixed ? "" : "about "}${formatBytes(Math.round(pieceLength))}`;
  const pieces = `${formatCount(pieceCount, "piece")} of ${each}`;
  terminal.say(`Wrote ${escapeText(sidecar)}: ${formatBytes(length)} in ${pieces}.\n`);
  terminal.say("Put it beside the file on the server. The content id:\n");
  terminal.data(contentId);
}
