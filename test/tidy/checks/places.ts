/** What a path says about a file: which package it belongs to, and what kind of source it is. */

/** `core` for `packages/core/…`; `undefined` outside packages. */
export function packageOf(path: string): string | undefined {
  return /^packages\/([^/]+)\//.exec(path)?.[1];
}

/** Whether the file is part of what a package ships. */
export function isPackageSource(path: string): boolean {
  return /^packages\/[^/]+\/src\//.test(path);
}

/** Whether the file belongs to tests, be it a test or what tests share. */
export function isTestSource(path: string): boolean {
  return /^(packages\/[^/]+\/)?test\//.test(path) || /^examples\/.*\.test\.ts$/.test(path);
}

/** The folder of a path, without the last slash; empty for a file at the root. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** Resolves `./` and `../` of a relative import against the importing file. */
export function resolveRelative(from: string, specifier: string): string {
  const parts = folderOf(from) === "" ? [] : folderOf(from).split("/");
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
