/**
 * Removes part files that no content owns: after a discard, and at start what a crash left
 * (R-FS-15). Only names that this store recorded, in the directory it recorded them for, and only
 * regular files of our user; nothing is searched for.
 */
import { DestinationDirectory } from "./destination-directory.ts";
import { isOurs } from "./file-identity.ts";
import type { Leftover } from "./state-tables.ts";
import type { StoreContext } from "./store-context.ts";

/** Removes the file and its record. What cannot be removed now stays recorded for the next start. */
export function removeLeftover({ disk, tables }: StoreContext, leftover: Leftover): void {
  let directory: DestinationDirectory | undefined;
  try {
    directory = DestinationDirectory.open(disk, leftover.directory, leftover.directoryIdentity);
    const { name } = leftover;
    const stats = directory.stat(name);
    if (stats?.isFile() === true && isOurs(stats)) disk.unlink(directory.child(name));
    tables.removeLeftover(name);
  } catch {
    // The record stays, and the next start tries again.
  } finally {
    directory?.close();
  }
}
