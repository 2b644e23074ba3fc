/**
 * Listens on the job socket: who can connect is who may enter its directory (R-FS-01, R-API-01), so
 * the directory must be private, and every connection is served as the same caller.
 *
 * Knows paths and connections, not what is said on them. Called by the agent.
 */
import { once } from "node:events";
import { chmod, lstat, mkdir, unlink } from "node:fs/promises";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { dirname, resolve as resolvePath } from "node:path";
import { LIMITS, ShoalError } from "@shoal/core";
import type { JobCaller } from "../job-service.ts";
import { serveJobService } from "./serve-job-service.ts";
import type { ServeJobsDeps } from "./serve-job-service.ts";

export interface ListenForJobsOptions {
  /**
   * Of a Unix socket, in a directory that is created, or is private to the user already; or
   * `\\.\pipe\name` on Windows.
   */
  readonly path: string;
  /** Whose calls they are. */
  readonly caller: JobCaller;
}

export interface JobListener extends AsyncDisposable {
  /** Absolute. */
  readonly path: string;
  /** Ends every connection and removes the socket. Idempotent; jobs go on. */
  close(): Promise<void>;
}

/** Resolves when it listens. Rejects with `ERR_LISTEN_FAILED`, also when an agent listens already. */
export async function listenForJobs(
  deps: Omit<ServeJobsDeps, "caller">,
  { path: givenPath, caller }: ListenForJobsOptions,
): Promise<JobListener> {
  const isPipe = givenPath.startsWith("\\\\");
  const path = isPipe ? givenPath : resolvePath(givenPath);
  const connections = new Map<Socket, Promise<void>>();
  const server = createServer((socket) => {
    const served = serveJobService({ ...deps, caller }, socket);
    connections.set(socket, served);
    void served.finally(() => connections.delete(socket));
  });
  // One connection that cannot be accepted is no reason to stop.
  server.on("error", (error) => deps.onFault?.(error));
  server.maxConnections = LIMITS.jobConnectionsMax;
  try {
    if (!isPipe) await preparePlace(path);
    server.listen(path);
    await once(server, "listening");
    if (!isPipe) await chmod(path, 0o600);
  } catch (cause) {
    server.close();
    if (cause instanceof ShoalError) throw cause;
    throw new ShoalError("ERR_LISTEN_FAILED", path, { cause });
  }
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= closeAll(server, connections));
  return { path, close, [Symbol.asyncDispose]: close };
}

async function closeAll(server: Server, connections: Map<Socket, Promise<void>>): Promise<void> {
  const ended = once(server, "close");
  server.close();
  for (const socket of connections.keys()) socket.destroy();
  await Promise.all(connections.values());
  await ended;
}

/** A private directory without a socket that is in use; one that nobody answers on is removed. */
async function preparePlace(path: string): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { mode, uid } = await lstat(directory);
  const isForeign = process.getuid !== undefined && uid !== process.getuid();
  if (isForeign || (process.getuid !== undefined && (mode & 0o077) !== 0)) {
    throw new ShoalError("ERR_LISTEN_FAILED", `${directory} is not private to you`);
  }
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket() || (await isAnswered(path))) {
    throw new ShoalError("ERR_LISTEN_FAILED", `${path} is in use`);
  }
  await unlink(path);
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
