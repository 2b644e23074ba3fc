/**
 * Where the agent that runs is: the only place that knows in which order sockets are tried.
 *
 *   --socket ▸ $SHOAL_SOCKET ▸ the user's own agent ▸ the system's
 *
 * A socket that is named is the only one tried. Knows paths; the protocol is the client's.
 */
import { ShoalError } from "@shoal/core";
import type { Millis } from "@shoal/core";
import type { AgentService } from "../service/agent-service.ts";
import { SYSTEM_SOCKET_PATH, userSocketPath } from "../socket-path.ts";
import type { CommandContext } from "./command-context.ts";
import type { AskOptions } from "./define-command.ts";
import { NotedFailure } from "./failure.ts";

/** How an agent is reached; `connectAgent` is one. Rejects with `ERR_AGENT_UNREACHABLE`. */
export type ConnectAgent = (
  address: { readonly socketPath: string },
  options: { readonly signal: AbortSignal; readonly timeoutMs: Millis },
) => Promise<AgentService>;

/** An agent that answers, and where. */
export interface FoundAgent {
  readonly service: AgentService;
  readonly socketPath: string;
}

/** A person waits, and the agent is on this machine. */
const CONNECT_TIMEOUT_MS = 5_000;

/** Sockets at which an agent may be, the first one first. */
export function agentPlaces(
  { socket }: Pick<AskOptions, "socket">,
  env: CommandContext["env"],
): readonly [string, ...string[]] {
  const named = socket ?? (env["SHOAL_SOCKET"] === "" ? undefined : env["SHOAL_SOCKET"]);
  return named === undefined ? [userSocketPath(env), SYSTEM_SOCKET_PATH] : [named];
}

/** The first agent that answers; `undefined` where none runs. */
export async function findAgent(
  options: Pick<AskOptions, "socket">,
  { env, signal, connect }: CommandContext,
): Promise<FoundAgent | undefined> {
  for (const socketPath of agentPlaces(options, env)) {
    try {
      const service = await connect({ socketPath }, { signal, timeoutMs: CONNECT_TIMEOUT_MS });
      return { service, socketPath };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ShoalError) || error.code !== "ERR_AGENT_UNREACHABLE") throw error;
    }
  }
  return undefined;
}

/** Asks the agent that runs. Rejects with `ERR_AGENT_UNREACHABLE` and the places that were tried. */
export async function withAgent<Result>(
  options: Pick<AskOptions, "socket">,
  context: CommandContext,
  ask: (service: AgentService) => Promise<Result>,
): Promise<Result> {
  const found = await findAgent(options, context);
  if (found === undefined) throw nobodyAt(agentPlaces(options, context.env));
  try {
    return await ask(found.service);
  } finally {
    found.service.close();
  }
}

/** The failure to find an agent at `places`, with what can be done. */
export function nobodyAt(places: readonly string[]): NotedFailure {
  const error = new ShoalError("ERR_AGENT_UNREACHABLE", `none answers at ${places.join(" or ")}`);
  return new NotedFailure(error, 'Start one with "shoal agent", or name its socket with --socket.');
}
