/** Reads small system files that may be absent, for the probes of the machine. */
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";

/** More than any file that is looked into here has; the rest is not read. */
const BYTES_MAX = 1024 * 1024;

/** The file's text; `undefined` where it cannot be read. */
export async function readSmallFile(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path);
    const bytes = new Uint8Array(BYTES_MAX);
    const { bytesRead } = await file.read(bytes, 0, BYTES_MAX, 0);
    return new TextDecoder().decode(bytes.subarray(0, bytesRead));
  } catch {
    return undefined;
  }
}

/** Paths of the directory's entries, in the order of their names; none where it cannot be read. */
export async function listDirectory(directory: string): Promise<readonly string[]> {
  try {
    const names = await readdir(directory);
    return names.toSorted().map((name) => join(directory, name));
  } catch {
    return [];
  }
}
