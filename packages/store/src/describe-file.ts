/**
 * Makes the manifest of a complete file, on a thread of its own, because digesting a large file
 * takes seconds.
 *
 * Cost: the file is read once, and twice when a sidecar beside it does not match.
 */
import { NOMINAL_LENGTH_MAX, contentIdOf, decodeManifest, LIMITS, ShoalError } from "@shoal/core";
import type { ContentId, ErrorInfo, Manifest } from "@shoal/core";
import { startWorker } from "./start-worker.ts";

/** Whether all pieces but the last are equally long, or cut where the bytes say so. */
export type Chunking = "fixed" | "content";

export interface DescribeOptions {
  /**
   * Bytes; a power of two from 64 KiB to 16 MiB. With content-defined chunking it is nominal, a
   * third more than the average, and at most 8 MiB; versions of one file have pieces in common only if theirs are the same. Default:
   * by the file's length.
   */
  readonly pieceLength?: number;
  /** Default `fixed`, which has the fewer pieces; `content` is for files that get new versions. */
  readonly chunking?: Chunking;
  readonly signal?: AbortSignal;
  /** Called at most about 200 times. */
  readonly onProgress?: (digestedBytes: number, length: number) => void;
}

export interface DescribedFile {
  readonly manifest: Manifest;
  /** The manifest's canonical bytes: what a sidecar holds. */
  readonly bytes: Uint8Array;
  readonly contentId: ContentId;
}

/**
 * Digests the file at `path` into a manifest named after it. Rejects with `ERR_FILE_UNREADABLE`
 * when it is not a readable regular file, cannot be named in a manifest or changes meanwhile, with
 * `ERR_USAGE` for a piece length that is not allowed, or with the signal's reason.
 */
export async function describeFile(
  path: string,
  options: DescribeOptions = {},
): Promise<DescribedFile> {
  const { bytes, contentId } = await describeOnWorker(path, options);
  const result = decodeManifest(bytes);
  if (!result.ok) throw new ShoalError("ERR_FILE_UNREADABLE", `${path}: ${result.reason}`);
  return { manifest: result.manifest, bytes, contentId };
}

export interface DescribeWorkerData {
  readonly path: string;
  readonly chunking: Chunking;
  readonly pieceLength?: number;
  /** Manifest bytes to use if they describe the file. */
  readonly sidecar?: Uint8Array;
}

export type FromDescribeWorker =
  | { readonly kind: "progress"; readonly digestedBytes: number; readonly length: number }
  | {
      readonly kind: "described";
      readonly bytes: Uint8Array;
      readonly length: number;
      /** The file's stamp before and after it was read. */
      readonly stamp: string;
    }
  | { readonly kind: "failed"; readonly error: ErrorInfo };

/** What sharing needs to know besides the manifest. */
export interface FileDescription {
  readonly bytes: Uint8Array;
  readonly contentId: ContentId;
  readonly length: number;
  readonly stamp: string;
}

/** As `describeFile`; takes a sidecar's bytes in place of new ones when they match the file. */
export async function describeOnWorker(
  path: string,
  options: DescribeOptions & { readonly sidecar?: Uint8Array },
): Promise<FileDescription> {
  const { pieceLength, chunking = "fixed", sidecar, signal, onProgress } = options;
  signal?.throwIfAborted();
  if (pieceLength !== undefined && !isPieceLength(pieceLength, chunking)) {
    throw new ShoalError("ERR_USAGE", `piece length ${pieceLength}`);
  }
  const data: DescribeWorkerData = {
    path,
    chunking,
    ...(pieceLength === undefined ? {} : { pieceLength }),
    ...(sidecar === undefined ? {} : { sidecar }),
  };
  const worker = startWorker("describe-worker", data);
  const { promise, resolve, reject } = Promise.withResolvers<FileDescription>();
  const onAbort = (): void => reject(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  worker.on("message", (message: FromDescribeWorker) => {
    if (message.kind === "progress") onProgress?.(message.digestedBytes, message.length);
    else if (message.kind === "failed") reject(ShoalError.from(message.error));
    else resolve({ ...message, contentId: contentIdOf(message.bytes) });
  });
  worker.on("error", (cause: Error) => {
    reject(new ShoalError("ERR_FILE_UNREADABLE", `${path}: ${cause.message}`, { cause }));
  });
  worker.on("exit", () => reject(new ShoalError("ERR_FILE_UNREADABLE", path)));
  try {
    return await promise;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    await worker.terminate();
  }
}

function isPieceLength(bytes: number, chunking: Chunking): boolean {
  const isPowerOfTwo = Number.isInteger(bytes) && (bytes & (bytes - 1)) === 0;
  const max = chunking === "fixed" ? LIMITS.pieceLengthMax : NOMINAL_LENGTH_MAX;
  return isPowerOfTwo && bytes >= LIMITS.pieceLengthMin && bytes <= max;
}
