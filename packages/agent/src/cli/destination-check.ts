/**
 * Looks at a destination before anything is fetched, so that a mistake costs no download. The store
 * checks everything again when it matters; between now and then the directory may change.
 */
import fs from "node:fs/promises";
import { dirname } from "node:path";
import { checkDestination, ShoalError } from "@shoal/core";

/** Rejects with what would make publication fail. */
export async function checkDestinationNow(path: string, overwrite: boolean): Promise<void> {
  const problem = checkDestination(path);
  if (problem !== undefined) throw new ShoalError("ERR_DESTINATION_INVALID", `${path}: ${problem}`);
  const directory = dirname(path);
  const parent = await statOrNothing(directory);
  if (parent === undefined) throw new ShoalError("ERR_DIRECTORY_MISSING", directory);
  if (!parent.isDirectory()) {
    throw new ShoalError("ERR_DESTINATION_INVALID", `${directory} is not a directory`);
  }
  try {
    await fs.access(directory, fs.constants.W_OK | fs.constants.X_OK);
  } catch (cause) {
    throw new ShoalError("ERR_DIRECTORY_UNWRITABLE", directory, { cause });
  }
  const present = await statOrNothing(path);
  if (present === undefined) return;
  if (!present.isFile()) throw new ShoalError("ERR_DESTINATION_TYPE", path);
  if (!overwrite) throw new ShoalError("ERR_DESTINATION_EXISTS", path);
}

async function statOrNothing(path: string): Promise<
  | {
      isFile(): boolean;
      isDirectory(): boolean;
    }
  | undefined
> {
  try {
    return await fs.lstat(path);
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (isMissing) return undefined;
    throw new ShoalError("ERR_DESTINATION_INVALID", path, { cause: error });
  }
}
