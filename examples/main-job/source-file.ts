/**
 * The file to deliver: one of random bytes made on the spot, one on this machine, or one that is
 * downloaded once to a temporary place. Knows files; does not know who delivers them.
 */
import { createHash, randomFillSync } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { open, stat, statfs } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { MiB } from "@shoal/core";
// Not the fetch of Node 24, which can crash the process when a server ends the connection early
// (nodejs/undici#5360).
import { fetch } from "undici";

export interface SourceFile {
  /** A name for it in URLs. */
  readonly name: string;
  readonly path: string;
  readonly length: number;
}

/** What the user can put right; `exitCode` follows the table of the `shoal` command. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Writes `length` random bytes to a new file in `directory`. */
export async function makeRandomFile(
  directory: string,
  { length, signal }: { length: number; signal: AbortSignal },
): Promise<SourceFile> {
  const path = join(directory, "random.bin");
  await using file = await open(path, "wx");
  const chunk = Buffer.allocUnsafe(Math.min(length, 4 * MiB));
  for (let offset = 0; offset < length; offset += chunk.length) {
    signal.throwIfAborted();
    await file.writeFile(randomFillSync(chunk).subarray(0, length - offset));
  }
  return { name: basename(path), path, length };
}

/** Throws `DeliveryError` unless `path` is a regular file that can be read. */
export async function findFile(path: string): Promise<SourceFile> {
  const absolute = resolve(path);
  const info = await stat(absolute).catch(() => undefined);
  if (info?.isFile() !== true) throw new DeliveryError(`There is no file ${path}.`, 3);
  return { name: basename(absolute), path: absolute, length: info.size };
}

/** Downloads `url` into `directory`. Throws `DeliveryError` when that fails. */
export async function downloadFile(
  directory: string,
  { url, signal }: { url: URL; signal: AbortSignal },
): Promise<SourceFile> {
  const name = basename(url.pathname) === "" ? "download" : basename(url.pathname);
  const path = join(directory, "download.bin");
  const response = await fetch(url, { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw new DeliveryError(`${url.href} cannot be reached: ${causeOf(error)}.`, 5);
  });
  if (!response.ok || response.body === null) {
    const exitCode = response.status === 404 ? 3 : 5;
    throw new DeliveryError(`${url.href} answered with status ${response.status}.`, exitCode);
  }
  try {
    await pipeline(Readable.fromWeb(response.body), createWriteStream(path), { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new DeliveryError(`${url.href} broke off: ${causeOf(error)}.`, 5);
  }
  return { name, path, length: (await stat(path)).size };
}

/** SHA-256 of a file, read from disk, as 64 hex digits. */
export async function sha256OfFile(path: string, signal: AbortSignal): Promise<string> {
  const digest = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: MiB }), digest, { signal });
  return digest.digest("hex");
}

/** Throws `DeliveryError` when the disk below `directory` has not `bytes` to spare. */
export async function ensureSpace(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize >= bytes) return;
  const missing = Math.ceil((bytes - bavail * bsize) / MiB);
  throw new DeliveryError(
    `${directory} lacks ${missing} MiB of free space. Choose a smaller --size or fewer --agents, ` +
      `or set TMPDIR to a directory on a larger disk.`,
    8,
  );
}

/** fetch hides the reason of a failure in its cause. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
