/** Sources written inside tests, for checks to judge. */
import { parseSource } from "./checks/source-file.ts";
import type { SourceFile } from "./checks/source-file.ts";

/** Parses `text` as though it lay at `path`. */
export function source(path: string, text: string): SourceFile {
  return parseSource({ path, text });
}
