/**
 * An agent that the `shoal` command of a user finds by itself: at the usual socket below the user's
 * home, in the process of the test, which can look into it.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions } from "@shoal/agent";

interface Home {
  readonly home: string;
}

/** Where the user's commands look when they are told nothing. */
export function usualSocket(user: Home): string {
  return join(user.home, ".local", "state", "shoal", "agent.sock");
}

/** Commands other than `get` need no flag to reach it; `user.start` gives `get` flags of its own. */
export async function startUsualAgent(
  user: Home,
  stateDirectory: string,
  options: Partial<AgentOptions> = {},
): Promise<Agent> {
  await mkdir(join(user.home, ".local", "state", "shoal"), { recursive: true, mode: 0o700 });
  return await startAgent({
    stateDirectory,
    listen: ["/ip4/127.0.0.1/tcp/0"],
    mdns: false,
    allowLoopbackPeers: true,
    api: { socketPath: usualSocket(user) },
    ...options,
  });
}
