/**
 * Which text may be one component of a path (R-FS-03). Used for names inside manifests and for the
 * components of destinations. Refuses instead of repairing.
 */
import { LIMITS } from "../registry/limits.ts";

/** Names of our own temporary files begin with this; nobody else's may. */
export const PART_FILE_PREFIX = ".shoal-";

const encoder = new TextEncoder();

/** Whether `name` is a single, ordinary path component on every system we run on. */
export function isFileName(name: string): boolean {
  if (name === "" || name === "." || name === "..") return false;
  if (name.startsWith(PART_FILE_PREFIX)) return false;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return false;
  }
  if (/[/\\:]/.test(name) || !name.isWellFormed()) return false;
  return encoder.encode(name).length <= LIMITS.fileNameBytesMax;
}
