import { expect, test } from "vitest";
import {
  checkInstalled,
  checkLockfile,
  checkManifests,
  checkWorkspaceFile,
} from "./checks/manifests.ts";

const good = {
  name: "@shoal/store",
  description: "Pieces on disk.",
  license: "MIT",
  type: "module",
  files: ["dist", "!dist/.tsbuildinfo", "src"],
  exports: {
    ".": {
      "shoal-source": "./src/index.ts",
      types: "./dist/index.d.ts",
      default: "./dist/index.js",
    },
    "./package.json": "./package.json",
  },
  dependencies: { "@shoal/core": "workspace:*", undici: "catalog:" },
  engines: { node: ">=24.15.0" },
};

function findIn(changes: object, path = "packages/store/package.json"): readonly string[] {
  return checkManifests([{ path, text: JSON.stringify({ ...good, ...changes }) }]);
}

test("accepts a manifest after the pattern, with further entries", () => {
  expect(findIn({})).toEqual([]);
  const testing = {
    "shoal-source": "./src/testing.ts",
    types: "./dist/testing.d.ts",
    default: "./dist/testing.js",
  };
  expect(findIn({ exports: { ...good.exports, "./testing": testing } })).toEqual([]);
});

test.each([
  [{ name: "@shoal/storage" }],
  [{ description: undefined }],
  [{ license: "ISC" }],
  [{ type: "commonjs" }],
  [{ files: ["dist"] }],
  [{ engines: { node: ">=20" } }],
  [{ exports: { ".": good.exports["."] } }],
  [{ exports: { ...good.exports, ".": "./src/index.ts" } }],
  [{ exports: { ...good.exports, ".": { ...good.exports["."], types: "./src/index.ts" } } }],
  [{ dependencies: { undici: "^8.0.0" } }],
  [{ dependencies: { "@shoal/core": "0.1.0" } }],
  [{ devDependencies: { undici: "8.12.4" } }],
  [{ optionalDependencies: { undici: "~8.12.4" } }],
  [{ scripts: { postinstall: "node build.js" } }],
])("refuses a manifest with %j", (changes) => {
  expect(findIn(changes)).toHaveLength(1);
});

test("refuses an example or a root that could be published", () => {
  expect(findIn({}, "examples/share/package.json")).toHaveLength(1);
  expect(findIn({ private: true }, "examples/share/package.json")).toEqual([]);
});

test("accepts a catalog of exact versions", () => {
  const text = 'packages:\n  - packages/*\ncatalog:\n  "@a/b": 1.2.3 # why\n  c: 4.0.0-rc.1\n';
  expect(checkWorkspaceFile({ path: "w", text })).toEqual([]);
});

test.each([
  ["catalog:\n  a: ^1.2.3\n"],
  ["catalog:\n  a: latest\n"],
  ["catalog:\n  a: 1\n"],
  ["allowBuilds:\n  a: true\n"],
  ["onlyBuiltDependencies:\n  - a\n"],
  ["dangerouslyAllowAllBuilds: true\n"],
  ["strictDepBuilds: false\n"],
])("refuses in the workspace file (R-DEP-01): %j", (text) => {
  expect(checkWorkspaceFile({ path: "w", text })).toHaveLength(1);
});

test("accepts a build that is refused by name", () => {
  expect(checkWorkspaceFile({ path: "w", text: "allowBuilds:\n  a: false\n" })).toEqual([]);
});

test("refuses dependencies that run something at installation (R-DEP-01)", () => {
  const lock = "packages:\n  a@1.0.0:\n    requiresBuild: true\n";
  expect(checkLockfile({ path: "l", text: lock })).toEqual([
    "l:3: a dependency has an install script",
  ]);
  const installed = (scripts: object, siblings: string[] = []) =>
    checkInstalled([{ path: "p", text: JSON.stringify({ scripts }), siblings }]);
  expect(installed({ postinstall: "node x.js" })).toHaveLength(1);
  expect(installed({}, ["binding.gyp"])).toHaveLength(1);
  expect(installed({ prepare: "tsc", test: "node x.js" }, ["index.js"])).toEqual([]);
});
