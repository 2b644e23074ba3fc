/**
 * Keeps what Node makes of our sources from one start to the next: a preload of `pnpm shoal`. Without
 * it, every start would load what strips types, if only for the file that starts the command.
 */
import { enableCompileCache } from "node:module";
import { join } from "node:path";

enableCompileCache(join(import.meta.dirname, "../node_modules/.cache/compiled"));
