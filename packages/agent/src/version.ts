/** Which version of Shoal this is: that of the package, which lies above `src` and `dist` alike. */
import { readFileSync } from "node:fs";

export function readVersion(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
