/** That the compiler builds packages in the order of their dependencies: `references` name them. */
import type { Manifest } from "./dependency-law.ts";
import type { TextFile } from "./source-file.ts";

/** Compares the `tsconfig.json` of each package with its manifest. */
export function checkProjectReferences(
  configs: readonly TextFile[],
  manifests: readonly Manifest[],
): readonly string[] {
  return configs.flatMap(({ path, text }) => {
    const folder = path.replace(/\/tsconfig\.json$/, "");
    const manifest = manifests.find((candidate) => candidate.folder === folder);
    const { references = [] } = JSON.parse(text) as { references?: { path: string }[] };
    const wanted = Object.keys(manifest?.dependencies ?? {})
      .filter((name) => name.startsWith("@shoal/"))
      .map((name) => name.replace("@shoal/", "../"));
    const given = references.map((reference) => reference.path);
    if (wanted.toSorted().join() === given.toSorted().join()) return [];
    return [`${path}: references are ${given.join(", ")}, not ${wanted.join(", ")}`];
  });
}
