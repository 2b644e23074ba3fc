/**
 * Prepares the place of the API's socket: who can connect is who may enter its directory (R-FS-01,
 * R-API-01), so the directory must be private, or its group's where that is wanted.
 *
 * Knows paths, not what is said on sockets. Called by the REST server.
 */
import { once } from "node:events";
import { lstat, mkdir, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { ShoalError } from "@shoal/core";

/**
 * Makes the directory, or checks it; removes a socket that nobody answers on. Rejects with
 * `ERR_LISTEN_FAILED` where somebody does, and where anything else is in its place.
 */
export async function preparePlace(
  path: string,
  options: { readonly isGroupAllowed: boolean },
): Promise<void> {
  await preparePrivateDirectory(dirname(path), options);
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket() || (await isAnswered(path))) {
    throw new ShoalError("ERR_LISTEN_FAILED", `${path} is in use`);
  }
  await unlink(path);
}

/** `ERR_LISTEN_FAILED` where the directory is somebody else's, or lets others in. */
export async function preparePrivateDirectory(
  directory: string,
  { isGroupAllowed }: { readonly isGroupAllowed: boolean },
): Promise<void> {
  await mkdir(directory, { recursive: true, mode: isGroupAllowed ? 0o750 : 0o700 });
  if (process.getuid === undefined) return;
  const { mode, uid } = await lstat(directory);
  const forbidden = isGroupAllowed ? 0o027 : 0o077;
  if (uid !== process.getuid() || (mode & forbidden) !== 0) {
    throw new ShoalError("ERR_LISTEN_FAILED", `${directory} is not private to you`);
  }
}

async function isAnswered(path: string): Promise<boolean> {
  const socket = connect({ path });
  try {
    await once(socket, "connect");
    return true;
  } catch (error) {
    // Anything else is somebody who is busy.
    return (error as NodeJS.ErrnoException).code !== "ECONNREFUSED";
  } finally {
    socket.destroy();
  }
}
