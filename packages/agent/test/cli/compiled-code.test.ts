import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { compiledCodeDirectory } from "../../src/cli/compiled-code.ts";

let home: string;
beforeEach(() => (home = mkdtempSync(join(tmpdir(), "shoal-home-"))));
afterEach(() => rmSync(home, { recursive: true, force: true }));

test("keeps compiled code in the user's cache, for the user alone", () => {
  const directory = join(home, ".cache", "shoal", "compiled");
  expect(compiledCodeDirectory({}, home)).toBe(directory);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  const given = join(home, "elsewhere");
  mkdirSync(given);
  expect(compiledCodeDirectory({ XDG_CACHE_HOME: given }, home)).toBe(
    join(given, "shoal", "compiled"),
  );
});

test("keeps none where others may write, or where there is no home", () => {
  const cache = join(home, ".cache");
  mkdirSync(cache);
  chmodSync(cache, 0o777);
  expect(compiledCodeDirectory({}, home)).toBeUndefined();
  expect(compiledCodeDirectory({}, join(home, "none"))).toBeUndefined();
});

test.skipIf(process.getuid?.() !== 0)("a superuser runs no code of another user's home", () => {
  chownSync(home, 65_534, 65_534);
  expect(compiledCodeDirectory({}, home)).toBeUndefined();
});
