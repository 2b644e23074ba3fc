/**
 * The worker thread of `describeFile`: opens the file, digests it, checks that nobody changed it
 * meanwhile, and syncs it, so that what is shared survives a power cut.
 */
import fs from "node:fs";
import { basename } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import {
  assert,
  chooseNominalLength,
  choosePieceLength,
  ContentChunker,
  decodeManifest,
  DIGEST_LENGTH,
  encodeManifest,
  errorInfo,
  isFileName,
  LIMITS,
  MiB,
  PieceLayout,
  ShoalError,
  startDigest,
} from "@shoal/core";
import type { Manifest } from "@shoal/core";
import type { DescribeWorkerData, FromDescribeWorker } from "./describe-file.ts";
import { errnoOf, readFully, realDisk } from "./disk.ts";
import { stampOf } from "./file-identity.ts";
import { findWrongPieces, scanPieces } from "./scan-pieces.ts";

/** Progress is told about this many times. */
const PROGRESS_COUNT = 200;

const port = parentPort;
assert(port !== null, "this module runs in a worker thread");
const { path, pieceLength, chunking, sidecar } = workerData as DescribeWorkerData;
const send = (message: FromDescribeWorker): void => port.postMessage(message);

try {
  send(await describe());
} catch (error) {
  const reason = errnoOf(error) ?? (error instanceof Error ? error.message : String(error));
  const info =
    error instanceof ShoalError ? error : errorInfo("ERR_FILE_UNREADABLE", `${path} (${reason})`);
  send({ kind: "failed", error: { code: info.code, message: info.message } });
}

async function describe(): Promise<FromDescribeWorker> {
  const { O_NONBLOCK, O_RDONLY } = fs.constants;
  const fd = realDisk.open(path, O_RDONLY | O_NONBLOCK, 0);
  try {
    const before = realDisk.stat(fd);
    if (!before.isFile()) throw unreadable("is not a regular file");
    if (before.size > LIMITS.contentLengthMax) throw unreadable("is too long");
    const length = Number(before.size);
    await syncIfPossible(fd);
    const bytes = (await matchingSidecar(fd, length)) ?? encodeManifest(await digest(fd, length));
    const after = realDisk.stat(fd);
    if (after.size !== before.size || after.mtimeNs !== before.mtimeNs) {
      throw unreadable("changed while it was read");
    }
    return { kind: "described", bytes, length, stamp: stampOf(after) };
  } finally {
    realDisk.close(fd);
  }
}

/** The sidecar's bytes when they describe this very file. */
async function matchingSidecar(fd: number, length: number): Promise<Uint8Array | undefined> {
  if (sidecar === undefined) return undefined;
  const result = decodeManifest(sidecar);
  if (!result.ok || result.manifest.layout.contentLength !== length) return undefined;
  const { layout, pieceDigests, contentDigest } = result.manifest;
  const finding = await findWrongPieces(layout, {
    read: (bytes, position) => readFully(realDisk, fd, bytes, position),
    pieceDigests,
    wants: () => true,
    isStopped: () => false,
    ...(contentDigest === undefined ? {} : { whole: contentDigest }),
  });
  return finding === "right" ? sidecar : undefined;
}

async function digest(fd: number, length: number): Promise<Manifest> {
  const name = basename(path);
  if (!isFileName(name)) throw unreadable("has a name that a manifest cannot hold");
  const digests =
    chunking === "content" ? digestByContent(fd, length) : await digestFixed(fd, length);
  const { layout, pieceDigests, contentDigest } = digests;
  const files = [{ name, length, digest: contentDigest }];
  return { layout, pieceDigests, contentDigest, files, hints: {} };
}

type Digests = Pick<Manifest, "layout" | "pieceDigests"> & { readonly contentDigest: Uint8Array };

/** Cuts and digests in one reading; nobody shares this thread. */
function digestByContent(fd: number, length: number): Digests {
  const chunker = new ContentChunker(pieceLength ?? chooseNominalLength(length));
  const buffer = new Uint8Array(MiB);
  const lengths: number[] = [];
  const digests: Uint8Array[] = [];
  const whole = startDigest();
  let piece = startDigest();
  let pieceBytes = 0;
  const cut = (): void => {
    lengths.push(pieceBytes);
    digests.push(piece.finish());
    piece = startDigest();
    pieceBytes = 0;
    if (lengths.length > LIMITS.piecesPerManifestMax) throw unreadable("has too many pieces");
  };
  const progress = progressOf(length);
  for (let offset = 0; offset < length; offset += buffer.length) {
    const bytes = buffer.subarray(0, Math.min(buffer.length, length - offset));
    if (!readFully(realDisk, fd, bytes, offset)) throw unreadable("cannot be read to its end");
    whole.update(bytes);
    for (let at = 0; at < bytes.length;) {
      const end = chunker.next(bytes, at);
      const part = end < 0 ? bytes.subarray(at) : bytes.subarray(at, end);
      piece.update(part);
      pieceBytes += part.length;
      at += part.length;
      if (end >= 0) cut();
    }
    progress(offset + bytes.length);
  }
  if (pieceBytes > 0) cut();
  const layout = PieceLayout.explicit(Uint32Array.from(lengths));
  return { layout, pieceDigests: Buffer.concat(digests), contentDigest: whole.finish() };
}

async function digestFixed(fd: number, length: number): Promise<Digests> {
  const layout = PieceLayout.fixed(length, pieceLength ?? choosePieceLength(length));
  if (layout.pieceCount > LIMITS.piecesPerManifestMax) throw unreadable("has too many pieces");
  const pieceDigests = new Uint8Array(layout.pieceCount * DIGEST_LENGTH);
  const progress = progressOf(length);
  const result = await scanPieces(layout, {
    read: (bytes, position) => readFully(realDisk, fd, bytes, position),
    wants: () => true,
    withWhole: true,
    isStopped: () => false,
    onPiece: (piece, found) => {
      if (found === undefined) return;
      pieceDigests.set(found, piece * DIGEST_LENGTH);
      progress(layout.end(piece));
    },
  });
  if (result.stopped || result.whole === undefined) throw unreadable("cannot be read to its end");
  return { layout, pieceDigests, contentDigest: result.whole };
}

/** Tells how far it is, not more often than anybody looks. */
function progressOf(length: number): (digestedBytes: number) => void {
  const stepBytes = Math.ceil(length / PROGRESS_COUNT);
  let toldBytes = 0;
  return (digestedBytes) => {
    if (digestedBytes - toldBytes < stepBytes && digestedBytes < length) return;
    toldBytes = digestedBytes;
    send({ kind: "progress", digestedBytes, length });
  };
}

/** Not every file system lets a file that is open for reading be synced. */
async function syncIfPossible(fd: number): Promise<void> {
  try {
    await realDisk.sync(fd);
  } catch {
    // Its bytes are verified again whenever they are read.
  }
}

function unreadable(problem: string): ShoalError {
  return new ShoalError("ERR_FILE_UNREADABLE", `${path} ${problem}`);
}
