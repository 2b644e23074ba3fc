/**
 * Two versions of a file that looks like an archived tree, and what an agent that has the first one
 * fetches to have the second. The bytes are a keystream: the same in every run, and incompressible,
 * so that compression plays no part in comparisons.
 */
import { createCipheriv } from "node:crypto";
import { open, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { hex, KiB, MiB, pieceDigest, Random, SIDECAR_SUFFIX } from "@shoal/core";
import type { Manifest } from "@shoal/core";
import { describeFile } from "@shoal/store";
import type { DescribedFile } from "@shoal/store";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import { sha256Of } from "./harness.ts";
import type { TestSite } from "./harness.ts";

export interface VersionPair {
  readonly oldPath: string;
  readonly newPath: string;
  readonly newLength: number;
  /** Bytes of the new version that were inserted or overwritten. */
  readonly changedBytes: number;
}

const HEADER_BYTES = 512;
/** Of the new version. */
const CHANGED_SHARE = 0.1;

/**
 * Writes the versions to `directory`: many small files and some big ones, each after a header that
 * has its name and length. Some files are changed, until a tenth of the bytes is: small ones are
 * replaced, the others get insertions and edits of 1 to 128 KiB.
 */
export async function makeVersionPair(
  directory: string,
  { length, seed }: { readonly length: number; readonly seed: number },
): Promise<VersionPair> {
  const random = new Random(seed);
  const [oldPath, newPath] = [join(directory, "old"), join(directory, "new")];
  await using before = await open(oldPath, "wx");
  await using after = await open(newPath, "wx");
  let [oldLength, newLength, changedBytes] = [0, 0, 0];
  for (let index = 0; oldLength < length; index++) {
    const file = keystream(`${seed} ${index}`, fileLength(random));
    const isDue = changedBytes < newLength * CHANGED_SHARE && random.below(3) === 0;
    const edited = isDue ? edit(file, random, `${seed} ${index}`) : { bytes: file, changed: 0 };
    await before.writeFile(withHeader(index, file));
    await after.writeFile(withHeader(index, edited.bytes));
    oldLength += HEADER_BYTES + file.length;
    newLength += HEADER_BYTES + edited.bytes.length;
    changedBytes += edited.changed;
  }
  return { oldPath, newPath, newLength, changedBytes };
}

/** Most files are small, most bytes are in big ones. */
function fileLength(random: Random): number {
  const kind = random.below(100);
  if (kind < 70) return 200 + random.below(32 * KiB);
  return kind < 95 ? 64 * KiB + random.below(512 * KiB) : MiB + random.below(7 * MiB);
}

function edit(
  file: Buffer,
  random: Random,
  seed: string,
): { readonly bytes: Buffer; readonly changed: number } {
  if (file.length < 64 * KiB) {
    const bytes = keystream(`${seed} new`, fileLength(random) % (64 * KiB));
    return { bytes, changed: bytes.length };
  }
  const parts: Buffer[] = [];
  let changed = 0;
  let at = 0;
  for (let i = 0; at < file.length; i++) {
    const kept = Math.min(file.length - at, random.below(512 * KiB));
    parts.push(file.subarray(at, at + kept));
    at += kept;
    const fresh = keystream(`${seed} ${i}`, KiB + random.below(127 * KiB));
    parts.push(fresh);
    changed += fresh.length;
    // An edit takes the place of as many bytes, an insertion of none.
    if (random.below(2) === 0) at += fresh.length;
  }
  return { bytes: Buffer.concat(parts), changed };
}

function withHeader(index: number, file: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(`tree/directory/${index} ${file.length}`);
  return Buffer.concat([header, file]);
}

function keystream(seed: string, length: number): Buffer {
  const key = Buffer.alloc(32);
  key.write(seed);
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

export interface UpdateResult {
  /** Of the new version, counted at the origin. */
  readonly fetchedBytes: number;
  readonly reusedBytes: number;
  readonly manifestBytes: number;
  /** Of chunks of the new version that the old one does not have. */
  readonly freshChunkBytes: number;
  /** Of what the agent has in the end. */
  readonly sha256: string;
  readonly elapsedMs: number;
}

/** Has an agent download the old version over HTTP, and then the new one to the same place. */
export async function runUpdate(site: TestSite, pair: VersionPair): Promise<UpdateResult> {
  const before = await publish(pair.oldPath);
  const after = await publish(pair.newPath);
  const paths = [pair.oldPath, pair.newPath].flatMap((path) => [path, path + SIDECAR_SUFFIX]);
  const origin = site.use(
    await serveFiles(Object.fromEntries(paths.map((path) => [basename(path), path]))),
  );
  const destination = join(await site.makeDirectory("destination"), "tree");
  const agent = site.startAgent("updated", { listen: [] });
  await agent.next("ready");
  const get = ({ contentId }: DescribedFile, name: string): void => {
    const files = [{ url: origin.urlOf(name), destination, contentId }];
    agent.send({ type: "download", job: { files, overwrite: true } });
  };
  get(before, "old");
  await agent.next("published", 120_000);
  get(after, "new");
  const { snapshot, elapsedMs } = await agent.next("published", 120_000);
  return {
    fetchedBytes: origin.sentBytesOf("new"),
    reusedBytes: snapshot.files[0]?.reusedBytes ?? 0,
    manifestBytes: after.bytes.length,
    freshChunkBytes: freshChunkBytes(before.manifest, after.manifest),
    sha256: await sha256Of(destination),
    elapsedMs,
  };
}

async function publish(path: string): Promise<DescribedFile> {
  const described = await describeFile(path, { chunking: "content" });
  await writeFile(path + SIDECAR_SUFFIX, described.bytes);
  return described;
}

function freshChunkBytes(before: Manifest, after: Manifest): number {
  const known = new Set<string>();
  for (let piece = 0; piece < before.layout.pieceCount; piece++) {
    known.add(hex(pieceDigest(before, piece)));
  }
  let bytes = 0;
  for (let piece = 0; piece < after.layout.pieceCount; piece++) {
    const digest = hex(pieceDigest(after, piece));
    if (!known.has(digest)) bytes += after.layout.length(piece);
    known.add(digest);
  }
  return bytes;
}
