/** Reads the repository for the checks: sources, manifests, pages. Called by `repository.test.ts`. */
import { globSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Manifest } from "./checks/dependency-law.ts";
import { parseSource } from "./checks/source-file.ts";
import type { SourceFile, TextFile } from "./checks/source-file.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Everything written by hand in TypeScript or JavaScript. */
export function readSources(): readonly SourceFile[] {
  return readFiles("{packages,examples,test,tools}/**/*.{ts,mjs}").map(parseSource);
}

export function readManifests(): readonly TextFile[] {
  return readFiles("{,packages/*/,examples/*/,tools/api/}package.json");
}

export function parseManifests(files: readonly TextFile[]): readonly Manifest[] {
  return files.map(({ path, text }) => ({
    ...(JSON.parse(text) as Omit<Manifest, "folder">),
    folder: path === "package.json" ? "" : path.replace(/\/package\.json$/, ""),
  }));
}

/** Files that match, in the order of their paths; nothing installed or built is among them. */
export function readFiles(pattern: string): readonly TextFile[] {
  const exclude = ["**/node_modules/**", "**/dist/**", "**/coverage/**"];
  const paths = globSync(pattern, { cwd: root, exclude }).map((path) => path.replaceAll(sep, "/"));
  return paths.toSorted().map(readText);
}

export function readText(path: string): TextFile {
  return { path, text: readFileSync(join(root, path), "utf8") };
}

/** The manifests of everything installed, with the names of the files beside them. */
export function readInstalled(): readonly (TextFile & { readonly siblings: readonly string[] })[] {
  const pattern = "node_modules/.pnpm/*/node_modules/{*,@*/*}/package.json";
  return globSync(pattern, { cwd: root }).map((path) => ({
    ...readText(path),
    siblings: readdirSync(join(root, dirname(path))),
  }));
}
