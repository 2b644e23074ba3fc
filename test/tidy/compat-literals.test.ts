import { expect, test } from "vitest";
import { checkCompatLiterals } from "./checks/compat-literals.ts";
import { source } from "./sources.ts";

const FACE = "packages/jobs/src/compat/legacy-job.ts";
const TABLE = "packages/jobs/src/compat/constants/bits.ts";
const HRESULTS = "packages/core/src/registry/hresults.ts";
const GUID = "37668D37-507E-4160-9316-26306D150B12";

function findIn(path: string, text: string): readonly string[] {
  return checkCompatLiterals([source(path, text)]);
}

test.each([
  ["f(0x80d02004);"],
  ["f(0x80D0_2004);"],
  ["f(0x80d02004n);"],
  ["f(2161123332);"],
  ["f(-2133843964);"],
  ["f(0xc0d00011);"],
  ["f(-1060110319);"],
  ["const code = '0x80D02004';"],
  ["const text = `${a}: failed with 0xC0D00002`;"],
  [`const iid = "${GUID}";`],
  [`const iid = "{${GUID.toLowerCase()}}";`],
  [`f(\`\${a} ${GUID}\`);`],
])("refuses an HRESULT or GUID outside the tables: %s", (text) => {
  expect(findIn(FACE, text)).toHaveLength(1);
  expect(findIn("packages/agent/src/rest.ts", text)).toHaveLength(1);
  expect(findIn("packages/agent/test/rest.test.ts", text)).toEqual([]);
});

test.each([
  ["f(HRESULTS.DO_E_JOB_EMPTY);"],
  ["// Fails with 0x80d02004."],
  ["f(0x80d0, 0x80d0200, 0x180d02004, 0xffffffff, -1, -86_400_000);"],
  ["const pattern = /0x8[0-9a-f]{7}/;"],
  ["const text = '0x80d020041';"],
  ["let hash = 0x811c9dc5;"],
  ["const sign = 0x80000000;"],
])("accepts what is neither: %s", (text) => {
  expect(findIn(FACE, text)).toEqual([]);
});

test("accepts a literal once in the tables, and refuses it twice there, in any form", () => {
  expect(findIn(TABLE, `f(0x80000021, 0x80000067, "${GUID}");`)).toEqual([]);
  expect(findIn(TABLE, "f(0x80000021);\nf(0x8000_0021);")).toEqual([
    `${TABLE}:2: 0x80000021 again`,
  ]);
  expect(findIn(TABLE, `f("${GUID}", "{${GUID.toLowerCase()}}");`)).toHaveLength(1);
  const tables = [source(HRESULTS, "f(0x80070005);"), source(TABLE, "f(0x80070005);")];
  expect(checkCompatLiterals(tables)).toEqual([`${TABLE}:1: 0x80070005 again`]);
});
