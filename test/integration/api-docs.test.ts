/** The public API is documented, and a change of it shows in a committed report. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const TIMEOUT_MS = 240_000;

/** Runs a tool of `tools/api` with this Node; returns what it printed when it failed. */
function run(script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
    cwd: join(ROOT, "tools/api"),
    encoding: "utf8",
    timeout: TIMEOUT_MS,
  });
  return status === 0 ? "" : `exit ${status}\n${stdout}\n${stderr}`;
}

test(
  "the reports of the public API are up to date (renew them with `pnpm docs:api`)",
  { timeout: TIMEOUT_MS },
  () => {
    expect(run(join(ROOT, "node_modules/typescript/bin/tsc"), "-b", ROOT)).toBe("");
    expect(run("report.mjs", "--check")).toBe("");
  },
);

test("the reference of the public API builds without warnings", { timeout: TIMEOUT_MS }, () => {
  const typedoc = join(ROOT, "tools/api/node_modules/typedoc/bin/typedoc");
  expect(run(typedoc, "--options", "typedoc.json", "--emit", "none")).toBe("");
});
