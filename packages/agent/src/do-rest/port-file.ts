/**
 * The file by which the SDK finds the listener: `restport.PID`, its port in decimal. Whatever an
 * agent before left behind is removed first, since the SDK takes the newest of all files whose name
 * has `restport` in it (agent REST reference, section 2).
 *
 * Knows one directory. Called by `startDoRest`.
 */
import { constants } from "node:fs";
import { mkdir, open, readdir, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../logger.ts";

const MARK = "restport";
/** For everybody to read. */
const FILE_MODE = 0o444;

/** Returns the file's path. Rejects with what the system says. */
export async function writePortFile(
  directory: string,
  port: number,
  logger: Logger,
): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  await removeOld(directory, logger);
  const path = join(directory, `${MARK}.${process.pid}`);
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  await using file = await open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, FILE_MODE);
  try {
    await file.writeFile(`${port}\n`);
    // Whatever the umask takes away.
    await file.chmod(FILE_MODE);
  } catch (error) {
    // An empty one would lead the SDK nowhere.
    await removePortFile(path);
    throw error;
  }
  return path;
}

/** Nothing happens where it is gone. */
export async function removePortFile(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => {});
}

async function removeOld(directory: string, logger: Logger): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.includes(MARK)) continue;
    await unlink(join(directory, name)).catch(() => {
      logger.warn({ name }, "an old port file cannot be removed");
    });
  }
}
