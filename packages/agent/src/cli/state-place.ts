/**
 * Where a command keeps its state. `shoal get` has a directory of its own for each download,
 * which is removed when there is nothing to come back for; so two downloads never wait for each
 * other's lock, and nothing is left behind.
 */
import fs from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { sha256Hex, ShoalError } from "@shoal/core";

export interface StatePlace {
  readonly path: string;
  /** Removes what the command has made; does nothing for a directory the user has named. */
  remove(): Promise<void>;
  /** As `remove`, unless the directory was there before: for commands that never got its lock. */
  removeIfNew(): Promise<void>;
}

type Environment = Readonly<Record<string, string | undefined>>;

const NAME_LENGTH = 16;

/** `$XDG_STATE_HOME/shoal`, or `~/.local/state/shoal`. */
export function stateHome(env: Environment): string {
  const xdg = env["XDG_STATE_HOME"];
  // The specification tells programs to ignore a relative path.
  const base = xdg?.startsWith("/") === true ? xdg : join(homedir(), ".local", "state");
  return join(base, "shoal");
}

/** The directory that belongs to a download; `named` is the user's choice instead. */
export async function openGetPlace(
  owner: string,
  { named, env }: { named: string | undefined; env: Environment },
): Promise<StatePlace> {
  if (named !== undefined) {
    return { path: resolve(named), remove: async () => {}, removeIfNew: async () => {} };
  }
  const home = stateHome(env);
  const name = sha256Hex(new TextEncoder().encode(owner)).slice(0, NAME_LENGTH);
  const path = join(home, "get", name);
  const firstMade = await makeDirectory(path);
  const remove = async (): Promise<void> => {
    await fs.rm(path, { recursive: true, force: true });
    const isMadeAbove = firstMade !== undefined && home.startsWith(firstMade);
    await removeEmpty(dirname(path), isMadeAbove ? firstMade : home);
  };
  return { path, remove, removeIfNew: async () => void (firstMade && (await remove())) };
}

/** Returns the first directory that had to be made, if any. */
async function makeDirectory(path: string): Promise<string | undefined> {
  try {
    return await fs.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ShoalError("ERR_STATE_UNUSABLE", `${path}: ${reason}`, { cause });
  }
}

/** Removes empty directories from `path` up to and including `top`. */
async function removeEmpty(path: string, top: string): Promise<void> {
  for (let at = path; at.startsWith(top) && at !== dirname(at); at = dirname(at)) {
    try {
      await fs.rmdir(at);
    } catch {
      return; // It holds something, which is somebody's.
    }
  }
}
