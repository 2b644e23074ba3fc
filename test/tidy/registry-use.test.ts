import { expect, test } from "vitest";
import { checkErrorsDocumented, checkRegistryUse } from "./checks/registry-use.ts";
import { source } from "./sources.ts";

const none = { settings: [], limits: [], errors: [], counters: [], reasons: [] };

function findIn(registry: keyof typeof none, name: string, text: string, path?: string) {
  const file = source(path ?? "packages/store/src/a.ts", text);
  return checkRegistryUse([file], { ...none, [registry]: [name] });
}

test.each([
  ["f(settings.syncMs);"],
  ["f(this.#settings.syncMs);"],
  ["f(options.settings['syncMs']);"],
  ["const { syncMs } = settings;"],
  ["const { syncMs: wait } = this.#settings;"],
  ["function f({ syncMs }: Settings) {}"],
  ["function f({ syncMs }: Pick<Settings, 'syncMs'>) {}"],
  ["function f({ settings: { syncMs } }: Options) {}"],
])("accepts a setting that is read: %s", (text) => {
  expect(findIn("settings", "syncMs", text)).toEqual([]);
});

test.each([
  ["const names = ['syncMs'];"],
  ["const settings = { syncMs: 1 };"],
  ["f(other.syncMs);"],
  ["const { syncMs } = other;"],
  ["// settings.syncMs"],
])("refuses a setting that nobody reads: %s", (text) => {
  expect(findIn("settings", "syncMs", text)).toEqual(["syncMs: a setting nobody reads"]);
});

test("does not count readers in tests, nor in the table's own file", () => {
  const text = "f(settings.syncMs, LIMITS.jobsMax);";
  expect(findIn("settings", "syncMs", text, "packages/store/test/a.test.ts")).toHaveLength(1);
  expect(findIn("settings", "syncMs", text, "test/contract/a.ts")).toHaveLength(1);
  const table = "packages/core/src/registry/limits.ts";
  expect(findIn("limits", "jobsMax", text, table)).toHaveLength(1);
  expect(findIn("limits", "jobsMax", text)).toEqual([]);
});

test.each([
  ["throw new ShoalError('ERR_X', 'why');"],
  ["fail(isFull ? 'ERR_X' : 'ERR_Y');"],
  ["const BY_STATUS = { 404: 'ERR_X' };"],
  ["const code = known ?? 'ERR_X';"],
])("accepts an error that is raised: %s", (text) => {
  expect(findIn("errors", "ERR_X", text)).toEqual([]);
});

test.each([
  ["if (error.code === 'ERR_X') f();"],
  ["switch (code) { case 'ERR_X': f(); }"],
  ["type Code = 'ERR_X' | 'ERR_Y';"],
  ["const row = ERRORS['ERR_X'];"],
  ["// raises ERR_X"],
])("refuses an error that nobody raises: %s", (text) => {
  expect(findIn("errors", "ERR_X", text)).toEqual(["ERR_X: an error nobody raises"]);
});

test("refuses an error that is raised only in its own table's file", () => {
  const table = "packages/core/src/registry/errors.ts";
  expect(findIn("errors", "ERR_X", "f('ERR_X');", table)).toHaveLength(1);
});

test("refuses an error that the page does not have", () => {
  expect(checkErrorsDocumented(["ERR_X", "ERR_Y"], "| `ERR_X` | words |")).toEqual([
    "ERR_Y: no words",
  ]);
});

test("tells counters that are counted from those only looked at", () => {
  expect(findIn("counters", "x_total", "counters.add('x_total', 3);")).toEqual([]);
  expect(findIn("counters", "x_total", "counters.get('x_total');")).toEqual([
    "x_total: a counter nobody counts",
  ]);
});

test("refuses a reason that nobody gives", () => {
  expect(findIn("reasons", "owned", "ask({ reason: 'owned' });")).toEqual([]);
  expect(findIn("reasons", "owned", "if (reason === 'owned') f();")).toHaveLength(1);
});
