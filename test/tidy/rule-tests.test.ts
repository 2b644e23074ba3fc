import { expect, test } from "vitest";
import { checkRuleTests, PEER_RULES, rulesInTests } from "./checks/rule-tests.ts";
import { source } from "./sources.ts";

const RULES = ["R-PEER-01", "R-PEER-02"];
const naming = source(
  "packages/a/test/a.test.ts",
  'test("refuses the 65th (R-PEER-01)", () => {});',
);

test("finds the tests that name a rule", () => {
  expect(rulesInTests([naming], RULES).get("R-PEER-01")).toEqual(["refuses the 65th (R-PEER-01)"]);
});

test("complains of a rule that only a comment or a source names", () => {
  const comment = source("packages/a/test/b.test.ts", "// R-PEER-02\n");
  const code = source("packages/a/src/a.ts", 'export const rule = "R-PEER-02";');
  const complaints = checkRuleTests([naming, comment, code], RULES);
  expect(complaints).toEqual(["R-PEER-02: no test names it"]);
});

test("knows the rules of sections 12 to 14", () => {
  expect(PEER_RULES).toHaveLength(45);
  expect(PEER_RULES).toContain("R-PEER-30");
});
