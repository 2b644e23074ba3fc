/**
 * The agent process that benchmarks drive, bundled like the installed command: plain JavaScript,
 * without the stripping of types that sources need, which costs time at the start and memory.
 */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { bundle } from "../../tools/deb/bundle.ts";
import type { TestSite } from "../integration/harness.ts";

const bySite = new WeakMap<TestSite, Promise<URL>>();

/** The script to start; made once for a site, and gone with it. */
export function bundledAgent(site: TestSite): Promise<URL> {
  const made = bySite.get(site) ?? make(site);
  bySite.set(site, made);
  return made;
}

async function make(site: TestSite): Promise<URL> {
  const directory = join(site.directory, "bundle");
  // The agent reads its version there.
  await copyFile(
    fileURLToPath(new URL("../../packages/agent/package.json", import.meta.url)),
    join(site.directory, "package.json"),
  );
  await bundle(directory, { "agent-process": "examples/main-job/agent-process.ts" });
  return pathToFileURL(join(directory, "agent-process.js"));
}
