/**
 * The dependency law of docs/architecture.md: who may import whom, that nobody reaches into
 * another package's files, and that manifests name what sources import.
 */
import { importsOf, packageNameOf } from "./imports.ts";
import { isPackageSource, isTestSource, packageOf, resolveRelative } from "./places.ts";
import { finding } from "./source-file.ts";
import type { SourceFile } from "./source-file.ts";

/** The parts of a `package.json` that the law is about. `folder` is empty for the root. */
export interface Manifest {
  readonly folder: string;
  readonly name?: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Packages that combine others. All the rest may import core alone. */
const COMBINERS = new Set(["agent", "sim"]);

export function checkDependencyLaw(
  files: readonly SourceFile[],
  manifests: readonly Manifest[],
): readonly string[] {
  return [
    ...files.flatMap((file) => checkImports(file, manifests)),
    ...manifests.flatMap((manifest) => checkUnusedDependencies(manifest, files)),
  ];
}

function checkImports(file: SourceFile, manifests: readonly Manifest[]): readonly string[] {
  const findings: string[] = [];
  for (const { specifier, offset } of importsOf(file)) {
    const words = checkImport(file.path, specifier, manifests);
    if (words !== undefined) findings.push(finding(file, offset, words));
  }
  return findings;
}

/** What is wrong with one import, in words. */
function checkImport(
  path: string,
  specifier: string | undefined,
  manifests: readonly Manifest[],
): string | undefined {
  if (specifier === undefined) {
    return isPackageSource(path) ? "a computed import cannot be checked" : undefined;
  }
  if (specifier.startsWith(".")) return checkRelative(path, resolveRelative(path, specifier));
  if (specifier.startsWith("/") || specifier.startsWith("file:")) {
    return `${specifier} is a place on one machine`;
  }
  if (specifier.startsWith("node:")) return undefined;
  const name = packageNameOf(specifier);
  if (name.startsWith("@shoal/")) {
    const words = checkPackageImport(path, specifier, manifests);
    if (words !== undefined) return words;
  }
  return checkDeclared(path, name, manifests);
}

function checkRelative(from: string, to: string): string | undefined {
  const importer = packageOf(from);
  const imported = packageOf(to);
  // Tests across packages may use what a package's own tests share, such as reference versions.
  if (importer === undefined && isTestSource(from) && isTestSource(to)) return undefined;
  if (imported !== undefined && imported !== importer) {
    return `${to} is an inner file of @shoal/${imported}: import the package`;
  }
  if (isPackageSource(from) && !isPackageSource(to)) return `${to} is not part of the package`;
  const isShared = /^test\/[^/]+\.ts$/.test(to);
  if (importer !== undefined && imported === undefined && !isShared) {
    return `${to} lies outside the package`;
  }
  return undefined;
}

function checkPackageImport(
  path: string,
  specifier: string,
  manifests: readonly Manifest[],
): string | undefined {
  const name = packageNameOf(specifier);
  const target = manifests.find((manifest) => manifest.name === name);
  if (target === undefined) return `${name} is not a package of this workspace`;
  const entry = `.${specifier.slice(name.length)}`;
  if (!Object.hasOwn(target.exports ?? {}, entry)) return `${specifier} is not exported`;
  const importer = packageOf(path);
  if (importer === undefined || COMBINERS.has(importer)) return undefined;
  if (name === `@shoal/${importer}`) {
    return isPackageSource(path) ? "a package imports its own files by path" : undefined;
  }
  if (importer === "core") return "core imports no other package";
  return name === "@shoal/core" ? undefined : `${importer} may import core, not ${name}`;
}

/** Sources may import what their own manifest depends on; tests, what any above them has. */
function checkDeclared(
  path: string,
  name: string,
  manifests: readonly Manifest[],
): string | undefined {
  const above = manifests
    .filter(({ folder }) => folder === "" || path.startsWith(`${folder}/`))
    .toSorted((a, b) => b.folder.length - a.folder.length);
  const [own] = above;
  const isDeclared = isPackageSource(path)
    ? Object.hasOwn(own?.dependencies ?? {}, name)
    : above.some((manifest) =>
        Object.hasOwn({ ...manifest.dependencies, ...manifest.devDependencies }, name),
      );
  if (isDeclared) return undefined;
  return `${name} is not a dependency in ${own?.folder === "" ? "" : `${own?.folder}/`}package.json`;
}

function checkUnusedDependencies(
  { folder, dependencies = {} }: Manifest,
  files: readonly SourceFile[],
): readonly string[] {
  const used = new Set<string>();
  for (const file of files) {
    if (!file.path.startsWith(`${folder}/`) || isTestSource(file.path)) continue;
    for (const { specifier } of importsOf(file)) used.add(packageNameOf(specifier ?? ""));
  }
  return Object.keys(dependencies)
    .filter((name) => !used.has(name))
    .map((name) => `${folder}/package.json: nothing imports the dependency ${name}`);
}
