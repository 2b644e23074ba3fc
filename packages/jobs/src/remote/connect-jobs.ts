/**
 * Finds an agent by the path of its job socket. Knows the greeting alone; what is said then is
 * `RemoteJobService`'s.
 */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { LIMITS, ShoalError } from "@shoal/core";
import type { Millis } from "@shoal/core";
import type { JobService } from "../job-service.ts";
import { Jobs } from "../jobs.ts";
import { orAborted } from "../or-aborted.ts";
import { readFrames } from "./frames.ts";
import type { Frame } from "./frames.ts";
import { JOB_SOCKET_VERSION, parseAgentMessage } from "./messages.ts";
import { RemoteJobService } from "./remote-job-service.ts";

/** Where an agent listens: a Unix socket's path, or `\\.\pipe\name` on Windows. */
export interface JobSocketAddress {
  readonly path: string;
}

export interface ConnectJobsOptions {
  /** Ends the attempt with the signal's reason. */
  readonly signal?: AbortSignal;
  /** For the connection, and then for each call but `acknowledge`. Default 30 s. */
  readonly timeoutMs?: Millis;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * The jobs of an agent that runs elsewhere on this machine. Rejects with `ERR_AGENT_UNREACHABLE`.
 * When the connection is lost, everything that waits rejects with `ERR_AGENT_CLOSED`, and whatever
 * is asked later with `ERR_AGENT_UNREACHABLE`; jobs go on, and a new connection finds them.
 */
export async function connectJobs(
  address: JobSocketAddress,
  options?: ConnectJobsOptions,
): Promise<Jobs> {
  return new Jobs(await connectJobService(address, options));
}

/** The same as plain service: every call rejects with `ERR_TIMEOUT` when its time is over. */
export async function connectJobService(
  { path }: JobSocketAddress,
  { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: ConnectJobsOptions = {},
): Promise<JobService> {
  signal?.throwIfAborted();
  const socket = connect({ path });
  const timer = setTimeout(() => socket.destroy(new ShoalError("ERR_TIMEOUT")), timeoutMs);
  const frames = readFrames(socket, { binaryBytesMax: LIMITS.pieceLengthMax });
  try {
    await orAborted(greeted(socket, frames), signal);
  } catch (cause) {
    socket.destroy();
    if (signal?.aborted === true) throw cause;
    throw new ShoalError("ERR_AGENT_UNREACHABLE", path, { cause });
  } finally {
    clearTimeout(timer);
  }
  return new RemoteJobService({ socket, frames }, { timeoutMs });
}

async function greeted(socket: Socket, frames: AsyncIterator<Frame>): Promise<void> {
  socket.on("error", () => {}); // Whoever reads hears of it as well.
  const { value } = await frames.next();
  const hello = parseAgentMessage((value as Frame | undefined)?.message);
  if (hello?.type === "hello" && hello.version === JOB_SOCKET_VERSION) return;
  throw new ShoalError("ERR_AGENT_UNREACHABLE", "what answers is no agent of this version");
}
