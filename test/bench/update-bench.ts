/**
 * The update case: a tenth of a tree-like file changes, and an agent that has the old version
 * fetches the new one over HTTP; the same pair with casync, which would fetch the chunks of the new
 * version that a store of the old one does not have. Manifest and index are counted apart.
 */
import { execFile } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { KiB, MiB } from "@shoal/core";
import { TestSite } from "../integration/harness.ts";
import { makeVersionPair, runUpdate } from "../integration/version-pair.ts";
import type { VersionPair } from "../integration/version-pair.ts";
import type { Figure } from "./measure.ts";

const run = promisify(execFile);
/** Not worse than this much more than casync's bytes. */
const RATIO_MAX = 1.3;

export async function benchUpdate({ length }: { readonly length: number }): Promise<Figure[]> {
  await using site = await TestSite.create();
  const directory = await site.makeDirectory("versions");
  const pair = await makeVersionPair(directory, { length, seed: 1 });
  const shoal = await runUpdate(site, pair);
  const figures: Figure[] = [
    mebibytes("new version", pair.newLength),
    mebibytes("changed in it", pair.changedBytes),
    mebibytes("fetched by shoal", shoal.fetchedBytes),
    mebibytes("found on the machine", shoal.reusedBytes),
    { name: "manifest", value: shoal.manifestBytes / KiB, unit: "KiB" },
    { name: "time of the update", value: shoal.elapsedMs, unit: "ms" },
  ];
  const casync = await casyncBytes(pair, directory);
  if (casync === undefined) {
    return [...figures, { name: "casync is not installed", value: NaN, unit: "MiB" }];
  }
  const value = shoal.fetchedBytes / casync.chunks;
  return [
    ...figures,
    mebibytes("fetched by casync", casync.chunks),
    { name: "casync's index", value: casync.index / KiB, unit: "KiB" },
    { name: "shoal / casync", value, unit: "ratio", target: RATIO_MAX },
  ];
}

function mebibytes(name: string, bytes: number): Figure {
  return { name, value: bytes / MiB, unit: "MiB" };
}

/** Compressed, as they lie in the store and go over the network. */
async function casyncBytes(
  { oldPath, newPath }: VersionPair,
  directory: string,
): Promise<{ readonly chunks: number; readonly index: number } | undefined> {
  const store = join(directory, "store.castr");
  const index = join(directory, "new.caibx");
  const make = async (target: string, path: string): Promise<number> => {
    await run("casync", ["make", `--store=${store}`, target, path]);
    return bytesIn(store);
  };
  try {
    const before = await make(join(directory, "old.caibx"), oldPath);
    const after = await make(index, newPath);
    return { chunks: after - before, index: (await stat(index)).size };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function bytesIn(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}
