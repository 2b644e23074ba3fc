/**
 * Where an agent's API is unless somebody says otherwise. Agents listen there and commands look
 * there; they are given the environment, and touch no disk.
 */
import { homedir } from "node:os";
import { join } from "node:path";

/** Where the system's daemon is. */
export const SYSTEM_SOCKET_PATH = "/run/shoal/agent.sock";

/** `$XDG_RUNTIME_DIR/shoal/agent.sock`, or `~/.local/state/shoal/agent.sock` without a directory. */
export function userSocketPath(env: Readonly<Record<string, string | undefined>>): string {
  const runtime = env["XDG_RUNTIME_DIR"];
  const home = env["HOME"]?.startsWith("/") === true ? env["HOME"] : homedir();
  // The specification tells programs to ignore a relative path.
  const base = runtime?.startsWith("/") === true ? runtime : join(home, ".local", "state");
  return join(base, "shoal", "agent.sock");
}
