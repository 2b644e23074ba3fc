/**
 * Removes part files that no content owns: after a discard, and at start what a crash left
 * (R-FS-15). Beside destinations only names that this store recorded, in the directory it recorded
 * them for, and nothing is searched for; the spool is the store's own, and is swept. Only regular
 * files of our user are ever removed.
 */
import fs from "node:fs";
import { DestinationDirectory } from "./destination-directory.ts";
import { isOurs } from "./file-identity.ts";
import { isPartName } from "./part-file.ts";
import { spoolDirectoryOf } from "./state-directory.ts";
import type { Leftover } from "./state-tables.ts";
import type { StoreContext } from "./store-context.ts";

/**
 * Removes the files and their records. Returns how many files could not be removed now: they stay
 * recorded for the next start.
 */
export function removeLeftovers(context: StoreContext, leftovers: readonly Leftover[]): number {
  const removed = leftovers.filter((leftover) => removeFile(context, leftover));
  try {
    if (removed.length > 0) context.tables.removeLeftovers(removed.map(({ name }) => name));
  } catch {
    // The next start finds the files gone and forgets the names.
  }
  return leftovers.length - removed.length;
}

/** Removes part files in the spool that no content owns, whatever the records say. */
export function sweepSpool(context: StoreContext): void {
  const { disk, stateDirectory, tables } = context;
  const path = spoolDirectoryOf(stateDirectory);
  const names = fs.readdirSync(path).filter((name) => isPartName(name));
  if (names.length === 0) return;
  const owned = tables.partNames();
  const directory = DestinationDirectory.open(disk, path);
  const { identity: directoryIdentity } = directory;
  directory.close();
  const orphans = names.filter((name) => !owned.has(name));
  removeLeftovers(
    context,
    orphans.map((name) => ({ directory: path, directoryIdentity, name })),
  );
}

function removeFile({ disk }: StoreContext, leftover: Leftover): boolean {
  let directory: DestinationDirectory | undefined;
  try {
    directory = DestinationDirectory.open(disk, leftover.directory, leftover.directoryIdentity);
    const { name } = leftover;
    const stats = directory.stat(name);
    if (stats?.isFile() === true && isOurs(stats)) disk.unlink(directory.child(name));
    return true;
  } catch {
    return false;
  } finally {
    directory?.close();
  }
}
