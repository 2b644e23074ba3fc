import { expect, test } from "vitest";
import { checkPages, checkShape } from "./checks/shape.ts";
import { source } from "./sources.ts";

const HEADER = "/** What this is. */\n";

function findIn(path: string, text: string): readonly string[] {
  return checkShape([source(path, text)]);
}

/** `count` lines, each a statement. */
function lines(count: number): string {
  return "f();\n".repeat(count);
}

test("accepts files up to the bound and refuses longer ones", () => {
  expect(findIn("packages/store/src/a.ts", HEADER + lines(399))).toEqual([]);
  expect(findIn("packages/store/src/a.ts", HEADER + lines(400))).toEqual([
    "packages/store/src/a.ts: 401 lines, at most 400",
  ]);
  expect(findIn("packages/store/test/a.test.ts", lines(600))).toEqual([]);
  expect(findIn("packages/store/test/a.test.ts", lines(601))).toHaveLength(1);
});

test.each([
  ["function f() {\n", "}"],
  ["const f = () => {\n", "};"],
  ["class A {\n  f() {\n", "  }\n}"],
])("accepts functions up to the bound and refuses longer ones: %s", (begin, end) => {
  const path = "packages/store/src/a.ts";
  expect(findIn(path, HEADER + begin + lines(58) + end)).toEqual([]);
  expect(findIn(path, HEADER + begin + lines(59) + end)).toHaveLength(1);
});

test.each([
  ["test('x', () => {\n", "});"],
  ["describe('x', () => {\n it.each([1])('y', async () => {\n", "});\n});"],
  ["test.skipIf(x)('x', { timeout: 1 }, function () {\n", "});"],
  ["export function describePort() {\n describe('x', () => {\n", "});\n}"],
])("does not count test bodies as functions: %s", (begin, end) => {
  const text = HEADER + begin + lines(100) + end;
  expect(findIn("test/contract/a.ts", text)).toEqual([]);
  expect(findIn("packages/store/src/a.ts", text).length).toBeGreaterThan(0);
});

test("counts functions inside test bodies, and long functions around short ones", () => {
  const inside = `test("x", () => {\nconst f = () => {\n${lines(60)}};\n});`;
  expect(findIn("test/contract/a.test.ts", inside)).toHaveLength(1);
  const around = `function f() {\ntest("x", () => {\n});\n${lines(60)}}`;
  expect(findIn("test/contract/a.test.ts", around)).toHaveLength(1);
});

test.each([
  ["packages/store/src/partFile.ts"],
  ["packages/store/src/PartFile.ts"],
  ["packages/store/src/part_file.ts"],
  ["packages/store/src/utils.ts"],
  ["packages/store/src/disk-helpers.ts"],
  ["packages/store/src/common/disk.ts"],
  ["test/contract/misc.test.ts"],
])("refuses the name %s", (path) => {
  expect(findIn(path, HEADER)).toHaveLength(1);
});

test("accepts kebab-case names that mean something", () => {
  expect(findIn("packages/store/src/longest-common-run.ts", HEADER)).toEqual([]);
  expect(findIn("packages/store/test/part-file.test.ts", "")).toEqual([]);
});

test.each([
  ["import './b.ts';\n/** Late. */"],
  ["// A line is no header.\nf();"],
  ["/* Nor is this. */\nf();"],
  ["f();"],
])("refuses a source without a header comment: %s", (text) => {
  expect(findIn("packages/store/src/a.ts", text)).toHaveLength(1);
});

test("accepts a header after the line that names an interpreter", () => {
  expect(findIn("packages/agent/src/main.ts", `#!/usr/bin/env node\n${HEADER}f();`)).toEqual([]);
});

test("refuses default exports, exports of everything and inner index files", () => {
  const path = "packages/store/src/a.ts";
  expect(findIn(path, `${HEADER}export default 1;`)).toHaveLength(1);
  expect(findIn(path, `${HEADER}export * from "./b.ts";`)).toHaveLength(1);
  expect(findIn("packages/store/src/disk/index.ts", HEADER)).toHaveLength(1);
  expect(findIn("packages/store/src/index.ts", HEADER)).toEqual([]);
});

test("refuses what is left for later in comments and pages, not in texts", () => {
  const path = "packages/store/src/a.ts";
  expect(findIn(path, `${HEADER}// ${"TODO"}: later`)).toHaveLength(1);
  expect(findIn(path, `${HEADER}/* ${"FIXME"} */`)).toHaveLength(1);
  expect(findIn(path, `${HEADER}const word = "TODO";`)).toEqual([]);
  expect(checkPages([{ path: "docs/a.md", text: `one\n${"TODO"}: two` }])).toEqual([
    `docs/a.md:2: ${"TODO"} is left`,
  ]);
});
