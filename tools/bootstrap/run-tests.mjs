/**
 * The whole test run: format, types and lint, one line each, then every vitest project with its
 * own report, then the ten slowest files, then the closing line `N passed, N failed`. Called by `bootstrap.mjs`.
 *
 * A check counts as one test. A run in which vitest ran no test, or broke off, has failed.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { interruption, runChild } from "./run-child.mjs";
import { closingLine, slowestFiles, tallyReport } from "./tally.mjs";

const CHECK_TIMEOUT_MS = 300_000;
const TEST_TIMEOUT_MS = 1_200_000;
const LONG_TEST_TIMEOUT_MS = 4 * 3_600_000;

/** Where commands run: the repository, its Node, its environment, and the user's arguments.
 * @typedef {{ root: string, node: string, env: NodeJS.ProcessEnv, args: string[] }} Place
 */

/** Tools are started by their scripts, because a shell's shims differ between systems.
 * @param {string[]} path
 */
const tool = (...path) => join("node_modules", ...path);

/** Checks before the tests, and the commands that each consists of. */
const CHECKS = [
  { name: "format", commands: [[tool("oxfmt", "bin", "oxfmt"), "--check"]] },
  {
    name: "types",
    commands: [
      [tool("typescript", "bin", "tsc"), "-b"],
      [tool("typescript", "bin", "tsc"), "-p", "tsconfig.test.json"],
    ],
  },
  { name: "lint", commands: [[tool("oxlint", "bin", "oxlint"), "--deny-warnings"]] },
];

/**
 * Runs everything and gives the exit code: 0 only when something ran and nothing failed.
 *
 * @param {Place} place
 * @param {{ isLong: boolean }} options
 */
export async function runTests(place, { isLong }) {
  let passed = 0;
  let failed = 0;
  for (const { name, commands } of CHECKS) {
    const isRight = await runCheck(place, { name, commands });
    if (interruption() !== undefined) return stopped();
    if (isRight) passed++;
    else failed++;
  }
  const startedAt = Date.now();
  const { report, exitCode } = await runVitest(place, isLong);
  if (interruption() !== undefined) return stopped();
  const tests = tallyReport(report, exitCode);
  console.log(stepLine("tests", tests.failed === 0, startedAt));
  for (const problem of tests.problems) console.log(problem);
  const slowest = slowestFiles(report, place.root);
  if (slowest.length > 0) console.log(["\nslowest files", ...slowest].join("\n"));
  failed += tests.failed;
  console.log(
    `\n${closingLine({ passed: passed + tests.passed, failed, skipped: tests.skipped })}`,
  );
  return failed === 0 ? 0 : 1;
}

/**
 * @param {Place} place
 * @param {{ name: string, commands: string[][] }} check
 */
async function runCheck({ root, node, env }, { name, commands }) {
  const startedAt = Date.now();
  const failures = [];
  for (const command of commands) {
    const { exitCode, output } = await runChild(node, command, {
      cwd: root,
      env,
      output: "kept",
      timeoutMs: CHECK_TIMEOUT_MS,
    });
    if (exitCode !== 0) failures.push(output.trim());
  }
  if (interruption() !== undefined) return false;
  console.log([stepLine(name, failures.length === 0, startedAt), ...failures].join("\n"));
  return failures.length === 0;
}

/**
 * @param {Place} place
 * @param {boolean} isLong
 */
async function runVitest({ root, node, env, args }, isLong) {
  const directory = await mkdtemp(join(tmpdir(), "shoal-test-"));
  const reportPath = join(directory, "report.json");
  try {
    const { exitCode } = await runChild(
      node,
      [
        tool("vitest", "vitest.mjs"),
        "run",
        "--reporter=default",
        "--reporter=json",
        `--outputFile.json=${reportPath}`,
        ...args,
      ],
      {
        cwd: root,
        env: {
          ...env,
          // Tests start hundreds of processes on our sources; each compiles them only once.
          NODE_COMPILE_CACHE: join(directory, "compiled"),
          ...(isLong && { SHOAL_LONG: "1" }),
        },
        output: "shown",
        timeoutMs: isLong ? LONG_TEST_TIMEOUT_MS : TEST_TIMEOUT_MS,
      },
    );
    const report = await readFile(reportPath, "utf8").catch(() => undefined);
    return { report, exitCode };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * @param {string} name
 * @param {boolean} isRight
 * @param {number} startedAt
 */
function stepLine(name, isRight, startedAt) {
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  return `${name.padEnd(8)}${isRight ? "ok" : "FAILED"}  ${seconds} s`;
}

function stopped() {
  console.log("Stopped before the end.");
  return interruption()?.exitCode ?? 1;
}
