/**
 * Rules for destination paths that need no disk (R-FS-03). The store checks the rest when it opens
 * the directory. POSIX paths; Windows paths are accepted with a drive letter.
 */
import { PART_FILE_PREFIX } from "../content/file-name.ts";
import { LIMITS } from "../registry/limits.ts";

const encoder = new TextEncoder();
/** Of one UTF-16 code unit. */
const UTF8_BYTES_MAX = 3;

/** What is wrong with `path` as a destination, in words; `undefined` when nothing is. */
export function checkDestination(path: string): string | undefined {
  const isWindows = /^[A-Za-z]:[\\/]/.test(path);
  if (!path.startsWith("/") && !isWindows) return "it is not absolute";
  if (isLonger(path, LIMITS.pathBytesMax)) return "it is too long";
  if (hasControlCharacter(path) || !path.isWellFormed()) return "it has a control character";
  const rest = isWindows ? path.slice(3) : path.slice(1);
  const components = rest.split(isWindows ? /[\\/]/ : "/");
  for (const component of components) {
    if (component === "" || component === "." || component === "..") {
      return 'it has an empty, "." or ".." component';
    }
    if (isLonger(component, LIMITS.fileNameBytesMax)) return "a name is too long";
  }
  const name = components[components.length - 1]!;
  if (name.startsWith(PART_FILE_PREFIX))
    return `names that begin with ${PART_FILE_PREFIX} are ours`;
  return undefined;
}

/** Whether the text has more bytes in UTF-8; encodes only where its length leaves that open. */
function isLonger(text: string, bytesMax: number): boolean {
  if (text.length * UTF8_BYTES_MAX <= bytesMax) return false;
  return text.length > bytesMax || encoder.encode(text).length > bytesMax;
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
