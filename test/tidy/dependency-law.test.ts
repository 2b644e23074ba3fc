import { expect, test } from "vitest";
import { checkDependencyLaw } from "./checks/dependency-law.ts";
import { checkProjectReferences } from "./checks/project-references.ts";
import { source } from "./sources.ts";

const entry = { ".": {}, "./package.json": "./package.json" };
const manifests = [
  { folder: "", devDependencies: { "@shoal/core": "workspace:*", vitest: "catalog:" } },
  { folder: "packages/core", name: "@shoal/core", exports: entry },
  {
    folder: "packages/store",
    name: "@shoal/store",
    exports: entry,
    dependencies: { "@shoal/core": "workspace:*" },
  },
  {
    folder: "packages/agent",
    name: "@shoal/agent",
    exports: entry,
    dependencies: { "@shoal/core": "workspace:*", "@shoal/store": "workspace:*" },
  },
];
const lawful = [
  source("packages/store/src/index.ts", 'import { assert } from "@shoal/core";'),
  source("packages/agent/src/index.ts", 'import "@shoal/core"; export { x } from "@shoal/store";'),
];

/** What is found in one more file among lawful ones. */
function findIn(path: string, text: string): readonly string[] {
  return checkDependencyLaw([...lawful, source(path, text)], manifests);
}

test("accepts packages that import core, and an agent that combines them", () => {
  expect(checkDependencyLaw(lawful, manifests)).toEqual([]);
});

test.each([
  ["an import", 'import { x } from "@shoal/agent";'],
  ["an import of a type", 'import type { X } from "@shoal/agent";'],
  ["an export from elsewhere", 'export { x } from "@shoal/agent";'],
  ["an export of everything", 'export * from "@shoal/agent";'],
  ["a dynamic import", 'const x = import("@shoal/agent");'],
  ["a dynamic import of a template", "const x = import(`@shoal/agent`);"],
  ["a type of an import", 'type X = import("@shoal/agent").X;'],
  ["a require", 'const x = require("@shoal/agent");'],
  ["a resolved require", 'const x = require.resolve("@shoal/agent");'],
])("refuses a package that imports sideways by %s", (_, text) => {
  expect(findIn("packages/store/src/a.ts", `\n${text}`)).toEqual([
    "packages/store/src/a.ts:2: store may import core, not @shoal/agent",
  ]);
});

test("refuses a package's test that imports sideways", () => {
  expect(findIn("packages/store/test/a.test.ts", 'import "@shoal/agent";')).toHaveLength(1);
});

test("refuses a package that imports itself by name, but not its tests", () => {
  expect(findIn("packages/core/src/a.ts", 'import "@shoal/core";').length).toBeGreaterThan(0);
  expect(findIn("packages/core/test/a.test.ts", 'import "@shoal/core";')).toEqual([]);
});

test("refuses core importing a package", () => {
  expect(findIn("packages/core/src/a.ts", 'import "@shoal/store";')).toEqual([
    "packages/core/src/a.ts:1: core imports no other package",
  ]);
});

test.each([
  ["packages/agent/src/a.ts", "../../store/src/disk.ts"],
  ["packages/agent/src/a.ts", "@shoal/store/src/disk.ts"],
  ["test/integration/a.test.ts", "../../packages/store/src/disk.ts"],
  ["examples/a/main.ts", "../../packages/store/src/disk.ts"],
  ["packages/agent/test/a.test.ts", "../../store/test/disk.ts"],
])("refuses that %s reaches into another package by %s", (path, specifier) => {
  expect(findIn(path, `import "${specifier}";`)).toHaveLength(1);
});

test("refuses a package source that leaves its package", () => {
  expect(findIn("packages/store/src/a.ts", 'import "../test/b.ts";')).toHaveLength(1);
  expect(findIn("packages/store/src/a.ts", 'import "../../../test/long.ts";')).toHaveLength(1);
});

test("accepts that tests use their package's files and what tests share", () => {
  expect(findIn("packages/store/test/a.test.ts", 'import "../src/disk.ts";')).toEqual([]);
  expect(findIn("packages/store/test/a.test.ts", 'import "../../../test/long.ts";')).toEqual([]);
  expect(findIn("test/bench/a.ts", 'import "../../packages/core/test/picker.ts";')).toEqual([]);
});

test("refuses a computed import in a package", () => {
  expect(findIn("packages/store/src/a.ts", "const x = import(name);")).toEqual([
    "packages/store/src/a.ts:1: a computed import cannot be checked",
  ]);
});

test("refuses imports that no manifest declares, and accepts node's own", () => {
  expect(findIn("packages/store/src/a.ts", 'import "undici";')).toEqual([
    "packages/store/src/a.ts:1: undici is not a dependency in packages/store/package.json",
  ]);
  expect(findIn("packages/store/src/a.ts", 'import "vitest";')).toHaveLength(1);
  expect(findIn("packages/store/test/a.test.ts", 'import "vitest";')).toEqual([]);
  expect(findIn("packages/store/src/a.ts", 'import "node:fs";')).toEqual([]);
});

test("refuses dependencies that nothing imports", () => {
  const unused = {
    folder: "packages/jobs",
    name: "@shoal/jobs",
    dependencies: { yaml: "catalog:" },
  };
  expect(checkDependencyLaw(lawful, [...manifests, unused])).toEqual([
    "packages/jobs/package.json: nothing imports the dependency yaml",
  ]);
});

test("refuses project references that differ from the dependencies", () => {
  const path = "packages/agent/tsconfig.json";
  const text = (...names: string[]): string =>
    JSON.stringify({ references: names.map((name) => ({ path: `../${name}` })) });
  expect(checkProjectReferences([{ path, text: text("store", "core") }], manifests)).toEqual([]);
  expect(checkProjectReferences([{ path, text: text("core") }], manifests)).toHaveLength(1);
  expect(checkProjectReferences([{ path, text: "{}" }], manifests)).toHaveLength(1);
});
