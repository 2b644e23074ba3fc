/**
 * The pattern of package manifests, exact versions, and that nothing runs at installation. Takes
 * manifests and the workspace file as they are written.
 */
import { packageOf } from "./places.ts";
import type { TextFile } from "./source-file.ts";

type Json = Readonly<Record<string, unknown>>;

const NODE_ENGINE = ">=24.15.0";
const FILES = ["dist", "!dist/.tsbuildinfo", "src"];
const EXACT_VERSION = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;
const INSTALL_SCRIPTS = ["preinstall", "install", "postinstall", "prepare"];

/** Checks the manifests of this workspace. */
export function checkManifests(manifests: readonly TextFile[]): readonly string[] {
  return manifests.flatMap((file) => {
    const manifest = JSON.parse(file.text) as Json;
    const problems = [
      ...checkEveryManifest(manifest),
      ...(packageOf(file.path) === undefined
        ? checkPrivateManifest(manifest)
        : checkPackageManifest(manifest, packageOf(file.path) ?? "")),
    ];
    return problems.map((words) => `${file.path}: ${words}`);
  });
}

function checkEveryManifest(manifest: Json): readonly string[] {
  const problems: string[] = [];
  if (manifest["type"] !== "module") problems.push('"type" is not "module"');
  if (manifest["license"] !== "MIT") problems.push('"license" is not "MIT"');
  for (const name of installScriptsOf(manifest)) problems.push(`has the install script ${name}`);
  for (const field of ["dependencies", "devDependencies", "peerDependencies"]) {
    for (const [name, version] of entriesOf(manifest[field])) {
      const isOurs = name.startsWith("@shoal/");
      // A named catalog is for tools that need another version than the rest.
      const isRight = isOurs ? version === "workspace:*" : /^catalog:[a-z]*$/.test(String(version));
      const wanted = isOurs ? "workspace:*" : "catalog:";
      if (!isRight) problems.push(`${name} is "${String(version)}", not "${wanted}"`);
    }
  }
  for (const [name, version] of entriesOf(manifest["optionalDependencies"])) {
    if (!EXACT_VERSION.test(String(version))) problems.push(`${name} has no exact version`);
  }
  return problems;
}

function checkPrivateManifest(manifest: Json): readonly string[] {
  return manifest["private"] === true ? [] : ['"private" is not true'];
}

function checkPackageManifest(manifest: Json, folder: string): readonly string[] {
  const problems: string[] = [];
  const expect = (field: string, wanted: unknown): void => {
    if (JSON.stringify(manifest[field]) !== JSON.stringify(wanted)) {
      problems.push(`"${field}" is not ${JSON.stringify(wanted)}`);
    }
  };
  expect("name", `@shoal/${folder}`);
  expect("engines", { node: NODE_ENGINE });
  expect("files", FILES);
  if (typeof manifest["description"] !== "string") problems.push('has no "description"');
  for (const [entry, target] of entriesOf(manifest["exports"])) {
    const wanted = exportPattern(entry, folder, target);
    if (JSON.stringify(target) !== JSON.stringify(wanted)) {
      problems.push(`export "${entry}" is not ${JSON.stringify(wanted)}`);
    }
  }
  for (const entry of [".", "./package.json"]) {
    if (!entriesOf(manifest["exports"]).some(([name]) => name === entry)) {
      problems.push(`does not export "${entry}"`);
    }
  }
  return problems;
}

/** Sources first, then types, then what is built; the three name the same file. */
function exportPattern(entry: string, folder: string, target: unknown): unknown {
  if (entry === "./package.json") return entry;
  const source = String(entriesOf(target).find(([name]) => name === "shoal-source")?.[1]);
  const stem = /^\.\/src\/(.+)\.ts$/.exec(source)?.[1] ?? (entry === "." ? "index" : folder);
  return {
    "shoal-source": `./src/${stem}.ts`,
    types: `./dist/${stem}.d.ts`,
    default: `./dist/${stem}.js`,
  };
}

/**
 * Checks `pnpm-workspace.yaml`: the catalog pins exact versions, and no dependency may run
 * anything at installation. Reads the levels the file has, line by line.
 */
export function checkWorkspaceFile({ path, text }: TextFile): readonly string[] {
  const problems: string[] = [];
  let section = "";
  for (const [index, line] of text.split("\n").entries()) {
    const [, indent = "", rawKey = "", value = ""] = /^( *)([^\s#][^:]*):\s*(.*)$/.exec(line) ?? [];
    const key = rawKey.replaceAll(/["']/g, "");
    if (key === "") continue;
    if (indent === "") section = key;
    const version = value.replace(/\s+#.*$/, "").replaceAll(/["']/g, "");
    const at = `${path}:${index + 1}`;
    if (/^(onlyBuilt|neverBuilt|dangerously|strictDepBuilds)/.test(key)) {
      problems.push(`${at}: ${key} weakens the refusal of install scripts`);
    }
    if (indent === "") continue;
    if (section === "allowBuilds" && version !== "false") {
      problems.push(`${at}: ${key} may run an install script`);
    }
    const isPinned = section === "catalog" || (section === "catalogs" && version !== "");
    if (isPinned && !EXACT_VERSION.test(version)) {
      problems.push(`${at}: ${key} has no exact version`);
    }
  }
  return problems;
}

/** Checks the lockfile: nothing in it is marked as needing a build. */
export function checkLockfile({ path, text }: TextFile): readonly string[] {
  const problems: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (!/^\s*(requiresBuild|hasInstallScript): true/.test(line)) continue;
    problems.push(`${path}:${index + 1}: a dependency has an install script`);
  }
  return problems;
}

/** Checks manifests as they were installed, with the names of the files beside them. */
export function checkInstalled(
  packages: readonly (TextFile & { readonly siblings: readonly string[] })[],
): readonly string[] {
  return packages.flatMap(({ path, text, siblings }) => {
    const scripts = installScriptsOf(JSON.parse(text) as Json).filter((name) => name !== "prepare");
    const problems = scripts.map((name) => `${path}: has the install script ${name}`);
    if (siblings.includes("binding.gyp")) problems.push(`${path}: is built at installation`);
    return problems;
  });
}

function installScriptsOf(manifest: Json): readonly string[] {
  const names = entriesOf(manifest["scripts"]).map(([name]) => name);
  return names.filter((name) => INSTALL_SCRIPTS.includes(name));
}

function entriesOf(value: unknown): readonly (readonly [string, unknown])[] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}
