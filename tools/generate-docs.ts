/**
 * Writes the pages of `docs/` that are made from core's tables, so that pages and program cannot
 * disagree. `pnpm run docs` writes them; `--check` only says which are out of date, and `test/tidy`
 * does the same. The same sources give the same bytes.
 *
 * Knows where pages lie; what they say is in `tools/docs/`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { configurationPage } from "./docs/configuration-page.ts";
import { openApiDocument } from "@shoal/agent";
import { manPage } from "@shoal/agent/manual";
import { errorsPage } from "./docs/errors-page.ts";
import { withExitCodes } from "./docs/exit-codes.ts";
import { jobStatesPage } from "./docs/job-states-page.ts";
import { policiesPage } from "./docs/policies-page.ts";
import { limitsPage, metricsPage, reasonsPage, settingsPage } from "./docs/registry-pages.ts";

const root = new URL("../", import.meta.url);
const openApi = `${JSON.stringify(await openApiDocument(), undefined, 2)}\n`;

/** Every generated page: its path from the repository's root, and its text. */
export function generateDocs(): ReadonlyMap<string, string> {
  const limitsSource = readFileSync(new URL("packages/core/src/registry/limits.ts", root), "utf8");
  return new Map([
    ["docs/configuration.md", configurationPage()],
    ["docs/settings.md", settingsPage()],
    ["docs/policies.md", policiesPage()],
    ["docs/errors.md", errorsPage()],
    ["docs/limits.md", limitsPage(limitsSource)],
    ["docs/metrics.md", metricsPage()],
    ["docs/reasons.md", reasonsPage()],
    ["docs/job-states.md", jobStatesPage()],
    ["docs/openapi.json", openApi],
    ["docs/operations.md", withExitCodes(readPage("docs/operations.md") ?? "")],
    ["docs/shoal.1", manPage(readVersion())],
  ]);
}

/** Paths of the generated pages whose file is missing or says something else. */
export function findStaleDocs(): readonly string[] {
  const stale: string[] = [];
  for (const [path, text] of generateDocs()) {
    if (readPage(path) !== text) stale.push(path);
  }
  return stale;
}

function readVersion(): string {
  const manifest = readFileSync(new URL("packages/agent/package.json", root), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

function readPage(path: string): string | undefined {
  try {
    return readFileSync(new URL(path, root), "utf8");
  } catch {
    return undefined;
  }
}

function main(args: readonly string[]): number {
  const stale = findStaleDocs();
  if (args.includes("--check")) {
    for (const path of stale) console.error(`${path} is out of date: run pnpm run docs`);
    return stale.length === 0 ? 0 : 1;
  }
  const pages = generateDocs();
  for (const path of stale) {
    writeFileSync(new URL(path, root), pages.get(path) ?? "");
    console.log(`wrote ${path}`);
  }
  if (stale.length === 0) console.log("All pages are up to date.");
  return 0;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
