/**
 * Keeps compiled code from one start to the next, which halves the work of a start. What is kept is
 * run without a look at the source, so it lies where nobody else can write: in the user's own cache
 * directory, never in a shared one such as `/tmp`.
 *
 * Knows the user's directories and Node's cache. Imports nothing that would have to be compiled.
 * Called by `main.ts`, before everything else.
 */
import { mkdirSync, statSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** The environment, as far as it says where. */
export interface CacheEnvironment {
  readonly XDG_CACHE_HOME?: string | undefined;
  readonly NODE_COMPILE_CACHE?: string | undefined;
}

const OTHERS_WRITE_MODE = 0o022;

/**
 * Does nothing where `NODE_COMPILE_CACHE` names a directory, which Node then uses by itself, and
 * where there is no directory that is surely the user's.
 */
export function keepCompiledCode(env: CacheEnvironment): void {
  if (env.NODE_COMPILE_CACHE !== undefined) return;
  const directory = compiledCodeDirectory(env);
  if (directory !== undefined) enableCompileCache(directory);
}

/**
 * Makes the directory, for its owner alone; `undefined` where that cannot be. By `sudo` a superuser
 * may have the home of somebody else, whose code is not to be run.
 */
export function compiledCodeDirectory(
  { XDG_CACHE_HOME: given = "" }: CacheEnvironment,
  home: string = homedir(),
): string | undefined {
  const top = isAbsolute(given) ? given : home;
  const cache = isAbsolute(given) ? given : join(home, ".cache");
  const directory = join(cache, "shoal", "compiled");
  try {
    if (!isOwn(top)) return undefined;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return [cache, join(cache, "shoal"), directory].every(isOwn) ? directory : undefined;
  } catch {
    // Without a home, or with one that cannot be written, every start compiles anew.
    return undefined;
  }
}

/** Whether it is a directory of the user that nobody else may write. */
function isOwn(path: string): boolean {
  const { mode, uid } = statSync(path);
  const own = process.getuid?.();
  return own === undefined || (uid === own && (mode & OTHERS_WRITE_MODE) === 0);
}
